"""Looking at queues: what is in and around them, and nothing is taken."""

import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.services import RedisServer, rabbitmq_url, redis_server
from tests.support.waiting import eventually
from tq import TQ
from tq.brokers.base import Message, Queue
from tq.errors import BrokerError
from tq.monitor import find_waiting, peek, survey


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with redis_server() as running:
        yield running


@pytest.fixture
def app(server: RedisServer) -> Iterator[TQ]:
    app = TQ("survey", broker=server.url)
    yield app
    app.broker.purge("seen")
    app.close()


def send(app: TQ, number: int, **options: Any) -> list[str]:
    return [
        app.send_task("proj.add", (n, 2), {"m": n}, queue="seen", **options).id
        for n in range(number)
    ]


def test_a_survey_tells_what_waits_is_held_parked_and_dead(app: TQ) -> None:
    ids = send(app, 3)
    urgent = send(app, 1, priority=9)
    sight = survey(app.broker, ["seen", "never.used"])
    assert sight["never.used"].ready == 0
    assert sight["seen"].ready == 4
    assert sight["seen"].priorities == {0: 3, 9: 1}
    assert sight["seen"].heads == (ids[0], urgent[0])
    assert (sight["seen"].unacked, sight["seen"].parked, sight["seen"].dead) == (0, 0, 0)
    consumer = app.broker.consume([Queue(name="seen")], prefetch=0)
    try:
        held = consumer.fetch(3, 5.0)
        assert len(held) == 3
        consumer.park([(held[0].tag, 4_000_000_000.0)])
        consumer.bury([(held[1].tag, "delivery_limit")])
        now = survey(app.broker, ["seen"])["seen"]
        assert (now.ready, now.unacked, now.parked, now.dead) == (1, 1, 1, 1)
    finally:
        consumer.release()
        consumer.close()


def test_unacked_messages_of_a_celery_exchange_belong_to_the_bound_queue(
    app: TQ, server: RedisServer
) -> None:
    import kombu

    with kombu.Connection(server.url) as connection:
        exchange = kombu.Exchange("bound", type="direct")
        queue = kombu.Queue("bound.queue", exchange, routing_key="elsewhere")
        bound = queue(connection.channel())
        bound.declare()
        producer = connection.Producer()
        for number in range(2):
            producer.publish({"n": number}, exchange=exchange, routing_key="elsewhere")
        taken = bound.get()
        assert taken is not None
        sight = survey(app.broker, ["bound.queue"])["bound.queue"]
        assert (sight.ready, sight.unacked) == (1, 1)
        taken.ack()
        assert survey(app.broker, ["bound.queue"])["bound.queue"].unacked == 0


def test_peeking_decodes_and_leaves_the_messages(app: TQ) -> None:
    ids = send(app, 3)
    app.send_task("proj.add", ("late",), queue="seen", priority=9)
    seen = peek(app.broker, "seen", 10)
    assert [task.id for task in seen[:3]] == ids
    assert seen[3].step == 9
    assert (seen[0].name, seen[0].args, seen[0].kwargs) == ("proj.add", "(0, 2)", "{'m': 0}")
    assert seen[0].call == ([0, 2], {"m": 0})
    assert [task.id for task in peek(app.broker, "seen", 2)] == ids[:2]
    assert app.broker.depths(["seen"])["seen"] == 4
    assert find_waiting(app.broker, {ids[2]}, ["seen"])[ids[2]].call == ([2, 2], {"m": 2})


def test_peeking_at_what_is_no_task_says_so(app: TQ, server: RedisServer) -> None:
    import redis

    with redis.Redis(unix_socket_path=str(server.socket)) as client:
        client.lpush("seen", b"not json \x1b[31m", b'{"body": "e30=", "headers": {}}')
    first, second = peek(app.broker, "seen", 5)
    assert (first.id, first.reason) == ("", "not_json")
    assert "\x1b" not in first.args
    assert second.reason
    assert app.broker.depths(["seen"])["seen"] == 2


def test_peeking_never_unpickles(app: TQ) -> None:
    app.send_task("proj.add", (1,), queue="seen", serializer="yaml")
    (task,) = peek(app.broker, "seen", 5)
    assert task.call is None
    assert task.name == "proj.add"
    assert task.args == "(1,)"


def test_rabbitmq_tells_consumers_and_refuses_to_show_messages() -> None:
    app = TQ("survey", broker=rabbitmq_url())
    name = f"tq.test.{uuid.uuid4().hex}"
    try:
        queue = Queue(name=name, expires=60.0)  # nothing stays behind
        app.broker.declare([queue])
        app.broker.publish([Message(body=b"[]", routing_key=name)])
        consumer = app.broker.consume([queue], prefetch=1)
        try:
            eventually(lambda: survey(app.broker, [name])[name].consumers == 1)
            sight = survey(app.broker, [name, "tq.test.never"])
            assert sight["tq.test.never"].ready == 0
            assert (sight[name].unacked, sight[name].parked, sight[name].dead) == (None,) * 3
        finally:
            consumer.close()
        eventually(lambda: survey(app.broker, [name])[name].ready == 1)
        with pytest.raises(BrokerError, match="only to consumers"):
            peek(app.broker, name, 5)
        assert find_waiting(app.broker, {"x"}, [name]) == {}
        assert survey(app.broker, [name])[name].ready == 1
    finally:
        app.close()
