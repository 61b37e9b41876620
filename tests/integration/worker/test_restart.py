"""A worker begins anew on SIGHUP, gives up when told to, and knows its peers."""

import json
import signal
import sys

import pytest

from tests.integration.worker.conftest import Cluster
from tests.support.processes import BIN, Process
from tests.support.waiting import eventually

pytestmark = pytest.mark.timeout(120)


def start(cluster: Cluster, program: list[str], *options: str, **env: str) -> Process:
    argv = [*program, "worker", "-A", "tests.support.worker_app", "-l", "INFO", *options]
    more = {"PEER_MARKS": str(cluster.server.socket), "PEER_BACKEND": cluster.url, **env}
    worker = Process(argv, cluster.url, **more)
    cluster.workers.append(worker)
    return worker


@pytest.mark.parametrize(
    "program", [[str(BIN / "tq")], [sys.executable, "-m", "tqconsole"]], ids=["tq", "module"]
)
def test_hup_ends_running_tasks_in_order_and_begins_anew(
    cluster: Cluster, program: list[str]
) -> None:
    worker = start(cluster, program, "-n", "w1@test", "-c", "1")
    worker.wait_for(" ready.")
    result = cluster.send("mark", "during", 1.0)
    eventually(cluster.started, within=20)
    worker.signal(signal.SIGHUP)
    assert result.get(timeout=20) == "during"
    eventually(lambda: worker.output().count("w1@test ready.") == 2, within=30)
    assert worker.process.poll() is None
    assert cluster.send("mark", "after").get(timeout=20) == "after"
    assert cluster.started() == {"during": 1, "after": 1}
    worker.signal(signal.SIGTERM)
    assert worker.process.wait(15) == 0


def test_a_worker_that_may_not_try_again_gives_up_at_once(cluster: Cluster) -> None:
    cluster.server.stop()
    worker = start(
        cluster,
        [str(BIN / "tq")],
        PEER_SETTINGS=json.dumps({"broker_connection_retry_on_startup": False}),
    )
    assert worker.process.wait(30) == 69
    assert " ready." not in worker.output()


def test_a_worker_gives_up_after_as_many_attempts_as_were_asked_for(cluster: Cluster) -> None:
    cluster.server.stop()
    worker = start(
        cluster,
        [str(BIN / "tq")],
        PEER_SETTINGS=json.dumps({"broker_connection_max_retries": 2}),
    )
    assert worker.process.wait(30) == 69


def test_late_tasks_end_with_their_connection_where_that_is_asked_for(cluster: Cluster) -> None:
    cluster.start(
        concurrency=1,
        env={
            "PEER_SETTINGS": '{"worker_cancel_long_running_tasks_on_connection_loss": true}',
            "PEER_LEASE": "30",
        },
    )
    cluster.send("mark_slowly_once", "a")
    eventually(lambda: cluster.started() == {"a": 1}, within=20)
    cluster.server.stop()
    cluster.workers[0].wait_for("is ended: its connection is lost")
    cluster.server.start()
    eventually(lambda: cluster.ended() == {"a": 1}, within=40)
    assert cluster.started() == {"a": 2}
    eventually(lambda: cluster.unsettled() == 0)


def test_term_is_a_cold_stop_where_it_is_remapped(cluster: Cluster) -> None:
    worker = cluster.start(concurrency=1, env={"REMAP_SIGTERM": "SIGQUIT"})
    cluster.send("mark", "long", 60.0)
    eventually(cluster.started, within=20)
    worker.signal(signal.SIGTERM)
    assert worker.process.wait(15) == 0
    assert cluster.redis.llen("celery") == 1


def test_usr1_writes_where_every_thread_is(cluster: Cluster) -> None:
    worker = cluster.start()
    worker.signal(signal.SIGUSR1)
    worker.wait_for("MainThread\n====")
    assert cluster.send("add", 1, 1).get(timeout=20) == 2


def test_workers_greet_each_other_and_share_what_is_revoked(cluster: Cluster) -> None:
    cluster.start(name="w1@test")
    cluster.ask("revoke", task_id=["gone"])
    cluster.redis.delete("tq:revoked")  # which tells it too
    second = cluster.start(name="w2@test")
    second.wait_for("mingle: met 1 other worker(s)")
    replies = cluster.app.control.inspect(timeout=3.0).revoked()
    assert replies == {"w1@test": ["gone"], "w2@test": ["gone"]}


def test_a_worker_that_falls_silent_is_missed(cluster: Cluster) -> None:
    first = cluster.start(name="w1@test")
    second = cluster.start(name="w2@test")
    first.wait_for("w2@test joined the party")
    second.kill_tree()
    first.wait_for("missed heartbeat from w2@test")


def test_one_of_two_workers_is_elected_and_sends_the_task(cluster: Cluster) -> None:
    first, second = cluster.start(name="w1@test"), cluster.start(name="w2@test")
    first.wait_for("w2@test joined the party")
    second.wait_for("w1@test joined the party")
    action = cluster.app.signature("works.mark", args=("elected",))
    cluster.app.control.broadcast(
        "election", arguments={"id": "e1", "topic": "task", "action": dict(action)}
    )
    eventually(lambda: cluster.ended() == {"elected": 1}, within=20)
    eventually(lambda: cluster.unsettled() == 0)
    assert cluster.started() == {"elected": 1}


def test_without_gossip_and_mingle_nobody_is_greeted_or_heard(cluster: Cluster) -> None:
    cluster.start(name="w1@test")
    quiet = cluster.start(name="w2@test", without_gossip=True, without_mingle=True)
    cluster.send("add", 1, 1).get(timeout=20)
    assert "mingle" not in quiet.output()
    assert "joined the party" not in quiet.output()


@pytest.mark.parametrize("library", ["gevent", "eventlet"])
def test_a_green_worker_runs_many_waiting_tasks_at_once(cluster: Cluster, library: str) -> None:
    worker = start(cluster, [str(BIN / "tq")], "-P", library, "-c", "50", PYTHONWARNINGS="ignore")
    worker.wait_for(" ready.")
    keys = cluster.send_marks(50, 2.0)
    eventually(lambda: len(cluster.started()) == len(keys), within=20)
    assert len(cluster.ended()) < len(keys)  # so they wait side by side
    assert next(iter(cluster.app.control.inspect(timeout=3.0).ping().values())) == {"ok": "pong"}
    eventually(lambda: len(cluster.ended()) == len(keys), within=20)
    worker.signal(signal.SIGTERM)
    assert worker.process.wait(15) == 0
    assert cluster.unsettled() == 0
