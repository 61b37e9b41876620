"""What the pools that run jobs in the worker's own process share."""

import logging
import os
import time
from collections import deque
from collections.abc import Sequence
from typing import Any

import msgspec

from tq.pools.base import (
    Accepted,
    Finished,
    Job,
    Lost,
    Outcome,
    PoolEvent,
    PoolOptions,
    Returned,
    Runner,
    TimedOut,
)
from tq.pools.deadlines import Deadlines
from tq.pools.pace import Pace
from tq.pools.waker import Waker

__all__ = ["CUT_OFF", "IDLE_TICK", "LocalPool", "Run"]

IDLE_TICK = 5.0  # seconds between ticks when nothing is due
CUT_OFF = 1  # exit code of a `Lost` whose process lives on
_MAX_RESERVE = 500  # jobs kept ready beyond the slots, so that an in-process pool stays small

logger = logging.getLogger(__name__)


class Run(msgspec.Struct, eq=False):
    """One job being run.

    Attributes:
        soft: Its soft limit in seconds, or None.
        hard: Its hard limit in seconds, or None.
        started: Monotonic time of the start.
        owner: The slot or asyncio task that runs it.
        softened: Its task was cancelled to make the soft limit known (asyncio).
    """

    job: Job
    soft: float | None
    hard: float | None
    started: float
    owner: Any = None
    softened: bool = False

    @property
    def limited(self) -> bool:
        """Whether any limit applies."""
        return self.soft is not None or self.hard is not None


class LocalPool:
    """Bookkeeping of jobs that run in this process: events, limits, credit.

    The loop's thread owns the deadlines and calls every method of the `Pool` contract. Runs are
    begun and ended by the threads that run them; what they share is `_running`, where the one that
    takes a job out (`dict.pop` is atomic) is the one that reports its end, and `_events`.
    """

    def __init__(self, runner: Runner, options: PoolOptions) -> None:
        """Keep the runner and the options; nothing runs before `start`."""
        self.size = options.size
        self.options = options
        self.runner = runner
        self._pid = os.getpid()
        self._pace = Pace(options.batch_seconds)
        self._waker = Waker()
        self._events: deque[PoolEvent] = deque()
        self._running: dict[str, Run] = {}
        self._fresh: deque[Run] = deque()
        self._deadlines = Deadlines[Run](lambda run: self._running.get(run.job.id) is run)
        self._outstanding = 0
        # Added to by several threads without a lock: a lost addition blurs an estimate, no more.
        self._spent = 0.0
        self._seen_spent = 0.0
        self._stopping = False

    # The contract's part that is the same for all.

    def fileno(self) -> int:
        """Return a descriptor that turns readable when `collect` has news."""
        return self._waker.fileno()

    def submit(self, jobs: Sequence[Job]) -> None:
        """Take jobs over; on a stopping pool they come straight back as `Returned`."""
        self._outstanding += len(jobs)
        if self._stopping:
            self._publish([Returned(job.id) for job in jobs])
        else:
            self._enqueue(jobs)

    def credit(self) -> int:
        """Say how many more jobs are worth having now."""
        if self._stopping:
            return 0
        reserve = self._pace.reserve(self.size, _MAX_RESERVE)
        return self._pace.worth_having(self.size + reserve, self._outstanding)

    def collect(self) -> list[PoolEvent]:
        """Return what happened since the last call."""
        self._waker.clear()
        events: list[PoolEvent] = []
        ended = finished = 0
        pending = self._events
        for _ in range(len(pending)):
            event = pending.popleft()
            events.append(event)
            kind = type(event)
            if kind is Finished:
                finished += 1
            elif kind in (Lost, Returned) or (isinstance(event, TimedOut) and not event.soft):
                ended += 1
        if pending:  # published meanwhile, maybe by a thread that saw the flag still set
            self._waker.set()
        if finished:
            spent, self._seen_spent = self._spent - self._seen_spent, self._spent
            self._pace.observe(finished, spent)
        self._outstanding -= finished + ended
        return events

    def tick(self, now: float) -> float:
        """Enforce limits; call it once per turn of the loop.

        Args:
            now: A monotonic reading.
        """
        while self._fresh:
            run = self._fresh.popleft()
            self._deadlines.add(run, run.started, run.soft, run.hard)
        for run, soft in self._deadlines.passed(now):
            if soft:
                self._interrupt(run)
            elif self._cut(run, TimedOut(run.job.id, soft=False, limit=run.hard or 0.0)):
                logger.error(
                    "job %s passed its hard limit of %s s; it cannot be killed here, what "
                    "it may still yield is discarded",
                    run.job.id,
                    run.hard,
                )
        return self._deadlines.wait(now, IDLE_TICK)

    def recall(self) -> None:
        """Give back every job that has not started."""
        self._publish([Returned(job.id) for job in self._take_unstarted()])

    def running(self) -> dict[str, int]:
        """Say which job runs in which process now."""
        return dict.fromkeys(list(self._running), self._pid)

    # For the threads that run jobs.

    def _begin(self, job: Job, owner: Any) -> Run:
        """Note that a job starts now, and say so."""
        options = self.options
        soft, hard = job.soft_limit, job.hard_limit
        run = Run(
            job,
            options.soft_limit if soft is None else soft,
            options.hard_limit if hard is None else hard,
            time.monotonic(),
            owner,
        )
        self._running[job.id] = run
        if run.limited:
            self._fresh.append(run)
        self._events.append(Accepted(job.id, self._pid, time.time()))
        self._waker.set()
        return run

    def _end(self, run: Run, outcome: Outcome | None) -> None:
        """Report how a run ended, unless its end has been reported; no outcome means lost."""
        job_id = run.job.id
        if self._running.pop(job_id, None) is None:
            return
        self._spent += time.monotonic() - run.started
        if outcome is None:
            self._events.append(Lost(job_id, CUT_OFF))
        else:
            self._events.append(Finished(job_id, outcome))
        self._waker.set()

    # For the loop's thread.

    def _publish(self, events: Sequence[PoolEvent]) -> None:
        """Add events of the loop's own making."""
        if events:
            self._events.extend(events)
            self._waker.set()

    def _cut(self, run: Run, event: PoolEvent) -> bool:
        """End a run from outside: report `event` and discard what it yields later."""
        if self._running.pop(run.job.id, None) is None:
            return False
        self._publish([event])
        return True

    def _cut_all(self) -> None:
        """Report every run as lost."""
        for run in list(self._running.values()):
            self._cut(run, Lost(run.job.id, CUT_OFF))

    # What each pool does in its own way.

    def _enqueue(self, jobs: Sequence[Job]) -> None:
        """Hand jobs to whatever runs them."""
        raise NotImplementedError

    def _take_unstarted(self) -> list[Job]:
        """Remove and return the jobs that have not started."""
        raise NotImplementedError

    def _interrupt(self, run: Run) -> None:
        """Raise `SoftTimeLimitExceeded` inside a run and publish `TimedOut(soft=True)`."""
        raise NotImplementedError
