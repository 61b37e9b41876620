"""A worker on RabbitMQ, with its results in Redis: the same promises as on Redis."""

import signal
import sys
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
import redis

from tests.support import services
from tests.support.processes import Process, run_tq, tq_worker
from tests.support.waiting import eventually
from tq import TQ
from tq.brokers import Queue, connect
from tq.errors import TaskRevokedError

pytestmark = pytest.mark.timeout(90)


@pytest.fixture(scope="module")
def results() -> Iterator[str]:
    """Where results and the tasks' ledger rest."""
    with services.redis_server(tcp=True) as server:
        yield server.url


@pytest.fixture
def place(results: str) -> Iterator[SimpleNamespace]:
    """A queue of our own on the shared RabbitMQ; it is gone afterwards."""
    url = services.rabbitmq_url()
    queue = f"tqt.{uuid.uuid4().hex}"
    app = TQ("client", broker=url, backend=results, set_as_current=False)
    app.conf.task_default_queue = queue
    env = {"PEER_QUEUE": queue, "PEER_BACKEND": results, "PEER_LEDGER": results}
    workers: list[Process] = []

    def start(*options: str) -> Process:
        name = f"{queue}-{len(workers)}@test"
        workers.append(tq_worker(url, *options, name=name, **env))
        return workers[-1]

    ledger = redis.Redis.from_url(results, decode_responses=True)
    broker = connect(url)
    yield SimpleNamespace(
        url=url, queue=queue, app=app, start=start, node=f"{queue}-0@test", ledger=ledger,
        broker=broker,
    )  # fmt: skip
    for worker in workers:
        worker.__exit__()
    ledger.delete("ledger")
    ledger.close()
    app.control.close()
    app.close()
    with broker._pool.link() as link:
        link.delete(queue)
    broker.close()


def test_two_thousand_tasks_end_with_their_results(place: SimpleNamespace) -> None:
    worker = place.start()
    sign = place.app.signature
    sent = list(place.app.send_many(sign("peer.add", args=(n, 1)) for n in range(2000)))
    assert [result.get(timeout=30) for result in sent] == list(range(1, 2001))
    assert worker.stop() == 0
    assert place.broker.depths([place.queue]) == {place.queue: 0}


def test_eta_retry_and_revoke(place: SimpleNamespace) -> None:
    place.start()
    send = place.app.send_task
    due = datetime.now(UTC) + timedelta(seconds=1.5)
    later = send("peer.echo", ("later",), eta=due)
    never = send("peer.echo", ("never",), countdown=2.0)
    assert send("peer.flaky", (2,)).get(timeout=20) == 2
    revoke = place.app.control.revoke(never.id, reply=True, destination=[place.node], timeout=10)
    assert never.id in revoke[0][place.node]["ok"]
    assert later.get(timeout=20) == "later"
    assert datetime.now(UTC) >= due
    with pytest.raises(TaskRevokedError):
        never.get(timeout=20)


def test_nothing_is_lost_when_the_whole_worker_is_killed(place: SimpleNamespace) -> None:
    worker = place.start()
    sign = place.app.signature
    keys = [f"k{number}" for number in range(200)]
    sent = list(place.app.send_many(sign("peer.work", args=(key, 0.01)) for key in keys))
    eventually(lambda: place.ledger.llen("ledger") > 80, within=20)
    worker.kill_tree()
    assert not all(result.ready() for result in sent)
    place.start()
    assert [result.get(timeout=30) for result in sent] == keys
    lines = [line.split() for line in place.ledger.lrange("ledger", 0, -1)]
    starts = [key for what, key, *_ in lines if what == "start"]
    assert set(starts) == set(keys)
    # Those that ran or were about to be acked at the kill, and no others, run again.
    assert len(starts) <= len(keys) + 100


def test_a_running_task_goes_back_when_the_worker_is_told_to_quit(place: SimpleNamespace) -> None:
    worker = place.start()
    result = place.app.send_task("peer.work", ("long", 60.0))
    eventually(lambda: place.ledger.llen("ledger") == 1, within=20)
    worker.signal(signal.SIGQUIT)
    worker.process.wait(15)
    eventually(lambda: place.broker.depths([place.queue])[place.queue] == 1)
    assert not result.ready()


def test_the_commands_see_the_worker(place: SimpleNamespace) -> None:
    place.start()
    running = place.app.send_task("peer.work", ("busy", 60.0))
    eventually(lambda: place.ledger.llen("ledger") == 1, within=20)
    status = run_tq("status", "-b", place.url)
    assert status.returncode == 0
    assert place.node in status.stdout
    active = run_tq("inspect", "active", "-b", place.url, "-d", place.node)
    assert (active.returncode, active.stderr) == (0, "")
    assert running.id in active.stdout
    argv = [sys.executable, "-m", "tqconsole", "events", "--dump", "-b", place.url]
    with Process(argv, place.url) as dump:
        # What is sent before the dump has subscribed is not seen.
        dump.wait_for(place.node)
        result = place.app.send_task("peer.add", (1, 2))
        assert result.get(timeout=20) == 3
        dump.wait_for(f"task succeeded: peer.add({result.id})", within=10)


def test_a_message_that_is_no_task_ends_in_the_dead_letters(place: SimpleNamespace) -> None:
    from tq.wire.envelope import Message

    place.start()
    mark = uuid.uuid4().hex
    bad = Message(body=b"\xff{", headers={"x-mark": mark}, routing_key=place.queue)
    place.broker.publish([bad])
    assert place.app.send_task("peer.add", (1, 2)).get(timeout=20) == 3
    graves = place.broker.consume([Queue(name="tq.dead")], prefetch=1000)
    found = []

    def ours() -> bool:
        found.extend(d for d in graves.fetch(100, 0.1) if d.message.headers.get("x-mark") == mark)
        return bool(found)

    try:
        eventually(ours, within=10)
        assert found[0].message.body == b"\xff{"
        assert found[0].message.headers["x-tq-reason"]
        graves.ack([found[0].tag])
    finally:
        graves.release()
        graves.close()


def test_the_server_restarting_the_connection_does_not_end_the_worker(
    place: SimpleNamespace,
) -> None:
    worker = place.start()
    assert place.app.send_task("peer.add", (1, 2)).get(timeout=20) == 3
    with place.broker._pool.link() as link:
        link.delete(place.queue)  # the server ends the worker's consumer
    deadline = time.monotonic() + 20
    result = None
    while result is None and time.monotonic() < deadline:
        attempt = place.app.send_task("peer.add", (3, 4))
        try:
            result = attempt.get(timeout=2)
        except TimeoutError:
            continue
    assert result == 7
    assert worker.process.poll() is None
