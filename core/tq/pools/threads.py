"""Jobs in threads of the worker's process."""

import logging
import threading
import time
from queue import SimpleQueue
from typing import Any

from tq.pools.base import PoolOptions, Runner
from tq.pools.slots import Slot, SlottedPool

__all__ = ["ThreadsPool"]

logger = logging.getLogger(__name__)


class ThreadsPool(SlottedPool):
    """`size` threads.

    A soft limit is raised at the job's next bytecode; a job inside a long call into C sees it when
    that call returns. A thread cannot be killed: when a hard limit passes, `TimedOut(soft=False)`
    is reported once and the job's late outcome is discarded, but the thread stays busy until the
    job ends by itself. `terminate` therefore returns False.
    """

    def __init__(self, runner: Runner, options: PoolOptions) -> None:
        """Make the pool; its threads start with `start`."""
        super().__init__(runner, options)
        self._threads: list[threading.Thread] = []
        self._numbers = 0

    def start(self) -> None:
        """Start the threads; an error of the runner's `setup` is raised here."""
        self._grow(self.size)

    def resize(self, size: int) -> None:
        """Grow or shrink; threads leave when they have run what they have."""
        size = max(1, size)
        if size > self.size:
            self._grow(size - self.size)
        for _ in range(self.size - size):
            self._queue.put(None)
        self.size = size

    def info(self) -> dict[str, Any]:
        """Describe the pool for `inspect stats`."""
        return {
            "implementation": f"{type(self).__module__}:{type(self).__name__}",
            "max-concurrency": self.size,
            "threads": len(self._alive()),
        }

    def stop(self, deadline: float) -> None:
        """Wait for running jobs until the monotonic `deadline`; what runs on is reported lost."""
        if not self._stopping:
            self._stopping = True
            self.recall()
            for _ in self._alive():
                self._queue.put(None)
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        self._cut_all()

    def _alive(self) -> list[threading.Thread]:
        """Forget threads that have left; return the others."""
        self._threads = [thread for thread in self._threads if thread.is_alive()]
        return self._threads

    def _grow(self, number: int) -> None:
        """Start `number` threads and wait until each is ready."""
        ready: SimpleQueue[BaseException | None] = SimpleQueue()
        for _ in range(number):
            slot = Slot(self._numbers)
            self._numbers += 1
            # Daemons, because a job that ignores its hard limit must not keep the process alive.
            thread = threading.Thread(
                target=self._serve, args=(slot, ready), name=f"slot-{slot.number}", daemon=True
            )
            thread.start()
            self._threads.append(thread)
        failures = [error for error in (ready.get() for _ in range(number)) if error is not None]
        if failures:
            raise failures[0]

    def _serve(self, slot: Slot, ready: "SimpleQueue[BaseException | None]") -> None:
        """Be the thread of a slot."""
        slot.ident = threading.get_ident()
        try:
            self.runner.setup(slot.number)
        except BaseException as error:  # handed to the thread that waits in `_grow`
            ready.put(error)
            return
        ready.put(None)
        while (job := self._queue.get()) is not None:
            try:
                self._execute(slot, job)
            except BaseException as error:  # SystemExit of a job ends the job, not the slot
                logger.error("job %s raised %r, which counts as lost", job.id, error)
        try:
            self.runner.teardown(slot.number)
        except Exception:
            logger.exception("the runner's teardown of slot %d failed", slot.number)
