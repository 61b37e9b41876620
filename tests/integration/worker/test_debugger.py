"""The debugger over a socket: `tq.contrib.rdb`, and SIGUSR2 to a process that runs a task."""

import logging
import os
import re
import signal
import socket
import threading
from typing import Any

import pytest

from tests.support.services import free_port
from tests.support.waiting import eventually
from tq.contrib import rdb
from tq.errors import ConfigError

pytestmark = pytest.mark.timeout(90)

WAITS = re.compile(r"debugger waits: telnet 127\.0\.0\.1 (\d+)")


class Client:
    """Somebody who types; waits for each prompt."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=60)

    def read(self) -> str:
        """Everything up to the next prompt, or up to the end of the session."""
        text = b""
        while not text.endswith(b"(rdb) ") and (more := self._socket.recv(4096)):
            text += more
        return text.decode()

    def type(self, line: str) -> str:
        self._socket.sendall(f"{line}\r\n".encode())  # as telnet ends lines
        return self.read()

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()


class Debugged(threading.Thread):
    """A program that stops for a debugger."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.value: Any = None
        self.start()

    def run(self) -> None:
        x = 1
        rdb.set_trace()
        y = x + 1
        z = y * 10
        self.value = (x, y, z)


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture):
    """Tells at which port the newest debugger waits."""
    caplog.set_level(logging.WARNING)
    first = free_port()
    monkeypatch.setenv("CELERY_RDB_PORT", str(first))

    def port(number: int = 1) -> int:
        found = eventually(lambda: _nth(WAITS.findall(caplog.text), number), within=30)
        return int(found)

    return port


def _nth(found: list[str], number: int) -> str | None:
    return found[number - 1] if len(found) >= number else None


def test_steps_variables_and_breakpoints(port) -> None:
    program = Debugged()
    with Client(port()) as client:
        assert "-> y = x + 1" in client.read()
        assert client.type("p x") == "1\n(rdb) "
        client.type("x = 5")
        assert "-> z = y * 10" in client.type("n")
        assert client.type("p y").startswith("6")
        assert "Breakpoint 1" in client.type(f"b {__file__}:{_line('self.value = (x')}")
        assert "-> self.value = (x, y, z)" in client.type("c")
        assert client.type("p z").startswith("60")
        client.type("clear 1")
        assert client.type("c") == ""
    program.join(30)
    assert program.value == (5, 6, 60)


def _line(text: str) -> int:
    with open(__file__, encoding="utf-8") as source:
        return next(number for number, line in enumerate(source, 1) if text in line)


@pytest.mark.parametrize("word", ["quit", "exit", "q", "continue"])
def test_the_program_goes_on_when_the_session_ends(port, word: str) -> None:
    program = Debugged()
    with Client(port()) as client:
        client.read()
        assert client.type(word) == ""
    program.join(30)
    assert program.value == (1, 2, 20)


@pytest.mark.parametrize("first", [None, "n"])
def test_the_program_goes_on_when_the_client_is_gone(port, first: str | None) -> None:
    program = Debugged()
    with Client(port()) as client:
        client.read()
        if first:
            client.type(first)
    program.join(30)
    assert program.value == (1, 2, 20)


def test_the_program_can_be_debugged_again(port) -> None:
    for number in (1, 2):
        program = Debugged()
        with Client(port(number)) as client:
            client.read()
            client.type("c")
        program.join(30)
        assert program.value == (1, 2, 20)


def test_commands_that_make_no_sense_here_say_so(port) -> None:
    program = Debugged()
    with Client(port()) as client:
        client.read()
        assert "cannot be started anew" in client.type("run")
        assert "needs a terminal" in client.type("interact")
        assert "goes on" in client.type("help quit")
        client.type("c")
    program.join(30)
    assert program.value == (1, 2, 20)


def test_a_port_in_use_is_passed_over(port, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        monkeypatch.setenv("CELERY_RDB_PORT", str(taken))
        program = Debugged()
        found = port()
        assert taken < found < taken + 100
        with Client(found) as client:
            client.read()
            client.type("c")
        program.join(30)
    assert program.value == (1, 2, 20)


def test_a_place_that_cannot_be_listened_at_is_one_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CELERY_RDB_PORT", "telnet")
    with pytest.raises(ConfigError, match="CELERY_RDB_PORT must be a port, not 'telnet'"):
        rdb.set_trace()
    monkeypatch.setenv("CELERY_RDB_PORT", "6899")
    monkeypatch.setenv("CELERY_RDB_HOST", "192.0.2.1")
    with pytest.raises(ConfigError, match=r"cannot listen at 192\.0\.2\.1"):
        rdb.set_trace()


@pytest.mark.parametrize("pool", ["prefork", "solo"])
def test_sigusr2_debugs_the_task_that_runs(cluster, pool: str) -> None:
    env = {"CELERY_RDBSIG": "1", "CELERY_RDB_PORT": str(free_port())}
    worker = cluster.start(env=env, pool=pool, concurrency=1)
    result = cluster.send("mark", "held", 600.0)
    running = eventually(lambda: _active(cluster), within=30)
    os.kill(running["worker_pid"], signal.SIGUSR2)
    worker.wait_for("debugger waits: telnet")
    with Client(int(WAITS.findall(worker.output())[0])) as client:
        shown = client.read()
        while "mark()" not in shown:  # the signal may have met it in a call of its own
            shown = client.type("up")
            assert "Oldest frame" not in shown
        assert client.type("p key").startswith("'held'")
        # The worker lives on while its task is debugged.
        assert cluster.app.control.inspect(timeout=30).ping() == {"w1@test": {"ok": "pong"}}
        assert client.type("c") == ""
    worker.wait_for("debugger has ended")
    assert f"works.mark[{result.id}] is to be debugged" in worker.output()
    assert _active(cluster)["id"] == result.id


def _active(cluster: Any) -> dict[str, Any] | None:
    answers = cluster.app.control.inspect(timeout=30).active() or {}
    tasks = [task for tasks in answers.values() for task in tasks]
    return next((task for task in tasks if task["worker_pid"]), None)


def test_sigusr2_to_a_process_without_a_task_says_so(cluster) -> None:
    worker = cluster.start(env={"CELERY_RDBSIG": "1"}, concurrency=1)
    worker.signal(signal.SIGUSR2)
    worker.wait_for("SIGUSR2: this thread runs no tasks and must not wait")
    child = cluster.app.control.inspect(timeout=30).stats()["w1@test"]["pool"]["processes"][0]
    os.kill(child, signal.SIGUSR2)
    worker.wait_for("SIGUSR2: no task runs in this process now")
    assert cluster.send("mark", "after").get(timeout=30) is not False
