"""A complete broker inside the process, for tests and eager set-ups.

`memory://name` is one broker for the whole process, `memory://` the nameless one. Semantics are
those of the Redis broker; leases are not needed, since consumers die with their messages.
"""

import fnmatch
import heapq
import itertools
import os
import re
import threading
import time
from bisect import bisect
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from tq.brokers.base import Dead, Delivery, Message, Queue, Settled, Settlement
from tq.brokers.doorbell import Doorbell
from tq.errors import BrokerConnectionError, BrokerError, ConfigError

__all__ = ["Broker", "Consumer", "Subscription", "reset"]

MAX_DEAD = 10_000
_STEPS = (0, 3, 6, 9)
_WORDS = {"*": r"[^.]+", "#": r".*?"}

_stores: "dict[str, _Store]" = {}
_stores_lock = threading.Lock()


class _Ready(msgspec.Struct):
    """A message in a queue or held by a consumer."""

    message: Message
    queue: str
    deliveries: int = 0
    redelivered: bool = False


class _Store:
    """All that one named broker holds; every field is guarded by `lock`."""

    def __init__(self) -> None:
        """Start empty."""
        self.lock = threading.Condition(threading.RLock())
        self.queues: dict[str, list[deque[_Ready]]] = {}
        self.bindings: dict[str, set[tuple[str, str]]] = {}
        self.listeners: list[Subscription] = []
        self.consumers: list[Consumer] = []
        self.delayed: list[tuple[float, int, _Ready]] = []
        self.dead: deque[Dead] = deque(maxlen=MAX_DEAD)
        self.numbers = itertools.count(1)

    def steps(self, queue: str) -> list[deque[_Ready]]:
        """Return a queue's lists, the most urgent first."""
        found = self.queues.get(queue)
        if found is None:
            found = self.queues[queue] = [deque() for _ in _STEPS]
        return found

    def put(self, item: _Ready, *, first: bool = False) -> None:
        """Add a message at the end of its queue, or as the next to be taken."""
        step = bisect(_STEPS, min(max(item.message.priority, 0), 9)) - 1
        target = self.steps(item.queue)[step]
        if first:
            target.appendleft(item)
        else:
            target.append(item)
        self.lock.notify_all()
        for consumer in self.consumers:
            if item.queue in consumer.names:
                consumer.wake()
        for listener in self.listeners:
            if listener.queue.name == item.queue:
                listener.wake()

    def route(self, message: Message) -> None:
        """Publish one message to whoever is bound."""
        if not message.exchange:
            self.put(_Ready(message, message.routing_key))
        elif message.exchange_type == "fanout":
            for listener in self.listeners:
                listener.offer(message)
        else:
            table = self.bindings.get(message.exchange, set())
            match = _topic if message.exchange_type == "topic" else str.__eq__
            for queue in sorted({q for key, q in table if match(key, message.routing_key)}):
                self.put(_Ready(message, queue))

    def release_due(self) -> None:
        """Put back what was parked until now, first in line, the longest due in front."""
        due = []
        while self.delayed and self.delayed[0][0] <= time.time():
            due.append(heapq.heappop(self.delayed)[2])
        for item in reversed(due):
            self.put(item, first=True)

    def bury(self, item: _Ready, tag: str, reason: str) -> Dead:
        """Keep a message among the dead letters."""
        dead = Dead(
            delivery=_delivery(tag, item),
            queue=item.queue,
            reason=reason,
            raw=item.message.body,
            timestamp=time.time(),
        )
        self.dead.appendleft(dead)
        return dead


def _topic(pattern: str, key: str) -> bool:
    """Match a routing key as kombu's topic exchange does (`TopicExchange.key_to_pattern`)."""
    words = (_WORDS.get(word) or re.escape(word) for word in pattern.split("."))
    return re.fullmatch(r"\.".join(words), key) is not None


def _delivery(tag: str, item: _Ready) -> Delivery:
    """Build what a caller sees of a held message."""
    return Delivery(
        tag=tag,
        queue=item.queue,
        message=item.message,
        redelivered=item.redelivered,
        deliveries=item.deliveries,
    )


