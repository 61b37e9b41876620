"""Each message is in exactly one place, whatever consumers do and whenever they die.

RELIABILITY 8: a state machine over enqueue, fetch, beat, kill, reap, settle, park, due.
"""

from __future__ import annotations

import time
from collections import Counter
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tests.support.services import RedisServer
from tq.brokers import Message, Queue, Settlement, connect
from tq.brokers.redis.deliveries import read_dead_letter
from tq.wire.envelope import decode_envelope
from tq.wire.limits import LIMITS

QUEUES = ("qa", "qb")
# Leases end only when the machine says so.
LEASE = 3600.0


class Machine(RuleBasedStateMachine):
    """Three consumers; a model of where each message is."""

    url = ""

    def __init__(self) -> None:
        super().__init__()
        self.broker: Any = connect(self.url, {"lease": LEASE, "delivery_limit": 2})
        self.broker.pool.call("FLUSHALL")
        self.sent = 0
        self.settled: set[bytes] = set()
        self.live: list[Any] = []
        self.gone: list[Any] = []
        self.held: dict[str, dict[str, bytes]] = {}
        self.stale: list[tuple[Any, str]] = []
        for _ in range(2):
            self.start()

    def start(self) -> None:
        consumer = self.broker.consume([Queue(name=name) for name in QUEUES], prefetch=1)
        self.live.append(consumer)
        self.held[consumer.id] = {}

    def teardown(self) -> None:
        for consumer in self.live + self.gone:
            consumer.close()
        self.broker.close()

    def pick(self, number: int) -> Any:
        return self.live[number % len(self.live)]

    def choose(self, consumer: Any, number: int) -> str | None:
        tags = list(self.held[consumer.id])
        return tags[number % len(tags)] if tags else None

    @rule(
        count=st.integers(1, 4), queue=st.sampled_from(QUEUES), priority=st.sampled_from([0, 3, 9])
    )
    def enqueue(self, count: int, queue: str, priority: int) -> None:
        messages = []
        for _ in range(count):
            self.sent += 1
            messages.append(Message(body=b"%d" % self.sent, routing_key=queue, priority=priority))
        self.broker.publish(messages)

    @rule(queue=st.sampled_from(QUEUES), raw=st.sampled_from([b"junk", b"{}", b"[1]"]))
    def enqueue_garbage(self, queue: str, raw: bytes) -> None:
        self.broker.pool.call("LPUSH", queue, raw)

    @rule(who=st.integers(0, 9), limit=st.integers(1, 4))
    def fetch(self, who: int, limit: int) -> None:
        consumer = self.pick(who)
        for delivery in consumer.fetch(limit, 0.0):
            self.held[consumer.id][delivery.tag] = delivery.message.body

    @rule(who=st.integers(0, 9), which=st.integers(0, 9), early=st.booleans())
    def settle(self, who: int, which: int, early: bool) -> None:
        consumer = self.pick(who)
        tag = self.choose(consumer, which)
        if tag is not None:
            items = [Settlement(tag=tag, started=True)] if early else []
            answers = consumer.settle([*items, Settlement(tag=tag), Settlement(tag=tag)])
            assert [answer.done for answer in answers] == [True] * early + [True, False]
            self.settled.add(self.held[consumer.id].pop(tag))

    @rule(who=st.integers(0, 9), which=st.integers(0, 9), requeue=st.booleans())
    def reject(self, who: int, which: int, requeue: bool) -> None:
        consumer = self.pick(who)
        tag = self.choose(consumer, which)
        if tag is not None:
            consumer.reject([tag], requeue=requeue)
            body = self.held[consumer.id].pop(tag)
            if not requeue:
                self.settled.add(body)

    @rule(who=st.integers(0, 9), which=st.integers(0, 9), soon=st.booleans())
    def park(self, who: int, which: int, soon: bool) -> None:
        consumer = self.pick(who)
        tag = self.choose(consumer, which)
        if tag is not None:
            consumer.park([(tag, time.time() + (-1 if soon else 3600))])
            del self.held[consumer.id][tag]

    @rule(who=st.integers(0, 9), which=st.integers(0, 9))
    def bury(self, who: int, which: int) -> None:
        consumer = self.pick(who)
        tag = self.choose(consumer, which)
        if tag is not None:
            consumer.bury([(tag, "test")])
            del self.held[consumer.id][tag]

    @rule(who=st.integers(0, 9))
    def due(self, who: int) -> None:
        self.pick(who)._look(time.monotonic())

    @rule(who=st.integers(0, 9))
    def beat(self, who: int) -> None:
        self.pick(who).beat()

    @rule(who=st.integers(0, 9))
    def release(self, who: int) -> None:
        consumer = self.pick(who)
        consumer.release()
        self.held[consumer.id].clear()

    @precondition(lambda self: len(self.live) > 1)
    @rule(who=st.integers(0, 9), started=st.booleans())
    def kill(self, who: int, started: bool) -> None:
        """A consumer vanishes, its lease ends, and another takes over in two looks."""
        victim = self.pick(who)
        tag = self.choose(victim, 0)
        if started and tag is not None:
            assert victim.settle([Settlement(tag=tag, started=True)])[0].done
        victim._waiters.disarm(victim._connection)  # as the server does when its socket closes
        self.live.remove(victim)
        self.gone.append(victim)
        self.stale += [(victim, old) for old in self.held.pop(victim.id)]
        self.broker.pool.call("ZADD", self.broker.keys.consumers(), 1, victim.id)
        reaper = self.live[0]
        reaper.beat()
        reaper._lease._expired = {
            name: (end, seen - LEASE) for name, (end, seen) in reaper._lease._expired.items()
        }
        reaper.beat()
        assert self.broker.pool.call("EXISTS", self.broker.keys.tags(victim.id)) == 0

    @precondition(lambda self: len(self.live) < 3)
    @rule()
    def join(self) -> None:
        self.start()

    @precondition(lambda self: bool(self.stale))
    @rule()
    def settle_late(self) -> None:
        victim, tag = self.stale.pop()
        assert not victim.settle([Settlement(tag=tag)])[0].done

    @invariant()
    def each_message_is_in_one_place(self) -> None:
        places: Counter[bytes] = Counter(self.settled)
        call, keys = self.broker.pool.call, self.broker.keys
        lists = [key for name in QUEUES for key in keys.queue_steps(name)]
        lists += [keys.inbox(consumer.id, name) for consumer in self.live for name in QUEUES]
        for key in lists:
            places.update(filter(None, map(body, call("LRANGE", key, 0, -1))))
        unacked = dict(pairs(call("HGETALL", keys.unacked())))
        places.update(
            filter(
                None,
                (body(msgspec.json.decode(v, type=list[msgspec.Raw])[0]) for v in unacked.values()),
            )
        )
        places.update(
            letter.delivery.message.body
            for letter in (
                read_dead_letter(entry, LIMITS) for entry in call("LRANGE", keys.dead(), 0, -1)
            )
            if letter.delivery is not None
        )
        assert places == Counter(b"%d" % n for n in range(1, self.sent + 1))
        owned = {tag for each in self.live for tag in call("SMEMBERS", keys.tags(each.id))}
        parked = {entry.split(b" ")[0] for entry in call("ZRANGE", keys.delayed(), 0, -1)}
        assert owned.isdisjoint(parked)
        assert set(unacked) == owned | parked
        assert set(call("ZRANGE", keys.unacked_index(), 0, -1)) == owned | parked
        for consumer in self.live:
            mine = {tag.decode() for tag in call("SMEMBERS", keys.tags(consumer.id))}
            assert mine == set(self.held[consumer.id])


def body(raw: Any) -> bytes | None:
    """A message's body; None for the garbage that the machine throws in."""
    text = bytes(raw)
    return decode_envelope(text).body if b'"properties"' in text else None


def pairs(flat: list[bytes]) -> list[tuple[bytes, bytes]]:
    return list(zip(flat[::2], flat[1::2], strict=True))


@pytest.mark.timeout(300)
def test_each_message_is_in_exactly_one_place(server: RedisServer) -> None:
    class Here(Machine):
        url = server.url

    case = Here.TestCase
    case.settings = settings(
        max_examples=25,
        stateful_step_count=40,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    case("runTest").runTest()
