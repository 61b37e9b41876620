"""What crosses the border between the worker and the code that runs its jobs."""

from typing import Any

import msgspec

from tq.wire.envelope import Message
from tq.wire.message import TaskHeaders

__all__ = [
    "REQUEUE",
    "UNREADABLE",
    "Assignment",
    "Record",
    "decode_assignment",
    "decode_record",
    "encode_assignment",
    "encode_record",
]

REQUEUE = "REQUEUE"  # the pseudo state of a delivery that goes back to its queue unrecorded
UNREADABLE = "UNREADABLE"  # that of a message whose body cannot be read; `text` is the reason


class Assignment(msgspec.Struct, array_like=True, kw_only=True):
    """A job's payload: the delivery, its headers already read, its body still bytes.

    Attributes:
        consumer: Id of the consumer whose delivery it is, for `Broker.settler`.
        reports: The worker wants texts of results and errors, for events or for its log.
    """

    tag: str
    queue: str
    headers: TaskHeaders
    body: bytes
    content_type: str
    content_encoding: str
    exchange: str
    routing_key: str
    priority: int
    correlation_id: str | None
    reply_to: str | None
    delivery_mode: int
    properties: dict[str, Any] | None
    redelivered: bool
    deliveries: int
    consumer: str
    reports: bool

    def message(self) -> Message:
        """Rebuild as much of the message as reading its body takes.

        Of the headers only `compression` matters for that; the others are in `headers`, and
        sending them twice would cost 3 us a task.
        """
        compression = self.headers.compression
        return Message(
            body=self.body,
            headers={"compression": compression} if compression else {},
            content_type=self.content_type,
            content_encoding=self.content_encoding,
            exchange=self.exchange,
            routing_key=self.routing_key,
            priority=self.priority,
            correlation_id=self.correlation_id,
            reply_to=self.reply_to,
            delivery_mode=self.delivery_mode,
            properties=self.properties,
        )


class Record(msgspec.Struct, array_like=True):
    """An outcome's payload: what the worker counts, logs and tells in events.

    Attributes:
        state: SUCCESS, FAILURE, RETRY, REVOKED, IGNORED, REJECTED, or `REQUEUE`.
        runtime: Seconds, or None when unknown.
        text: The result's or the exception's repr; None unless reports are wanted.
        traceback: The formatted traceback of a failure or retry.
        requeue: With REJECTED: whether the message goes back to its queue.
        bury: Why the message goes to the dead letters after its effects are recorded.
        expected: With FAILURE: the exception is among the task's `throws`.
        lost: The lease was lost before the outcome was settled, so nothing was recorded.
    """

    state: str
    runtime: float | None = None
    text: str | None = None
    traceback: str | None = None
    requeue: bool | None = None
    lost: bool = False
    bury: str | None = None
    expected: bool = False


encode_assignment = msgspec.msgpack.Encoder().encode
decode_assignment = msgspec.msgpack.Decoder(Assignment).decode
encode_record = msgspec.msgpack.Encoder().encode
decode_record = msgspec.msgpack.Decoder(Record).decode
