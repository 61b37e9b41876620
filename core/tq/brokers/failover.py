"""Several brokers of which one is used: when it goes away, the next one.

Source: SETTINGS.md, `broker_url` ("a list: failover"); kombu/utils/functional.py (round robin).
"""

import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial

from tq.brokers.base import (
    Broker,
    Consumer,
    Dead,
    Delivery,
    Message,
    Queue,
    Settled,
    Settlement,
    Settler,
    Subscription,
)
from tq.errors import BrokerConnectionError

__all__ = ["FailoverBroker"]

log = logging.getLogger(__name__)

# Longest wait for one server to say that it lives, where there are others to ask.
_PROBE = 2.0


class FailoverBroker:
    """Tries its addresses in turn, round and round; safe to share between threads.

    A call that finds its server away raises, as with one server, after the next one was chosen: the
    caller's own retry goes there. Messages that wait on a server stay there until it is back.

    Attributes:
        url: The addresses with passwords masked, the one in use first.
        driver: That of all of them.
        location: None: where results go must not depend on which server is up.
    """

    location: str | None = None

    def __init__(self, openers: Sequence[Callable[[], Broker]]) -> None:
        """Choose none yet.

        Args:
            openers: Make the brokers; nothing may be opened before use.
        """
        self._brokers = [make() for make in openers]
        self._current = 0
        self._chosen = False
        self._lock = threading.Lock()
        self.driver = self._brokers[0].driver
        self.url = self._listed()

    def _listed(self) -> str:
        order = self._brokers[self._current :] + self._brokers[: self._current]
        return ";".join(broker.url for broker in order)

    def _choose(self) -> Broker:
        """Return the broker in use; the first time, and after a loss, one that answers."""
        if self._chosen:
            return self._brokers[self._current]
        with self._lock:
            if not self._chosen:
                self._probe()
            return self._brokers[self._current]

    def in_use(self) -> Broker:
        """Return the broker in use, for what only one kind of broker can do.

        Raises:
            BrokerConnectionError: None answers.
        """
        return self._choose()

    def _probe(self) -> None:
        """Move to the next server that answers, under the lock.

        Raises:
            BrokerConnectionError: None does.
        """
        count = len(self._brokers)
        failures = []
        for index in (number % count for number in range(self._current, self._current + count)):
            broker = self._brokers[index]
            try:
                broker.ping(_PROBE)
            except BrokerConnectionError as exc:
                failures.append(str(exc))
                continue
            if index != self._current:
                log.warning("broker %s is used from now on: %s", broker.url, "; ".join(failures))
            self._current, self._chosen = index, True
            self.url = self._listed()
            return
        raise BrokerConnectionError(f"no broker answers: {'; '.join(failures)}")

    @contextmanager
    def _used(self) -> Iterator[Broker]:
        """Lend the broker in use; when it turns out to be away, the next call looks for another."""
        broker = self._choose()
        try:
            yield broker
        except BrokerConnectionError:
            with self._lock:
                self._chosen = False
            raise

    def publish(self, messages: Sequence[Message]) -> None:
        """Publish, see `Broker.publish`."""
        with self._used() as broker:
            broker.publish(messages)

    def broadcast(self, message: Message) -> int | None:
        """Publish to a fanout exchange, see `Broker.broadcast`."""
        with self._used() as broker:
            return broker.broadcast(message)

    def declare(self, queues: Sequence[Queue]) -> None:
        """Declare queues on the server in use."""
        with self._used() as broker:
            broker.declare(queues)

    def consume(self, queues: Sequence[Queue], *, prefetch: int) -> Consumer:
        """Start to consume; the consumer moves with the server in use."""
        return FailoverConsumer(partial(self._consume, prefetch=prefetch), queues)

    def _consume(self, queues: Sequence[Queue], *, prefetch: int) -> Consumer:
        # A consumer is asked for at the start and after a loss.
        with self._lock:
            self._chosen = False
        with self._used() as broker:
            return broker.consume(queues, prefetch=prefetch)

    def settler(self, consumer_id: str) -> Settler | None:
        """Return a settler that moves with the server in use, or None where only consumers can."""
        settler = self._settler(consumer_id)
        if settler is None:
            return None
        return FailoverSettler(settler, partial(self._settler, consumer_id))

    def _settler(self, consumer_id: str) -> Settler | None:
        # Another process may have moved on since: look again.
        with self._lock:
            self._chosen = False
        with self._used() as broker:
            return broker.settler(consumer_id)

    def subscribe(self, queue: Queue) -> Subscription:
        """Receive from a private queue on the server in use."""
        with self._used() as broker:
            return broker.subscribe(queue)

    def depths(self, queues: Sequence[str]) -> Mapping[str, int]:
        """Count ready messages on the server in use."""
        with self._used() as broker:
            return broker.depths(queues)

    def purge(self, queue: str) -> int:
        """Delete ready messages on the server in use."""
        with self._used() as broker:
            return broker.purge(queue)

    def bindings(self, exchange: str) -> list[tuple[str, str]]:
        """List bindings on the server in use."""
        with self._used() as broker:
            return broker.bindings(exchange)

    def ping(self, timeout: float) -> None:
        """Reach the server in use."""
        with self._used() as broker:
            broker.ping(timeout)

    def close(self) -> None:
        """Close the connections to all of them."""
        for broker in self._brokers:
            broker.close()


