"""Closed streams, interrupts, poor terminals."""

import signal
import subprocess

import pytest

from tests.support.processes import BIN, ROOT, Process, environment

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
    with Process(argv, server.url) as running:
        wait_until_subscribed(server, running)
        running.signal(signal.SIGINT)
        assert running.process.wait(15) == 130
        output = running.output()
    assert "Traceback" not in output
    if command.startswith("status"):
        assert "w1@here\tup" in output


def wait_until_subscribed(server, running) -> None:
    """Wait until a command listens: only then has it set up everything."""
    import redis

    from tests.support.waiting import eventually

    with redis.Redis.from_url(server.url) as client:
        bindings = ("_kombu.binding.celeryev", "_kombu.binding.reply.celery.pidbox")

        def listens() -> bool:
            assert running.process.poll() is None, running.output()
            names = " ".join(str(client.pubsub_channels("*")).split())
            return any(client.scard(key) for key in bindings) or "celeryev" in names

        eventually(listens, within=20)
