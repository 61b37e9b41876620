"""What a pool is: it runs opaque jobs and says what became of each.

A pool knows nothing of tasks, brokers or the app. The worker gives it a `Runner`; prefork calls the
runner in its children, every other pool in the worker's own process.
"""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import msgspec

__all__ = [
    "Accepted",
    "Finished",
    "Job",
    "Lost",
    "Outcome",
    "Pool",
    "PoolEvent",
    "PoolOptions",
    "Returned",
    "Runner",
    "TimedOut",
]


class Job(msgspec.Struct, frozen=True, array_like=True):
    """One piece of work.

    Attributes:
        id: Unique among the jobs in flight (the delivery's tag).
        payload: What the runner understands, encoded, so that a job never shares memory with
            another and crosses process borders as it is.
        soft_limit: Seconds after which the pool interrupts the job, or None.
        hard_limit: Seconds after which the pool ends it, or None.
    """

    id: str
    payload: bytes
    soft_limit: float | None = None
    hard_limit: float | None = None


class Outcome(msgspec.Struct, array_like=True):
    """What a runner made of a job.

    Attributes:
        payload: What the worker understands, encoded by the runner.
        settled: The runner has settled the delivery itself; nothing is left to do but count.
    """

    job_id: str
    payload: bytes
    settled: bool = False


class Runner(Protocol):
    """How jobs are run. Built by the worker, used by the pool where the jobs run."""

    def setup(self, slot: int) -> None:
        """Prepare the process or thread of a slot, before its first job (after the fork)."""
        ...

    def run(self, job: Job) -> Outcome:
        """Run one job to its end. Never raises; only `BaseException`s of the pool pass through.

        The pool's soft limit appears inside as `SoftTimeLimitExceeded`.
        """
        ...

    async def run_async(self, job: Job) -> Outcome:
        """Run one job on the caller's event loop; the pool may cancel it."""
        ...

    def settle(self, outcomes: Sequence[Outcome]) -> list[Outcome]:
        """Settle finished jobs in one step, in a process of its own; returns what to report.

        Only prefork calls this, in the child, batched by size, time and idleness. In-process
        pools leave settling to the worker's loop.
        """
        ...

    def teardown(self, slot: int) -> None:
        """Undo `setup`, after the slot's last job."""
        ...


class Accepted(msgspec.Struct, frozen=True):
    """A job has started.

    Attributes:
        pid: The process that runs it.
        timestamp: Wall-clock time of the start.
    """

    job_id: str
    pid: int
    timestamp: float


class Finished(msgspec.Struct, frozen=True):
    """A job has ended, well or not; always after its `Accepted`.

    Attributes:
        salvaged: Its process died after the job ended, maybe before it recorded that.
    """

    job_id: str
    outcome: Outcome
    salvaged: bool = False


class Lost(msgspec.Struct, frozen=True):
    """The process that had started a job died, or was ended by `terminate`.

    Attributes:
        exitcode: As `multiprocessing` gives it: negative is minus the signal.
        terminated: The signal number that `terminate` had sent for this job, or None.
    """

    job_id: str
    exitcode: int
    terminated: int | None = None


class TimedOut(msgspec.Struct, frozen=True):
    """A limit passed. After a soft one the job goes on; after a hard one it is gone.

    Attributes:
        limit: The limit in seconds.
    """

    job_id: str
    soft: bool
    limit: float


class Returned(msgspec.Struct, frozen=True):
    """A job that had not started was given back (`recall`, or a stopping pool)."""

    job_id: str


PoolEvent = Accepted | Finished | Lost | TimedOut | Returned


class PoolOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What every pool is built from.

    Attributes:
        size: Slots: processes, threads, or jobs at once.
        soft_limit: Default soft limit in seconds for jobs that carry none.
        hard_limit: Default hard limit in seconds.
        max_jobs_per_child: Jobs after which a prefork child is replaced; None for never.
        max_memory_kib: Resident KiB after which a prefork child is replaced; None for never.
        start_method: `fork` or `spawn`.
        start_timeout: Seconds a new child may take to report ready.
        batch_seconds: How much measured run time a child is handed in advance, at most.
        on_child: Called in the parent with the pid of each process before it gets work.
    """

    size: int
    soft_limit: float | None = None
    hard_limit: float | None = None
    max_jobs_per_child: int | None = None
    max_memory_kib: int | None = None
    start_method: str = "fork"
    start_timeout: float = 4.0
    batch_seconds: float = 0.01
    on_child: Callable[[int], Any] | None = None


class Pool(Protocol):
    """An executor with a number of slots. Every method is called by the worker's loop thread."""

    size: int
    options: PoolOptions

    def start(self) -> None:
        """Start the slots; `collect` may be called from then on."""
        ...

    def submit(self, jobs: Sequence[Job]) -> None:
        """Take jobs over; never blocks. More than `credit()` are queued inside."""
        ...

    def credit(self) -> int:
        """Say how many more jobs are worth having now: free slots, and more when jobs are short."""
        ...

    def fileno(self) -> int:
        """Return a descriptor that turns readable when `collect` has news (epoll or a pipe)."""
        ...

    def collect(self) -> list[PoolEvent]:
        """Return what happened since the last call, per job in the order of its life."""
        ...

    def tick(self, now: float) -> float:
        """Enforce limits, replace children; returns the seconds until it wants to be called again.

        Args:
            now: A monotonic reading.
        """
        ...

    def terminate(self, job_id: str, signal: int) -> bool:
        """Signal the process that runs the job; False when it is not running, or cannot be."""
        ...

    def running(self) -> dict[str, int]:
        """Say which job runs in which process now; the next `collect` has reported their starts."""
        ...

    def recall(self) -> None:
        """Give back every job that has not started, as `Returned` events."""
        ...

    def resize(self, size: int) -> None:
        """Grow or shrink to `size` slots; running jobs are never cut."""
        ...

    def info(self) -> dict[str, Any]:
        """Describe the pool for `inspect stats` (PROTOCOL 8.4, `pool`)."""
        ...

    def stop(self, deadline: float) -> None:
        """Let running jobs end until the monotonic `deadline`, then end them; events follow.

        Jobs not started come out as `Returned` at the next `collect`, jobs cut off as `Lost`.
        """
        ...
