"""Choosing a result backend by its URL; the only place that does."""

from collections.abc import Mapping
from typing import Any

from tq.backends.base import Backend
from tq.errors import ConfigError

__all__ = ["connect"]

_REDIS = frozenset(
    {
        "redis",
        "rediss",
        "valkey",
        "valkeys",
        "redis+socket",
        "valkey+socket",
        "socket",
        "unix",
        "sentinel",
    }
)
_NONE = frozenset({"", "disabled", "disabled://", "none", "null"})


def connect(
    url: str | None, options: Mapping[str, Any] | None = None, broker: Any = None
) -> Backend:
    """Return the backend for a URL; nothing is opened yet.

    Args:
        url: `redis://...` and its relatives, `rpc://`, `memory://` (`cache+memory://`), or None,
            `disabled://` for no results.
        options: Plain values: `expires`, `failure_expires`, `chord_expires` (seconds),
            `serializer`, `compression`, `accept` (names), `insecure`, `extended`,
            `global_keyprefix`, `chord_ordered`, `join_timeout`, `persistent`, and the transport's
            own (`socket_timeout`, `ssl_...`, `master_name`, ...).
        broker: The application's broker, which `rpc://` sends results over.

    Raises:
        ConfigError: Nothing speaks that scheme, or an option makes no sense.
    """
    given = dict(options or {})
    scheme = (url or "").partition(":")[0].lower()
    if url is None or scheme in _NONE or url in _NONE:
        from tq.backends.null import NullBackend  # each choice loads only its own module

        return NullBackend()
    if scheme in _REDIS:
        from tq.backends.redis import RedisBackend  # as above

        return RedisBackend(url, given)
    if scheme in ("memory", "cache+memory"):
        from tq.backends.memory import MemoryBackend  # as above

        return MemoryBackend(url, given)
    if scheme in ("rpc", "amqp"):
        from tq.backends.rpc import RpcBackend  # as above

        if broker is None:
            raise ConfigError("the rpc:// backend sends results over the broker, and there is none")
        return RpcBackend(broker, given)
    raise ConfigError(
        f"no result backend for {scheme!r}: use redis://, rpc://, memory:// or disabled://"
    )
