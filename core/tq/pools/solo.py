"""Jobs in the thread that serves the pool: the main thread of the worker's process."""

import logging
import signal
import threading
import time
from collections.abc import Callable
from queue import Empty
from types import FrameType
from typing import Any

from tq.errors import SoftTimeLimitExceeded
from tq.pools.base import PoolOptions, Runner
from tq.pools.slots import Slot, SlottedPool

__all__ = ["SoloPool"]

# Raises a soft limit inside a blocking call of the main thread. Every POSIX system has it, and it
# fires by itself only for processes that set a virtual timer.
_INTERRUPT = signal.SIGVTALRM
_LOOK = 0.5  # seconds between two looks at `stopped`; jobs and `stop` wake the thread at once

logger = logging.getLogger(__name__)


class SoloPool(SlottedPool):
    """One slot, in the thread that calls `serve`, while the loop runs in another.

    Leases and control live on while a job runs. In the main thread a soft limit interrupts blocking
    calls too; elsewhere it is raised at the job's next bytecode. A job cannot be killed: when a
    hard limit passes, `TimedOut(soft=False)` is reported once and the late outcome is discarded,
    but the slot stays busy until the job ends. `terminate` returns False, `resize` changes nothing.
    """

    def __init__(self, runner: Runner, options: PoolOptions) -> None:
        """Make the pool; its size is 1 whatever the options say."""
        super().__init__(runner, options)
        self.size = 1
        self._slot = Slot(0)
        self._signals = False
        self._overdue: float | None = None
        self._idle = threading.Event()
        self._idle.set()

    def start(self) -> None:
        """Do nothing: jobs wait for `serve`."""

    def serve(self, stopped: Callable[[], bool]) -> None:
        """Run jobs in the calling thread until `stop` is called or `stopped()` is true.

        An exception of the runner's `setup` is raised here, and so is what a job raises to end the
        process (`KeyboardInterrupt`, `SystemExit`); that job counts as lost.

        Args:
            stopped: Asked after each job and every half second.
        """
        slot = self._slot
        slot.ident = threading.get_ident()
        self._signals = threading.current_thread() is threading.main_thread()
        before = signal.signal(_INTERRUPT, self._on_signal) if self._signals else None
        self._idle.clear()
        try:
            self.runner.setup(slot.number)
            try:
                self._run_until(stopped)
            finally:
                self.runner.teardown(slot.number)
        finally:
            self._idle.set()
            if self._signals:
                signal.signal(_INTERRUPT, before or signal.SIG_DFL)

    def resize(self, size: int) -> None:
        """Do nothing: there is one main thread."""

    def info(self) -> dict[str, Any]:
        """Describe the pool for `inspect stats`."""
        return {
            "implementation": f"{type(self).__module__}:{type(self).__name__}",
            "max-concurrency": 1,
            "processes": [self._pid],
            "max-tasks-per-child": "N/A",
            "put-guarded-by-semaphore": True,
            "timeouts": [self.options.soft_limit or 0, self.options.hard_limit or 0],
        }

    def stop(self, deadline: float) -> None:
        """Wait for the running job until the monotonic `deadline`; then it is reported lost.

        Must not be called by the thread that serves.
        """
        if not self._stopping:
            self._stopping = True
            self.recall()
            self._queue.put(None)
        self._idle.wait(max(0.0, deadline - time.monotonic()))
        self._cut_all()

    def _run_until(self, stopped: Callable[[], bool]) -> None:
        """Take jobs from the queue and run them."""
        while not stopped():
            try:
                job = self._queue.get(timeout=_LOOK)
            except Empty:
                continue
            if job is None:
                return
            self._execute(self._slot, job)

    def _send_interrupt(self, slot: Slot, limit: float) -> None:
        """Signal the main thread; any other is interrupted as in the threads pool."""
        if not self._signals:
            super()._send_interrupt(slot, limit)
            return
        self._overdue = limit
        signal.pthread_kill(slot.ident, _INTERRUPT)

    def _withdraw_interrupt(self, slot: Slot) -> None:
        """Make a signal that has not arrived yet find nothing to do."""
        if self._signals:
            self._overdue = None
        else:
            super()._withdraw_interrupt(slot)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        """Raise in the main thread, unless the run it was meant for has ended."""
        limit, self._overdue = self._overdue, None
        if limit is not None and self._slot.current is not None:
            raise SoftTimeLimitExceeded(limit)
