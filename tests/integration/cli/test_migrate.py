"""Messages go from broker to broker, whole and in order; what is not published stays."""

import uuid
from collections.abc import Iterator

import pytest
import redis

from tests.integration.cli.conftest import run_fork
from tests.interop.conftest import delete_queues
from tests.support.services import RedisServer, rabbitmq_url, redis_server
from tq import TQ
from tq.brokers.base import Queue

pytestmark = [pytest.mark.timeout(90), pytest.mark.xdist_group("cli-migrate")]


@pytest.fixture(scope="module")
def brokers() -> Iterator[tuple[RedisServer, RedisServer]]:
    with redis_server(tcp=True) as one, redis_server(tcp=True) as other:
        yield one, other


@pytest.fixture
def places(brokers) -> tuple[str, str]:
    for server in brokers:
        with redis.Redis(port=server.port) as client:
            client.flushall()
    return brokers[0].url, brokers[1].url


@pytest.fixture
def tq(forks, tmp_path):
    return lambda *argv: run_fork(forks, *argv, XDG_STATE_HOME=str(tmp_path))


def send(url: str, count: int, queue: str = "celery", name: str = "mail.send") -> list[str]:
    app = TQ("client", broker=url, set_as_current=False)
    try:
        return [app.send_task(name, args=[n], queue=queue, priority=0).id for n in range(count)]
    finally:
        app.close()


def waiting(url: str, queue: str = "celery") -> list[str]:
    """Ids of the tasks in a queue in the order in which they would run; takes them."""
    app = TQ("reader", broker=url, set_as_current=False)
    consumer = app.broker.consume([app.queues.consume_from[queue]] if queue == "celery" else
                                  [Queue(name=queue)])  # fmt: skip
    found: list[str] = []
    try:
        while more := consumer.fetch(1000, 0.5):
            found += [delivery.message.headers["id"] for delivery in more]
            consumer.ack([delivery.tag for delivery in more])
    finally:
        consumer.close()
        app.close()
    return found


def test_moved_messages_arrive_in_order_and_are_gone_there(tq, places):
    source, target = places
    ids = send(source, 1200)
    done = tq("migrate", "-a", source, target)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("moved 1200 messages to ")
    assert waiting(target) == ids
    assert waiting(source) == []


def test_a_copy_leaves_them_where_they_are(tq, places):
    source, target = places
    ids = send(source, 20)
    for _ in range(6):  # over the delivery limit, which counts losses and not looks
        assert tq("migrate", source, target, "-t", "0.3").returncode == 0
    assert waiting(source) == ids
    assert sorted(waiting(target)) == sorted(ids * 6)


def test_only_some_tasks_queues_and_so_many_go(tq, places):
    source, target = places
    mails = send(source, 5, "a", "mail.send")
    sums = send(source, 5, "a", "sum")
    other = send(source, 5, "b")
    done = tq("migrate", "-a", "-Q", "a:c", "-T", "sum", "-n", "3", source, target)
    assert done.returncode == 0, done.stderr
    assert waiting(target, "c") == sums[:3]
    assert waiting(source, "a") == mails + sums[3:]
    assert waiting(source, "b") == other


def test_rabbitmq_and_redis_exchange_messages(tq, places):
    source, target = places
    queue = f"interop-{uuid.uuid4().hex[:8]}"
    ids = send(source, 10, queue)
    try:
        there = tq("migrate", "-a", "-Q", queue, source, rabbitmq_url())
        assert there.stdout.startswith("moved 10 messages"), there.stderr
        back = tq("migrate", "-a", "-Q", queue, "-t", "3s", rabbitmq_url(), target)
        assert back.stdout.startswith("moved 10 messages"), back.stderr
    finally:
        delete_queues(queue)
    assert waiting(target, queue) == ids


def test_a_target_that_is_away_takes_nothing(tq, places):
    source, _ = places
    ids = send(source, 3)
    done = tq("migrate", "-a", source, "redis://127.0.0.1:1/0")
    assert done.returncode == 69
    assert len(done.stderr.splitlines()) == 1
    assert waiting(source) == ids


@pytest.mark.parametrize(
    ("argv", "code"),
    [
        (("migrate",), 2),
        (("migrate", "{0}"), 2),
        (("migrate", "{0}", "{0}"), 2),
        (("migrate", "nonsense", "{0}"), 2),
        (("migrate", "-Q", "", "{0}", "{1}"), 2),
        (("--read-only", "migrate", "{0}", "{1}"), 5),
    ],
)
def test_what_makes_no_sense_is_refused(tq, places, argv, code):
    done = tq(*(word.format(*places) for word in argv))
    assert done.returncode == code
    assert "Traceback" not in done.stderr