def reset(name: str = "") -> None:
    """Forget everything that a named broker holds; for tests."""
    with _stores_lock:
        _stores.pop(name, None)


class Broker:
    """One named broker of this process; see `tq.brokers.base.Broker`."""

    driver = "memory"
    location: str | None = None

    def __init__(self, url: str = "memory://", options: Mapping[str, Any] | None = None) -> None:
        """Join the broker of that name, making it when it is the first time."""
        name = url.partition("://")[2].strip("/") if "://" in url else url.partition(":")[2]
        self.url = f"memory://{name}"
        self._name = name
        self._limit = _delivery_limit(options or {})

    @property
    def store(self) -> _Store:
        """What the broker holds."""
        with _stores_lock:
            return _stores.setdefault(self._name, _Store())

    def publish(self, messages: Sequence[Message]) -> None:
        """Route each message; the caller may go on to change its own copy."""
        store = self.store
        with store.lock:
            for message in messages:
                store.route(msgspec.structs.replace(message, headers=dict(message.headers)))

    def broadcast(self, message: Message) -> None:
        """Publish to a fanout exchange, uncounted."""
        self.publish([message])

    def declare(self, queues: Sequence[Queue]) -> None:
        """Make queues and bindings."""
        store = self.store
        with store.lock:
            for queue in queues:
                store.steps(queue.name)
                _bind(store, queue)

    def consume(self, queues: Sequence[Queue], *, prefetch: int = 0) -> "Consumer":
        """Start to consume."""
        consumer = Consumer(self, self._limit)
        for queue in queues:
            consumer.add(queue)
        return consumer

    def settler(self, consumer_id: str) -> None:
        """Return None: only the consumer's own process can reach this broker."""
        return

    def subscribe(self, queue: Queue) -> "Subscription":
        """Declare a private queue and receive from it."""
        return Subscription(self.store, queue)

    def depths(self, queues: Sequence[str]) -> dict[str, int]:
        """Count ready messages."""
        store = self.store
        with store.lock:
            store.release_due()
            return {name: sum(map(len, store.queues.get(name, ()))) for name in queues}

    def purge(self, queue: str) -> int:
        """Delete the ready messages of a queue."""
        store = self.store
        with store.lock:
            lists = store.queues.get(queue, [])
            count = sum(map(len, lists))
            for ready in lists:
                ready.clear()
            return count

    def bindings(self, exchange: str) -> list[tuple[str, str]]:
        """List `(routing key, queue)` bound to an exchange."""
        store = self.store
        with store.lock:
            return sorted(store.bindings.get(exchange, ()))

    def ping(self, timeout: float) -> None:
        """Do nothing: the process is there."""

    def close(self) -> None:
        """Do nothing: the store lives as long as the process."""


def _delivery_limit(options: Mapping[str, Any]) -> int:
    """Read how many lost deliveries a message may have; 0 is no limit."""
    value = options.get("delivery_limit", 5)
    if not isinstance(value, int) or value < 0:
        raise ConfigError(f"delivery_limit must be a number from 0 up, not {value!r}")
    return value


def _bind(store: _Store, queue: Queue) -> None:
    """Add a queue to its exchange's table."""
    if queue.exchange is not None and queue.exchange.name:
        key = queue.routing_key
        if not key and queue.exchange.type == "direct":
            key = queue.name
        store.bindings.setdefault(queue.exchange.name, set()).add((key, queue.name))


def _unbind(store: _Store, queue: Queue) -> None:
    """Remove a queue from its exchange's table, and the table when it is empty."""
    if queue.exchange is None:
        return
    table = store.bindings.get(queue.exchange.name, set())
    table -= {binding for binding in table if binding[1] == queue.name}
    if not table:
        store.bindings.pop(queue.exchange.name, None)


