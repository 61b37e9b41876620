"""`Control` and `Inspect` against real tq workers, over Redis and over RabbitMQ."""

import contextlib
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from types import SimpleNamespace

import pytest
import redis

from tests.support import services
from tests.support.processes import ROOT, environment, tq_worker
from tests.support.waiting import eventually
from tq import TQ
from tq.brokers import connect
from tq.control import Control
from tq.errors import CommandRefused, QueueDeclarationMismatch

pytestmark = pytest.mark.timeout(90)


@pytest.fixture(scope="module", params=["redis", "amqp"])
def place(request: pytest.FixtureRequest) -> Iterator[SimpleNamespace]:
    """Two workers on one broker; RabbitMQ is shared, so names are unique."""
    token = uuid.uuid4().hex[:8]
    nodes = [f"ctl{token}-{number}@test" for number in (1, 2)]
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(services.redis_server(tcp=True))
        url = server.url if request.param == "redis" else services.rabbitmq_url()
        env = {
            "PEER_QUEUE": f"tqt.{token}", "PEER_BACKEND": server.url, "PEER_LEDGER": server.url,
        }  # fmt: skip
        workers = [stack.enter_context(tq_worker(url, name=node, **env)) for node in nodes]
        app = TQ("client", broker=url, backend=server.url, set_as_current=False)
        app.conf.task_default_queue = f"tqt.{token}"
        broker = connect(url)
        control = Control(broker=broker)
        yield SimpleNamespace(
            kind=request.param, url=url, nodes=nodes, workers=workers, app=app, broker=broker,
            control=control, token=token, redis_url=server.url,
        )  # fmt: skip
        control.close()
        app.control.close()
        app.close()
        if request.param == "amqp":
            with broker._pool.link() as link:
                link.delete(f"tqt.{token}")
        broker.close()


def test_every_worker_answers_and_the_call_ends_with_the_last_answer(place) -> None:
    # Longer than the test may take: the call must not wait for the end of its time.
    answers = place.control.inspect(destination=place.nodes, timeout=3600).ping()
    assert answers == {node: {"ok": "pong"} for node in place.nodes}


def test_a_pattern_reaches_the_workers_that_fit(place) -> None:
    inspect = place.control.inspect(pattern=f"ctl{place.token}-2@*", matcher="glob", timeout=5)
    assert inspect.ping() == {place.nodes[1]: {"ok": "pong"}}


def test_a_missing_worker_is_named_and_a_late_answer_is_known_as_late(place) -> None:
    call = place.control.start("ping", destination=[*place.nodes, "nobody@nowhere"], timeout=1.0)
    call.wait()
    assert (call.answered, call.missing) == (set(place.nodes), {"nobody@nowhere"})
    early = place.control.start("ping", destination=place.nodes[:1], timeout=0.0)
    assert early.done
    eventually(lambda: early.poll() or early.replies)
    assert early.is_late(early.replies[0])


def test_a_callback_gets_each_answer_and_a_limit_ends_the_call(place) -> None:
    heard: list[dict] = []
    replies = place.control.broadcast(
        "ping",
        reply=True,
        destination=[place.nodes[0], "nobody@nowhere"],
        limit=1,
        timeout=3600,
        callback=heard.append,
    )
    assert replies == heard == [{place.nodes[0]: {"ok": "pong"}}]


QUESTIONS = [
    "active", "reserved", "scheduled", "revoked", "registered", "stats", "conf", "active_queues",
    "clock", "report",
]  # fmt: skip


@pytest.mark.parametrize("command", QUESTIONS)
def test_every_question_is_answered(place, command: str) -> None:
    answers = getattr(place.control.inspect(destination=place.nodes, timeout=10), command)()
    assert set(answers) == set(place.nodes)
    for value in answers.values():
        assert not (isinstance(value, dict) and "error" in value)


def test_a_running_task_is_active_and_is_terminated(place) -> None:
    result = place.app.send_task("peer.sleep", (60,))

    def running() -> dict:
        found = place.control.inspect(destination=place.nodes, timeout=10).active()
        return {node: tasks for node, tasks in found.items() if tasks}

    (node, (task,)), = eventually(running, within=15).items()  # fmt: skip
    assert task["id"] == result.id
    asked = place.control.inspect(destination=[node], timeout=10).query_task(result.id)
    assert asked[node][result.id][0] == "active"
    (reply,) = place.control.revoke(
        result.id, destination=[node], terminate=True, reply=True, timeout=10
    )
    assert result.id in reply[node]["ok"]
    eventually(lambda: result.state == "REVOKED", within=15)


