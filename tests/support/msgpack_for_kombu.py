"""kombu's msgpack serializer without the msgpack package: the same bytes, from msgspec."""

import msgspec
from kombu import serialization


def register() -> None:
    """Make `serializer="msgpack"` work in this process's Celery."""
    serialization.register(
        "msgpack",
        msgspec.msgpack.encode,
        msgspec.msgpack.decode,
        content_type="application/x-msgpack",
        content_encoding="binary",
    )