class Consumer:
    """Takes deliveries; see `tq.brokers.base.Consumer`."""

    maintain_interval = 0.1

    def __init__(self, broker: Broker, limit: int) -> None:
        """Join the store's consumers."""
        self._store = broker.store
        self._limit = limit
        self.id = f"memory-{os.getpid()}-{next(self._store.numbers)}"
        self.names: list[str] = []
        self._held: dict[str, _Ready] = {}
        self._started: dict[str, _Ready] = {}
        self._given_up: list[Dead] = []
        self._bell = Doorbell()
        self._armed = False
        with self._store.lock:
            self._store.consumers.append(self)

    def fileno(self) -> int:
        """Return a descriptor that turns readable when `fetch` may have something."""
        return self._bell.fileno()

    def wake(self) -> None:
        """Ring, when the last fetch left room; called with the store's lock held."""
        if self._armed:
            self._bell.ring()

    def fetch(self, limit: int, timeout: float) -> list[Delivery]:
        """Take up to `limit` deliveries, the most urgent step of every queue first."""
        deadline = time.monotonic() + timeout
        store = self._store
        with store.lock:
            while limit > 0 and self.names:
                store.release_due()
                taken = self._take(limit)
                self._bell.clear()
                self._armed = len(taken) < limit
                left = deadline - time.monotonic()
                if taken or left <= 0:
                    return taken
                if store.delayed:
                    left = min(left, max(store.delayed[0][0] - time.time(), 0.001))
                store.lock.wait(left)
        return []

    def _take(self, limit: int) -> list[Delivery]:
        """Move ready messages into our hands."""
        taken: list[Delivery] = []
        self.names.append(self.names.pop(0))  # queues take turns within a priority
        for step in range(len(_STEPS)):
            for name in self.names:
                ready = self._store.steps(name)[step]
                while ready and len(taken) < limit:
                    item = ready.popleft()
                    tag = f"{self.id}/{next(self._store.numbers)}"
                    self._held[tag] = item
                    taken.append(_delivery(tag, item))
        return taken

    def ack(self, tags: Sequence[str]) -> None:
        """Acknowledge without effects."""
        with self._store.lock:
            for tag in tags:
                self._held.pop(tag, None)
                self._started.pop(tag, None)

    def settle(self, items: Sequence[Settlement]) -> list[Settled]:
        """Ack and publish what follows; results are not this broker's (its location is None)."""
        for item in items:
            if item.result is not None or item.chord is not None:
                raise BrokerError("the memory broker stores no results; use the result backend")
        with self._store.lock:
            return [Settled(done=self._settle(item)) for item in items]

    def _settle(self, item: Settlement) -> bool:
        """Settle one delivery; False when it is not ours."""
        held = self._held.pop(item.tag, None)
        if held is None:
            held = self._started.pop(item.tag, None)
            if held is None:
                return False
        elif item.started:
            self._started[item.tag] = held
        for message in item.messages:
            self._store.route(message)
        return True

    def forget(self, tags: Sequence[str]) -> None:
        """Do what `ack` does: no other process settles for us."""
        self.ack(tags)

    def reject(self, tags: Sequence[str], *, requeue: bool) -> None:
        """Drop deliveries, or put them back first in line, one delivery older."""
        with self._store.lock:
            for tag in reversed(tags):
                item = self._held.pop(tag, None)
                if item is not None and requeue:
                    self._requeue(tag, item)

    def _requeue(self, tag: str, item: _Ready) -> None:
        """Put back one delivery that failed, unless it did so too often."""
        item.deliveries += 1
        item.redelivered = True
        headers = {**item.message.headers, "redelivered": True, "x-tq-deliveries": item.deliveries}
        item.message = msgspec.structs.replace(item.message, headers=headers)
        if self._limit and item.deliveries > self._limit:
            self._given_up.append(self._store.bury(item, tag, "delivery_limit"))
        else:
            self._store.put(item, first=True)

    def park(self, items: Sequence[tuple[str, float]]) -> None:
        """Hold deliveries back until due."""
        store = self._store
        with store.lock:
            for tag, eta in items:
                item = self._held.pop(tag, None)
                if item is not None:
                    heapq.heappush(store.delayed, (eta, next(store.numbers), item))
            store.lock.notify_all()

    def bury(self, items: Sequence[tuple[str, str]]) -> None:
        """Move deliveries to the dead letters."""
        with self._store.lock:
            for tag, reason in items:
                item = self._held.pop(tag, None)
                if item is not None:
                    self._store.bury(item, tag, reason)

    def maintain(self) -> list[Dead]:
        """Release what is due; report what was given up."""
        with self._store.lock:
            self._store.release_due()
            given_up, self._given_up = self._given_up, []
        return given_up

    def now(self) -> float:
        """Return this machine's time."""
        return time.time()

    def add(self, queue: Queue) -> None:
        """Begin to take from a queue."""
        with self._store.lock:
            self._store.steps(queue.name)
            _bind(self._store, queue)
            if queue.name not in self.names:
                self.names.append(queue.name)
            self._armed = True
            if any(self._store.steps(queue.name)):
                self._bell.ring()

    def cancel(self, queue: str) -> None:
        """Stop taking from a queue."""
        with self._store.lock:
            if queue in self.names:
                self.names.remove(queue)

    def release(self, tags: Sequence[str] | None = None) -> None:
        """Put back deliveries not settled, every one when None, in their old order."""
        with self._store.lock:
            if tags is None:
                self._armed = False
                tags = list(self._held)
            for tag in reversed(tags):
                item = self._held.pop(tag, None)
                if item is not None:
                    self._store.put(item, first=True)

    def close(self) -> None:
        """Leave; what was not settled goes back to its queue."""
        with self._store.lock:
            if self in self._store.consumers:
                self._store.consumers.remove(self)
                self.release()
                self.names.clear()
            self._bell.close()


