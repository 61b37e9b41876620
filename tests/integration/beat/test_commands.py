"""`tq beat` and `tq worker -B` as a user runs them."""

import json
import os
import signal
import sys
import time

import kombu
import pytest

from tests.integration.beat.conftest import sent
from tests.support.processes import BIN, Process, run_tq
from tests.support.services import rabbitmq_url
from tests.support.waiting import eventually
from tq import TQ, daemon

APP = ("-A", "tests.support.beat_app")


@pytest.mark.timeout(180)
def test_beat_sends_and_ends_in_order(beat, store, tmp_path):
    process = beat()
    eventually(lambda: store.llen("beatq") >= 3, within=60)
    assert daemon.pid_of(tmp_path / "beat0.pid") == (process.pid, True)
    assert process.stop() == 0
    assert not (tmp_path / "beat0.pid").exists()
    entries = json.loads((tmp_path / "state0").read_text())["entries"]
    assert entries["tick"]["total_run_count"] == store.llen("beatq")
    assert set(entries) == {"tick", "nightly", "hourly tock"}
    headers = sent(store)[0]
    assert (headers["task"], headers["celery_beat_task"]) == ("beat.tick", True)
    assert headers["argsrepr"] == "[1]"


@pytest.mark.timeout(180)
def test_a_damaged_file_is_put_aside_with_a_warning(beat, store, tmp_path):
    (tmp_path / "state0").write_bytes(b"\x80\x04no json")
    process = beat()
    process.wait_for("cannot be read (it is not JSON)")
    eventually(lambda: store.llen("beatq") >= 1, within=60)
    assert process.stop() == 0
    (aside,) = tmp_path.glob("state0.damaged-*")
    assert aside.read_bytes() == b"\x80\x04no json"
    assert "tick" in json.loads((tmp_path / "state0").read_text())["entries"]


@pytest.mark.timeout(180)
def test_a_pid_file_that_is_held_refuses_a_second_beat(server, beat, tmp_path):
    first = beat()
    first.wait_for("this beat leads")
    second = run_tq(
        *APP, "beat", f"--pidfile={tmp_path}/beat0.pid", "-s", str(tmp_path / "s"),
        url=server.url,
    )  # fmt: skip
    assert second.returncode == 73
    assert f"process {first.pid}" in second.stderr
    assert "Traceback" not in second.stderr


@pytest.mark.timeout(180)
def test_beat_answers_ping_when_it_is_told_to(server, beat, store):
    process = beat("-n", "clock@here", "--enable-remote-control")
    process.wait_for("this beat leads")
    eventually(lambda: store.scard("_kombu.binding.celery.pidbox") == 1, within=60)
    answer = run_tq(
        "-b", server.url, "inspect", "-j", "-t", "30", "-d", "clock@here", "ping", url=server.url
    )
    assert json.loads(answer.stdout) == {"clock@here": {"ok": "pong"}}
    assert process.stop() == 0
    assert store.scard("_kombu.binding.celery.pidbox") == 0


@pytest.mark.timeout(180)
def test_beat_in_the_background_is_ready_when_the_command_returns(server, store, tmp_path):
    options = [f"--pidfile={tmp_path}/b.pid", f"--logfile={tmp_path}/%n.log", "-s", f"{tmp_path}/s"]
    done = run_tq(*APP, "beat", "--detach", "-l", "INFO", *options, url=server.url)
    assert (done.returncode, done.stdout) == (0, "")
    pid, held = daemon.pid_of(tmp_path / "b.pid")
    assert held
    try:
        eventually(lambda: store.llen("beatq") >= 2, within=60)
        again = run_tq(*APP, "beat", "--detach", *options, url=server.url)
        assert again.returncode == 73
        assert str(pid) in again.stderr
    finally:
        os.kill(pid, signal.SIGTERM)
    eventually(lambda: not daemon.pid_of(tmp_path / "b.pid")[1], within=60)
    assert "sent due task" in (tmp_path / "celerybeat.log").read_text()


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (["-s", "/nonexistent/folder/state"], "folder"),
        (["--pidfile=/nonexistent/b.pid"], "folder of the pid file"),
        (["--umask", "999", "--pidfile="], "octal"),
        (["--uid", "nobody-of-that-name", "--pidfile="], "no user"),
        (
            ["-S", "django_celery_beat.schedulers:DatabaseScheduler", "--pidfile="],
            "cannot be imported",
        ),
        (["--max-interval", "0"], "max-interval"),
    ],
)
def test_a_wrong_option_is_one_line_and_exit_2(tmp_path, options, problem):
    done = run_tq("--workdir", str(tmp_path), *APP, "beat", *options, url="memory://x")
    assert done.returncode == 2
    assert problem in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.timeout(180)
