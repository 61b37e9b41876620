"""tq's commands, event stream and watcher against real Celery workers."""

import json
import time
import uuid
from collections.abc import Callable, Iterator
from subprocess import CompletedProcess
from typing import Any

import pytest
import redis
from celery import Celery
from celery.worker.control import Panel

from tests.interop.conftest import close_celery, delete_queues, note_queues
from tests.support.processes import BIN, Process, celery_worker, run_tq
from tests.support.services import RedisServer, rabbitmq_url
from tests.support.waiting import eventually
from tq.brokers.connect import connect
from tq.control import Control
from tq.monitor import ClusterWatcher
from tqconsole.cli import control, inspect

CASES = ["redis/prefork", "amqp/prefork"]
OTHER_POOLS = ["threads"]
pytestmark = [
    pytest.mark.timeout(90),
    pytest.mark.xdist_group("interop-tq-commands"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:redis"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:celery"),
]


class Cluster:
    """One Celery worker, and commands of tq against it."""

    def __init__(self, url: str, pool: str, results: str) -> None:
        self.url, self.pool = url, pool
        self.queue = f"interop-{uuid.uuid4().hex[:8]}"
        self.node = f"{pool}-{uuid.uuid4().hex[:6]}@celery"
        if not url.startswith("redis"):
            note_queues(self.queue, f"{self.queue}-extra", f"{self.node}.celery.pidbox")
        self.app = Celery("client", broker=url, backend=results, set_as_current=False)
        self.app.conf.update(task_default_queue=self.queue, task_send_sent_event=True)
        env = {"PEER_QUEUE": self.queue, "PEER_BACKEND": results, "PEER_LEDGER": results}
        self.worker = celery_worker(url, "-P", pool, "-Q", self.queue, name=self.node, **env)

    def tq(self, *argv: str) -> CompletedProcess:
        return run_tq("-b", self.url, *argv, url=self.url)

    def ask(self, group: str, *argv: str) -> Any:
        done = self.tq(group, *argv, "-d", self.node, "-t", "10", "-j")
        assert done.returncode == 0, (argv, done.stderr)
        answer = json.loads(done.stdout)
        # As with Celery: `inspect` prints an object, `control` a list of objects.
        return (answer[0] if isinstance(answer, list) else answer)[self.node]

    def send(self, name: str, *args: Any, **options: Any) -> Any:
        return self.app.send_task(f"peer.{name}", args, **options)

    def close(self) -> None:
        self.worker.__exit__(None, None, None)
        close_celery(self.app)
        if not self.url.startswith("redis"):
            delete_queues(self.queue, f"{self.node}.celery.pidbox")


@pytest.fixture(scope="module", params=CASES)
def cluster(request: pytest.FixtureRequest, server: RedisServer) -> Iterator[Cluster]:
    broker, pool = request.param.split("/")
    made = Cluster(server.url if broker == "redis" else rabbitmq_url(), pool, server.url)
    yield made
    made.close()


def test_status_finds_the_worker(cluster: Cluster) -> None:
    done = cluster.tq("status", "-d", cluster.node, "-t", "10")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{cluster.node}\tup")


QUESTIONS = ["ping", "reserved", "scheduled", "revoked", "registered", "active_queues", "stats",
             "conf", "clock", "report"]  # fmt: skip


@pytest.mark.parametrize("question", QUESTIONS)
def test_every_question_is_answered(cluster: Cluster, question: str) -> None:
    if not cluster.url.startswith("redis") and question not in ("ping", "stats"):
        pytest.skip("the transport is another, the question is the same")
    answer = cluster.ask("inspect", question)
    assert not (isinstance(answer, dict) and "error" in answer)


@pytest.mark.parametrize("pool", OTHER_POOLS)
def test_workers_of_other_pools_answer_and_are_watched(server: RedisServer, pool: str) -> None:
    cluster = Cluster(server.url, pool, server.url)
    watch = Watch(cluster.url)
    try:
        assert cluster.ask("inspect", "ping") == {"ok": "pong"}
        watch.until(lambda seen: cluster.node in seen.state.workers)
        sent = cluster.send("add", 1, 1)
        watch.until(
            lambda seen: (
                sent.id in seen.state.tasks and seen.state.tasks[sent.id].state == "SUCCESS"
            )
        )
        cluster.tq("control", "shutdown", "-d", cluster.node, "-t", "2")
        eventually(lambda: cluster.worker.process.poll() is not None, within=20)
    finally:
        watch.close()
        cluster.close()


def test_active_lists_what_runs_in_rows_and_json(cluster: Cluster) -> None:
    sent = cluster.send("sleep", 600)

    def running() -> bool:
        return [task["id"] for task in cluster.ask("inspect", "active")] == [sent.id]

    eventually(running, within=10)
    rows = cluster.tq("inspect", "active", "--destination", cluster.node).stdout.splitlines()
    assert [row.split("\t")[:3] for row in rows] == [[cluster.node, sent.id, "peer.sleep"]]
    found = cluster.ask("inspect", "query_task", sent.id)
    assert found[sent.id][0] == "active"
    assert sent.id in str(cluster.ask("control", "terminate", "KILL", sent.id))
    eventually(lambda: cluster.ask("inspect", "active") == [], within=10)


