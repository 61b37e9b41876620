"""Takes deliveries over a connection of its own.

The server keeps what is unacked and gives it back when the connection ends, so nothing here needs
a lease; a lost connection makes every tag of it unknown.

Source: PROTOCOL 1.5, 2, 6; kombu/messaging.py, `Consumer`.
"""

import heapq
import itertools
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import msgspec

from tq.brokers.base import Dead, Delivery, Message, Queue, Settled, Settlement
from tq.brokers.doorbell import Doorbell
from tq.brokers.kombu_adapter.entities import delivery_count, kombu_queue
from tq.brokers.kombu_adapter.link import Address, Link
from tq.brokers.kombu_adapter.pool import Pool
from tq.brokers.kombu_adapter.pump import Pump
from tq.brokers.kombu_adapter.waiting import wait_readable
from tq.errors import BrokerError
from tq.wire.limits import LIMITS

__all__ = ["DEAD_QUEUE", "KombuConsumer"]

DEAD_QUEUE = "tq.dead"
_MAX_PREFETCH = 65535  # AMQP's count has 16 bits
# RabbitMQ closes a channel that leaves a delivery unacked for 30 minutes (`consumer_timeout`), so
# a parked one goes back long before and comes again.
_PARK_SECONDS = 600.0
_NO_GLOBAL_QOS = ("quorum", "stream")

_numbers = itertools.count(1)


class _Held(NamedTuple):
    """A delivery that has not been answered for."""

    delivery: Delivery
    raw_tag: Any


class _Parked(NamedTuple):
    """A held delivery that waits for its time."""

    due: float
    order: int
    tag: str
    deadline: float


