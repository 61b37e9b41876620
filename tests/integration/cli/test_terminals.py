"""Closed streams, interrupts, poor terminals."""

import signal
import subprocess
import sys

import pytest
import redis

from tests.support.processes import BIN, ROOT, Process, environment
from tests.support.waiting import eventually

pytestmark = [pytest.mark.timeout(90), pytest.mark.xdist_group("cli")]


def shell(server, line: str, **env: str) -> subprocess.CompletedProcess:
    """Run a line of bash in which `$TQ` is `tq -b <our broker>`."""
    return subprocess.run(
        ["bash", "-c", f"set -o pipefail; {line}"],
        env=environment(server.url, TQ=f"{BIN}/tq -b {server.url}", **env),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        stdin=subprocess.DEVNULL,
    )


@pytest.mark.parametrize(
    "command", ["inspect registered", "status -j", "tasks --for 0.3", "--help", "control --list"]
)
def test_a_reader_that_leaves_early_ends_it_quietly(server, worker, command):
    done = shell(server, f"$TQ {command} | head -c 1 >/dev/null")
    assert (done.returncode, done.stderr.strip()) == (0, "") or "tasks seen" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", ["inspect ping", "status", "--help", "events --dump --for 0.3"])
def test_closed_streams_are_no_reason_to_fail(server, worker, command):
    for closed in ("<&-", ">&-", "2>&-", "<&- >&- 2>&-"):
        done = shell(server, f"$TQ {command} {closed}")
        assert done.returncode == 0, (closed, done.stderr)
        assert "Traceback" not in done.stderr


def test_a_closed_stdin_refuses_what_must_be_confirmed(server, worker):
    done = shell(server, "$TQ purge -Q nothing <&-")
    assert done.returncode == 5
    assert "Traceback" not in done.stderr


def test_poor_terminals_get_plain_text(server, worker):
    done = shell(server, "unset TERM; LANG=C LC_ALL=C $TQ status && TERM=dumb $TQ inspect ping")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("w1@here\tup")
    assert "\x1b" not in done.stdout


@pytest.mark.parametrize("command", ["tasks --for 60", "events --dump", "status --expect 2 -t 60"])
def test_an_interrupt_prints_what_arrived_and_is_130(server, worker, command):
    argv = [str(BIN / "tq"), "-b", server.url, *command.split()]
    if command.startswith("status"):
        argv += ["-d", "w1@here,ghost@here"]
    with redis.Redis.from_url(server.url) as client:
        # A mailbox that nobody reads: the broker cannot know, so its answer is waited for.
        ghost = client.pubsub()
        ghost.subscribe("/0.celery.pidbox")
        before = {found["id"] for found in client.client_list()}
        with Process(argv, server.url) as running:
            eventually(lambda: settled(client, before, running), within=20, every=0.1)
            running.signal(signal.SIGINT)
            assert running.process.wait(15) == 130
            output = running.output()
        ghost.close()
    assert "Traceback" not in output
    if command.startswith("status"):
        assert "w1@here\tup" in output


def settled(client, before, running) -> bool:
    """Whether a command has been connected for two seconds: what is there has arrived."""
    assert running.process.poll() is None, running.output()
    mine = [found for found in client.client_list() if found["id"] not in before]
    return any(int(found["age"]) >= 2 for found in mine)


def test_an_interrupt_while_it_starts_is_130_too(server):
    program = (
        "import os, signal, sys; sys.argv = ['tq', 'status'];"
        "import tqconsole.__main__ as m; import tqconsole.cli.main as c;"
        "c.run = lambda argv: os.kill(os.getpid(), signal.SIGINT) or signal.pause();"
        "m.main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=environment(server.url), cwd=ROOT, capture_output=True, text=True, timeout=30,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (130, "")
