"""Listens to the other workers' events: who is there, who went silent, who is elected.

Source: PROTOCOL 11 (gossip, election); celery/worker/consumer/gossip.py, `Gossip`.
"""

import logging
import time
import uuid
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import msgspec

from tq.brokers.base import Broker, Queue, Subscription
from tq.errors import BrokerError, TQError
from tq.events import Emitter, event_exchange
from tq.events.reading import EventReader
from tq.wire.event import utc_offset
from tq.worker.loop import Loop, Timer

__all__ = ["MOST_PEERS", "Election", "Gossip", "Peer"]

logger = logging.getLogger(__name__)

MOST_PEERS = 200
"""Beyond so many workers gossip ends: each hears each, so its cost grows with the square."""

_CHECK_SECONDS = 5.0
_SILENT_BEATS = 2.0
_DEFAULT_FREQUENCY = 2.0
_LIMIT = 500
_ELECTIONS = 100  # remembered at once


class Peer(msgspec.Struct):
    """Another worker.

    Attributes:
        seen: Monotonic time of its last event.
        frequency: Seconds between its heartbeats.
    """

    seen: float
    frequency: float = _DEFAULT_FREQUENCY


class Election(msgspec.Struct):
    """A question that one worker is to answer.

    Attributes:
        candidates: `(clock, hostname.pid, hostname, topic, action)`; the lowest wins.
        acks: Nodes that have heard of it.
    """

    candidates: list[tuple[int, str, str, str, Any]] = []
    acks: set[str] = set()


