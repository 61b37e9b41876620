"""What a broker is: the interfaces and the data that cross them.

A broker knows nothing of tasks. Every call is a batch; a batch of one is a message. Times are
floats in seconds; timeouts are always passed.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import msgspec

from tq.wire.envelope import Message

__all__ = [
    "Broker",
    "BulkBroker",
    "ChordPart",
    "Consumer",
    "Dead",
    "Delivery",
    "Exchange",
    "Glimpse",
    "Message",
    "Queue",
    "QueueSight",
    "Settled",
    "Settlement",
    "Settler",
    "StoredResult",
    "Subscription",
    "Surveyor",
]


class Exchange(msgspec.Struct, frozen=True, kw_only=True):
    """Where messages are published to, as in AMQP.

    Attributes:
        name: Empty for the default exchange, which routes by queue name.
        type: `direct`, `topic` or `fanout`.
        delivery_mode: 2 persistent, 1 transient, None for the message's own.
    """

    name: str = ""
    type: str = "direct"
    durable: bool = True
    auto_delete: bool = False
    delivery_mode: int | None = None
    arguments: dict[str, Any] | None = None


class Queue(msgspec.Struct, frozen=True, kw_only=True):
    """A queue and the binding that fills it.

    Attributes:
        exchange: None means the default exchange: messages arrive by queue name.
        routing_key: The binding's key; the queue's name when empty and the exchange is direct.
        expires: Seconds an unused queue lives (`x-expires`), or None.
        message_ttl: Seconds a message lives (`x-message-ttl`), or None.
        no_ack: Messages are taken without acknowledgement (events, commands, replies).
        arguments: More `x-` arguments, as AMQP takes them.
    """

    name: str
    exchange: Exchange | None = None
    routing_key: str = ""
    durable: bool = True
    exclusive: bool = False
    auto_delete: bool = False
    expires: float | None = None
    message_ttl: float | None = None
    max_priority: int | None = None
    no_ack: bool = False
    arguments: dict[str, Any] | None = None


class Delivery(msgspec.Struct, kw_only=True):
    """A message handed out, with the tag that settles it.

    Attributes:
        tag: Unique per delivery (never reused when the message is delivered again), so it also
            fences: whatever is done under a tag that lost its lease has no effect.
        queue: Name of the queue it was taken from.
        redelivered: It was handed out before.
        deliveries: How many earlier deliveries ended without being settled (`x-tq-deliveries`).
    """

    tag: str
    queue: str
    message: Message
    redelivered: bool = False
    deliveries: int = 0


class Dead(msgspec.Struct, kw_only=True):
    """A delivery that was given up: over the delivery limit, or not readable.

    Attributes:
        delivery: None when the bytes could not be read at all.
        reason: One word for counters (`delivery_limit`, `not_json`, `too_large`, ...).
        raw: What lay in the queue.
    """

    delivery: Delivery | None
    queue: str
    reason: str
    raw: bytes
    timestamp: float = 0.0


class StoredResult(msgspec.Struct, frozen=True, kw_only=True):
    """A result record to be written together with an ack, where both live on one server.

    Attributes:
        key: The record's key, prefix included; also the channel it is published on.
        value: The encoded record.
        ttl: Seconds to keep it; 0 keeps it for ever.
    """

    key: str
    value: bytes
    ttl: int = 0


class ChordPart(msgspec.Struct, frozen=True, kw_only=True):
    """One finished part of a chord's header, counted in the same step as the ack.

    Attributes:
        group_key: `celery-taskset-meta-<group id>`, prefix included; the chord's other keys are
            this one with `.j .t .s .d .c` behind.
        member: The encoded part `[1, task id, state, result]`.
        mark: `<task id>:<score>`, which makes counting idempotent.
        score: The part's group index, or None for the end of the line.
        chord_ttl: Seconds to keep the counters.
        result_ttl: Seconds to keep the group's record.
        ordered: Parts lie in a sorted set (the default), else in a list.
        claim_ttl: Seconds the claim to dispatch the body is held.
    """

    group_key: str
    member: bytes
    mark: str
    score: float | None = None
    chord_ttl: int = 86400
    result_ttl: int = 86400
    ordered: bool = True
    claim_ttl: int = 6


class Settlement(msgspec.Struct, kw_only=True):
    """What ends a delivery: its ack and the effects recorded with it, all or none.

    Attributes:
        tag: The delivery's tag; nothing at all is written when it no longer owns the message.
        result: The task's final record.
        messages: What the task's end sets off (chain step, callbacks, retry); default exchange or
            a named queue's list only on transports that settle in one step.
        chord: The part to count.
        started: True acknowledges *before* the task runs (early ack): the message is gone from
            the queue, and the tag is remembered as started so that a dead worker's running tasks
            can be reported. A later settlement of the same tag then records the effects.
    """

    tag: str
    result: StoredResult | None = None
    messages: tuple[Message, ...] = ()
    chord: ChordPart | None = None
    started: bool = False


class Settled(msgspec.Struct, kw_only=True):
    """What became of one settlement.

    Attributes:
        done: False when the tag had lost its lease, so nothing was written.
        claim: The token to dispatch the chord's body with, when this part completed the header. The
            delivery is still held then: settle its tag once more, without effects, when the body
            is sent. If the process dies before, the part comes back and the claim passes on.
    """

    done: bool
    claim: str | None = None


class Settler(Protocol):
    """Settles deliveries of one consumer, from whichever process ran the job."""

    def settle(self, items: Sequence[Settlement]) -> list[Settled]:
        """Ack and record each item in one round trip; answers in the same order.

        Raises:
            BrokerConnectionError: No answer; the same items may be settled again, repeating an
                item that was done answers `done=False` and changes nothing.
        """
        ...

    def close(self) -> None:
        """Give up the connection."""
        ...


class Consumer(Settler, Protocol):
    """Takes deliveries from queues and answers for them. Owned by one thread."""

    id: str

    def fileno(self) -> int:
        """Return a descriptor that turns readable when `fetch` may have something."""
        ...

    def fetch(self, limit: int, timeout: float) -> list[Delivery]:
        """Take up to `limit` deliveries, waiting up to `timeout` seconds for the first.

        Each is recorded as unacked in the step that takes it, where the transport can. Messages
        that cannot be read never come out here: they go to the dead letters.
        """
        ...

    def ack(self, tags: Sequence[str]) -> None:
        """Acknowledge without effects; unknown tags are ignored."""
        ...

    def reject(self, tags: Sequence[str], *, requeue: bool) -> None:
        """Drop the deliveries, or put them back at the head of their queues."""
        ...

    def park(self, items: Sequence[tuple[str, float]]) -> None:
        """Hold `(tag, wall timestamp)` back in the broker until due; then anybody may fetch them.

        The tag is no longer this consumer's. A transport without delays keeps them unacked in
        memory and lets `fetch` return them when due.
        """
        ...

    def bury(self, items: Sequence[tuple[str, str]]) -> None:
        """Move `(tag, reason)` to the dead letters."""
        ...

    def maintain(self) -> list[Dead]:
        """Keep leases alive, take over those of the dead, release what is due.

        Called by the owner at least every `maintain_interval` seconds; never blocks for long.

        Returns:
            Deliveries that went over the delivery limit, already in the dead letters, for the
            caller to record as failed.
        """
        ...

    maintain_interval: float

    def now(self) -> float:
        """Return the wall-clock timestamp by which ETAs and expiry are judged.

        The broker's own clock where it can be known, so that a worker whose machine's clock is
        wrong runs nothing early or late; else this machine's.
        """
        ...

    def add(self, queue: Queue) -> None:
        """Begin to take from a queue, declaring it."""
        ...

    def cancel(self, queue: str) -> None:
        """Stop taking from a queue; what was taken stays ours."""
        ...

    def release(self, tags: Sequence[str] | None = None) -> None:
        """Put back deliveries not settled (every one when None), first in line, uncounted.

        For shutdown: unlike `reject`, it does not make a delivery older.
        """
        ...

    def forget(self, tags: Sequence[str]) -> None:
        """Take note that another process settled these deliveries, so their lease may end."""
        ...


class Subscription(Protocol):
    """A private queue of its own: events, commands, replies. No acknowledgement."""

    def fileno(self) -> int:
        """Return a descriptor that turns readable when `receive` may have something."""
        ...

    def receive(self, limit: int, timeout: float) -> list[Message]:
        """Take up to `limit` messages, waiting up to `timeout` seconds for the first.

        Unreadable ones are counted in `dropped` and skipped.

        Raises:
            BrokerConnectionError: The connection is lost; the subscriber makes a new one.
        """
        ...

    dropped: int

    def close(self) -> None:
        """Remove the queue and its binding, leaving nothing behind in the broker."""
        ...


class Broker(Protocol):
    """A connection to a broker; safe to share between threads, reconnects by itself after a fork.

    Attributes:
        url: The address with its password masked.
        driver: `redis`, `memory`, `amqp`, ... as kombu names them; events go through a fanout
            exchange on `redis` and `memory`, through a topic exchange elsewhere.
        location: Equal for two objects that talk to one server and database; lets a result
            backend know that it can share the settle step. None where that has no meaning.
    """

    url: str
    driver: str
    location: str | None

    def publish(self, messages: Sequence[Message]) -> None:
        """Publish to any exchange type, in one round trip.

        Raises:
            BrokerConnectionError: No confirmation; some may have been published.
        """
        ...

    def broadcast(self, message: Message) -> int | None:
        """Publish to a fanout exchange.

        Returns:
            How many subscribers it was handed to, or None where the transport cannot tell.
        """
        ...

    def declare(self, queues: Sequence[Queue]) -> None:
        """Make sure that queues, exchanges and bindings exist.

        Raises:
            QueueDeclarationMismatch: One exists with other properties.
        """
        ...

    def consume(self, queues: Sequence[Queue], *, prefetch: int) -> Consumer:
        """Start to consume; `prefetch` is a hint for transports that push."""
        ...

    def settler(self, consumer_id: str) -> Settler | None:
        """Return a settler for another process's deliveries, or None if only the consumer can."""
        ...

    def subscribe(self, queue: Queue) -> Subscription:
        """Declare a private queue, bind it, and receive from it."""
        ...

    def depths(self, queues: Sequence[str]) -> Mapping[str, int]:
        """Count ready messages per queue, all priorities together; unknown queues count 0."""
        ...

    def purge(self, queue: str) -> int:
        """Delete the ready messages of a queue; returns how many there were."""
        ...

    def bindings(self, exchange: str) -> list[tuple[str, str]]:
        """List `(routing key, queue)` bound to an exchange; [] where the transport cannot tell."""
        ...

    def ping(self, timeout: float) -> None:
        """Reach the server, or raise `BrokerConnectionError` within `timeout` seconds."""
        ...

    def close(self) -> None:
        """Close every connection; a later call opens new ones."""
        ...


