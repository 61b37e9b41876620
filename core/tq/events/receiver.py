"""Receives events in a thread that never waits for who reads them.

Source: PROTOCOL 2, 7.1; celery/events/receiver.py, `EventReceiver`.
"""

import contextlib
import logging
import os
import threading
import uuid
from collections import deque
from typing import Any

import msgspec

from tq.brokers.base import Broker, Message, Queue, Subscription
from tq.clock import Clock, LamportClock, SystemClock
from tq.errors import BrokerError
from tq.events.exchange import event_exchange
from tq.events.reading import EventReader
from tq.wire.command import Command, encode_command
from tq.wire.event import utc_offset

__all__ = ["Batch", "Gap", "Receiver"]

_log = logging.getLogger(__name__)

_MESSAGES_AT_ONCE = 500
_POLL = 0.25
_FIRST_BACKOFF = 0.2
_LONGEST_BACKOFF = 5.0
_GAPS_KEPT = 100
_OFFSET_INTERVAL = 60.0
_MOST_TYPES = 64


class Gap(msgspec.Struct, frozen=True):
    """A time in which events may have been missed.

    Attributes:
        start: Wall timestamp of the last sign of the connection.
        end: When it was back, or None while it is not.
        reason: The error's text.
    """

    start: float
    end: float | None
    reason: str


class Batch(msgspec.Struct):
    """Events that arrived together.

    Attributes:
        events: Checked events, each with `local_received`.
        arrived: Wall timestamp of their arrival.
        skipped: Events by type that were dropped before this batch because nobody drained.
    """

    events: list[dict[str, Any]]
    arrived: float
    skipped: dict[str, int] | None = None


