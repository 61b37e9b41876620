"""What the worker's parent writes to broker and backend: batched, ordered, retried.

Source: RELIABILITY 2 (12, 22) and 3.2 (2); river's batch completer (size, time, back-pressure).
"""

import logging
from collections import deque
from collections.abc import Callable
from typing import Any

from tq.brokers.base import Consumer
from tq.errors import BackendError, BrokerConnectionError, BrokerError
from tq.worker.effects import Effects, EffectWriter
from tq.worker.loop import Loop, Timer

__all__ = ["BATCH_LIMIT", "Settler"]

logger = logging.getLogger(__name__)

BATCH_LIMIT = 100
_WAIT_SECONDS = 0.005  # how long a settlement may wait for others
_RETRY_SECONDS = 0.5
_BACK_PRESSURE = 2_000  # waiting items at which the worker ceases to fetch

_WRITERS: dict[str, Callable[[Consumer, list[Any]], Any]] = {
    "ack": lambda consumer, tags: consumer.ack(tags),
    "park": lambda consumer, items: consumer.park(items),
    "bury": lambda consumer, items: consumer.bury(items),
    "requeue": lambda consumer, tags: consumer.release(tags),
    "lost": lambda consumer, tags: consumer.reject(tags, requeue=True),
    "forget": lambda consumer, tags: consumer.forget(tags),
}


class Settler:
    """An outbox for the consumer. Owned by the loop thread.

    What found the broker away stays first in line, so that the order holds and a finished task's
    acknowledgement is never forgotten.
    """

    name = "settler"

    def __init__(
        self,
        loop: Loop,
        writer: EffectWriter,
        consumer: Callable[[], Consumer | None],
        on_connection_error: Callable[[BrokerConnectionError], Any],
        on_settled: Callable[[Effects], Any] = lambda _effects: None,
    ) -> None:
        """Prepare.

        Args:
            loop: Runs the timers.
            writer: Writes effects.
            consumer: Returns the current consumer, or None while there is none.
            on_connection_error: Told when the consumer's connection is found lost.
            on_settled: Told of each of the effects that were written.
        """
        self._loop = loop
        self._writer = writer
        self._consumer = consumer
        self._on_connection_error = on_connection_error
        self._on_settled = on_settled
        # Runs of items of one kind, in the order in which they came.
        self._runs: deque[tuple[str, list[Any]]] = deque()
        self._count = 0
        self._timer: Timer | None = None
        self._complained = False

    @property
    def congested(self) -> bool:
        """Tell whether so much waits that no more should be fetched."""
        return self._count >= _BACK_PRESSURE

    @property
    def pending(self) -> int:
        """Count what waits."""
        return self._count

    def start(self) -> None:
        """Do nothing: it begins with the first item."""

    def stop(self, deadline: float) -> None:
        """Write what waits, as far as the servers answer."""
        self.flush()
        if self._timer is not None:
            self._timer.cancel()
        if self._count:
            logger.error("%d settlements were not written; their leases will lapse", self._count)

    def settle(self, effects: list[Effects]) -> None:
        """Put effects in line."""
        self.add("settle", effects)

    def add(self, kind: str, items: list[Any]) -> None:
        """Put items in line.

        Args:
            kind: `settle`, `record` (effects without an ack), `ack`, `park`, `bury`, `requeue`,
                `lost` or `forget`.
            items: Effects for the first two, else what the consumer's method takes.
        """
        if not items:
            return
        if self._runs and self._runs[-1][0] == kind:
            self._runs[-1][1].extend(items)
        else:
            self._runs.append((kind, list(items)))
        self._count += len(items)
        if self._count >= BATCH_LIMIT and not self._complained:
            self.flush()
        elif self._timer is None:
            self._timer = self._loop.call_later(_WAIT_SECONDS, self.flush)

    def flush(self) -> None:
        """Write all that waits, until something fails."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        try:
            while self._runs:
                self._write_some()
        except BrokerConnectionError as exc:
            self._later(exc)
            self._on_connection_error(exc)
        except (BackendError, BrokerError) as exc:
            self._later(exc)
        else:
            self._complained = False

    def _later(self, error: Exception) -> None:
        if not self._complained:
            self._complained = True
            logger.warning("%d settlements wait: %s", self._count, error)
        self._timer = self._loop.call_later(_RETRY_SECONDS, self.flush)

    def _write_some(self) -> None:
        """Write up to a batch of the run in front."""
        consumer = self._consumer()
        if consumer is None:
            raise BrokerError("the broker is away")
        kind, items = self._runs[0]
        batch = items[:BATCH_LIMIT]
        if kind == "settle":
            self._writer.write(batch, consumer.settle)
        elif kind == "record":
            self._writer.write(batch, None)
        else:
            _WRITERS[kind](consumer, batch)
        del items[: len(batch)]
        self._count -= len(batch)
        if not items:
            self._runs.popleft()
        if kind == "settle":
            for effects in batch:
                self._on_settled(effects)
