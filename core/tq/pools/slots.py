"""A thread that runs jobs one after another and can be interrupted in the middle of one."""

import ctypes
import logging
import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue

from tq.errors import SoftTimeLimitExceeded
from tq.pools.base import Job, Outcome, PoolEvent, TimedOut
from tq.pools.local import LocalPool, Run

__all__ = ["Slot", "SlottedPool"]

logger = logging.getLogger(__name__)
_set_async_exc = ctypes.pythonapi.PyThreadState_SetAsyncExc
_set_async_exc.argtypes = (ctypes.c_ulong, ctypes.py_object)


class Slot:
    """The place of one thread.

    `lock` guards `run` against the loop's thread while a limited job runs.
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

    _queue: "SimpleQueue[Job | None]"

    def _enqueue(self, jobs: "list[Job] | tuple[Job, ...]") -> None:  # type: ignore[override] # narrowed below
        """Put jobs on the queue."""
        for job in jobs:
            self._queue.put(job)

    def _take_unstarted(self) -> list[Job]:
        """Empty the queue, keeping its orders to leave."""
        jobs: list[Job] = []
        leave = 0
        while True:
            try:
                job = self._queue.get_nowait()
            except Empty:
                break
            if job is None:
                leave += 1
            else:
                jobs.append(job)
        for _ in range(leave):
            self._queue.put(None)
        return jobs