def test_commands_change_the_worker(cluster: Cluster) -> None:
    limited = cluster.ask("control", "rate_limit", "peer.add", "1000/s")
    assert "new rate limit set successfully" in str(limited)
    refused = cluster.tq("control", "rate_limit", "nope", "1/s", "-d", cluster.node, "-t", "10")
    assert refused.returncode == 1
    assert "unknown task" in refused.stderr
    assert "time limits set successfully" in str(
        cluster.ask("control", "time_limit", "peer.add", "100", "200")
    )
    assert "ok" in str(cluster.ask("control", "revoke", "an-id"))
    assert "an-id" in cluster.ask("inspect", "revoked")


@pytest.mark.parametrize(
    ("argv", "answer"),
    [
        (("inspect", "memsample"), ""),
        (("inspect", "memdump", "3"), ""),
        (("control", "heartbeat"), ""),
        (("control", "enable_events"), "task events already enabled"),
        (("control", "disable_events"), "task events already disabled"),
        (("control", "revoke_by_stamped_headers", "deploy=v1"), "flagged as revoked"),
    ],
)
def test_the_rarer_commands_are_answered_too(cluster: Cluster, argv, answer: str) -> None:
    assert answer in str(cluster.ask(*argv))


@pytest.mark.parametrize(
    ("argv", "error"),
    [
        (("inspect", "objgraph", "Request", "5", "2"), "objgraph"),
        (("control", "pool_restart"), "Pool restarts not enabled"),
        (("control", "autoscale", "4", "2"), "Autoscale not enabled"),
    ],
)
def test_the_errors_of_a_worker_are_told_with_exit_one(cluster: Cluster, argv, error) -> None:
    done = cluster.tq(*argv, "-d", cluster.node, "-t", "10")
    assert done.returncode == 1
    assert done.stderr.startswith(f"{cluster.node}: error: ")
    assert error in done.stderr


def test_every_command_that_celery_lists_is_known(cluster: Cluster) -> None:
    for kind, known in (("inspect", inspect.COMMANDS), ("control", control.COMMANDS)):
        theirs = {name for name, info in Panel.meta.items() if info.type == kind and info.visible}
        assert theirs <= set(known), kind


def test_the_pool_grows(cluster: Cluster) -> None:
    def processes() -> int:
        return len(cluster.ask("inspect", "stats")["pool"]["processes"])

    # A child that an earlier test ended is being replaced.
    eventually(lambda: processes() == 2, within=10)
    assert "pool will grow" in str(cluster.ask("control", "pool_grow", "1"))
    eventually(lambda: processes() == 3, within=10)


def test_consumers_are_added_and_cancelled(cluster: Cluster) -> None:
    extra = f"{cluster.queue}-extra"
    try:
        assert extra in str(cluster.ask("control", "add_consumer", extra))
        result = cluster.send("add", 1, 2, queue=extra)
        assert result.get(timeout=15) == 3
        assert extra in str(cluster.ask("control", "cancel_consumer", extra))
        names = {queue["name"] for queue in cluster.ask("inspect", "active_queues")}
        assert names == {cluster.queue}
    finally:
        if not cluster.url.startswith("redis"):
            delete_queues(extra)


def dump(cluster: Cluster, *argv: str) -> Process:
    return Process([str(BIN / "tq"), "-b", cluster.url, "events", *argv], cluster.url)


def test_the_dump_shows_a_whole_task_in_celerys_lines(cluster: Cluster) -> None:
    with dump(cluster, "--dump") as stream:
        stream.wait_for(f"{cluster.node} [", within=15)
        good, bad = cluster.send("add", 2, 3), cluster.send("fail", "why")
        eventually(lambda: stream.output().count(good.id) >= 4, within=15)
        eventually(lambda: stream.output().count(bad.id) >= 4, within=15)
        lines = stream.output().splitlines()
    kinds = [line for line in lines if good.id in line]
    for kind in ("sent", "received", "started", "succeeded"):
        assert any(f"task {kind}" in line for line in kinds), (kind, kinds)
    assert any("task failed" in line for line in lines if bad.id in line)


def test_the_dump_as_json_lines_has_every_event_of_a_task(cluster: Cluster) -> None:
    with dump(cluster, "-o", "jsonl") as stream:
        stream.wait_for("worker-heartbeat", within=15)
        sent = cluster.send("add", 2, 3)
        eventually(lambda: stream.output().count(sent.id) >= 4, within=15)
        events = [json.loads(line) for line in stream.output().splitlines()]
    mine = [event for event in events if event.get("uuid") == sent.id]
    assert {event["type"] for event in mine} == {
        "task-sent", "task-received", "task-started", "task-succeeded",
    }  # fmt: skip
    (ended,) = [event for event in mine if event["type"] == "task-succeeded"]
    assert (ended["hostname"], ended["result"]) == (cluster.node, "5")