def test_commands_change_a_worker_and_errors_come_back(place) -> None:
    node = place.nodes[0]
    to = {"destination": [node], "reply": True, "timeout": 10}
    assert place.control.rate_limit("peer.add", "1000/s", **to) == [
        {node: {"ok": "new rate limit set successfully"}}
    ]
    assert place.control.rate_limit("nope", "1/s", **to) == [{node: {"error": "unknown task"}}]
    assert place.control.pool_grow(1, **to) == [{node: {"ok": "pool will grow"}}]
    assert place.control.pool_shrink(1, **to) == [{node: {"ok": "pool will shrink"}}]
    ((answer,),) = [reply.values() for reply in place.control.broadcast("no_such", **to)]
    assert "error" in answer


def test_a_read_only_control_asks_and_changes_nothing(place) -> None:
    control = Control(broker=place.broker, read_only=True)
    try:
        assert set(control.inspect(destination=place.nodes, timeout=10).ping()) == set(place.nodes)
        for change in (control.shutdown, control.enable_events, lambda: control.revoke("x")):
            with pytest.raises(CommandRefused):
                change()
    finally:
        control.close()
    assert all(worker.process.poll() is None for worker in place.workers)


def test_asking_leaves_nothing_behind(place) -> None:
    control = Control(broker=place.broker)
    control.inspect(destination=place.nodes, timeout=10).ping()
    oid = control.mailbox.oid
    if place.kind == "amqp":
        # Exclusive to its connection: it is there, and nobody else may look.
        with pytest.raises(QueueDeclarationMismatch, match="RESOURCE_LOCKED"):
            place.broker.depths([f"{oid}.reply.celery.pidbox"])
    else:
        assert oid in {key for key, _ in place.broker.bindings("reply.celery.pidbox")}
    control.close()
    if place.kind == "amqp":
        assert place.broker.depths([f"{oid}.reply.celery.pidbox"]) == {
            f"{oid}.reply.celery.pidbox": 0
        }
    else:
        assert oid not in {key for key, _ in place.broker.bindings("reply.celery.pidbox")}
        client = redis.Redis.from_url(place.url)
        assert not [key for key in client.scan_iter() if oid.encode() in key]
        client.close()


CRASH = """
import os, sys
from tq.brokers import connect
from tq.control import Control
control = Control(broker=connect(sys.argv[1]))
assert control.inspect(destination=sys.argv[2:], timeout=10).ping()
print(control.mailbox.oid, flush=True)
os.kill(os.getpid(), 9)
"""


def test_the_reply_queue_of_a_caller_that_crashed_is_swept_by_the_next(place) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CRASH, place.url, *place.nodes],
        env=environment(place.url), cwd=ROOT, capture_output=True, text=True, timeout=30,
        check=False,
    )  # fmt: skip
    oid = done.stdout.strip()
    assert oid, done.stderr
    if place.kind == "redis":
        assert oid in {key for key, _ in place.broker.bindings("reply.celery.pidbox")}
    control = Control(broker=place.broker)
    try:
        assert control.inspect(destination=place.nodes, timeout=10).ping()
        if place.kind == "redis":
            assert oid not in {key for key, _ in place.broker.bindings("reply.celery.pidbox")}
        else:  # went with its connection
            name = f"{oid}.reply.celery.pidbox"
            eventually(lambda: place.broker.depths([name]) == {name: 0})
    finally:
        control.close()


def test_a_worker_that_is_told_to_shut_down_leaves_no_command_queue(place) -> None:
    # Last: it ends a worker.
    assert os.getpid() != place.workers[1].pid
    place.control.shutdown(destination=[place.nodes[1]])
    assert place.workers[1].process.wait(20) == 0
    if place.kind == "redis":
        bound = {queue for _, queue in place.broker.bindings("celery.pidbox")}
        assert f"{place.nodes[1]}.celery.pidbox" not in bound
    answers = place.control.inspect(destination=place.nodes, timeout=1.0).ping()
    assert answers == {place.nodes[0]: {"ok": "pong"}}
