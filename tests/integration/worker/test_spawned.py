"""`worker_pool_start_method="spawn"`: pool processes that are no forks."""

import sys

import pytest

from tests.support.processes import Process
from tests.support.waiting import eventually
from tq.errors import SoftTimeLimitExceeded

pytestmark = pytest.mark.timeout(120)


def test_spawned_children_run_and_settle_tasks(cluster) -> None:
    worker = cluster.start(pool_start_method="spawn", concurrency=2)
    assert cluster.send("add", 2, 3).get(timeout=60) == 5
    keys = cluster.send_marks(50)
    eventually(lambda: cluster.ended() == dict.fromkeys(keys, 1), within=60)
    eventually(lambda: cluster.unsettled() == 0, within=30)
    assert worker.stop(30) == 0


def test_they_keep_limits_and_log_as_the_worker_does(cluster) -> None:
    worker = cluster.start(pool_start_method="spawn", concurrency=1)
    assert cluster.send("soft").get(timeout=60) == "cleaned up"
    cluster.send("talk").get(timeout=60)
    worker.wait_for("words of a task")
    worker.wait_for("printed by a task")
    lines = [line for line in worker.output().splitlines() if "words of a task" in line]
    assert "ForkPoolWorker-1" in lines[0]
    assert "works.talk" in lines[0]


def test_they_are_replaced_when_they_die(cluster) -> None:
    cluster.start(pool_start_method="spawn", concurrency=1)
    assert cluster.send("die_once", "key").get(timeout=60) == "survived"
    assert cluster.send("add", 1, 1).get(timeout=60) == 2


def test_a_setting_of_the_command_line_reaches_them(cluster) -> None:
    cluster.start(pool_start_method="spawn", concurrency=1, soft_time_limit=0.3)
    with pytest.raises(SoftTimeLimitExceeded):
        cluster.send("mark", "slow", 600.0).get(timeout=60)


def test_tasks_of_the_program_itself_are_one_line(cluster, tmp_path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        "import os, sys\n"
        "from tq import TQ\n"
        "app = TQ('program', broker=os.environ['PEER_URL'])\n"
        "@app.task\n"
        "def add(x, y): return x + y\n"
        "app.worker_main(['worker', '-c', '1'])\n"
    )
    with Process(
        [sys.executable, str(program)], cluster.url, TQ_WORKER_POOL_START_METHOD="spawn"
    ) as worker:
        assert worker.process.wait(60) == 2
        assert "defined in __main__" in worker.output()
        assert "Traceback" not in worker.output()
