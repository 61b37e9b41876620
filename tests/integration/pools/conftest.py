"""A runner whose jobs say what they do, and a harness that drives a pool as the worker does."""

import asyncio
import json
import os
import select
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.support.waiting import eventually
from tq.errors import SoftTimeLimitExceeded
from tq.pools import (
    Accepted,
    Finished,
    Job,
    Lost,
    Outcome,
    Pool,
    PoolEvent,
    PoolOptions,
    Returned,
    TimedOut,
    make,
)


class Runner:
    """Runs jobs whose payload is a JSON object; its keys name what to do, in order."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.hoard: list[bytes] = []

    def setup(self, slot: int) -> None:
        if (self.folder / "setup-fails").exists():
            raise RuntimeError("setup fails")
        while (self.folder / "setup-hangs").exists():
            time.sleep(0.01)

    def teardown(self, slot: int) -> None:
        with (self.folder / "teardowns").open("a") as file:
            file.write(f"{slot}\n")

    def run(self, job: Job) -> Outcome:
        if not job.payload:
            return Outcome(job.id, b"done")
        steps = json.loads(job.payload)
        try:
            for step, value in steps.items():
                if step == "until":
                    self._note(job, "started")
                    while not (self.folder / value).exists():
                        time.sleep(0.002)
                else:
                    self._step(job, step, value)
        except SoftTimeLimitExceeded as error:
            return Outcome(job.id, f"soft {error.args[0]}".encode())
        return Outcome(job.id, b"x" * steps["large"] if "large" in steps else b"done")

    async def run_async(self, job: Job) -> Outcome:
        if not job.payload:
            return Outcome(job.id, b"done")
        try:
            for step, value in json.loads(job.payload).items():
                if step == "until":
                    self._note(job, "started")
                    while not (self.folder / value).exists():
                        await asyncio.sleep(0.002)
                elif step == "sleep":
                    await asyncio.sleep(value)
                else:
                    self._step(job, step, value)
        except SoftTimeLimitExceeded as error:
            return Outcome(job.id, f"soft {error.args[0]}".encode())
        return Outcome(job.id, b"done")

    def settle(self, outcomes: Sequence[Outcome]) -> list[Outcome]:
        if (self.folder / "settle-fails").exists():
            raise ConnectionError("nobody answers")
        for outcome in outcomes:
            outcome.settled = True
        return list(outcomes)

    def _step(self, job: Job, step: str, value: Any) -> None:
        if step == "sleep":
            time.sleep(value)
        elif step == "raise":
            raise {"ValueError": ValueError, "SystemExit": SystemExit}[value](value)
        elif step == "note":
            self._note(job, value)
        elif step == "kill":
            os.kill(os.getpid(), value)
        elif step == "hoard":
            self.hoard.append(b"x" * value)
        elif step == "fork":
            pid = os.fork()
            if pid == 0:
                time.sleep(30)
                os._exit(0)
            (self.folder / "grandchild").write_text(str(pid))
        elif step == "handler":
            name = signal.getsignal(signal.SIGTERM)
            (self.folder / "handler").write_text(repr(name))

    def _note(self, job: Job, name: str) -> None:
        """One write to a file opened for appending: lines of several processes do not mix."""
        fd = os.open(self.folder / name, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(fd, f"{job.id}\n".encode())
        finally:
            os.close(fd)


class Harness:
    """Drives one pool the way the worker's loop does and keeps every event."""

    def __init__(self, name: str, folder: Path, **options: Any) -> None:
        self.name = name
        self.folder = folder
        self.runner = Runner(folder)
        options.setdefault("size", 2)
        self.pool: Pool = make(name, self.runner, PoolOptions(**options))
        self.events: list[PoolEvent] = []
        self.ends: dict[str, PoolEvent] = {}
        self.pids: set[int] = set()
        self._served: threading.Thread | None = None
        self._over = False

    def start(self) -> "Harness":
        self.pool.start()
        if self.name == "solo":
            self._served = threading.Thread(
                target=self.pool.serve,  # type: ignore[attr-defined] # only solo has it
                args=(lambda: self._over,),
            )
            self._served.start()
        return self

    def turn(self, longest: float = 0.05) -> None:
        pause = self.pool.tick(time.monotonic())
        select.select([self.pool], [], [], min(pause, longest))
        self.collect()

    def collect(self) -> None:
        for event in self.pool.collect():
            self.events.append(event)
            if isinstance(event, Finished | Lost | Returned) or (
                isinstance(event, TimedOut) and not event.soft
            ):
                assert event.job_id not in self.ends, (self.ends[event.job_id], event)
                self.ends[event.job_id] = event
            elif isinstance(event, Accepted):
                self.pids.add(event.pid)

    def until(self, condition: Callable[[], Any], within: float = 20.0) -> Any:
        deadline = time.monotonic() + within
        while not (value := condition()):
            assert time.monotonic() < deadline, f"not in {within} s; {self.events[-5:]}"
            self.turn()
        return value

    def run(self, jobs: Sequence[Job], within: float = 30.0) -> list[PoolEvent]:
        """Submit jobs as credit allows and wait for the end of each."""
        left = list(reversed(jobs))
        deadline = time.monotonic() + within
        while left or any(job.id not in self.ends for job in jobs):
            assert time.monotonic() < deadline, f"not in {within} s; {self.events[-5:]}"
            credit = self.pool.credit()
            if left and credit:
                self.pool.submit([left.pop() for _ in range(min(credit, len(left)))])
            self.turn()
            if not left and len(self.ends) < len(jobs):
                continue
        return [self.ends[job.id] for job in jobs]

    def accepted(self, job_id: str) -> bool:
        return any(isinstance(event, Accepted) and event.job_id == job_id for event in self.events)

    def started(self) -> list[str]:
        return self.noted("started")

    def noted(self, name: str) -> list[str]:
        path = self.folder / name
        return path.read_text().split() if path.exists() else []

    def release(self, name: str) -> None:
        (self.folder / name).touch()

    def stop(self, seconds: float = 10.0) -> None:
        self.pool.stop(time.monotonic() + seconds)
        self._over = True
        self.collect()
        if self._served is not None:
            self._served.join(10.0)

    def check(self) -> None:
        """Check that each job's events came in the order of a life."""
        lives: dict[str, list[PoolEvent]] = {}
        for event in self.events:
            lives.setdefault(event.job_id, []).append(event)
        for life in lives.values():
            if isinstance(life[0], Returned):
                assert len(life) == 1, life
                continue
            assert isinstance(life[0], Accepted), life
            for event in life[1:-1]:
                assert isinstance(event, TimedOut), life
                assert event.soft, life
            if len(life) > 1:
                assert not isinstance(life[-1], Accepted | Returned), life

    def kinds(self) -> Counter[str]:
        return Counter(type(event).__name__ for event in self.ends.values())


