"""kombu on the same keys: it reads our messages, leaves what we hold alone, and may restore it."""

from __future__ import annotations

import contextlib
import time
import uuid
from collections.abc import Iterator
from typing import Any

import kombu
import pytest

from tests.support.services import RedisServer
from tests.support.waiting import eventually
from tq.brokers import Exchange, Message, Queue, Settlement, connect

pytestmark = pytest.mark.timeout(60)

VISIBILITY = 0.6
EXCHANGE = kombu.Exchange("q", type="direct")
PEER_QUEUE = kombu.Queue("q", exchange=EXCHANGE, routing_key="q")
QUEUE = Queue(name="q", exchange=Exchange(name="q", type="direct"), routing_key="q")


@pytest.fixture
def broker(server: RedisServer) -> Iterator[Any]:
    made = connect(server.url, {"lease": 1.2})
    yield made
    made.close()


@pytest.fixture
def peer(server: RedisServer) -> Iterator[Any]:
    options = {"visibility_timeout": VISIBILITY}
    with kombu.Connection(server.url, transport_options=options) as connection:
        yield connection


def sweep(channel: Any) -> None:
    """What a Celery worker does now and then."""
    channel.qos.restore_visible(num=100, interval=1)


def drain(peer: Any) -> None:
    with contextlib.suppress(TimeoutError):
        peer.drain_events(timeout=0.3)


def hear(channel: Any, count: int) -> list[Any]:
    found: list[Any] = []
    eventually(
        lambda: found.append(PEER_QUEUE(channel).get()) or len(list(filter(None, found))) >= count
    )
    return [message for message in found if message is not None]


def test_kombu_reads_what_we_publish(broker: Any, peer: Any) -> None:
    message = Message(
        body=b'[[1], {}, {"chord": null}]',
        headers={"id": "1", "task": "t"},
        routing_key="q",
        correlation_id="1",
        reply_to="r",
        priority=5,
    )
    broker.publish([message])
    (found,) = hear(peer.default_channel, 1)
    assert found.payload == [[1], {}, {"chord": None}]
    assert found.headers == {"id": "1", "task": "t"}
    assert found.properties["correlation_id"] == "1"
    assert found.properties["priority"] == 5
    found.ack()
    assert broker.pool.call("EXISTS", "unacked", "unacked_index") == 0


@pytest.mark.parametrize("kind", ["direct", "topic", "fanout"])
def test_messages_cross_every_kind_of_exchange(broker: Any, peer: Any, kind: str) -> None:
    name = f"ex-{uuid.uuid4()}"  # kombu remembers for its process what it has bound
    theirs = kombu.Exchange(name, type=kind)
    ours = Exchange(name=name, type=kind)
    key = "" if kind == "fanout" else "a.b"
    pattern = "a.*" if kind == "topic" else key
    heard: list[bytes] = []
    channel = peer.default_channel
    queue = kombu.Queue(f"theirs-{name}", exchange=theirs, routing_key=pattern, expires=60)
    with kombu.Consumer(channel, [queue], on_message=lambda m: heard.append(m.body), no_ack=True):
        fields: dict[str, Any] = {"expires": 60.0, "no_ack": True}
        subscription = broker.subscribe(
            Queue(name="ours", exchange=ours, routing_key=pattern, **fields)
        )
        if kind == "fanout":
            # kombu subscribes when it first waits.
            drain(peer)
        broker.publish([Message(body=b'"x"', exchange=name, exchange_type=kind, routing_key=key)])
        eventually(lambda: drain(peer) or heard)
        assert [bytes(body, "utf-8") if isinstance(body, str) else body for body in heard] == [
            b'"x"'
        ]
        kombu.Producer(channel).publish("y", exchange=theirs, routing_key=key, serializer="json")
        got: list[Any] = []
        eventually(lambda: got.extend(subscription.receive(10, 0.1)) or len(got) == 2)
        assert [message.body for message in got] == [b'"x"', b'"y"']
        subscription.close()
    members = broker.pool.call("SMEMBERS", broker.keys.binding(name))
    assert not any(member.endswith(b"ours") for member in members)
    assert broker.pool.call("ZSCORE", broker.keys.binding_deadlines(), name) is not None