class Gossip:
    """The table of peers. Owned by the loop thread.

    Attributes:
        peers: The other workers that are alive, by node name.
    """

    name = "gossip"

    def __init__(
        self,
        loop: Loop,
        broker: Broker,
        emitter: Emitter,
        *,
        hostname: str,
        queue_prefix: str = "celeryev",
        exchange: str = "celeryev",
        queue_ttl: float | None = 5.0,
        queue_expires: float | None = 60.0,
        queue_exclusive: bool = True,
        queue_durable: bool = False,
        flush: Callable[[], Any] = lambda: None,
        elected: Callable[[str, Any], Any] = lambda _topic, _action: None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Prepare; `start` subscribes.

        Args:
            loop: Watches the subscription.
            broker: To subscribe through.
            emitter: Sends what elections need.
            hostname: This node.
            queue_prefix: The setting `event_queue_prefix`.
            exchange: The setting `event_exchange`.
            queue_ttl: The setting `event_queue_ttl`.
            queue_expires: The setting `event_queue_expires`.
            queue_exclusive: The setting `event_queue_exclusive`.
            queue_durable: The setting `event_queue_durable`.
            flush: Publishes the emitter's events soon.
            elected: Called with topic and action when this node wins.
            monotonic: A clock.
        """
        self.peers: dict[str, Peer] = {}
        self._loop = loop
        self._broker = broker
        self._emitter = emitter
        self._hostname = hostname
        self._flush = flush
        self._elected = elected
        self._monotonic = monotonic
        self._reader = EventReader()
        self._elections: OrderedDict[str, Election] = OrderedDict()
        self._queue = Queue(
            name=f"{queue_prefix}.{uuid.uuid4()}",
            exchange=event_exchange(exchange, broker.driver),
            routing_key="worker.#",
            durable=queue_durable,
            exclusive=queue_exclusive,
            auto_delete=not queue_durable,
            expires=queue_expires,
            message_ttl=queue_ttl,
            no_ack=True,
        )
        self._subscription: Subscription | None = None
        self._fd = -1
        self._timer: Timer | None = None

    def start(self) -> None:
        """Subscribe; while the broker is away it is tried again."""
        self._subscribe()
        self._timer = self._loop.call_later(_CHECK_SECONDS, self._check)

    def stop(self, deadline: float) -> None:
        """Unsubscribe."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._unsubscribe()

    def stand(self, election_id: str, topic: str, action: Any) -> None:
        """Stand for election: on the control command of that name."""
        self._emitter.send("worker-elect", id=election_id, topic=topic, action=action, cver=1)
        self._flush()

    def hear(self, event: dict[str, Any]) -> None:
        """Take in one event."""
        node, kind = str(event.get("hostname")), event.get("type")
        if kind == "worker-elect":
            self._hear_candidate(node, event)
        elif kind == "worker-elect-ack":
            self._hear_ack(node, str(event.get("id")))
        if node == self._hostname:
            return
        if kind == "worker-offline":
            if self.peers.pop(node, None) is not None:
                logger.info("%.200s left", node)
            return
        peer = self.peers.get(node)
        if peer is None:
            if len(self.peers) >= MOST_PEERS:
                self._give_up()
                return
            logger.info("%.200s joined the party", node)
            peer = self.peers[node] = Peer(0.0)
        peer.seen = self._monotonic()
        frequency = event.get("freq")
        if isinstance(frequency, int | float) and 0 < frequency < 3600:
            peer.frequency = float(frequency)

    def lost(self) -> list[str]:
        """Forget peers that have been silent for two of their heartbeats; returns their names."""
        now = self._monotonic()
        silent = [
            node
            for node, peer in self.peers.items()
            # The check's own pace is added: events lie in the queue while the loop is busy.
            if now - peer.seen > _SILENT_BEATS * peer.frequency + 1.0
        ]
        for node in silent:
            del self.peers[node]
        return silent

    # Elections.

    def _hear_candidate(self, node: str, event: dict[str, Any]) -> None:
        election_id = str(event.get("id"))
        clock = event.get("clock")
        name = f"{node}.{event.get('pid')}"
        entry = (
            clock if isinstance(clock, int) else 0,
            name,
            node,
            str(event.get("topic")),
            event.get("action"),
        )
        self._election(election_id).candidates.append(entry)
        self._emitter.send("worker-elect-ack", id=election_id)
        self._flush()

    def _hear_ack(self, node: str, election_id: str) -> None:
        election = self._elections.get(election_id)
        if election is None or not election.candidates:
            return
        election.acks.add(node)
        if not {*self.peers, self._hostname} <= election.acks:
            return
        del self._elections[election_id]
        _, _, winner, topic, action = min(election.candidates, key=lambda one: one[:2])
        if winner != self._hostname:
            logger.info("node %.200s elected for %.100r", winner, topic)
            return
        logger.info("I won the election %.100r for %.100r", election_id, topic)
        try:
            self._elected(topic, action)
        except TQError as exc:
            logger.error("what election %.100r asks for failed: %s", election_id, exc)

    def _election(self, election_id: str) -> Election:
        election = self._elections.setdefault(election_id, Election())
        while len(self._elections) > _ELECTIONS:
            self._elections.popitem(last=False)
        return election

    # The subscription.

    def _subscribe(self) -> None:
        try:
            self._subscription = self._broker.subscribe(self._queue)
            self._fd = self._subscription.fileno()
        except BrokerError as exc:
            logger.debug("other workers' events cannot be heard: %s", exc)
            self._unsubscribe()
            return
        self._loop.add_reader(self._fd, self._receive)

    def _unsubscribe(self) -> None:
        if self._fd >= 0:
            self._loop.remove_reader(self._fd)
            self._fd = -1
        subscription, self._subscription = self._subscription, None
        if subscription is not None:
            try:
                subscription.close()
            except BrokerError as exc:
                logger.debug("the event queue could not be removed: %s", exc)

    def _receive(self) -> None:
        if self._subscription is None:
            return
        try:
            messages = self._subscription.receive(_LIMIT, 0.0)
        except BrokerError as exc:
            logger.debug("other workers' events cannot be heard: %s", exc)
            self._unsubscribe()
            return
        now, offset = time.time(), utc_offset()
        for message in messages:
            for event in self._reader.read(message, now, offset):
                self.hear(event)

    def _check(self) -> None:
        self._timer = self._loop.call_later(_CHECK_SECONDS, self._check)
        if self._subscription is None:
            # Nobody was heard, so nobody can be called silent.
            for peer in self.peers.values():
                peer.seen = self._monotonic()
            self._subscribe()
            return
        self._receive()
        for node in self.lost():
            logger.info("missed heartbeat from %.200s", node)

    def _give_up(self) -> None:
        logger.warning("gossip ends: there are more than %d workers", MOST_PEERS)
        self.peers.clear()
        self.stop(0.0)
