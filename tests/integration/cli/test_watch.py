"""A gate for deployments: 0 when it is so, 1 when it must not be, 124 when time is over."""

import json
import signal

import pytest

from tests.support.processes import BIN, Process
from tests.support.services import redis_server
from tests.support.waiting import eventually

pytestmark = [pytest.mark.timeout(90), pytest.mark.xdist_group("cli")]


def watch(tq, server, *argv: str) -> tuple[int, str]:
    """Run `tq watch ...` until it ends by itself, with failing and other tasks meanwhile."""
    with Process([str(BIN / "tq"), "-b", server.url, "watch", *argv], server.url) as watching:

        def ended() -> bool:
            tq("call", "peer.fail", "-a", '["no luck"]')
            tq("call", "peer.add", "-a", "[1, 1]")
            return watching.process.poll() is not None

        eventually(ended, within=40, every=0.2)
        return watching.process.returncode, watching.output()


def test_it_ends_when_all_that_is_waited_for_is_so(tq, server):
    code, text = watch(
        tq, server, "--until", "count(name:peer.fail state:failure) >= 2",
        "--until", "count(name:peer.add state:success) >= 1", "--for", "60s",
    )  # fmt: skip
    assert code == 0, text
    assert "until\tcount(name:peer.add state:success) >= 1\tyes" in text


def test_it_fails_as_soon_as_what_must_not_be_is_so(tq, server):
    code, text = watch(
        tq, server, "--fail-if", "rate(state:failure name:peer.fail) > 1%", "--for", "60s",
        "--until", "count(name:nothing) = 1",
    )  # fmt: skip
    assert code == 1, text
    assert "failed after" in text
    assert "100%" in text


def test_time_is_over_before_it_is_so(tq):
    done = tq("watch", "--until", "count(name:nothing) = 1", "--for", "0.5s", "-j")
    assert done.returncode == 124
    (row,) = json.loads(done.stdout)
    assert row == {
        "what": "until", "condition": "count(name:nothing) = 1", "holds": "no", "value": "0",
    }  # fmt: skip
    assert "not reached" in done.stderr


def test_nothing_bad_in_the_time_is_good(tq):
    done = tq("watch", "--fail-if", "count(name:nothing) > 0", "--for", "0.5s")
    assert done.returncode == 0
    assert "held" in done.stderr


def test_queues_and_workers_are_counted(tq):
    for _ in range(2):
        tq("call", "peer.add", "-a", "[1, 1]", "--queue", "unserved")
    wanted = ("--until", "depth(unserved) = 2", "--until", "workers(w*@here) = 1")
    assert tq("watch", *wanted, "--for", "30s").returncode == 0
    tq("purge", "-f", "-Q", "unserved")


def test_a_task_that_ran_before_is_known(tq):
    task_id = tq("call", "peer.sleep", "-a", "[600]").stdout.strip()
    eventually(lambda: task_id in tq("inspect", "active", "-j").stdout, within=20)
    running = f"count(name:peer.sleep id:{task_id} state:started) = 1"
    assert tq("watch", "--until", running, "--for", "30s").returncode == 0
    tq("control", "terminate", "KILL", task_id)
    gone = "count(name:peer.sleep state:started) = 0"
    eventually(lambda: task_id not in tq("inspect", "active", "-j").stdout, within=20)
    assert tq("watch", "--until", gone, "--for", "30s").returncode == 0


def test_an_interrupt_tells_how_far_it_got(server, worker):
    argv = [str(BIN / "tq"), "-b", server.url, "watch", "--until", "count(name:nothing) = 1", "-v"]
    with Process(argv, server.url) as watching:
        watching.wait_for("watching")
        watching.signal(signal.SIGINT)
        assert watching.process.wait(20) == 130
        assert "Traceback" not in watching.output()


def test_a_gate_that_missed_events_does_not_say_that_all_was_well():
    with redis_server(tcp=True) as broker:
        argv = ["watch", "--fail-if", "count() > 0", "--for", "8s", "-v"]
        with Process([str(BIN / "tq"), "-b", broker.url, *argv], broker.url) as watching:
            watching.wait_for("watching")
            broker.kill()
            broker.start()
            assert watching.process.wait(40) == 69
            output = watching.output()
    assert "nobody knows whether it was so" in output
    assert "Traceback" not in output


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        ((), "--until"),
        (("--until", "cuont(x) = 1"), "did you mean count?"),
        (("--fail-if", "rate(state:failure) > 5"), "--fail-if"),
        (("--until", "count(x) = 1", "--for", "soon"), "--for"),
    ],
)
def test_a_wrong_condition_is_one_line(tq, argv, says):
    done = tq("watch", *argv)
    assert done.returncode == 2
    assert says in done.stderr.splitlines()[0]
    assert len(done.stderr.splitlines()) <= 2