class Receiver:
    """Subscribes to events, decodes them, and keeps them until they are drained.

    The thread owns the subscription and the reader; the buffer is shared under a lock. When the
    buffer is full the oldest batches are dropped and counted by type, so that counts stay right.

    Attributes:
        connected: Whether the subscription stands.
        since: Wall timestamp since when that is so.
        received: Events received.
        dropped: Events dropped from the buffer, not counted as invalid.
        gaps: When the connection was lost, newest last.
    """

    name = "event receiver"

    def __init__(
        self,
        broker: Broker,
        routing_key: str = "#",
        *,
        exchange: str = "celeryev",
        queue_prefix: str = "celeryev",
        queue_ttl: float | None = 5.0,
        queue_expires: float | None = 60.0,
        queue_exclusive: bool = True,
        queue_durable: bool = False,
        control_exchange: str = "celery",
        clock: LamportClock | None = None,
        wake_workers: bool = True,
        buffer_limit: int = 200_000,
        time_source: Clock | None = None,
    ) -> None:
        """Prepare; `start` subscribes.

        Args:
            broker: The connection to subscribe through.
            routing_key: `#` for all events, `task.#` or `worker.#` for a group.
            exchange: The setting `event_exchange`.
            queue_prefix: The setting `event_queue_prefix`.
            queue_ttl: Seconds an event lives in the queue (`event_queue_ttl`).
            queue_expires: Seconds the unused queue lives (`event_queue_expires`).
            queue_exclusive: No other connection may use it (`event_queue_exclusive`).
            queue_durable: It outlives its connection (`event_queue_durable`).
            control_exchange: The setting of that name, for asking workers to show up.
            clock: The process's logical clock.
            wake_workers: Ask all workers for a heartbeat whenever the subscription begins.
            buffer_limit: Most events kept for the reader.
            time_source: Another clock, for tests.
        """
        self.broker = broker
        self.connected = False
        self.received = 0
        self.dropped = 0
        self.gaps: deque[Gap] = deque(maxlen=_GAPS_KEPT)
        self.reader = EventReader()
        self.wake_workers = wake_workers
        self.buffer_limit = buffer_limit
        self._queue = Queue(
            name=f"{queue_prefix}.{uuid.uuid4()}",
            exchange=event_exchange(exchange, broker.driver),
            routing_key=routing_key,
            durable=queue_durable,
            exclusive=queue_exclusive,
            auto_delete=not queue_durable,
            expires=queue_expires,
            message_ttl=queue_ttl,
            no_ack=True,
        )
        self._control_exchange = f"{control_exchange}.pidbox"
        self._clock = clock or LamportClock()
        self._time = time_source or SystemClock()
        self.since = self._time.time()
        self._offset = utc_offset()
        self._offset_due = 0.0
        self._buffer: deque[Batch] = deque()
        self._buffered = 0
        self._skipped: dict[str, int] = {}
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._ready = threading.Event()
        self._thread: threading.Thread | None = None
        self._wakeup, self._bell = os.pipe()
        os.set_blocking(self._wakeup, False)
        os.set_blocking(self._bell, False)

    @property
    def invalid(self) -> dict[str, int]:
        """Messages and events left out because they were not readable, by reason."""
        return self.reader.invalid

    @property
    def pending(self) -> int:
        """Events that wait to be drained."""
        return self._buffered

    def lag(self, now: float) -> float:
        """Return the age in seconds of the oldest event that waits to be drained."""
        with self._lock:
            return max(0.0, now - self._buffer[0].arrived) if self._buffer else 0.0

    def start(self) -> None:
        """Begin to receive; returns when subscribed, or after 5 s without a broker."""
        if self._thread is not None:
            return
        self._stopping.clear()
        self._thread = threading.Thread(target=self._run, name=self.name, daemon=True)
        self._thread.start()
        self._ready.wait(5.0)

    def stop(self, deadline: float) -> None:
        """End; removes the queue from the broker. `deadline` is monotonic."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        self._stopping.set()
        thread.join(max(0.0, deadline - self._time.monotonic()))

    def close(self) -> None:
        """Stop, and close the wakeup descriptor; the receiver cannot be used again."""
        self.stop(self._time.monotonic() + 5.0)
        with self._lock:
            if self._wakeup >= 0:
                os.close(self._wakeup)
                os.close(self._bell)
                self._wakeup = self._bell = -1

    def fileno(self) -> int:
        """Return a descriptor that is readable while there is something to drain."""
        return self._wakeup

    def drain(self, limit: int = 100_000) -> list[Batch]:
        """Take what has arrived, the oldest first.

        Args:
            limit: Stop after so many events; batches are not divided.
        """
        batches: list[Batch] = []
        taken = 0
        with self._lock:
            while self._buffer and taken < limit:
                batch = self._buffer.popleft()
                taken += len(batch.events)
                batches.append(batch)
            self._buffered -= taken
            if batches and self._skipped:
                batches[0].skipped, self._skipped = self._skipped, {}
            if not self._buffer and self._wakeup >= 0:
                with contextlib.suppress(BlockingIOError):
                    os.read(self._wakeup, 64)
        return batches

    def _run(self) -> None:
        """Keep a subscription until told to stop."""
        backoff = _FIRST_BACKOFF
        lost: tuple[float, str] | None = None
        while not self._stopping.is_set():
            try:
                with contextlib.closing(self.broker.subscribe(self._queue)) as subscription:
                    self._subscribed(lost)
                    lost, backoff = None, _FIRST_BACKOFF
                    self._receive(subscription)
            except BrokerError as error:
                if lost is None:
                    lost = self._disconnected(error)
                self._stopping.wait(backoff)
                backoff = min(backoff * 2.0, _LONGEST_BACKOFF)
        self.connected = False

    def _subscribed(self, lost: tuple[float, str] | None) -> None:
        """Note that events flow, and let the workers show up."""
        now = self._time.time()
        if lost is not None:
            self.gaps[-1] = Gap(lost[0], now, lost[1])
        self.connected, self.since = True, now
        if self.wake_workers:
            command = Command(method="heartbeat", clock=self._clock.forward())
            self.broker.publish([encode_command(command, self._control_exchange)])
        self._ready.set()

    def _disconnected(self, error: BrokerError) -> tuple[float, str]:
        """Note that events are missed from now on."""
        now = self._time.time()
        self.connected, self.since = False, now
        reason = str(error)
        self.gaps.append(Gap(now, None, reason))
        _log.warning("events are missed, the broker does not answer: %s", reason)
        self._ring()
        return now, reason

    def _receive(self, subscription: Subscription) -> None:
        """Take in messages until told to stop, or until the connection is lost."""
        while not self._stopping.is_set():
            messages = subscription.receive(_MESSAGES_AT_ONCE, _POLL)
            if messages:
                self._take(messages)

    def _take(self, messages: list[Message]) -> None:
        """Decode messages and put their events into the buffer."""
        now = self._time.time()
        if now >= self._offset_due:
            self._offset, self._offset_due = utc_offset(), now + _OFFSET_INTERVAL
        events: list[dict[str, Any]] = []
        for message in messages:
            found = self.reader.read(message, now, self._offset)
            self._synchronise(found)
            events += found
        if not events:
            return
        self.received += len(events)
        with self._lock:
            self._buffer.append(Batch(events, now))
            self._buffered += len(events)
            while self._buffered > self.buffer_limit and len(self._buffer) > 1:
                self._skip(self._buffer.popleft())
        self._ring()

    def _synchronise(self, events: list[dict[str, Any]]) -> None:
        """Bring our clock forward, and give `task-sent` a clock that fits in.

        Senders of `task-sent` hear nothing, so their clocks tell nothing; workers' clocks rise
        within a message, so the last one stands for all.
        """
        for event in events:
            if event["type"] == "task-sent":
                event["clock"] = max(self._clock.value, 1) - 1
        if events:
            self._clock.adjust(events[-1]["clock"])

    def _skip(self, batch: Batch) -> None:
        """Count a batch that is dropped; called with the lock held."""
        self.dropped += len(batch.events)
        self._buffered -= len(batch.events)
        skipped = self._skipped
        for event in batch.events:
            kind = event["type"]
            if kind not in skipped and len(skipped) >= _MOST_TYPES:
                kind = "other"
            skipped[kind] = skipped.get(kind, 0) + 1
        for kind, count in (batch.skipped or {}).items():
            skipped[kind] = skipped.get(kind, 0) + count

    def _ring(self) -> None:
        """Make the wakeup descriptor readable."""
        with self._lock:
            if self._bell >= 0:
                # A full pipe is readable already.
                with contextlib.suppress(BlockingIOError):
                    os.write(self._bell, b"\0")
