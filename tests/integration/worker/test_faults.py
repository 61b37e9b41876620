"""Processes die, servers go away, workers stop: nothing is lost, nothing is recorded twice."""

import os
import signal
from pathlib import Path

import pytest

from tests.integration.worker.conftest import Cluster
from tests.support.waiting import eventually
from tq.errors import TaskRevokedError, WorkerLostError

pytestmark = pytest.mark.timeout(120)


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_killed_tree_loses_nothing_and_repeats_only_what_it_held(cluster: Cluster) -> None:
    first = cluster.start(name="w1@test")
    keys = cluster.send_marks(2000, 0.001)
    eventually(lambda: len(cluster.ended()) > 300, within=30)
    first.kill_tree()
    held = cluster.redis.hlen("unacked")
    cluster.start(name="w2@test")
    eventually(lambda: cluster.unsettled() == 0, within=60)
    ended = cluster.ended()
    assert set(ended) == set(keys)
    assert sum(cluster.started().values()) - len(keys) <= held


def test_children_die_with_their_parent(cluster: Cluster) -> None:
    worker = cluster.start()
    pool = children(worker.pid)
    assert len(pool) == 2
    os.kill(worker.pid, signal.SIGKILL)
    eventually(lambda: not any(alive(pid) for pid in pool), within=5)


def test_a_task_whose_process_was_killed_runs_again(cluster: Cluster) -> None:
    cluster.start()
    result = cluster.send("die_once", "a")
    assert result.get(timeout=30) == "survived"
    assert cluster.started() == {"a": 2}


def test_a_task_that_always_kills_its_process_ends_in_the_dead_letters(cluster: Cluster) -> None:
    cluster.start()
    poison = cluster.send("die", "poison")
    others = [cluster.send("add", number, 1) for number in range(20)]
    assert [result.get(timeout=60) for result in others] == [n + 1 for n in range(20)]
    with pytest.raises(WorkerLostError):
        poison.get(timeout=60)
    assert cluster.started()["poison"] <= 6
    eventually(lambda: cluster.redis.llen("tq:dead") == 1)
    eventually(lambda: cluster.unsettled() == 0)


def test_an_early_acknowledged_task_is_not_repeated_but_reported(cluster: Cluster) -> None:
    worker = cluster.start(concurrency=1)
    result = cluster.send("early", "once", 30.0)
    eventually(lambda: cluster.started() == {"once": 1}, within=20)
    os.kill(children(worker.pid)[0], signal.SIGKILL)
    with pytest.raises(WorkerLostError, match="SIGKILL"):
        result.get(timeout=30)
    assert cluster.started() == {"once": 1}


@pytest.mark.parametrize("pool", ["prefork", "threads", "solo"])
def test_a_warm_stop_finishes_what_runs_and_gives_back_the_rest(
    cluster: Cluster, pool: str
) -> None:
    worker = cluster.start(pool=pool, concurrency=1)
    keys = cluster.send_marks(20, 0.5)
    eventually(cluster.started, within=20)
    worker.signal(signal.SIGTERM)
    assert worker.process.wait(15) == 0
    started, ended = cluster.started(), cluster.ended()
    assert started == ended
    assert 1 <= len(ended) < len(keys)
    assert cluster.redis.hlen("unacked") == 0
    assert cluster.redis.llen("celery") == len(keys) - len(ended)
    assert not any(b"x-tq-deliveries" in raw for raw in cluster.raw.lrange("celery", 0, -1))


def test_a_cold_stop_gives_back_what_runs(cluster: Cluster) -> None:
    worker = cluster.start(concurrency=1)
    cluster.send("mark", "long", 60.0)
    eventually(cluster.started, within=20)
    worker.signal(signal.SIGQUIT)
    assert worker.process.wait(15) == 0
    assert cluster.redis.llen("celery") == 1
    assert cluster.redis.hlen("unacked") == 0
    assert not cluster.ended()


def test_a_second_interrupt_ends_running_tasks(cluster: Cluster) -> None:
    worker = cluster.start(concurrency=1)
    cluster.send("mark", "long", 60.0)
    eventually(cluster.started, within=20)
    worker.signal(signal.SIGINT)
    worker.wait_for("warm shutdown")
    worker.signal(signal.SIGINT)
    assert worker.process.wait(15) == 1
    assert cluster.redis.llen("celery") == 1


def test_the_grace_of_a_soft_shutdown_lets_tasks_end(cluster: Cluster) -> None:
    worker = cluster.start(concurrency=1, env={"PEER_SOFT": "20"})
    result = cluster.send("mark", "short", 1.0)
    eventually(cluster.started, within=20)
    worker.signal(signal.SIGQUIT)
    assert worker.process.wait(18) == 0
    assert result.get(timeout=5) == "short"


def test_a_restarted_server_is_found_again_and_nothing_is_lost(cluster: Cluster) -> None:
    worker = cluster.start()
    keys = cluster.send_marks(300, 0.01)
    eventually(lambda: len(cluster.ended()) > 20, within=20)
    cluster.server.stop()
    worker.wait_for("does not answer")
    cluster.server.start()
    eventually(lambda: len(cluster.ended()) == len(keys), within=60)
    eventually(lambda: cluster.unsettled() == 0, within=30)
    assert worker.process.poll() is None
    assert worker.output().count("does not answer, trying again") <= 2


def test_cut_connections_do_not_lose_tasks(cluster: Cluster) -> None:
    worker = cluster.start()
    keys = cluster.send_marks(400, 0.01)
    for _ in range(4):
        done = len(cluster.ended())
        eventually(lambda done=done: len(cluster.ended()) > done, within=20)
        cluster.redis.client_kill_filter(_type="normal", skipme=True)
    eventually(lambda: len(cluster.ended()) == len(keys), within=60)
    eventually(lambda: cluster.unsettled() == 0, within=30)
    assert worker.process.poll() is None


def test_a_running_task_is_terminated(cluster: Cluster) -> None:
    cluster.start()
    result = cluster.send("mark", "long", 60.0)
    eventually(cluster.started, within=20)
    reply = cluster.ask("revoke", task_id=result.id, terminate=True, signal="SIGKILL")
    assert reply == {"ok": f"terminate: {result.id}"}
    with pytest.raises(TaskRevokedError, match="terminated"):
        result.get(timeout=20)
    eventually(lambda: cluster.unsettled() == 0)
    assert cluster.send("add", 1, 1).get(timeout=20) == 2