@pytest.mark.parametrize("pool", ["prefork", "solo"])
def test_a_worker_with_beat_runs_what_it_schedules(server, store, tmp_path, pool):
    argv = [str(BIN / "tq"), *APP, "worker", "-B", "-s", str(tmp_path / "state"), "-P", pool]
    argv += ["-c", "1", "-l", "INFO", "-Q", "beatq", "-n", f"with-{pool}@beat"]
    with Process(argv, server.url) as worker:
        worker.wait_for("sent due task tick", within=60)
        eventually(lambda: done(store) >= 2, within=60)
        assert worker.stop() == 0
        assert "Traceback" not in worker.output()
    assert json.loads((tmp_path / "state").read_text())["entries"]["tick"]["total_run_count"] >= 2


def done(store) -> int:
    """How many tasks have left a result."""
    return sum(1 for _ in store.scan_iter("celery-task-meta-*"))


def test_the_store_of_a_beat_needs_the_beat(tmp_path):
    done = run_tq(*APP, "worker", "-s", str(tmp_path / "state"), url="memory://x")
    assert done.returncode == 2
    assert "--beat" in done.stderr


@pytest.mark.timeout(180)
def test_on_rabbitmq_a_single_beat_sends_with_a_warning(tmp_path):
    url, queue = rabbitmq_url(), f"beat-{time.time_ns()}"
    argv = [str(BIN / "tq"), *APP, "beat", "-l", "INFO", "--pidfile=", "-s", str(tmp_path / "s")]
    with TQ("look", broker=url, set_as_current=False) as app:
        with Process(argv, url, BEAT_QUEUE=queue) as process:
            process.wait_for("run one beat only")
            process.wait_for("sent due task tick")
            eventually(lambda: app.broker.depths([queue])[queue] >= 2, within=60)
            assert process.stop() == 0
        drop(url, queue)


def drop(url: str, queue: str) -> None:
    with kombu.Connection(url) as connection:
        connection.default_channel.queue_delete(queue)


@pytest.mark.timeout(180)
def test_schedules_are_listed_with_what_the_leader_did(server, beat, store, tmp_path):
    before = run_tq(*APP, "schedules", "-j", url=server.url)
    assert before.returncode == 0
    assert "no beat runs" in before.stderr
    assert [row["runs"] for row in json.loads(before.stdout)] == [0, 0, 0]
    process = beat()
    eventually(lambda: store.llen("beatq") >= 2, within=60)
    listed = run_tq(*APP, "schedules", "-o", "jsonl", url=server.url)
    rows = {row["name"]: row for row in map(json.loads, listed.stdout.splitlines())}
    assert rows["tick"]["schedule"] == "every 0.25 seconds"
    assert rows["tick"]["runs"] >= 2
    assert rows["nightly"]["schedule"] == "at 03:00 every day"
    assert rows["nightly"]["last"] == "never"
    assert f":{process.pid}:" in listed.stderr
    assert process.stop() == 0
    plain = run_tq(*APP, "schedules", url=server.url)
    assert plain.stdout.count("\n") == 3


def test_without_redis_schedules_come_from_the_file_which_is_left_alone(tmp_path):
    path = tmp_path / "state"
    path.write_text("no json")
    done = run_tq(*APP, "schedules", "-s", str(path), url="memory://x")
    assert done.returncode == 2
    assert "not JSON" in done.stderr
    assert path.read_text() == "no json"
    path.unlink()
    done = run_tq(*APP, "schedules", "-s", str(path), url="memory://x")
    assert (done.returncode, done.stderr) == (0, "")
    assert not path.exists()


@pytest.mark.timeout(180)
def test_a_program_of_the_users_own_runs_beat(server, store, tmp_path):
    code = (
        "import sys; from tests.support.beat_app import app; "
        f"sys.exit(app.Beat(loglevel='INFO', schedule={str(tmp_path / 'state')!r}).run())"
    )
    with Process([sys.executable, "-c", code], server.url) as process:
        process.wait_for("sent due task tick")
        assert process.stop() == 0
    assert "tick" in json.loads((tmp_path / "state").read_text())["entries"]
