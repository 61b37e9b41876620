"""Every option does what it says, and a bad one is refused before anything is opened."""

import json
import os
import signal
from pathlib import Path

import pytest

from tests.integration.worker.conftest import Cluster
from tests.support.processes import BIN, Process, run_tq
from tests.support.services import RedisServer
from tests.support.waiting import eventually
from tq.errors import TaskRevokedError
from tq.events import Receiver
from tq.wire.envelope import Message

pytestmark = pytest.mark.timeout(120)


def command(server: RedisServer, *options: str) -> list[str]:
    return [str(BIN / "tq"), "worker", "-A", "tests.support.worker_app", "-c", "1", *options]


def start(cluster: Cluster, argv: list[str], **env: str) -> Process:
    more = {"PEER_MARKS": str(cluster.server.socket), "PEER_BACKEND": cluster.url, **env}
    worker = Process(argv, cluster.url, **more)
    cluster.workers.append(worker)
    return worker


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (["-P", "preforc"], "preforc"),
        (["-X", "celery"], "-X"),
        (["-f", "/nonexistent/log"], "/nonexistent/log"),
        (["--statedb", "/nonexistent/state"], "--statedb"),
        (["--pidfile", "/"], "pid file"),
        (["-c", "0"], "--concurrency"),
        (["-Q", "a,,b"], "--queues"),
        (["--autoscale", "1,2,3"], "--autoscale"),
        (["-I", "no_such_module"], "no_such_module"),
    ],
)
def test_a_bad_option_is_refused_without_a_connection_or_a_leak(
    options: list[str], word: str
) -> None:
    # Nothing listens there: a worker that connected first would try again and again.
    done = run_tq(
        "worker",
        "-A",
        "tests.support.worker_app",
        *options,
        url="redis://127.0.0.1:1/0",
        PYTHONWARNINGS="error",
    )
    assert done.returncode == 2
    assert word in done.stderr
    assert "Traceback" not in done.stderr
    assert "Warning" not in done.stderr


def test_the_pid_file_is_held_by_one_worker_and_taken_over_from_a_dead_one(
    cluster: Cluster, server: RedisServer, tmp_path: Path
) -> None:
    path = tmp_path / "w1.pid"
    path.write_text("1\n")  # stale: that process lives, but does not hold the file
    argv = command(server, "-n", "w1@test", "--pidfile", str(tmp_path / "%n.pid"))
    first = start(cluster, argv)
    first.wait_for("ready.")
    assert path.read_text() == f"{first.pid}\n"

    second = start(cluster, argv)
    assert second.process.wait(20) == 73
    (line,) = second.output().splitlines()
    assert str(path) in line
    assert str(first.pid) in line

    os.kill(first.pid, signal.SIGKILL)
    first.process.wait(10)
    third = start(cluster, argv)
    third.wait_for("ready.")
    assert path.read_text() == f"{third.pid}\n"
    third.signal(signal.SIGTERM)
    assert third.process.wait(15) == 0
    assert not path.exists()


def test_the_state_file_keeps_revoked_ids_and_the_clock(cluster: Cluster, tmp_path: Path) -> None:
    path = tmp_path / "state"
    worker = cluster.start(statedb=str(path))
    cluster.ask("revoke", task_id=["gone"])
    worker.signal(signal.SIGTERM)
    assert worker.process.wait(15) == 0
    saved = json.loads(path.read_text())
    assert [entry[0] for entry in saved["revoked"]] == ["gone"]
    assert path.stat().st_mode & 0o777 == 0o600
    cluster.redis.delete("tq:revoked")  # which remembers it too

    saved["clock"] += 10_000
    path.write_text(json.dumps(saved))
    cluster.start(statedb=str(path))
    assert cluster.ask("revoked") == ["gone"]
    assert cluster.ask("clock")["clock"] > 10_000


@pytest.mark.parametrize(
    "damage", [b"", b"not json", b"\x80\x04pickle", b"[1, 2]", b'{"clock": 1}']
)
def test_a_damaged_state_file_is_set_aside(cluster: Cluster, tmp_path: Path, damage: bytes) -> None:
    path = tmp_path / "state"
    path.write_bytes(damage)
    worker = cluster.start(statedb=str(path))
    (aside,) = tmp_path.glob("state.damaged-*")
    assert aside.read_bytes() == damage
    assert str(aside) in worker.output()
    assert json.loads(path.read_text())["revoked"] == []


def test_a_revoke_outlives_all_workers(cluster: Cluster) -> None:
    worker = cluster.start()
    cluster.ask("revoke", task_id=["never"])
    eventually(lambda: cluster.redis.zscore("tq:revoked", "never"))
    worker.signal(signal.SIGTERM)
    assert worker.process.wait(15) == 0

    result = cluster.send("mark", "x", task_id="never")
    cluster.start(name="w2@test")
    with pytest.raises(TaskRevokedError):
        result.get(timeout=20)
    assert not cluster.started()


def test_a_revoke_is_heard_by_workers_that_start_later(cluster: Cluster) -> None:
    result = cluster.send("mark", "x", task_id="stopped-at-night")
    result.revoke()
    cluster.start()
    with pytest.raises(TaskRevokedError):
        result.get(timeout=20)
    assert not cluster.started()