@runtime_checkable
class BulkBroker(Broker, Protocol):
    """A broker that takes envelopes its caller wrote, but for their delivery tags."""

    def publish_openings(self, lots: Mapping[tuple[str, int], Sequence[bytes]]) -> None:
        """Publish to plain queues, in one round trip.

        Args:
            lots: `(queue's name, priority)` -> what `CallTemplate.opening` returned, in order.

        Raises:
            BrokerConnectionError: No confirmation; some may have been published.
        """
        ...


class QueueSight(msgspec.Struct, frozen=True, kw_only=True):
    """What is in and around a queue; None is what the server cannot tell, or not cheaply.

    Attributes:
        ready: Messages that wait, all priorities together.
        unacked: Messages handed out and not settled; those parked are not among them.
        parked: Messages that wait for their time.
        dead: Messages of this queue among the dead letters.
        consumers: How many take from it.
        priorities: Messages that wait by priority step, without the empty ones.
        heads: Correlation ids of the messages that come next, one for each step with messages.
    """

    ready: int
    unacked: int | None = None
    parked: int | None = None
    dead: int | None = None
    consumers: int | None = None
    priorities: dict[int, int] = {}
    heads: tuple[str, ...] = ()


class Glimpse(msgspec.Struct, frozen=True, kw_only=True):
    """A message that was looked at and left where it is.

    Attributes:
        step: The priority step it lies in.
        raw: What lies in the queue.
        message: None when it cannot be read, for `reason`.
        redelivered: It was handed out before.
    """

    queue: str
    raw: bytes
    step: int = 0
    message: Message | None = None
    reason: str | None = None
    redelivered: bool = False


@runtime_checkable
class Surveyor(Protocol):
    """A broker that can look around without taking anything.

    Attributes:
        shows_messages: Whether `peek` can show any.
    """

    shows_messages: bool

    def survey(self, queues: Sequence[str]) -> Mapping[str, QueueSight]:
        """Say what is in and around queues; unknown queues are empty ones.

        Raises:
            BrokerConnectionError: No answer.
        """
        ...

    def peek(self, queue: str, limit: int) -> Sequence[Glimpse]:
        """Read up to `limit` messages, the one that is taken next first, and leave them there.

        Raises:
            BrokerError: The server shows messages only to those who take them.
        """
        ...


Connect = Callable[[str, Mapping[str, Any]], Broker]
