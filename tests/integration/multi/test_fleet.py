"""`tq multi` with real workers."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from tests.support.processes import run_tq
from tests.support.services import RedisServer, redis_server
from tests.support.waiting import eventually
from tq import TQ, daemon

Multi = Callable[..., CompletedProcess]
APP = ("-A", "tests.support.tq_app")


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with redis_server() as running:
        yield running


@pytest.fixture
def multi(server: RedisServer, tmp_path: Path) -> Iterator[Multi]:
    """Run `tq multi`; whatever it leaves running is killed at the end."""

    def run(verb: str, *argv: str, files: bool = True, **env: str) -> CompletedProcess:
        options = (
            [f"--pidfile={tmp_path}/%n.pid", f"--logfile={tmp_path}/%n%I.log"] if files else []
        )
        return run_tq(*APP, "multi", verb, *argv, *options, url=server.url, timeout=150, **env)

    yield run
    for path in tmp_path.rglob("*.pid"):
        pid, held = daemon.pid_of(path)
        if held:
            os.kill(pid, signal.SIGKILL)


def pids(folder: Path) -> dict[str, int]:
    """The pids of the nodes that run."""
    found = {path.stem: daemon.pid_of(path) for path in folder.glob("*.pid")}
    return {name: pid for name, (pid, held) in found.items() if held}


@pytest.mark.timeout(400)
def test_a_fleet_of_ten_is_started_steered_restarted_and_stopped(server, multi, tmp_path):
    names = {f"celery{number}" for number in range(1, 11)}
    aimed = ("10", "-P", "solo", "-l", "INFO", "-Q:1-3", "images,video", "-Q:4,5", "data",
             "-Q", "default", "-L:4,5", "debug")  # fmt: skip
    started = multi("start", *aimed)
    assert started.returncode == 0, started.stdout + started.stderr
    first = pids(tmp_path)
    assert set(first) == names

    with TQ("steer", broker=server.url, set_as_current=False) as app:
        nodes = app.control.inspect(timeout=60, limit=10).active_queues()
        queues = {
            node.partition("@")[0]: {q["name"] for q in found} for node, found in nodes.items()
        }
        assert set(queues) == names
        assert queues["celery3"] == {"images", "video"}
        assert queues["celery5"] == {"data"}
        assert queues["celery10"] == {"default"}
        wanted = [node for node in nodes if node.startswith("celery1@")]
        replies = app.control.add_consumer("extra", destination=wanted, reply=True, timeout=60)
        assert len(replies) == 1
        results = [
            app.send_task("peer.add", (n, 1), queue=q)
            for n, q in enumerate(("video", "data", "default", "extra"))
        ]
        assert [result.get(timeout=60) for result in results] == [1, 2, 3, 4]

    again = multi("start", *aimed)
    assert again.returncode == 1
    assert again.stdout.count("already runs") == 10
    assert pids(tmp_path) == first

    restarted = multi("restart", *aimed)
    assert restarted.returncode == 0, restarted.stdout + restarted.stderr
    second = pids(tmp_path)
    assert set(second) == names
    assert not set(second.values()) & set(first.values())

    killed = multi("kill", "celery10")
    assert killed.returncode == 0
    assert f"SIGKILL -> {second['celery10']}" in killed.stdout
    assert set(pids(tmp_path)) == names - {"celery10"}

    stopped = multi("stopwait", "10")
    assert stopped.returncode == 0
    assert stopped.stdout.count("SIGTERM -> ") == 9
    assert "celery10@" in stopped.stdout
    assert "is down" in stopped.stdout
    assert list(tmp_path.glob("*.pid")) == []
    assert "warm shutdown" in (tmp_path / "celery4.log").read_text()


@pytest.mark.timeout(180)
def test_what_show_prints_can_be_pasted(multi, server, tmp_path):
    shown = multi("show", "my node", "-P", "solo", "-l", "INFO")
    assert shown.returncode == 0
    done = subprocess.run(
        ["sh", "-c", shown.stdout],
        env={**os.environ, "PEER_URL": server.url, "PYTHONPATH": os.pathsep.join(sys.path)},
        timeout=120,
        check=False,
        cwd=Path(__file__).parents[3],
    )
    assert done.returncode == 0
    assert set(pids(tmp_path)) == {"my node"}
    stopped = multi("stop", "-QUIT", "my node")
    assert "SIGQUIT -> " in stopped.stdout
    eventually(lambda: not pids(tmp_path), within=60)


@pytest.mark.timeout(60)
def test_what_is_shown_knows_its_folder(tmp_path):
    folder = tmp_path / "a folder"
    folder.mkdir()
    shown = run_tq("--workdir", str(folder), "multi", "show", "w", "-A", "proj")
    assert f" '--workdir={folder}' -A proj worker " in shown.stdout


@pytest.mark.timeout(180)
def test_a_worker_that_fails_to_start_is_reported_with_its_reason(multi, tmp_path):
    done = multi("start", "good", "bad", "-P", "solo", "-Q:bad", "a,,b", "-l", "INFO")
    assert done.returncode == 1
    assert "bad@" in done.stdout
    assert "an empty name in 'a,,b'" in done.stdout
    assert set(pids(tmp_path)) == {"good"}
    assert "Traceback" not in done.stdout + done.stderr
    quiet = multi("start", "bad2", "-Q", "a,,b", "--quiet")
    assert (quiet.returncode, quiet.stdout) == (1, "")
    assert "a,,b" in quiet.stderr


@pytest.mark.timeout(180)
def test_a_worker_that_fails_in_its_log_is_reported_with_it(multi, tmp_path):
    (tmp_path / "broken_app.py").write_text(
        "from tq import TQ, signals\napp = TQ('broken', broker='memory://')\n"
        "@signals.worker_init.connect\ndef refuse(**_):\n"
        "    import logging\n    logging.getLogger('proj').error('the licence is over')\n"
        "    raise SystemExit(7)\n"
    )
    done = run_tq(
        "--workdir", str(tmp_path), "multi", "start", "w", "-A", "broken_app", "-P", "solo",
        f"--pidfile={tmp_path}/%n.pid", f"--logfile={tmp_path}/%n.log", timeout=120,
    )  # fmt: skip
    assert done.returncode == 1
    assert "exit code 7" in done.stdout
    assert "the licence is over" in done.stdout


@pytest.mark.timeout(180)
def test_a_stale_pid_file_is_taken_over_and_said(multi, tmp_path):
    (tmp_path / "w.pid").write_text("1\n")
    stopped = multi("stop", "w")
    assert stopped.returncode == 0
    assert "left by a process that is gone" in stopped.stdout
    (tmp_path / "w.pid").write_text("999999999\n")
    started = multi("start", "w", "-P", "solo")
    assert started.returncode == 0
    assert "left behind" in started.stdout
    (pid,) = pids(tmp_path).values()
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: not pids(tmp_path), within=30)
    assert (tmp_path / "w.pid").exists()
    restarted = multi("restart", "w", "-P", "solo")
    assert restarted.returncode == 0
    assert set(pids(tmp_path)) == {"w"}


def test_a_missing_folder_is_named(multi, tmp_path):
    done = multi(
        "start",
        "w",
        f"--pidfile={tmp_path}/none/%n.pid",
        f"--logfile={tmp_path}/w.log",
        files=False,
    )
    assert done.returncode == 1
    assert f"{tmp_path}/none, does not exist" in done.stdout


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write below /var")
def test_without_access_to_var_the_files_lie_in_the_users_own_folder(multi, tmp_path):
    done = multi("start", "w", "-P", "solo", files=False, TQ_STATE_DIR=str(tmp_path / "state"))
    assert done.returncode == 0
    assert "not writable" in done.stderr
    assert set(pids(tmp_path / "state" / "run")) == {"w"}


def test_names_expand_and_get_print_data_only(multi):
    assert multi("names", "a", "b@x", files=False).stdout.splitlines()[1] == "b@x"
    assert multi("expand", "%n!", "2", files=False).stdout == "celery1!\ncelery2!\n"
    got = multi("get", "b", "a", "b", "-c:b", "3").stdout
    assert "-c 3" in got
    assert got.count("\n") == 1


@pytest.mark.parametrize(
    ("argv", "problem"),
    [(["frobnicate"], "No such verb"), (["start", ""], "name is empty"), (["start"], "which nodes"), (["get"], "missing"),
     (["get", "x", "3"], "no node 'x'"), (["stop", "-77", "w"], "no signal")],
)  # fmt: skip
def test_wrong_arguments_are_one_line_and_exit_2(argv, problem):
    done = run_tq("multi", *argv)
    assert done.returncode == 2
    assert problem in done.stderr
    assert "Traceback" not in done.stderr


def test_help_is_help(server):
    for argv in (["multi", "help"], ["multi", "--help"], ["multi", "start", "--help"]):
        done = run_tq(*argv)
        assert done.returncode == 0
        assert "stopwait" in done.stdout


@pytest.mark.timeout(180)
def test_a_worker_in_the_background_is_ready_when_the_command_returns(server, tmp_path):
    options = ["-P", "solo", "-l", "INFO", "-n", "bg@here", f"--pidfile={tmp_path}/%n.pid"]
    done = run_tq(*APP, "worker", "-D", *options, url=server.url, TQ_STATE_DIR=str(tmp_path))
    assert done.returncode == 0, done.stderr
    pid, held = daemon.pid_of(tmp_path / "bg.pid")
    assert held
    try:
        assert f"logs to {tmp_path}/log/bg.log" in done.stderr
        assert "ready." in (tmp_path / "log" / "bg.log").read_text()
        ping = run_tq(
            "-b", server.url, "inspect", "ping", "-j", "-t", "5", "-d", "bg@here", url=server.url
        )
        assert json.loads(ping.stdout) == {"bg@here": {"ok": "pong"}}
        again = run_tq(*APP, "worker", *options, url=server.url)
        assert again.returncode == 73
        assert f"process {pid}" in again.stderr
    finally:
        os.kill(pid, signal.SIGTERM)
    eventually(lambda: not (tmp_path / "bg.pid").exists(), within=60)
