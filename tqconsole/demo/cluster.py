"""Two workers, a beat and a load in processes of their own, for the demo and the screenshots."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tq.errors import BrokerError, TQError

if TYPE_CHECKING:
    from tq import TQ

__all__ = ["APP", "running"]

APP = "tqconsole.demo.tasks"
_QUEUES = ("demo", "demo.slow")
_WORKERS = (
    ["-n", "prefork@%h", "-P", "prefork", "-c", "4"],
    ["-n", "threads@%h", "-P", "threads", "-c", "8"],
)
_READY_WITHIN = 20.0
_STOP_WITHIN = 5.0

Processes = list["subprocess.Popen[bytes]"]


@contextmanager
def running(app: "TQ") -> Iterator[None]:
    """Run two workers, a beat and the load on the application's broker, and take them down again.

    Raises:
        TQError: A worker did not come up; the message holds the end of its log.
    """
    processes: Processes = []
    with tempfile.TemporaryDirectory(prefix="tq-demo-") as name:
        folder = Path(name)
        try:
            for number, options in enumerate(_WORKERS):
                argv = ["tqconsole", "worker", "-A", APP, "-E", "-l", "INFO"]
                argv += ["-Q", ",".join(_QUEUES), *options]
                processes.append(_start(argv, app, _log(folder, number)))
            _wait_ready(app, processes, folder)
            beat = ["tqconsole", "beat", "-A", APP, "-s", str(folder / "beat.json")]
            processes.append(_start(beat, app, folder / "beat.log"))
            processes.append(_start(["tqconsole.demo.load"], app, folder / "load.log"))
            yield
        finally:
            _stop(processes)
            _empty(app)


def _log(folder: Path, number: int) -> Path:
    return folder / f"worker{number}.log"


def _start(argv: list[str], app: "TQ", log: Path) -> "subprocess.Popen[bytes]":
    # The URL goes through the environment: arguments can be read by everybody on the machine.
    env = {name: value for name, value in os.environ.items() if name != "TQ_BROKER_URL"}
    if app.conf.broker_url:
        env["TQ_BROKER_URL"] = app.conf.broker_url
    with log.open("wb") as out:
        return subprocess.Popen(
            [sys.executable, "-m", *argv],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            env=env,
            start_new_session=True,
        )


def _wait_ready(app: "TQ", processes: Processes, folder: Path) -> None:
    """Wait until both workers answer."""
    deadline = time.monotonic() + _READY_WITHIN
    while True:
        replies = app.control.mailbox.broadcast("ping", reply=True, timeout=0.3)
        before = {name.partition("@")[0] for name in (reply.node for reply in replies)}
        if {"prefork", "threads"} <= before:
            return
        dead = [n for n, process in enumerate(processes) if process.poll() is not None]
        if dead or time.monotonic() > deadline:
            number = dead[0] if dead else 0
            tail = _log(folder, number).read_text(errors="replace")[-2000:]
            raise TQError(f"demo: worker {number} did not start:\n{tail}")


def _stop(processes: Processes) -> None:
    for process in reversed(processes):
        if process.poll() is None:
            process.terminate()
    deadline = time.monotonic() + _STOP_WITHIN
    for process in processes:
        try:
            process.wait(max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()  # a report may run for 12 s; the demo's tasks are nobody's loss
            process.wait(5.0)


def _empty(app: "TQ") -> None:
    for queue in _QUEUES:
        try:
            app.broker.purge(queue)
        except BrokerError as exc:
            sys.stderr.write(f"demo: the queue {queue} could not be emptied: {exc}\n")