class KombuConsumer:
    """A consumer. Its methods belong to one thread; the pump's thread fills it.

    `_lock` guards the four containers that both threads use.
    """

    maintain_interval = 1.0

    def __init__(
        self,
        address: Address,
        url: str,
        pool: Pool,
        queues: Sequence[Queue],
        *,
        prefetch: int,
        delivery_limit: int,
    ) -> None:
        """Connect, declare and begin to consume.

        Raises:
            BrokerError: The server is away or refuses.
        """
        self.id = f"{os.getpid()}.{next(_numbers)}"
        self._pool = pool
        self._queues = {queue.name: queue for queue in queues}
        self._prefetch = max(prefetch, 1)
        self._limit = delivery_limit
        self._lock = threading.Lock()
        self._ready: deque[Delivery] = deque()
        self._held: dict[str, _Held] = {}
        self._parked: list[_Parked] = []
        self._over: list[Delivery] = []
        self._started: set[str] = set()
        self._connection_number = 0
        self._consumer_tags: dict[str, str] = {}
        self._qos = 0
        self._bell = Doorbell()
        self._open = True
        self._paused = False
        self._pump = Pump(
            address,
            url,
            name=f"tq-consumer-{self.id}",
            on_connect=self._begin,
            on_lost=self._lost,
            on_tick=self._tick,
            reconnect=True,
        )
        try:
            self._pump.start()
        except BaseException:
            self._bell.close()
            raise

    # Called by the pump.

    def _begin(self, link: Link) -> None:
        """Declare and consume on a new connection."""
        self._connection_number += 1
        self._consumer_tags.clear()
        link.declare([kombu_queue(queue) for queue in self._queues.values()])
        self._set_qos(link, self._prefetch)
        if not self._paused:
            self._consume_all(link)

    def _consume_all(self, link: Link) -> None:
        for name, queue in self._queues.items():
            if name not in self._consumer_tags:
                self._consume(link, name, no_ack=queue.no_ack)

    def _consume(self, link: Link, name: str, *, no_ack: bool) -> None:
        number = self._connection_number
        tag = f"{self.id}.{number}.{name}"

        def arrived(message: Message, raw_tag: Any, redelivered: bool) -> None:
            delivery = Delivery(
                tag=f"{self.id}/{number}.{raw_tag}",
                queue=name,
                message=message,
                redelivered=redelivered or message.headers.get("redelivered") is True,
                deliveries=delivery_count(message.headers),
            )
            self._arrived(delivery, raw_tag, no_ack=no_ack)

        link.consume(name, tag, arrived, no_ack=no_ack)
        self._consumer_tags[name] = tag

    def _set_qos(self, link: Link, count: int) -> None:
        count = min(count, _MAX_PREFETCH)
        link.channel.basic_qos(0, count, self._has_shared_qos)
        self._qos = count

    @property
    def _has_shared_qos(self) -> bool:
        """Whether one prefetch count holds for all queues and can change later."""
        return not any(
            (queue.arguments or {}).get("x-queue-type") in _NO_GLOBAL_QOS
            for queue in self._queues.values()
        )

    def _arrived(self, delivery: Delivery, raw_tag: Any, *, no_ack: bool) -> None:
        """Take over one delivery from the server."""
        with self._lock:
            if not no_ack:
                self._held[delivery.tag] = _Held(delivery, raw_tag)
            if self._is_unacceptable(delivery):
                self._over.append(delivery)
            else:
                self._ready.append(delivery)
        self._bell.ring()

    def _is_unacceptable(self, delivery: Delivery) -> bool:
        return len(delivery.message.body) > LIMITS.message or (
            0 < self._limit < delivery.deliveries
        )

    def _lost(self) -> None:
        """Forget what the server gives to somebody else now."""
        with self._lock:
            self._ready.clear()
            self._held.clear()
            self._parked.clear()
            self._over.clear()

    def _tick(self) -> float:
        """Ring when a parked delivery is due; returns seconds until the next is."""
        with self._lock:
            if not self._parked:
                return 60.0
            wait = self._parked[0].due - time.time()
        if wait <= 0:
            self._bell.ring()
            return 0.1
        return wait

    # Called by the owner.

    def fileno(self) -> int:
        """Return a descriptor that turns readable when `fetch` may have something."""
        return self._bell.fileno()

    def fetch(self, limit: int, timeout: float) -> list[Delivery]:
        """Take up to `limit` deliveries, waiting up to `timeout` seconds for the first."""
        if self._paused:
            self._resume()
        deadline = time.monotonic() + timeout
        while self._open and limit > 0:
            self._bell.clear()
            found = self._take(limit)
            left = deadline - time.monotonic()
            if found or left <= 0:
                return found
            wait_readable([self._bell.fileno()], left)
        return []

    def _take(self, limit: int) -> list[Delivery]:
        now = time.time()
        with self._lock:
            found: list[Delivery] = []
            while self._parked and self._parked[0].due <= now and len(found) < limit:
                found += self._unpark(heapq.heappop(self._parked))
            while self._ready and len(found) < limit:
                found.append(self._ready.popleft())
            more = bool(self._ready) or bool(self._parked and self._parked[0].due <= now)
        if more:
            self._bell.ring()
        return found

    def _unpark(self, parked: _Parked) -> list[Delivery]:
        """Hand a parked delivery out again, under a new tag."""
        held = self._held.pop(parked.tag, None)
        if held is None:
            return []
        delivery = msgspec.structs.replace(
            held.delivery, tag=f"{parked.tag.partition('~')[0]}~{next(_numbers)}"
        )
        self._held[delivery.tag] = _Held(delivery, held.raw_tag)
        return [delivery]

    def ack(self, tags: Sequence[str]) -> None:
        """Acknowledge without effects; unknown tags are ignored."""
        self._answer(tags, _ack)

    def reject(self, tags: Sequence[str], *, requeue: bool) -> None:
        """Drop the deliveries, or hand them out again, next and in their old order.

        What is requeued stays ours, because a classic queue does not count deliveries: so a task
        that kills its process again and again reaches the delivery limit.
        """
        if requeue:
            with self._lock:
                tags = [tag for tag in reversed(tags) if not self._hand_out_again(tag)]
            self._bell.ring()
        self._answer(tags, _requeue if requeue else _drop)

    def _hand_out_again(self, tag: str) -> bool:
        """Make a held delivery the next one; False when its queue is no longer consumed."""
        held = self._held.get(tag)
        if held is None or held.delivery.queue not in self._queues:
            return False
        del self._held[tag]
        delivery = msgspec.structs.replace(
            held.delivery,
            tag=f"{tag.partition('~')[0]}~{next(_numbers)}",
            redelivered=True,
            deliveries=held.delivery.deliveries + 1,
        )
        self._held[delivery.tag] = _Held(delivery, held.raw_tag)
        if self._is_unacceptable(delivery):
            self._over.append(delivery)
        else:
            self._ready.appendleft(delivery)
        return True

    def _answer(self, tags: Sequence[str], how: Callable[[Link, Sequence[Any]], None]) -> None:
        """Give up the tags, and tell the server about those that were held.

        Under one lock, so that `_lost` comes before or after both: the next connection gives the
        same numbers to other messages.
        """
        with self._lock:
            held = [self._held.pop(tag, None) for tag in tags]
            raw = [item.raw_tag for item in held if item is not None]
            if raw:
                self._pump.order(lambda link: how(link, raw))

    def settle(self, items: Sequence[Settlement]) -> list[Settled]:
        """Publish what follows, wait for its confirmation, then ack.

        Raises:
            BrokerError: An item carries a result or chord part: they rest in another server, so
                the worker stores them first.
            BrokerConnectionError: Nothing is acked; settle again.
        """
        if any(item.result is not None or item.chord is not None for item in items):
            raise BrokerError("results are stored by the backend before a message is settled")
        with self._lock:
            known = [item.tag in self._held or item.tag in self._started for item in items]
        messages = [m for item, ok in zip(items, known, strict=True) if ok for m in item.messages]
        if messages:
            with self._pool.link() as link:
                link.publish(messages)
        for item, ok in zip(items, known, strict=True):
            if item.started and ok:
                self._started.add(item.tag)
            else:
                self._started.discard(item.tag)
        self.ack([item.tag for item in items])
        return [Settled(done=ok) for ok in known]

    def park(self, items: Sequence[tuple[str, float]]) -> None:
        """Hold deliveries back in memory until due; the server lets us have as many more."""
        deadline = time.monotonic() + _PARK_SECONDS
        with self._lock:
            for tag, due in items:
                if tag in self._held:
                    heapq.heappush(self._parked, _Parked(due, next(_numbers), tag, deadline))
            wanted = self._prefetch + len(self._parked)
        if wanted > self._qos and self._has_shared_qos:
            # In steps, so that a flood of them does not cost a round trip each.
            count = wanted + wanted // 4 + 16
            self._pump.order(lambda link: self._set_qos(link, count))
        self._pump.wake()

    def bury(self, items: Sequence[tuple[str, str]]) -> None:
        """Move `(tag, reason)` to the queue `tq.dead`.

        Raises:
            BrokerConnectionError: They stay where they are.
        """
        with self._lock:
            found = [(self._held.get(tag), reason) for tag, reason in items]
        messages = [
            _dead_letter(held.delivery, reason) for held, reason in found if held is not None
        ]
        if messages:
            with self._pool.link() as link:
                link.declare([kombu_queue(Queue(name=DEAD_QUEUE))])
                link.publish(messages)
        self.ack([tag for tag, _ in items])

    def maintain(self) -> list[Dead]:
        """Bury what was delivered too often or is too large; renew what is parked for long."""
        with self._lock:
            over, self._over = self._over, []
            now = time.monotonic()
            old = [item.tag for item in self._parked if item.deadline <= now]
            self._parked = [item for item in self._parked if item.deadline > now]
            heapq.heapify(self._parked)
        self._answer(old, _requeue)
        dead = [
            Dead(
                delivery=delivery,
                queue=delivery.queue,
                reason=_reason(delivery),
                raw=delivery.message.body,
                timestamp=time.time(),
            )
            for delivery in over
        ]
        try:
            self.bury([(item.delivery.tag, item.reason) for item in dead if item.delivery])
        except BrokerError:
            with self._lock:
                self._over += [item for item in over if item.tag in self._held]
            raise
        return dead

    def now(self) -> float:
        """Return this machine's time: AMQP tells no other."""
        return time.time()

    def add(self, queue: Queue) -> None:
        """Begin to take from a queue, declaring it.

        Raises:
            QueueDeclarationMismatch: It exists with other properties.
        """
        if queue.name in self._queues:
            return

        def begin(link: Link) -> None:
            link.declare([kombu_queue(queue)])
            self._consume(link, queue.name, no_ack=queue.no_ack)
            self._queues[queue.name] = queue

        self._pump.ask(begin)

    def cancel(self, queue: str) -> None:
        """Stop taking from a queue; what was taken stays ours."""
        if self._queues.pop(queue, None) is None:
            return

        def end(link: Link) -> None:
            tag = self._consumer_tags.pop(queue, None)
            if tag is not None:
                link.channel.basic_cancel(tag)

        self._pump.ask(end)

    def release(self, tags: Sequence[str] | None = None) -> None:
        """Put back deliveries not settled (every one when None), first in line, uncounted.

        After releasing all, nothing is taken until `fetch` is called again.
        """
        if tags is None:
            self._paused = True
            self._pump.ask(self._give_back)
            return
        self._answer(tags, _requeue)

    def forget(self, tags: Sequence[str]) -> None:
        """Do nothing: no other process can settle what this connection got."""

    def _give_back(self, link: Link) -> None:
        """Stop consuming, so that what is put back does not come again at once."""
        for tag in self._consumer_tags.values():
            link.channel.basic_cancel(tag)
        self._consumer_tags.clear()
        with self._lock:
            raw = [item.raw_tag for item in self._held.values()]
        self._lost()
        _requeue(link, raw)

    def _resume(self) -> None:
        self._paused = False
        self._pump.ask(self._consume_all)

    def close(self) -> None:
        """Close the connection; the server puts back what was not settled."""
        if self._open:
            self._open = False
            self._pump.close()
            self._bell.close()


def _ack(link: Link, raw_tags: Sequence[Any]) -> None:
    for tag in raw_tags:
        link.channel.basic_ack(tag)


def _drop(link: Link, raw_tags: Sequence[Any]) -> None:
    for tag in raw_tags:
        link.channel.basic_reject(tag, requeue=False)


def _requeue(link: Link, raw_tags: Sequence[Any]) -> None:
    # The newest first: a transport that puts back at the head then keeps the order.
    for tag in reversed(raw_tags):
        link.channel.basic_reject(tag, requeue=True)


def _reason(delivery: Delivery) -> str:
    too_large = len(delivery.message.body) > LIMITS.message
    return "too_large" if too_large else "delivery_limit"


def _dead_letter(delivery: Delivery, reason: str) -> Message:
    """Return the message as it goes to the dead letters."""
    message = delivery.message
    headers = {
        **message.headers,
        "x-tq-reason": reason,
        "x-tq-queue": delivery.queue,
        "x-tq-time": time.time(),
    }
    return msgspec.structs.replace(
        message,
        headers=headers,
        exchange="",
        exchange_type="direct",
        routing_key=DEAD_QUEUE,
        delivery_mode=2,
        expiration=None,
    )
