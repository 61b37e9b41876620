"""Jobs as tasks of one event loop in a thread of the worker's process."""

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Coroutine, Generator, Sequence
from concurrent.futures import Future
from functools import partial
from types import coroutine
from typing import Any

from tq.errors import SoftTimeLimitExceeded
from tq.pools.base import Job, Lost, Outcome, PoolEvent, PoolOptions, Runner, TimedOut
from tq.pools.local import CUT_OFF, LocalPool, Run

__all__ = ["AsyncioPool"]

logger = logging.getLogger(__name__)


class AsyncioPool(LocalPool):
    """Up to `size` coroutines at once, in one thread with an event loop.

    A soft limit raises `SoftTimeLimitExceeded` where the job awaits, once. A hard limit and
    `terminate` report the job's end at once and cancel its task; what it yields after that is
    discarded. A job that blocks the event loop, or swallows its cancellation, cannot be ended.
    """

    def __init__(self, runner: Runner, options: PoolOptions) -> None:
        """Make the pool; its thread starts with `start`."""
        super().__init__(runner, options)
        self._unstarted: deque[Job] = deque()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._tasks: set[asyncio.Task[Outcome]] = set()
        self._drained: asyncio.Event | None = None
        # Set by the submitter, cleared by the event loop before it looks at `_unstarted`.
        self._called = False

    def start(self) -> None:
        """Start the thread and its event loop; an error of `setup` is raised here."""
        ready: Future[None] = Future()
        self._thread = threading.Thread(
            target=self._serve, args=(ready,), name="asyncio-pool", daemon=True
        )
        self._thread.start()
        ready.result()

    def terminate(self, job_id: str, signal: int) -> bool:
        """Cancel a job's task; its end is reported at once."""
        run = self._running.get(job_id)
        return run is not None and self._cut(run, Lost(job_id, CUT_OFF, terminated=signal))

    def resize(self, size: int) -> None:
        """Change how many jobs run at once; running ones go on."""
        self.size = max(1, size)
        self._wake()

    def info(self) -> dict[str, Any]:
        """Describe the pool for `inspect stats`."""
        return {
            "implementation": f"{type(self).__module__}:{type(self).__name__}",
            "max-concurrency": self.size,
            "running": len(self._running),
        }

    def stop(self, deadline: float) -> None:
        """Wait for running jobs until the monotonic `deadline`, then cancel them."""
        first = not self._stopping
        self._stopping = True
        if self._thread is None or self._loop is None:
            return
        if first:
            self.recall()
            self._post(self._finish_when_drained)
        self._thread.join(max(0.0, deadline - time.monotonic()))
        cut = bool(self._running)
        self._cut_all()
        # Cancelled tasks need a moment to unwind; one that refuses is left behind (daemon thread).
        self._thread.join(0.5 if cut else 0.0)

    # In the loop's thread (the worker's).

    def _enqueue(self, jobs: Sequence[Job]) -> None:
        """Queue jobs for the event loop and wake it, once per burst."""
        self._unstarted.extend(jobs)
        self._wake()

    def _wake(self) -> None:
        """Have the event loop look at `_unstarted`, unless it is about to."""
        if not self._called:
            self._called = True
            self._post(self._start_jobs)

    def _post(self, function: Any, *args: Any) -> None:
        """Call a function in the event loop's thread."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(function, *args)

    def _take_unstarted(self) -> list[Job]:
        """Take what the event loop has not."""
        jobs: list[Job] = []
        while True:
            try:
                jobs.append(self._unstarted.popleft())
            except IndexError:  # the event loop may have taken the last one
                return jobs

    def _interrupt(self, run: Run) -> None:
        """Have the event loop raise the soft limit inside the job."""
        self._post(self._soften, run)

    def _cut(self, run: Run, event: PoolEvent) -> bool:
        """End a run from outside and cancel its task."""
        if not super()._cut(run, event):
            return False
        self._post(self._cancel, run)
        return True

    # In the event loop's thread.

    def _serve(self, ready: "Future[None]") -> None:
        """Be the thread of the event loop."""
        try:
            with asyncio.Runner() as loop_runner:
                loop_runner.run(self._main(ready))
        except Exception as error:
            if ready.done():
                logger.exception("the asyncio pool's event loop failed")
            else:
                ready.set_exception(error)
        self._cut_all()

    async def _main(self, ready: "Future[None]") -> None:
        """Keep the event loop alive until the pool has stopped and its jobs have ended."""
        self._loop = asyncio.get_running_loop()
        self._drained = asyncio.Event()
        self.runner.setup(0)
        ready.set_result(None)
        try:
            await self._drained.wait()
        finally:
            self.runner.teardown(0)

    def _finish_when_drained(self) -> None:
        """End `_main` now if nothing runs; else the last job's end does."""
        if not self._tasks and self._stopping and self._drained is not None:
            self._drained.set()

    def _start_jobs(self) -> None:
        """Start jobs while there is room."""
        self._called = False
        while len(self._tasks) < self.size:
            try:
                job = self._unstarted.popleft()
            except IndexError:
                break
            run = self._begin(job, None)
            task = asyncio.get_running_loop().create_task(self._run(run))
            run.owner = task
            self._tasks.add(task)
            # Not a `finally` in `_run`: a task cancelled before its first step never gets there.
            task.add_done_callback(partial(self._ended, run))

    async def _run(self, run: Run) -> Outcome:
        """Run one job."""
        if run.soft is None:
            return await self.runner.run_async(run.job)
        return await _interruptible(self.runner.run_async(run.job), run)

    def _ended(self, run: Run, task: "asyncio.Task[Outcome]") -> None:
        """Report how a job ended, and start the next."""
        self._tasks.discard(task)
        outcome = None
        if task.cancelled():
            if self._running.get(run.job.id) is run:  # cancelled by itself, not by the pool
                logger.error("job %s was cancelled and counts as lost", run.job.id)
        elif (error := task.exception()) is not None:
            logger.error(
                "the runner raised for job %s, which counts as lost", run.job.id, exc_info=error
            )
        else:
            outcome = task.result()
        self._end(run, outcome)
        if self._stopping:
            self._finish_when_drained()
        elif self._unstarted:
            self._start_jobs()

    def _cancel(self, run: Run) -> None:
        """Cancel the task of a run that no longer counts."""
        run.owner.cancel()

    def _soften(self, run: Run) -> None:
        """Report the soft limit, then wake the job with it."""
        if self._running.get(run.job.id) is not run:
            return
        self._events.append(TimedOut(run.job.id, soft=True, limit=run.soft or 0.0))
        self._waker.set()
        run.softened = True
        run.owner.cancel()


@coroutine
def _interruptible(job: Coroutine[Any, Any, Outcome], run: Run) -> Generator[Any, Any, Outcome]:
    """Drive a job, turning the cancellation that means a soft limit into its exception.

    A task can be cancelled from outside but not interrupted with another exception; between the
    task and the job, the one can be replaced with the other.
    """
    action: Any = job.send
    value: Any = None
    while True:
        try:
            waiting = action(value)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return] # typed by the coroutine
        action, value = job.send, None
        try:
            yield waiting
        except asyncio.CancelledError as error:
            action, value = job.throw, error
            if run.softened:
                run.softened = False
                run.owner.uncancel()
                value = SoftTimeLimitExceeded(run.soft)
        except GeneratorExit:
            job.close()
            raise
