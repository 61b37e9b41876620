"""Takes deliveries from the broker as the pool can use them, and keeps the connection alive.

Source: RELIABILITY 4.2; DESIGN 4.
"""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tq.brokers.base import Broker, Consumer, Dead, Delivery, Queue
from tq.errors import BrokerConnectionError, BrokerError
from tq.worker.loop import Loop, Timer

__all__ = ["FIRST_BACKOFF", "LAST_BACKOFF", "Fetcher"]

logger = logging.getLogger(__name__)

FIRST_BACKOFF = 0.1
LAST_BACKOFF = 5.0

_REFUSED_SECONDS = 1.0  # until what the broker refused is tried again
_REMIND_SECONDS = 30.0  # until a refusal that lasts is logged again


class Fetcher:
    """Owns the consumer: fetching, leases, reconnecting. Owned by the loop thread.

    Attributes:
        consumer: None until the first connection is made.
        connected: False from a lost connection until the broker answers again.
        progress: Monotonic time of the last answer of the broker.
    """

    name = "fetcher"

    def __init__(
        self,
        loop: Loop,
        broker: Broker,
        queues: Sequence[Queue],
        *,
        room: Callable[[], int],
        deliver: Callable[[list[Delivery]], Any],
        on_dead: Callable[[list[Dead]], Any],
        on_reconnect: Callable[[], Any] = lambda: None,
        on_loss: Callable[[], Any] = lambda: None,
        on_give_up: Callable[[BrokerError], Any] = lambda _error: None,
        prefetch_count: int = 0,
        max_retries: int | None = None,
        retry: bool = True,
        retry_at_start: bool = True,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Prepare; `start` connects.

        Args:
            loop: Watches the consumer's descriptor.
            broker: What to consume from.
            queues: The queues to begin with.
            room: Returns how many more deliveries are worth having now.
            deliver: Takes what was fetched.
            on_dead: Takes deliveries that were given up.
            on_reconnect: Called when the broker answers again.
            on_loss: Called when it ceases to.
            on_give_up: Called when it is not tried any more.
            prefetch_count: A hint for transports that push.
            max_retries: Attempts before the connection is given up; None for ever.
            retry: False gives up at the first loss.
            retry_at_start: False gives up when the very first attempt fails.
            monotonic: The clock of progress.
        """
        self.consumer: Consumer | None = None
        self.connected = False
        self.progress = monotonic()
        self._loop = loop
        self._broker = broker
        self._queues = {queue.name: queue for queue in queues}
        self._room = room
        self._deliver = deliver
        self._on_dead = on_dead
        self._on_reconnect = on_reconnect
        self._on_loss = on_loss
        self._on_give_up = on_give_up
        self._prefetch_count = prefetch_count
        self._max_retries = max_retries
        self._retry = retry
        self._retry_at_start = retry_at_start
        self._monotonic = monotonic
        self._backoff = FIRST_BACKOFF
        self._attempts = 0
        self._fd: int | None = None
        self._timer: Timer | None = None
        self._paused = False
        self._again = False
        self._hungry = False
        self._refusals: dict[str, float] = {}  # text -> when it was last logged
        self._refused_at = 0.0
        self._refused_timer: Timer | None = None

    @property
    def queues(self) -> Mapping[str, Queue]:
        """Return the consumed queues by name."""
        return self._queues

    @property
    def prefetch_count(self) -> int:
        """Return the hint given to transports that push."""
        return self._prefetch_count

    def start(self) -> None:
        """Connect, and begin to fetch when the loop runs; a broker that is away is retried."""
        self._connect()

    def stop(self, deadline: float) -> None:
        """Put back what was not settled and let go of the connection."""
        self.pause()
        if self._timer is not None:
            self._timer.cancel()
        self._unwatch()
        consumer, self.consumer = self.consumer, None
        if consumer is None:
            return
        try:
            consumer.release()
            consumer.close()
        except BrokerError as exc:
            logger.warning("deliveries could not be put back, their lease will lapse: %s", exc)

    def pause(self) -> None:
        """Fetch no more; leases are still kept."""
        self._paused = True
        self._unwatch()

    def add(self, queue: Queue) -> None:
        """Begin to take from a queue; while the broker is away, as soon as it answers."""
        self._queues[queue.name] = queue
        if self.consumer is not None and self.connected:
            self._guard(lambda consumer: consumer.add(queue))
            self.fetch()

    def cancel(self, name: str) -> None:
        """Stop taking from a queue."""
        self._queues.pop(name, None)
        if self.consumer is not None:
            self._guard(lambda consumer: consumer.cancel(name))

    def fetch(self) -> None:
        """Fetch as much as there is room for; called when credit or messages came."""
        if self._paused or not self.connected or self.consumer is None:
            return
        if self._refused_timer is not None:
            return
        room = self._room()
        if room <= 0:
            self._watch(False)
            return
        try:
            deliveries = self.consumer.fetch(room, 0.0)
        except BrokerConnectionError as exc:
            self._lost(exc)
            return
        except BrokerError as exc:
            self._refused(exc)
            return
        self.progress = self._monotonic()
        if self._refusals:
            self._serves_again()
        self._watch(True)
        if deliveries:
            self._deliver(deliveries)
        # A full batch that was parked or dropped left its room free, and no outcome will come to
        # wake us: without another turn soon, 20,000 ETA tasks hold up what is behind them for
        # minutes (a batch per maintenance). One turn of the loop between keeps control answering.
        if len(deliveries) >= room and not self._again and self._room() > 0:
            self._again = True
            self._loop.call_later(0.0, self._fetch_again)

    def _fetch_again(self) -> None:
        self._again = False
        self.fetch()

    def lost(self, error: BrokerConnectionError) -> None:
        """Take note that somebody else who uses the consumer found the connection lost."""
        if self.connected:
            self._lost(error)

    def _connect(self) -> None:
        self._timer = None
        try:
            if self.consumer is None:
                self.consumer = self._broker.consume(
                    list(self._queues.values()), prefetch=self._prefetch_count
                )
            else:
                # The consumer keeps its id, so what it held is still its own if the lease lasted.
                self._resume(self.consumer)
        except BrokerConnectionError as exc:
            self._lost(exc)
            return
        self.connected = True
        self.progress = self._monotonic()
        if self._attempts:
            logger.warning(
                "connected to %s again after %d attempts", self._broker.url, self._attempts
            )
        else:
            logger.info("connected to %s", self._broker.url)
        self._attempts, self._backoff = 0, FIRST_BACKOFF
        self._timer = self._loop.call_later(self.consumer.maintain_interval, self._maintain)
        self._on_reconnect()
        self.fetch()

    def _resume(self, consumer: Consumer) -> None:
        dead = consumer.maintain()
        if dead:
            self._on_dead(dead)
        for queue in self._queues.values():
            consumer.add(queue)

    def _maintain(self) -> None:
        consumer = self.consumer
        if consumer is None:
            return
        self._timer = self._loop.call_later(consumer.maintain_interval, self._maintain)
        try:
            dead = consumer.maintain()
        except BrokerConnectionError as exc:
            self._lost(exc)
            return
        except BrokerError as exc:
            self._refused(exc)
            return
        self.progress = self._monotonic()
        if dead:
            self._on_dead(dead)
        # Maintenance may have put messages back or released parked ones without a wake-up.
        self.fetch()

    def _guard(self, call: Callable[[Consumer], Any]) -> None:
        assert self.consumer is not None
        try:
            call(self.consumer)
        except BrokerConnectionError as exc:
            self._lost(exc)

    def _lost(self, error: BrokerConnectionError) -> None:
        """Stop using the connection and try again later, ever more slowly."""
        if self._timer is not None:
            self._timer.cancel()
        self._unwatch()
        if self.connected or not self._attempts:
            logger.error("the broker %s does not answer, trying again: %s", self._broker.url, error)
        self.connected = False
        if self._attempts == 0:
            self._on_loss()
        self._attempts += 1
        spent = self._max_retries is not None and self._attempts > self._max_retries
        retry = self._retry if self.consumer is not None else self._retry_at_start
        if spent or not retry:
            self._on_give_up(error)
            return
        self._timer = self._loop.call_later(self._backoff, self._connect)
        self._backoff = min(LAST_BACKOFF, self._backoff * 2)

    def _refused(self, error: BrokerError) -> None:
        """Wait when the broker answers with an error, such as a key of a wrong type."""
        # An answer, if not the one we hoped for.
        now = self.progress = self._refused_at = self._monotonic()
        text = str(error)
        logged = self._refusals.get(text)
        if logged is None or now - logged >= _REMIND_SECONDS:
            self._refusals[text] = now
            logger.error("the broker %s refuses: %s", self._broker.url, text)
        self._unwatch()
        if self._refused_timer is None:
            self._refused_timer = self._loop.call_later(_REFUSED_SECONDS, self._try_refused)

    def _try_refused(self) -> None:
        self._refused_timer = None
        self.fetch()

    def _serves_again(self) -> None:
        """Say so, unless maintenance is still refused while fetching works."""
        if self._monotonic() - self._refused_at >= _REFUSED_SECONDS * 0.9:
            self._refusals.clear()
            logger.warning("the broker %s serves again", self._broker.url)

    def _watch(self, hungry: bool) -> None:
        """Watch the descriptor while there is room; a full worker must not spin on it."""
        assert self.consumer is not None
        if not hungry:
            self._unwatch()
            return
        fd = self.consumer.fileno()
        if fd != self._fd:
            self._unwatch()
            self._loop.add_reader(fd, self.fetch)
            self._fd = fd

    def _unwatch(self) -> None:
        if self._fd is not None:
            self._loop.remove_reader(self._fd)
            self._fd = None
