"""What the benchmarks measure with: a private Redis, the CPU time of a process group, tables."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import redis

TICK = os.sysconf("SC_CLK_TCK")


def free_port() -> int:
    """Return a TCP port nobody listens on."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@contextmanager
def private_redis() -> Iterator[str]:
    """Run a Redis server without persistence; yields its URL."""
    port = free_port()
    folder = tempfile.mkdtemp(prefix="tq-bench-")
    server = subprocess.Popen(
        ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", folder],
        stdout=subprocess.DEVNULL,
    )
    url = f"redis://127.0.0.1:{port}/0"
    try:
        client = redis.Redis.from_url(url)
        wait(lambda: _pings(client), 10)
        yield url
    finally:
        server.terminate()
        server.wait(10)
        shutil.rmtree(folder, ignore_errors=True)


def _pings(client: "redis.Redis") -> bool:
    try:
        return bool(client.ping())
    except redis.RedisError:
        return False


def wait(condition: Callable[[], Any], seconds: float, every: float = 0.02) -> None:
    """Wait for a condition, or end the benchmark."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit(f"benchmark: nothing happened for {seconds} s")
        time.sleep(every)


def group_cpu(pgid: int) -> float:
    """Return the CPU seconds of all living processes of a group and their reaped children."""
    total = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:  # it ended while we looked
            continue
        if int(fields[2]) == pgid:
            total += sum(int(value) for value in fields[11:15])
    return total / TICK


@dataclass
class Sample:
    """Figures of one measured stretch."""

    wall: float
    cpu: float
    commands: int

    def per(self, count: int) -> "Row":
        """Divide by the number of tasks."""
        return Row(count / self.wall, self.cpu / count * 1e6, self.commands / count)


@dataclass
class Row:
    """Figures per task."""

    rate: float
    cpu_us: float
    commands: float


def redis_cost(client: "redis.Redis") -> tuple[float, int]:
    """Return the server's CPU seconds and the number of commands clients have sent."""
    info: Any = client.info("all")
    cpu = info["used_cpu_user"] + info["used_cpu_sys"]
    return cpu, info["total_commands_processed"]


class Worker:
    """A worker of whichever product, in a process group of its own."""

    def __init__(self, argv: list[str], url: str) -> None:
        """Start the process."""
        env = {**os.environ, "BENCH_URL": url}
        folder = Path(__file__).parent / "apps"
        env["PYTHONPATH"] = str(folder)
        log = open(os.environ.get("BENCH_LOG", os.devnull), "ab")  # noqa: SIM115 - lives with the worker
        self.process = subprocess.Popen(
            argv, env=env, cwd=folder, stdout=log, stderr=log, start_new_session=True
        )
        self.pgid = self.process.pid

    def signal(self, number: int) -> None:
        """Signal the whole group."""
        os.killpg(self.pgid, number)

    def stop(self) -> None:
        """End it, and do not wait for courtesies."""
        with suppress(ProcessLookupError):
            self.signal(signal.SIGKILL)
        self.process.wait(20)


def table(title: str, heads: list[str], rows: list[list[str]]) -> None:
    """Print a table."""
    widths = [max(map(len, column)) for column in zip(heads, *rows, strict=True)]
    print(f"\n{title}")
    for row in [heads, *rows]:
        print("  " + "  ".join(cell.rjust(w) for cell, w in zip(row, widths, strict=True)))
