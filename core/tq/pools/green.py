"""Jobs in green threads of the worker's process; what gevent and eventlet have in common.

Their libraries replace the blocking calls of the standard library, so they must be patched in
before anything else is imported (`tqconsole.__main__` does it). Then the worker's loop, its
connections and every job take turns in one thread, each going on where it waits.

Source: celery/concurrency/gevent.py, celery/concurrency/eventlet.py (`TaskPool`).
"""

import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from greenlet import GreenletExit

from tq.errors import SoftTimeLimitExceeded
from tq.pools.base import Job, Lost, Outcome, PoolEvent, PoolOptions, Runner, TimedOut
from tq.pools.local import CUT_OFF, LocalPool, Run

__all__ = ["GreenPool"]

logger = logging.getLogger(__name__)

_TURN_SECONDS = 0.01  # how long jobs that never wait may keep the worker's loop from its turn
_UNWIND_SECONDS = 0.5


class _Place:
    """A green thread that takes jobs one after another.

    Attributes:
        thread: The library's object, with a `throw`.
        current: What it runs now; only that may be interrupted.
    """

    __slots__ = ("current", "thread")

    def __init__(self) -> None:
        self.thread: Any = None
        self.current: Run | None = None


class GreenPool(LocalPool):
    """Up to `size` green threads.

    A soft limit is raised where the job waits. A hard limit and `terminate` report the job's end at
    once and end its green thread; a job that never waits cannot be ended, and holds up the worker.
    """

    def __init__(self, runner: Runner, options: PoolOptions) -> None:
        """Make the pool; its green threads start with the first jobs."""
        super().__init__(runner, options)
        self._unstarted: deque[Job] = deque()
        self._places: set[_Place] = set()
        self._set_up = False

    def start(self) -> None:
        """Prepare the runner; an error of its `setup` is raised here."""
        self.runner.setup(0)
        self._set_up = True

    def terminate(self, job_id: str, signal: int) -> bool:
        """End a job's green thread; its end is reported at once."""
        run = self._running.get(job_id)
        return run is not None and self._cut(run, Lost(job_id, CUT_OFF, terminated=signal))

    def resize(self, size: int) -> None:
        """Change how many jobs run at once; running ones go on."""
        self.size = max(1, size)
        self._fill()

    def info(self) -> dict[str, Any]:
        """Describe the pool for `inspect stats`."""
        return {
            "implementation": f"{type(self).__module__}:{type(self).__name__}",
            "max-concurrency": self.size,
            "running": len(self._running),
            "free-threads": self.size - len(self._running),
        }

    def stop(self, deadline: float) -> None:
        """Wait for running jobs until the monotonic `deadline`, then end them."""
        if not self._stopping:
            self._stopping = True
            self.recall()
        self._wait(deadline)
        if self._running:
            self._cut_all()
            # Those that were ended need a moment to unwind; one that refuses is left behind.
            self._wait(time.monotonic() + _UNWIND_SECONDS)
        if self._set_up:
            self._set_up = False
            self.runner.teardown(0)

    # In the loop's green thread.

    def _enqueue(self, jobs: Sequence[Job]) -> None:
        """Queue jobs, and see to it that there are green threads for them."""
        self._unstarted.extend(jobs)
        self._fill()

    def _take_unstarted(self) -> list[Job]:
        """Empty the queue."""
        jobs = list(self._unstarted)
        self._unstarted.clear()
        return jobs

    def _fill(self) -> None:
        """Start green threads while there is room and work."""
        missing = min(self.size - len(self._places), len(self._unstarted))
        for _ in range(missing):
            place = _Place()
            self._places.add(place)
            place.thread = self._spawn(self._serve, place)

    def _interrupt(self, run: Run) -> None:
        """Have the hub raise the soft limit inside the job."""
        self._call_soon(self._soften, run)

    def _cut(self, run: Run, event: PoolEvent) -> bool:
        """End a run from outside and with it its green thread."""
        if not super()._cut(run, event):
            return False
        self._call_soon(self._kill, run)
        return True

    def _wait(self, deadline: float) -> None:
        while self._places and time.monotonic() < deadline:
            self._pause(0.005)

    # In the hub, where raising in a green thread leaves nobody unscheduled.

    def _soften(self, run: Run) -> None:
        if run.owner.current is run and self._running.get(run.job.id) is run:
            limit = run.soft or 0.0
            self._publish([TimedOut(run.job.id, soft=True, limit=limit)])
            run.owner.thread.throw(SoftTimeLimitExceeded(limit))

    def _kill(self, run: Run) -> None:
        if run.owner.current is run:
            run.owner.thread.throw(GreenletExit())

    # In the green threads of the jobs.

    def _serve(self, place: _Place) -> None:
        """Be a green thread: run jobs as long as there are any."""
        turn_ends = time.monotonic() + _TURN_SECONDS
        try:
            while self._unstarted and len(self._places) <= self.size:
                self._execute(place, self._unstarted.popleft())
                if time.monotonic() >= turn_ends:
                    self._pause(0.0)
                    turn_ends = time.monotonic() + _TURN_SECONDS
        finally:
            self._places.discard(place)
            self._fill()

    def _execute(self, place: _Place, job: Job) -> None:
        """Run one job and report its end."""
        run = self._begin(job, place)
        outcome: Outcome | None = None
        place.current = run
        try:
            outcome = self.runner.run(job)
        except GreenletExit:
            raise
        except BaseException as error:  # SystemExit of a job ends the job, not the worker
            logger.error("job %s raised %r, which counts as lost", job.id, error)
        finally:
            place.current = None
            self._end(run, outcome)

    # What each library does in its own way.

    def _spawn(self, function: Callable[[_Place], None], place: _Place) -> Any:
        """Start a green thread soon, and return it."""
        raise NotImplementedError

    def _call_soon(self, function: Callable[[Run], None], run: Run) -> None:
        """Call a function in the hub."""
        raise NotImplementedError

    def _pause(self, seconds: float) -> None:
        """Let others take their turn."""
        raise NotImplementedError
