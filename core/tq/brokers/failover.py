"""Several brokers of which one is used: when it goes away, the next one.

Source: SETTINGS.md, `broker_url` ("a list: failover"); kombu/utils/functional.py (round robin).
"""

import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from tq.brokers.base import Broker, Consumer, Message, Queue, Settler, Subscription
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

    def declare(self, queues: Sequence[Queue]) -> None:
        """Declare queues on the server in use."""
        with self._used() as broker:
            broker.declare(queues)

    def consume(self, queues: Sequence[Queue], *, prefetch: int) -> Consumer:
        """Start to consume from a server that answers."""
        # A consumer is asked for at the start and after a loss.
        with self._lock:
            self._chosen = False
        with self._used() as broker:
            return broker.consume(queues, prefetch=prefetch)

    def settler(self, consumer_id: str) -> Settler | None:
        """Return a settler on the server in use."""
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