class FailoverSettler:
    """Settles on the server that answers.

    A tag of a server that is gone means nothing to the next one, so its item answers `done=False`;
    the message itself comes back with its server.
    """

    def __init__(self, settler: Settler, find: Callable[[], Settler | None]) -> None:
        """Begin with `settler`; `find` returns another after a loss."""
        self._settler: Settler | None = settler
        self._find = find

    def settle(self, items: Sequence[Settlement]) -> list[Settled]:
        """Settle; after a loss the same items may be settled again, on the next server."""
        if self._settler is None:
            self._settler = self._find()
            assert self._settler is not None, "brokers of one kind settle alike"
        try:
            return self._settler.settle(items)
        except BrokerConnectionError:
            self.close()
            raise

    def close(self) -> None:
        """Give up the connection."""
        settler, self._settler = self._settler, None
        if settler is not None:
            settler.close()


class FailoverConsumer:
    """Consumes from the server in use. Owned by one thread.

    After a loss `maintain` goes on at the next server that answers, or at the same one, where what
    was held is held again if the lease lasted.

    Attributes:
        id: The name at the server in use; another after a move.
    """

    def __init__(
        self, connect: Callable[[Sequence[Queue]], Consumer], queues: Sequence[Queue]
    ) -> None:
        """Start at the server in use."""
        self._connect = connect
        self._queues = {queue.name: queue for queue in queues}
        self._inner = connect(queues)
        self.id = self._inner.id
        self.maintain_interval = self._inner.maintain_interval

    def maintain(self) -> list[Dead]:
        """Maintain; when the server is away, begin anew at one that answers."""
        try:
            return self._inner.maintain()
        except BrokerConnectionError:
            moved = self._connect(list(self._queues.values()))
            self._inner.close()
            self._inner, self.id = moved, moved.id
            self.maintain_interval = moved.maintain_interval
            return []

    def now(self) -> float:
        """Return the time at the server in use."""
        return self._inner.now()

    def add(self, queue: Queue) -> None:
        """Begin to take from a queue."""
        self._queues[queue.name] = queue
        self._inner.add(queue)

    def cancel(self, queue: str) -> None:
        """Stop taking from a queue."""
        self._queues.pop(queue, None)
        self._inner.cancel(queue)

    def fileno(self) -> int:
        """Return the descriptor of the connection in use."""
        return self._inner.fileno()

    def fetch(self, limit: int, timeout: float) -> list[Delivery]:
        """Take deliveries."""
        return self._inner.fetch(limit, timeout)

    def settle(self, items: Sequence[Settlement]) -> list[Settled]:
        """Settle deliveries of the server in use; others answer `done=False`."""
        return self._inner.settle(items)

    def ack(self, tags: Sequence[str]) -> None:
        """Acknowledge."""
        self._inner.ack(tags)

    def reject(self, tags: Sequence[str], *, requeue: bool) -> None:
        """Drop deliveries, or put them back."""
        self._inner.reject(tags, requeue=requeue)

    def park(self, items: Sequence[tuple[str, float]]) -> None:
        """Hold deliveries back until due."""
        self._inner.park(items)

    def bury(self, items: Sequence[tuple[str, str]]) -> None:
        """Move deliveries to the dead letters."""
        self._inner.bury(items)

    def release(self, tags: Sequence[str] | None = None) -> None:
        """Put back what is not settled."""
        self._inner.release(tags)

    def forget(self, tags: Sequence[str]) -> None:
        """Take note of what others settled."""
        self._inner.forget(tags)

    def close(self) -> None:
        """Give up the connection."""
        self._inner.close()