def test_our_bindings_are_kombus(broker: Any, peer: Any) -> None:
    name = f"ex-{uuid.uuid4()}"
    topic, direct = kombu.Exchange(name, type="topic"), kombu.Exchange(f"{name}-d", type="direct")
    key = "a-b.#.c_d.*"
    broker.declare(
        [
            Queue(name="t", exchange=Exchange(name=name, type="topic"), routing_key=key),
            Queue(name="d", exchange=Exchange(name=f"{name}-d"), routing_key="k"),
        ]
    )
    ours = {key: broker.pool.call("SMEMBERS", key) for key in broker.pool.call("KEYS", "_kombu.*")}
    broker.pool.call("FLUSHALL")
    channel = peer.default_channel
    kombu.Queue("t", topic, routing_key=key)(channel).declare()
    kombu.Queue("d", direct, routing_key="k")(channel).declare()
    theirs = {
        key: broker.pool.call("SMEMBERS", key) for key in broker.pool.call("KEYS", "_kombu.*")
    }
    assert ours == theirs


def test_we_read_what_kombu_publishes(broker: Any, peer: Any) -> None:
    producer = kombu.Producer(peer.default_channel)
    producer.publish(
        {"a": 1}, exchange=EXCHANGE, routing_key="q", declare=[PEER_QUEUE], priority=7,
        headers={"id": "1"}, correlation_id="1",
    )  # fmt: skip
    consumer = broker.consume([QUEUE], prefetch=1)
    (delivery,) = consumer.fetch(1, 5.0)
    assert delivery.message.body == b'{"a": 1}'
    assert (delivery.message.priority, delivery.message.headers) == (7, {"id": "1"})
    assert consumer.settle([Settlement(tag=delivery.tag)])[0].done
    consumer.close()


def test_a_sweeping_peer_leaves_what_we_hold_and_what_is_parked(broker: Any, peer: Any) -> None:
    broker.publish([Message(body=b"%d" % n, routing_key="q") for n in range(2)])
    consumer = broker.consume([QUEUE], prefetch=1)
    held, parked = consumer.fetch(2, 1.0)
    consumer.park([(parked.tag, time.time() + 60)])
    deadline = time.monotonic() + 3 * VISIBILITY
    while time.monotonic() < deadline:
        consumer.maintain()
        sweep(peer.default_channel)
        time.sleep(0.02)
    assert broker.depths(["q"]) == {"q": 0}
    assert consumer.settle([Settlement(tag=held.tag)])[0].done
    consumer.close()


def test_a_peer_restores_what_we_held_when_nobody_of_us_lives(broker: Any, peer: Any) -> None:
    broker.publish([Message(body=b'"1"', headers={"id": "1"}, routing_key="q", priority=3)])
    consumer = broker.consume([QUEUE], prefetch=1)
    (stale,) = consumer.fetch(1, 1.0)
    eventually(lambda: sweep(peer.default_channel) or broker.depths(["q"])["q"])
    (message,) = hear(peer.default_channel, 1)
    assert message.payload == "1"
    assert message.headers["redelivered"] is True
    message.ack()
    assert not consumer.settle([Settlement(tag=stale.tag)])[0].done
    assert broker.pool.call("EXISTS", "unacked", "unacked_index") == 0
    consumer.beat()
    consumer.release()
    assert broker.depths(["q"]) == {"q": 0}
    consumer.close()


def test_we_leave_a_peers_unacked_messages_alone(broker: Any, peer: Any) -> None:
    broker.publish([Message(body=b'"1"', headers={"id": "1"}, routing_key="q")])
    (message,) = hear(peer.default_channel, 1)
    consumer = broker.consume([QUEUE], prefetch=1)
    deadline = time.monotonic() + 1.0
    while time.monotonic() < deadline:
        consumer.maintain()
        assert consumer.fetch(1, 0.02) == []
    message.ack()
    consumer.close()
