"""`tq demo`."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tq.errors import BrokerError, TQError
from tqconsole.cli.options import Globals, app_options, load_app
from tqconsole.cli.output import note

if TYPE_CHECKING:
    from tq import TQ

__all__ = ["command"]

_QUEUES = ("demo", "demo.slow")
_WORKERS = (
    ["-n", "prefork@%h", "-P", "prefork", "-c", "4"],
    ["-n", "threads@%h", "-P", "threads", "-c", "8"],
)
_READY_WITHIN = 20.0


@click.command("demo", context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--seconds",
    type=click.FloatRange(min=0.5),
    default=5.0,
    show_default=True,
    help="How long to print events where there is no terminal.",
)
@app_options
def command(given: Globals, seconds: float) -> int:
    """Start a broker, two workers and a load, and open the console on them.

    Without a terminal the events are printed for a few seconds instead. Everything that was
    started is stopped at the end; the embedded broker stays for `tq broker stop`.
    """
    given.app = "tqconsole.demo.tasks"
    app = load_app(given)
    app.broker.ping(10.0)
    note(f"demo: broker {app.broker.url}", given.quiet)
    with tempfile.TemporaryDirectory(prefix="tq-demo-") as folder, _running(app, Path(folder)):
        if sys.stdout.isatty() and sys.stdin.isatty():
            from tqconsole.tui import run  # deferred: the console is for terminals only

            return run(app)
        return _dump(app, seconds)


def _dump(app: "TQ", seconds: float) -> int:
    from tqconsole.cli.dump import Dump  # deferred: the console needs none of it

    return Dump(app, form="line").run(seconds=seconds)


@contextmanager
def _running(app: "TQ", folder: Path) -> Iterator[None]:
    """Run the workers and the load, and take them down again."""
    processes: list[subprocess.Popen[bytes]] = []
    try:
        for number, options in enumerate(_WORKERS):
            argv = ["tqconsole", "worker", "-A", "tqconsole.demo.tasks", "-E", "-l", "INFO"]
            argv += ["-Q", ",".join(_QUEUES), *options]
            processes.append(_start(argv, app, folder / f"worker{number}.log"))
        _wait_ready(app, processes, folder)
        processes.append(_start(["tqconsole.demo.load"], app, folder / "load.log"))
        yield
    finally:
        _stop(processes)
        for queue in _QUEUES:
            try:
                app.broker.purge(queue)
            except BrokerError as exc:
                note(f"demo: the queue {queue} could not be emptied: {exc}")


def _start(argv: list[str], app: "TQ", log: Path) -> "subprocess.Popen[bytes]":
    # The URL goes through the environment: arguments can be read by everybody on the machine.
    env = {**os.environ, "TQ_BROKER_URL": app.conf.broker_url or ""}
    if not app.conf.broker_url:
        del env["TQ_BROKER_URL"]
    with log.open("wb") as out:
        return subprocess.Popen(
            [sys.executable, "-m", *argv],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            env=env,
            start_new_session=True,
        )


def _wait_ready(app: "TQ", processes: list["subprocess.Popen[bytes]"], folder: Path) -> None:
    """Wait until both workers answer.

    Raises:
        TQError: One ended, or did not come up; the message holds the end of its log.
    """
    deadline = time.monotonic() + _READY_WITHIN
    wanted = len(_WORKERS)
    while True:
        replies = app.control.mailbox.broadcast("ping", reply=True, timeout=0.3, limit=wanted)
        if len({reply.node for reply in replies if "@" in reply.node}) >= wanted:
            return
        dead = [n for n, process in enumerate(processes) if process.poll() is not None]
        if dead or time.monotonic() > deadline:
            number = dead[0] if dead else 0
            tail = (folder / f"worker{number}.log").read_text(errors="replace")[-2000:]
            raise TQError(f"demo: worker {number} did not start:\n{tail}")


def _stop(processes: list["subprocess.Popen[bytes]"]) -> None:
    for process in reversed(processes):
        if process.poll() is None:
            process.terminate()
    deadline = time.monotonic() + 5.0
    for process in processes:
        try:
            process.wait(max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()  # a report may run for 12 s; the demo's tasks are nobody's loss
            process.wait(5.0)
