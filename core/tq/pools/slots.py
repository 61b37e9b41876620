"""Threads that run jobs one after another and can be interrupted in the middle of one."""

import ctypes
import logging
import threading
from collections.abc import Sequence
from functools import lru_cache
from queue import Empty, SimpleQueue

from tq.errors import SoftTimeLimitExceeded
from tq.pools.base import Job, Outcome, PoolOptions, Runner, TimedOut
from tq.pools.local import LocalPool, Run

__all__ = ["Slot", "SlottedPool"]

logger = logging.getLogger(__name__)
_set_async_exc = ctypes.pythonapi.PyThreadState_SetAsyncExc
_set_async_exc.argtypes = (ctypes.c_ulong, ctypes.py_object)


class Slot:
    """The place of one thread.

    Attributes:
        ident: The thread that serves it.
        lock: Guards `current` between that thread and the loop's.
        current: The run that may be interrupted, or None.
        outcome: What the current run yielded.
    """

    __slots__ = ("current", "ident", "lock", "number", "outcome")

    def __init__(self, number: int) -> None:
        """Make an empty place; the thread that serves it fills in `ident`."""
        self.number = number
        self.ident = 0
        self.lock = threading.Lock()
        self.current: Run | None = None
        self.outcome: Outcome | None = None


class SlottedPool(LocalPool):
    """A pool whose slots are threads that take jobs from one queue.

    One queue for all: a short job never waits behind a long one while a slot is free. None in the
    queue tells whoever takes it to leave.
    """

    def __init__(self, runner: Runner, options: PoolOptions) -> None:
        """Make the empty queue."""
        super().__init__(runner, options)
        self._queue: SimpleQueue[Job | None] = SimpleQueue()

    def terminate(self, job_id: str, signal: int) -> bool:
        """Return False: a thread cannot be ended from outside."""
        return False

    def _enqueue(self, jobs: Sequence[Job]) -> None:
        """Put jobs on the queue."""
        for job in jobs:
            self._queue.put(job)

    def _take_unstarted(self) -> list[Job]:
        """Empty the queue, keeping its orders to leave."""
        jobs: list[Job] = []
        leaving = 0
        while True:
            try:
                job = self._queue.get_nowait()
            except Empty:
                break
            if job is None:
                leaving += 1
            else:
                jobs.append(job)
        for _ in range(leaving):
            self._queue.put(None)
        return jobs

    def _execute(self, slot: Slot, job: Job) -> None:
        """Run one job in the slot's thread and report its end."""
        run = self._begin(job, slot)
        if run.soft is None:
            self._end(run, self._call(run))
            return
        slot.outcome, slot.current = None, run
        # One interrupt at most is sent per run, so the second `_leave` cannot be interrupted. The
        # first can, when the limit passes just as the job ends; then nothing has been reported.
        try:
            slot.outcome = self._call(run)
            self._leave(slot, run)
        except SoftTimeLimitExceeded:
            self._leave(slot, run)

    def _leave(self, slot: Slot, run: Run) -> None:
        """Close the slot to interrupts, then report the end of its run."""
        with slot.lock:
            slot.current = None
            self._withdraw_interrupt(slot)
        self._end(run, slot.outcome)

    def _call(self, run: Run) -> Outcome | None:
        """Call the runner; None when it broke its promise not to raise."""
        try:
            return self.runner.run(run.job)
        except Exception:
            logger.exception("the runner raised for job %s, which counts as lost", run.job.id)
        except BaseException:
            self._end(run, None)
            raise
        return None

    def _interrupt(self, run: Run) -> None:
        """Raise `SoftTimeLimitExceeded` in the slot's thread if it still runs this run."""
        slot: Slot = run.owner
        limit = run.soft or 0.0
        with slot.lock:
            if slot.current is not run:
                return
            self._publish([TimedOut(run.job.id, soft=True, limit=limit)])
            self._send_interrupt(slot, limit)

    def _send_interrupt(self, slot: Slot, limit: float) -> None:
        """Raise in the thread, at its next bytecode; a call into C is not cut short."""
        _set_async_exc(slot.ident, ctypes.py_object(_exceeded(limit)))

    def _withdraw_interrupt(self, slot: Slot) -> None:
        """Drop an interrupt that has been sent and not raised."""
        _set_async_exc(slot.ident, ctypes.py_object())


@lru_cache(maxsize=64)
def _exceeded(limit: float) -> type[SoftTimeLimitExceeded]:
    """Return a class that is `SoftTimeLimitExceeded(limit)` when made without arguments.

    The interpreter raises classes in other threads, not instances.
    """

    def init(self: SoftTimeLimitExceeded) -> None:
        SoftTimeLimitExceeded.__init__(self, limit)

    def reduce(self: SoftTimeLimitExceeded) -> tuple[type[SoftTimeLimitExceeded], tuple[float]]:
        return (SoftTimeLimitExceeded, (limit,))

    body = {"__init__": init, "__reduce__": reduce, "__module__": SoftTimeLimitExceeded.__module__}
    return type("SoftTimeLimitExceeded", (SoftTimeLimitExceeded,), body)
