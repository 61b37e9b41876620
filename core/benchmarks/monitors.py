"""Monitors side by side on one stream of events: `tq events`, its dump, Celery's, and Flower.

Run as `python core/benchmarks/monitors.py [RATE] [SECONDS]` from the project's folder. Each monitor
attaches to the same private Redis, alone, and is offered the same events in Celery's batches of 24.
"""

import fcntl
import os
import pty
import random
import signal
import statistics
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import redis
from measure import Worker, free_port, group_cpu, private_redis, table, wait

from tq.brokers import connect
from tq.clock import LamportClock
from tq.events import Emitter

BIN = Path(sys.executable).parent
COLUMNS, LINES = 160, 48
BATCH = 24  # as Celery's workers send them (celery/events/dispatcher.py, `buffer_limit`)
NAMES = ("billing.charge", "mail.send", "crawl.fetch")


class Monitor:
    """A monitor in a terminal of its own; what it writes is read, counted and timed."""

    def __init__(self, argv: list[str], *, terminal: bool) -> None:
        """Start it, on a pseudo-terminal or with its output in a pipe."""
        self.lines = self.bytes = 0
        self.last = self.began = time.perf_counter()
        self.first = 0.0
        env = {**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor"}
        if terminal:
            self._end, far = pty.openpty()
            fcntl.ioctl(far, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
        else:
            self._end, far = os.pipe()
        self.process = subprocess.Popen(
            argv, stdin=far if terminal else subprocess.DEVNULL, stdout=far,
            stderr=far if terminal else subprocess.DEVNULL, env=env, start_new_session=True,
        )  # fmt: skip
        os.close(far)
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        while True:
            try:
                data = os.read(self._end, 1 << 16)
            except OSError:  # the terminal's other end is gone
                return
            if not data:
                return
            self.last = time.perf_counter()
            self.first = self.first or self.last
            self.bytes += len(data)
            self.lines += data.count(b"\n")

    def key(self, pressed: bytes) -> float:
        """Press a key; returns the milliseconds until the terminal gets anything new."""
        before, sent = self.bytes, time.perf_counter()
        os.write(self._end, pressed)
        while self.bytes == before and time.perf_counter() < sent + 1:
            time.sleep(0.0005)
        return (self.last - sent) * 1000

    def cpu(self) -> float:
        """Return the CPU seconds it has used."""
        return group_cpu(self.process.pid)

    def memory(self) -> float:
        """Return its resident megabytes."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.partition("VmRSS:")[2].split()[0]) / 1024

    def close(self) -> None:
        """End it at once."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(10)


@contextmanager
def running(argv: list[str], *, terminal: bool) -> Iterator[Monitor]:
    """Run a monitor for a block."""
    monitor = Monitor(argv, terminal=terminal)
    try:
        yield monitor
    finally:
        monitor.close()


class Source:
    """Sends the events of made-up tasks on made-up workers, so many a second."""

    def __init__(self, url: str) -> None:
        """Connect."""
        self._broker = connect(url)
        self._emitters = [
            Emitter(self._broker, f"w{n}@node", LamportClock(), batch_limit=BATCH, auto_flush=True)
            for n in range(4)
        ]
        self._dice = random.Random(3)

    def send(self, tasks: int) -> int:
        """Send the three events of each of `tasks` tasks; returns the number of events."""
        for _ in range(tasks):
            emitter, uuid = self._dice.choice(self._emitters), f"{self._dice.getrandbits(128):032x}"
            emitter.send(
                "task-received", uuid=uuid, name=self._dice.choice(NAMES), args="(1, 2)",
                kwargs="{}", root_id=uuid, parent_id=None, retries=0, eta=None, expires=None,
            )  # fmt: skip
            emitter.send("task-started", uuid=uuid)
            emitter.send("task-succeeded", uuid=uuid, result="3", runtime=0.01)
        return 3 * tasks

    def heartbeat(self) -> None:
        """Show that the workers live."""
        for emitter in self._emitters:
            emitter.send("worker-heartbeat", freq=2.0, sw_ident="py", active=0, processed=0)
        self.flush()

    def flush(self) -> None:
        """Send what waits for its batch to be full."""
        for emitter in self._emitters:
            emitter.flush()

    def stream(self, rate: int, seconds: float) -> int:
        """Send `rate` events a second; returns how many were sent."""
        self.heartbeat()
        sent, began = 0, time.monotonic()
        while (now := time.monotonic() - began) < seconds:
            due = int(now * rate) - sent
            if due >= 3:
                sent += self.send(due // 3)
            time.sleep(0.005)
        self.flush()
        return sent


def monitors(url: str) -> dict[str, tuple[list[str], bool]]:
    """Return each monitor's command, and whether it needs a terminal."""
    port = str(free_port())
    celery = [str(BIN / "celery"), "-b", url]
    return {
        "tq events": ([str(BIN / "tq"), "-b", url, "events"], True),
        "celery events": ([*celery, "events"], True),
        "flower": ([*celery, "flower", f"--port={port}"], False),
        "tq events --dump": ([str(BIN / "tq"), "-b", url, "events", "--dump"], False),
        "celery events --dump": ([*celery, "events", "--dump"], False),
    }


def listening(client: "redis.Redis", monitor: Monitor) -> None:
    """Wait until somebody subscribed to task events."""
    wait(lambda: client.pubsub_numpat() or client.pubsub_channels("*celeryev*"), 20)
    wait(lambda: monitor.first or monitor.process.poll() is None, 20)
    time.sleep(1.0)


def watch(url: str, rate: int, seconds: float) -> None:
    """Print what each monitor costs at one rate, and whether it saw everything."""
    client, source, rows = redis.Redis.from_url(url), Source(url), []
    for name, (argv, terminal) in monitors(url).items():
        with running(argv, terminal=terminal) as monitor:
            listening(client, monitor)
            source.stream(rate, 2)
            time.sleep(0.5)
            before, lines = monitor.cpu(), monitor.lines
            sent = source.stream(rate, seconds)
            wait(lambda m=monitor: time.perf_counter() - m.last > 1.0, 60)  # type: ignore[misc]
            share = (monitor.cpu() - before) / seconds
            seen = f"{(monitor.lines - lines) / sent:.0%}" if "dump" in name else "-"
            rows.append([name, f"{share:.0%}", f"{monitor.memory():.0f}", seen])
        client.flushall()
    heads = ["monitor", "of a core", "MB", "lines/events"]
    table(f"{rate:,} events a second for {seconds:.0f} s", heads, rows)


def dump_rate(url: str, tasks: int) -> None:
    """Print how fast each dump writes when events come as fast as they can be sent."""
    client, source, rows = redis.Redis.from_url(url), Source(url), []
    for name, (argv, terminal) in monitors(url).items():
        if "dump" not in name:
            continue
        with running(argv, terminal=terminal) as monitor:
            listening(client, monitor)
            began, lines, sent = time.perf_counter(), monitor.lines, 0
            for _ in range(0, tasks, 200):
                sent += source.send(200)
                # Redis cuts a subscriber off that is too far behind.
                wait(lambda m=monitor, n=sent, at=lines: n - (m.lines - at) < 30_000, 60, 0.001)  # type: ignore[misc]
            source.flush()
            wait(lambda m=monitor, n=sent, at=lines: m.lines - at >= n, 120, 0.01)  # type: ignore[misc]
            rows.append([name, f"{sent / (time.perf_counter() - began):,.0f}"])
        client.flushall()
    table("dump at full speed", ["monitor", "lines/s"], rows)


def keys(url: str, rate: int) -> None:
    """Print how long a key takes to change the screen, idle and under load."""
    client, rows = redis.Redis.from_url(url), []
    for name, (argv, terminal) in monitors(url).items():
        if not terminal:
            continue
        source = Source(url)
        with running(argv, terminal=True) as monitor:
            listening(client, monitor)
            source.stream(300, 1)
            if name == "tq events":
                monitor.key(b"2")
            for load in (0, rate):
                stop = threading.Event()
                sender = threading.Thread(target=_until, args=(stop, source, load))
                sender.start()
                time.sleep(1.0)
                times = [_pressed(monitor, b"j" if n % 2 else b"k") for n in range(24)]
                stop.set()
                sender.join()
                p50, p95 = statistics.median(times), sorted(times)[int(len(times) * 0.95)]
                rows.append([name, f"{load:,}", f"{p50:.0f}", f"{p95:.0f}"])
        client.flushall()
    table("key to paint", ["monitor", "events/s", "p50 ms", "p95 ms"], rows)


def _until(stop: threading.Event, source: Source, rate: int) -> None:
    while not stop.is_set():
        if rate:
            source.stream(rate, 0.2)
        else:
            stop.wait(0.2)


def _pressed(monitor: Monitor, pressed: bytes) -> float:
    time.sleep(0.05)
    return monitor.key(pressed)


def starts(url: str) -> None:
    """Print the time to the first paint, and to a whole `status` of three workers."""
    rows = []
    for name, (argv, terminal) in monitors(url).items():
        if terminal:
            times = []
            for _ in range(5):
                with running(argv, terminal=True) as monitor:
                    wait(lambda m=monitor: m.bytes > 2000, 20, 0.002)  # type: ignore[misc]
                    times.append(monitor.last - monitor.began)
            rows.append([f"{name}: first paint", f"{statistics.median(times):.2f}"])
    argv = [str(BIN / "tq"), "worker", "-A", "tq_app", "-P", "solo"]
    workers = [Worker([*argv, "-n", f"w{number}@bench"], url) for number in range(3)]
    try:
        status: Callable[..., Any] = lambda *command: subprocess.run(  # noqa: E731 - used twice
            command, capture_output=True, text=True, check=False
        )
        tq = [str(BIN / "tq"), "-b", url, "status"]
        wait(lambda: status(*tq).stdout.count("@bench") >= 3, 30)
        for name, command in (
            ("tq status", tq),
            ("celery status", [str(BIN / "celery"), "-b", url, "status"]),
        ):
            times = []
            for _ in range(5):
                began = time.perf_counter()
                status(*command)
                times.append(time.perf_counter() - began)
            rows.append([f"{name}, 3 workers", f"{statistics.median(times):.2f}"])
    finally:
        for worker in workers:
            worker.stop()
    table("start", ["what", "s"], rows)


def main() -> None:
    """Measure everything."""
    rate = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    seconds = float(sys.argv[2]) if len(sys.argv) > 2 else 8.0
    load = os.getloadavg()[0]
    print(f"Python {sys.version.split()[0]}, {os.cpu_count()} cores, load {load:.1f}", flush=True)
    with private_redis() as url:
        watch(url, rate, seconds)
        dump_rate(url, 20_000)
        keys(url, rate)
        starts(url)


if __name__ == "__main__":
    main()
