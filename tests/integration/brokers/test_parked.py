"""Looking at what waits for its time: nothing is taken."""

from collections.abc import Iterator

import pytest

from tests.support.services import RedisServer, redis_server
from tq import TQ
from tq.brokers.base import Queue
from tq.monitor import parked

FAR = 4_000_000_000.0


@pytest.fixture(scope="module", params=["redis", "valkey"])
def server(request: pytest.FixtureRequest) -> Iterator[RedisServer]:
    with redis_server(request.param) as running:
        yield running


@pytest.fixture
def app(server: RedisServer) -> Iterator[TQ]:
    app = TQ("parked", broker=server.url)
    yield app
    app.close()


def test_parked_tasks_are_told_with_their_time_the_next_first(app: TQ) -> None:
    ids = [app.send_task("proj.add", (n,), queue="late").id for n in range(3)]
    consumer = app.broker.consume([Queue(name="late")], prefetch=0)
    try:
        held = consumer.fetch(3, 5.0)
        assert parked(app.broker, 10) == (0, [])
        consumer.park([(item.tag, FAR - at) for at, item in enumerate(held)])
        total, found = parked(app.broker, 2)
        assert total == 3
        assert [due for due, _ in found] == [FAR - 2, FAR - 1]
        assert {task.id for _, task in found} < set(ids)
        assert {(task.name, task.queue) for _, task in found} == {("proj.add", "late")}
        assert parked(app.broker, 10)[0] == 3  # they still lie there
    finally:
        consumer.close()


def test_a_parked_message_that_nobody_can_read_is_told_as_such(
    app: TQ, server: RedisServer
) -> None:
    keys, pool = app.broker.keys, app.broker.pool
    pool.call("HSET", keys.unacked(), "odd", b"\x1b[2Jnot json")
    pool.call("ZADD", keys.delayed(), FAR - 100, "odd late")
    pool.call("ZADD", keys.delayed(), FAR - 200, "gone late")  # its message was released meanwhile
    _, ((due, task), *_) = parked(app.broker, 2)
    assert due == FAR - 100
    assert (task.reason, task.id) == ("unreadable", "")
    assert task.args.isprintable()


def test_other_brokers_cannot_tell() -> None:
    app = TQ("parked", broker="memory://")
    assert parked(app.broker, 10) is None
    app.close()
