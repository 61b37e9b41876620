"""Sends events: buffered, batched, and never in the way of the work they tell of.

Source: PROTOCOL 7.1, 7.2; celery/events/dispatcher.py, `EventDispatcher`.
"""

import logging
import os
import threading
import time
from collections.abc import Collection
from itertools import groupby
from typing import Any

import msgspec

from tq.brokers.base import Broker, Exchange, Message
from tq.clock import Clock, LamportClock, SystemClock
from tq.errors import BrokerError, EncodeError
from tq.events.exchange import event_exchange
from tq.saferepr import saferepr
from tq.wire.event import encode_events, utc_offset
from tq.wire.serialization import dumps

__all__ = ["Emitter"]

_log = logging.getLogger(__name__)

_RETRY_INTERVAL = 1.0
_OFFSET_INTERVAL = 60.0

# Ten times as fast as `encode_events`, which looks at every value first; what it cannot write goes
# there. Foreign values become their repr, NaN becomes null.
_encoder = msgspec.json.Encoder(enc_hook=saferepr)


class Emitter:
    """Buffers events and publishes them in batches.

    `send` may be called from any thread and only appends to a list. `flush` publishes, in one
    round trip; it is called by the owner's loop (the worker), or by `send` itself when the buffer
    holds `batch_limit` events and `auto_flush` is set (producers).

    A run of events of a group in `batch_groups` travels as one JSON array under `<group>.multi`;
    others travel singly, in the order in which they were sent.

    Attributes:
        enabled: Whether `send` does anything; read it first where building the fields costs.
        groups: Groups that are sent, or None for all; see `enable_group`.
        dropped: Events given up because the buffer was full.
        sent: Events published.
    """

    def __init__(
        self,
        broker: Broker,
        hostname: str,
        clock: LamportClock,
        *,
        exchange: str = "celeryev",
        serializer: str = "json",
        enabled: bool = True,
        groups: Collection[str] | None = None,
        batch_groups: Collection[str] = ("task",),
        batch_limit: int = 1000,
        buffer_limit: int = 100_000,
        auto_flush: bool = False,
        time_source: Clock | None = None,
    ) -> None:
        """Prepare to send; nothing is published yet.

        Args:
            broker: Where to publish.
            hostname: The sender's node name, put into every event.
            clock: Advanced by one per event.
            exchange: Name of the event exchange (`event_exchange`).
            serializer: `json`, `msgpack` or `yaml` (`event_serializer`).
            enabled: False makes `send` do nothing at all.
            groups: Only events of these groups are sent (`{"worker"}` for a worker without `-E`).
            batch_groups: Groups whose events may travel as arrays.
            batch_limit: Most events in one message.
            buffer_limit: Most events kept while the broker is away; the oldest are dropped.
            auto_flush: Publish from within `send` when `batch_limit` events wait.
            time_source: Another clock, for tests.

        Raises:
            EncodeError: The serializer is unknown, or its library is not installed.
        """
        dumps({}, serializer)
        self.broker = broker
        self.hostname = hostname
        self.clock = clock
        self.enabled = enabled
        self.groups: set[str] | None = None if groups is None else set(groups)
        self.dropped = 0
        self.sent = 0
        self.batch_limit = batch_limit
        self.buffer_limit = buffer_limit
        self.auto_flush = auto_flush
        self._batch_groups = frozenset(batch_groups)
        self._exchange: Exchange = event_exchange(exchange, broker.driver)
        self._serializer = serializer
        self._time = time_source or SystemClock()
        self._pid = os.getpid()
        self._utcoffset = utc_offset()
        self._offset_due = self._time.monotonic() + _OFFSET_INTERVAL
        self._buffer: list[dict[str, Any]] = []
        self._flushing = threading.Lock()
        self._retry_at = 0.0

    @property
    def pending(self) -> int:
        """Events that wait to be published."""
        return len(self._buffer)

    def wants(self, group: str) -> bool:
        """Tell whether events of a group (`task`, `worker`) are sent at present."""
        return self.enabled and (self.groups is None or group in self.groups)

    def enable_group(self, group: str) -> bool:
        """Begin to send a group's events; returns False when they were sent already."""
        if self.groups is None or group in self.groups:
            return False
        self.groups = self.groups | {group}
        return True

    def disable_group(self, group: str) -> bool:
        """Cease to send a group's events; returns False when they were not under its control.

        A sender of all groups (a worker with `-E`) stays one, as in Celery.
        """
        if self.groups is None or group not in self.groups:
            return False
        self.groups = self.groups - {group}
        return True

    def send(self, type: str, **fields: Any) -> None:  # noqa: A002 - the field's name on the wire
        """Put one event into the buffer.

        Args:
            type: `task-succeeded`, `worker-heartbeat`, or any other `group-subject`.
            fields: The event's own fields; `timestamp`, `hostname` and `pid` may be given to
                speak for another moment or process.
        """
        if not self.enabled:
            return
        groups = self.groups
        if groups is not None and type.partition("-")[0] not in groups:
            return
        buffer = self._buffer
        # One literal keeps this below a microsecond; the order is Celery's, `fields` win.
        buffer.append(
            {
                "type": type,
                "hostname": self.hostname,
                "pid": self._pid,
                "utcoffset": self._utcoffset,
                "clock": self.clock.forward(),
                "timestamp": time.time(),
                **fields,
            }
        )
        if len(buffer) >= self.batch_limit:
            self._filled()

    def _filled(self) -> None:
        """Publish when it is `send`'s part to do so, and keep the buffer within its bound."""
        if self.auto_flush:
            self.flush()
        excess = len(self._buffer) - self.buffer_limit
        if excess > 0:
            # A tenth at once, so that a full buffer does not shift its whole list per event.
            excess += self.buffer_limit // 10
            with self._flushing:
                del self._buffer[:excess]
                self.dropped += excess

    def flush(self) -> int:
        """Publish all that waits, in one call; returns how many events went out.

        While the broker is away events stay in the buffer, and it is tried again at most once a
        second, so that the caller's loop is not held up by each flush.
        """
        if not self._buffer:
            return 0
        now = self._time.monotonic()
        if now < self._retry_at or not self._flushing.acquire(blocking=False):
            return 0
        try:
            if now >= self._offset_due:
                self._utcoffset, self._offset_due = utc_offset(), now + _OFFSET_INTERVAL
            return self._publish(now)
        finally:
            self._flushing.release()

    def _publish(self, now: float) -> int:
        """Publish the buffer as it is now; senders may append meanwhile, at its end."""
        count = len(self._buffer)
        messages = self._encode(self._buffer[:count])
        try:
            self.broker.publish(messages)
        except BrokerError as error:
            if not self._retry_at:
                _log.warning("events are held back, the broker does not take them: %s", error)
            # From now on, not from when it began: a server that says nothing costs its whole
            # timeout, and the caller's loop has better things to do than wait for it again.
            failed = self._time.monotonic()
            self._retry_at = failed + max(_RETRY_INTERVAL, 2 * (failed - now))
            return 0
        self._retry_at = 0.0
        del self._buffer[:count]
        self.sent += count
        return count

    def _encode(self, events: list[dict[str, Any]]) -> list[Message]:
        """Turn events into messages: runs of one batched group together, others singly."""
        messages: list[Message] = []
        for group, run in groupby(events, key=_group):
            batch = list(run)
            size = self.batch_limit if group in self._batch_groups else 1
            for at in range(0, len(batch), size):
                messages.extend(self._encode_batch(batch[at : at + size], group))
        return messages

    def _encode_batch(self, batch: list[dict[str, Any]], group: str) -> list[Message]:
        """Encode one batch; an event that cannot be encoded is dropped alone."""
        if self._serializer != "json":
            return self._encode_slowly(batch, group)
        multi = group in self._batch_groups
        key = f"{group}.multi" if multi else batch[0]["type"].replace("-", ".")
        try:
            body = _encoder.encode(batch if multi else batch[0])
        except (TypeError, ValueError, OverflowError, RecursionError):
            return self._encode_singly(batch, multi)
        return [
            Message(
                body=body,
                headers={"hostname": self.hostname},
                exchange=self._exchange.name,
                exchange_type=self._exchange.type,
                routing_key=key,
                delivery_mode=1,
            )
        ]

    def _encode_slowly(self, batch: list[dict[str, Any]], group: str) -> list[Message]:
        """Encode one batch by the way that takes more kinds of values, and every serializer."""
        multi = group in self._batch_groups
        try:
            return [self._message(batch, multi)]
        except EncodeError:
            return self._encode_singly(batch, multi)

    def _message(self, batch: list[dict[str, Any]], multi: bool) -> Message:
        exchange = self._exchange
        return encode_events(
            batch, self.hostname, exchange.name, exchange.type, self._serializer, batch=multi
        )

    def _encode_singly(self, batch: list[dict[str, Any]], multi: bool) -> list[Message]:
        """Encode events one by one, and drop those that cannot be."""
        return [message for event in batch for message in self._encode_odd(event, multi)]

    def _encode_odd(self, event: dict[str, Any], multi: bool) -> list[Message]:
        """Encode one event, or drop it."""
        try:
            return [self._message([event], multi)]
        except EncodeError as error:
            self.dropped += 1
            _log.warning("event %s dropped: %s", str(event.get("type"))[:100], error)
            return []

    def close(self) -> None:
        """Publish what waits, then send nothing more."""
        self._retry_at = 0.0
        self.flush()
        self.enabled = False


def _group(event: dict[str, Any]) -> str:
    """Return the part of an event's type before the first dash."""
    group: str = event["type"].partition("-")[0]
    return group