def job(job_id: str, soft: float | None = None, hard: float | None = None, **steps: Any) -> Job:
    steps = {name.rstrip("_"): value for name, value in steps.items()}
    return Job(job_id, json.dumps(steps).encode() if steps else b"", soft, hard)


def jobs(prefix: str, number: int, **steps: Any) -> list[Job]:
    return [job(f"{prefix}{index}", **steps) for index in range(number)]


def gone(pid: int) -> bool:
    """Tell whether a process has ended (and been reaped, if it was ours)."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


class Api:
    """What tests use; fixtures cannot be imported under importmode=importlib."""

    job = staticmethod(job)
    jobs = staticmethod(jobs)
    gone = staticmethod(gone)
    eventually = staticmethod(eventually)
    Runner = Runner


@pytest.fixture
def api() -> type[Api]:
    return Api


@pytest.fixture
def make_harness(tmp_path: Path) -> Iterator[Callable[..., Harness]]:
    """Build harnesses that are stopped, and checked, when the test ends."""
    built: list[Harness] = []

    def build(name: str, **options: Any) -> Harness:
        harness = Harness(name, tmp_path, **options)
        built.append(harness)
        return harness

    yield build
    tmp_path.joinpath("end").touch()
    for harness in built:
        harness.stop(5.0)
        harness.check()
        if harness.name == "prefork":
            assert not harness.pool.info()["processes"]
            # Nothing is left running: every child has been reaped.
            for pid in harness.pids:
                eventually(lambda pid=pid: gone(pid))
    eventually(lambda: not [one for one in threading.enumerate() if _is_pools(one)])


def _is_pools(thread: threading.Thread) -> bool:
    return thread.name.startswith(("slot-", "asyncio-pool"))