class Subscription:
    """A private queue; see `tq.brokers.base.Subscription`."""

    def __init__(self, store: _Store, queue: Queue) -> None:
        """Declare, bind and listen."""
        self.queue = queue
        self.dropped = 0
        self._store = store
        self._bell = Doorbell()
        self._messages: deque[Message] = deque()
        self._closed = False
        exchange = queue.exchange
        self._fanout = exchange.name if exchange is not None and exchange.type == "fanout" else None
        with store.lock:
            store.listeners.append(self)
            _bind(store, queue)
            if self._fanout is None:
                store.steps(queue.name)

    def fileno(self) -> int:
        """Return a descriptor that turns readable when `receive` may have something."""
        return self._bell.fileno()

    def wake(self) -> None:
        """Ring; called with the store's lock held."""
        self._bell.ring()

    def offer(self, message: Message) -> None:
        """Take a fanout message if it is for us; called with the store's lock held."""
        if message.exchange != self._fanout:
            return
        wanted = self.queue.routing_key.replace("#", "*")
        if wanted and not fnmatch.fnmatchcase(message.routing_key, wanted):
            return
        self._messages.append(message)
        self._store.lock.notify_all()
        self.wake()

    def receive(self, limit: int, timeout: float) -> list[Message]:
        """Take up to `limit` messages, waiting up to `timeout` seconds for the first."""
        deadline = time.monotonic() + timeout
        with self._store.lock:
            while True:
                if self._closed:
                    raise BrokerConnectionError("the subscription is closed")
                taken = list(itertools.islice(self._take(), limit))
                if taken:
                    return taken
                self._bell.clear()
                left = deadline - time.monotonic()
                if left <= 0:
                    return []
                self._store.lock.wait(left)

    def _take(self) -> Iterable[Message]:
        """Yield the next messages, removing each."""
        while self._messages:
            yield self._messages.popleft()
        if self._fanout is None:
            for ready in self._store.queues.get(self.queue.name, ()):
                while ready:
                    yield ready.popleft().message

    def close(self) -> None:
        """Remove the queue and its binding."""
        with self._store.lock:
            if self._closed:
                return
            self._closed = True
            self._store.listeners.remove(self)
            _unbind(self._store, self.queue)
            self._store.queues.pop(self.queue.name, None)
            self._bell.close()
            self._store.lock.notify_all()
