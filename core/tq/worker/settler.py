"""What the worker itself writes to the broker and the result backend: batched, ordered, retried.

Source: RELIABILITY 2 (12, 22) and 3.2 (2); rivers's batch completer (size, time, back-pressure).
"""

import logging
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from tq.backends.base import Backend
from tq.brokers.base import Consumer, Settled, Settlement
from tq.errors import BackendError, BrokerConnectionError, BrokerError
from tq.wire.result import ResultMeta
from tq.worker.loop import Loop, Timer

__all__ = ["BATCH_LIMIT", "Operation", "Settler"]

logger = logging.getLogger(__name__)

BATCH_LIMIT = 100
_WAIT_SECONDS = 0.005  # how long a settlement may wait for others
_RETRY_SECONDS = 0.5
_BACK_PRESSURE = 2_000  # waiting operations at which the worker ceases to fetch


class Operation(msgspec.Struct):
    """One write, kept until the server answered.

    Attributes:
        kind: `settle`, `park`, `bury`, `requeue`, `lost` or `forget`.
        items: What the consumer's method of that kind takes.
        results: Records to store before, where the backend is another server.
        parts: Chord parts to count after storing, by the backend.
        on_settled: Called with the answer of a settlement.
    """

    kind: str
    items: list[Any]
    results: list[ResultMeta] = []
    on_settled: Callable[[Settlement, Settled], Any] | None = None


class Settler:
    """An outbox for the consumer. Owned by the loop thread.

    An operation that found the broker away stays first in line, so that their order holds and a
    finished task's acknowledgement is never forgotten.
    """

    name = "settler"

    def __init__(
        self,
        loop: Loop,
        backend: Backend,
        consumer: Callable[[], Consumer | None],
        on_connection_error: Callable[[BrokerConnectionError], Any],
        on_lost_lease: Callable[[Settlement], Any] = lambda _item: None,
    ) -> None:
        """Prepare.

        Args:
            loop: Runs the timers.
            backend: Where results go that the settle step does not write.
            consumer: Returns the current consumer, or None while there is none.
            on_connection_error: Told when the consumer's connection is found lost.
            on_lost_lease: Told of settlements that came too late.
        """
        self._loop = loop
        self._backend = backend
        self._consumer = consumer
        self._on_connection_error = on_connection_error
        self._on_lost_lease = on_lost_lease
        self._waiting: deque[Operation] = deque()
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
        """Do nothing: it begins with the first operation."""

    def stop(self, deadline: float) -> None:
        """Write what waits, as far as the servers answer."""
        self.flush()
        if self._count:
            logger.error("%d settlements could not be written; their leases will lapse", self._count)

    def add(self, kind: str, items: list[Any]) -> None:
        """Put an operation in line."""
        if items:
            self._put(Operation(kind, items))

    def settle(
        self,
        item: Settlement,
        results: Sequence[ResultMeta] = (),
        on_settled: Callable[[Settlement, Settled], Any] | None = None,
    ) -> None:
        """Put one settlement in line, with the records to store before it."""
        self._put(Operation("settle", [item], list(results), on_settled))

    def _put(self, operation: Operation) -> None:
        self._waiting.append(operation)
        self._count += len(operation.items)
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
            while self._waiting:
                self._write_first()
        except BrokerConnectionError as exc:
            self._on_connection_error(exc)
            self._later(exc)
        except (BackendError, BrokerError) as exc:
            self._later(exc)
        else:
            self._complained = False

    def _later(self, error: Exception) -> None:
        if not self._complained:
            self._complained = True
            logger.warning("%d settlements wait: %s", self._count, error)
        self._timer = self._loop.call_later(_RETRY_SECONDS, self.flush)

    def _write_first(self) -> None:
        """Write the operation in front, with the settlements behind it that can go along."""
        consumer = self._consumer()
        if consumer is None:
            raise BrokerError("not connected yet")
        kind = self._waiting[0].kind
        batch = [self._waiting[0]]
        if kind == "settle":
            batch = self._settlements()
        self._store([result for operation in batch for result in operation.results])
        if kind == "settle":
            self._write_settlements(consumer, batch)
        else:
            _WRITERS[kind](consumer, batch[0].items)
        for operation in batch:
            self._waiting.popleft()
            self._count -= len(operation.items)

    def _settlements(self) -> list[Operation]:
        batch: list[Operation] = []
        for operation in self._waiting:
            if operation.kind != "settle" or len(batch) >= BATCH_LIMIT:
                break
            batch.append(operation)
        return batch

    def _store(self, results: list[ResultMeta]) -> None:
        """Store results before their acknowledgement, so that none is lost between the two."""
        if results:
            self._backend.store(results)

    def _write_settlements(self, consumer: Consumer, batch: list[Operation]) -> None:
        items = [item for operation in batch for item in operation.items]
        answers = iter(consumer.settle(items))
        for operation in batch:
            for item in operation.items:
                answer = next(answers)
                if not answer.done:
                    self._on_lost_lease(item)
                if operation.on_settled is not None:
                    operation.on_settled(item, answer)


_WRITERS: dict[str, Callable[[Consumer, list[Any]], Any]] = {
    "park": lambda consumer, items: consumer.park(items),
    "bury": lambda consumer, items: consumer.bury(items),
    "requeue": lambda consumer, tags: consumer.release(tags),
    "lost": lambda consumer, tags: consumer.reject(tags, requeue=True),
    "drop": lambda consumer, tags: consumer.reject(tags, requeue=False),
    "forget": lambda consumer, tags: consumer.forget(tags),
}