class Watch:
    """A watcher that is drained while one waits."""

    def __init__(self, url: str) -> None:
        self.broker = connect(url)
        self.watcher = ClusterWatcher(self.broker, depth_interval=0.2, inspect_interval=1.0)
        self.watcher.start()

    def until(self, condition: Callable[[ClusterWatcher], Any], within: float = 15.0) -> Any:
        def look() -> Any:
            self.watcher.drain(time.time())
            return condition(self.watcher)

        return eventually(look, within=within)

    def close(self) -> None:
        self.watcher.stop(time.monotonic() + 5)
        self.broker.close()


@pytest.fixture
def watch(cluster: Cluster) -> Iterator[Watch]:
    made = Watch(cluster.url)
    yield made
    made.close()


def test_workers_and_running_tasks_are_known_within_two_seconds(cluster: Cluster) -> None:
    running = cluster.send("sleep", 60)
    eventually(lambda: cluster.ask("inspect", "active"), within=10)
    watch = Watch(cluster.url)
    try:
        watch.until(lambda seen: cluster.node in seen.state.workers, within=2.0)
        # The task began before anybody listened: it is known from the worker's answer.
        detail = watch.until(lambda seen: seen.workers_info.get(cluster.node), within=2.0)
        watch.until(lambda _: detail.active and running.id in str(detail.active.value), within=2.0)
    finally:
        watch.close()
    cluster.app.control.revoke(running.id, terminate=True, signal="KILL")
    eventually(lambda: not cluster.ask("inspect", "active"), within=15)


def test_a_revoke_sent_by_the_control_reaches_the_worker(cluster: Cluster, watch: Watch) -> None:
    watch.until(lambda seen: cluster.node in seen.state.workers)
    sent = cluster.send("add", 1, 1, countdown=3)
    watch.until(lambda seen: sent.id in seen.state.tasks)
    control = Control(broker=watch.broker)
    try:
        (reply,) = control.revoke(sent.id, reply=True, timeout=10, destination=[cluster.node])
    finally:
        control.close()
    assert "ok" in reply[cluster.node]
    watch.until(lambda seen: seen.state.tasks[sent.id].state == "REVOKED")


def test_asking_and_watching_leave_nothing_behind(cluster: Cluster) -> None:
    if not cluster.url.startswith("redis"):
        pytest.skip("keys are Redis's; RabbitMQ's queues are auto-delete")
    client = redis.Redis.from_url(cluster.url, decode_responses=True)

    def left() -> dict[str, Any]:
        keys = {key for key in client.scan_iter() if not key.startswith("celery-task-meta-")}
        bound = {
            key: client.smembers(key) for key in keys if key.startswith("_kombu.binding")
            and client.type(key) == "set"
        }  # fmt: skip
        return {"keys": keys, "bound": bound, "channels": {
            name for name in client.pubsub_channels() if "celeryev" in name or "reply" in name
        }}  # fmt: skip

    def session() -> None:
        watch = Watch(cluster.url)
        try:
            watch.until(lambda seen: cluster.node in seen.state.workers)
            cluster.ask("inspect", "stats")
        finally:
            watch.close()

    session()  # the worker itself may make keys at its first answer
    before = left()
    session()
    with dump(cluster, "--dump") as stream:
        stream.wait_for(f"{cluster.node} [", within=15)
        stream.stop()
    try:
        eventually(lambda: left() == before, within=10)
    except AssertionError:
        assert left() == before
    client.close()


def test_what_a_killed_asker_leaves_is_gone_or_expires(cluster: Cluster) -> None:
    if not cluster.url.startswith("redis"):
        pytest.skip("keys are Redis's; RabbitMQ's queues are auto-delete")
    client = redis.Redis.from_url(cluster.url, decode_responses=True)
    before = set(client.scan_iter())
    # Nobody of that name answers, so the asker waits until it is killed.
    asker = Process(
        [str(BIN / "tq"), "-b", cluster.url, "inspect", "ping", "-d", "nobody@x", "-t", "30"],
        cluster.url,
    )
    with asker, dump(cluster, "--dump") as stream:
        stream.wait_for(f"{cluster.node} [", within=15)
        bindings = "_kombu.binding.reply.celery.pidbox"
        eventually(lambda: client.exists(bindings), within=15)
        asker.kill_tree()
        stream.kill_tree()
    left = set(client.scan_iter()) - before
    lasting = {key for key in left if client.ttl(key) == -1 and key != bindings}
    assert not {key for key in lasting if not key.startswith("celery-task-meta-")}
    # The next one who asks removes the dead one's binding.
    held = client.smembers(bindings)
    cluster.ask("inspect", "ping")
    assert client.smembers(bindings) <= held
    client.close()


def test_shutdown_ends_the_worker(cluster: Cluster) -> None:
    # Last in this file.
    cluster.tq("control", "shutdown", "-d", cluster.node, "-t", "2")
    eventually(lambda: cluster.worker.process.poll() is not None, within=20)