def test_each_child_writes_a_log_of_its_own(
    cluster: Cluster, server: RedisServer, tmp_path: Path
) -> None:
    logfile = str(tmp_path / "%n%I.log")
    start(cluster, command(server, "-n", "w1@test", "-c", "2", "-l", "INFO", "-f", logfile))
    ids = [cluster.send("talk").id for _ in range(20)]
    for task_id in ids:
        cluster.app.AsyncResult(task_id).get(timeout=20)
    children = sorted(path.name for path in tmp_path.glob("w1-*.log"))
    assert set(children) <= {"w1-1.log", "w1-2.log"}

    def words() -> str:
        return "".join((tmp_path / name).read_text() for name in children)

    eventually(lambda: all(f"[{task_id}]: words of a task" in words() for task_id in ids))
    assert "ready." in (tmp_path / "w1.log").read_text()
    assert "words of a task" not in (tmp_path / "w1.log").read_text()


def test_messages_are_purged_and_modules_included_first(
    cluster: Cluster, server: RedisServer
) -> None:
    cluster.send("mark", "purged")
    worker = start(
        cluster,
        command(server, "--purge", "-I", "tests.support.included_tasks", "-l", "INFO"),
    )
    worker.wait_for("ready.")
    assert "purged 1 messages of queue celery" in worker.output()
    assert ". included.hello" in worker.output()
    assert cluster.app.send_task("included.hello").get(timeout=20) == "hello"
    assert not cluster.started()


def test_no_more_is_held_than_the_prefetch_multiplier_allows(cluster: Cluster) -> None:
    cluster.send_marks(20, 60.0)
    cluster.start(concurrency=2, prefetch_multiplier=2, max_tasks_per_child=100)
    eventually(lambda: len(cluster.started()) == 2, within=20)
    assert cluster.redis.hlen("unacked") <= 4
    cluster.workers[0].kill_tree()


def test_without_prefetch_only_what_runs_is_held(cluster: Cluster) -> None:
    cluster.send_marks(20, 60.0)
    cluster.start(concurrency=2, disable_prefetch=True)
    eventually(lambda: len(cluster.started()) == 2, within=20)
    assert cluster.redis.hlen("unacked") == 2
    cluster.workers[0].kill_tree()


def test_the_pool_is_scaled_to_its_load(cluster: Cluster) -> None:
    cluster.start(concurrency=None, autoscale="4,1")
    assert cluster.ask("stats")["autoscaler"]["max"] == 4
    cluster.send_marks(4, 8.0)
    eventually(lambda: len(cluster.started()) == 4, within=20)
    assert cluster.ask("autoscale", max=6, min=2) == {"ok": "autoscale now max=6 min=2"}


def test_heartbeats_keep_the_interval_that_was_asked_for(cluster: Cluster) -> None:
    receiver = Receiver(cluster.app.broker, "worker.#", wake_workers=False)
    receiver.start()
    try:
        cluster.start(heartbeat_interval=0.5)
        found: list[float] = []

        def heard() -> bool:
            events = [event for batch in receiver.drain() for event in batch.events]
            found.extend(one["freq"] for one in events if one["type"] == "worker-heartbeat")
            return len(found) >= 3

        eventually(heard, within=20)
    finally:
        receiver.close()
    assert set(found) == {0.5}


def test_a_worker_has_a_queue_of_its_own(cluster: Cluster) -> None:
    cluster.start(env={"PEER_SETTINGS": '{"worker_direct": true}'})
    assert sorted(queue["name"] for queue in cluster.ask("active_queues")) == [
        "celery",
        "w1@test.dq2",
    ]
    result = cluster.send("add", 1, 2, exchange="C.dq2", routing_key="w1@test")
    assert result.get(timeout=20) == 3


def test_the_pool_is_replaced_where_that_is_permitted(cluster: Cluster) -> None:
    cluster.start(env={"PEER_SETTINGS": '{"worker_pool_restarts": true}'})
    before = set(cluster.ask("stats")["pool"]["processes"])
    arguments = {"modules": ["tests.support.included_tasks"]}
    assert cluster.ask("pool_restart", **arguments) == {"ok": "reload started"}
    eventually(lambda: before.isdisjoint(cluster.ask("stats")["pool"]["processes"]), within=20)
    assert cluster.send("add", 1, 2).get(timeout=20) == 3


def test_the_pool_is_not_replaced_where_nobody_permitted_it(cluster: Cluster) -> None:
    cluster.start()
    assert cluster.ask("pool_restart") == {"error": "ValueError('Pool restarts not enabled')"}


def test_a_redelivered_task_that_succeeded_does_not_run_again(cluster: Cluster) -> None:
    cluster.start(
        name="w1@test", env={"PEER_SETTINGS": '{"worker_deduplicate_successful_tasks": true}'}
    )
    result = cluster.send("mark", "once")
    assert result.get(timeout=20) == "once"
    again = cluster.app.signature("works.mark", args=("once",)).set(task_id=result.id)
    with cluster.app.capture() as messages:
        again.apply_async()
    (message,) = messages
    assert isinstance(message, Message)
    message.headers["redelivered"] = True
    cluster.app.broker.publish([message])
    other = cluster.send("mark", "other")
    other.get(timeout=20)
    eventually(lambda: cluster.unsettled() == 0)
    assert cluster.started() == {"once": 1, "other": 1}
