"""The pool as a service of the loop: jobs go in, news come out.

Source: architecture.md, "The worker's hot path".
"""

import time
from collections.abc import Callable, Sequence
from typing import Any

from tq.pools.base import Job, Pool, PoolEvent
from tq.worker.loop import Loop, Timer

__all__ = ["Hands"]

_SHORTEST = 0.001
_LONGEST = 1.0


class Hands:
    """Starts, watches and stops the pool. Owned by the loop thread, but for `start`."""

    name = "pool"

    def __init__(self, loop: Loop, pool: Pool, on_events: Callable[[list[PoolEvent]], Any]) -> None:
        """Keep the pool; `on_events` takes its news."""
        self.pool = pool
        self._loop = loop
        self._on_events = on_events
        self._timer: Timer | None = None
        self._fd: int | None = None
        self._stopped = False

    def start(self) -> None:
        """Start the pool's slots, before the worker opens any connection or thread."""
        self.pool.start()
        self._watch()
        self._tick()

    def stop(self, deadline: float) -> None:
        """End the pool; what it tells last is still taken in."""
        if self._stopped:
            return
        self._stopped = True
        if self._timer is not None:
            self._timer.cancel()
        self.pool.stop(deadline)
        self.collect()
        if self._fd is not None:
            self._loop.remove_reader(self._fd)
            self._fd = None

    def submit(self, jobs: Sequence[Job]) -> None:
        """Hand jobs to the pool."""
        self.pool.submit(jobs)

    def collect(self) -> None:
        """Take in what the pool has to tell."""
        events = self.pool.collect()
        if events:
            self._on_events(events)
            self._schedule(self.pool.tick(time.monotonic()))

    def tick(self) -> None:
        """Let the pool look at its limits and its children now, and tell of every start."""
        # A job that has run for less than a batch's time would pass for reserved otherwise, and a
        # command to terminate it would find nothing to end.
        self.pool.running()
        self._tick()

    def _watch(self) -> None:
        self._fd = self.pool.fileno()
        self._loop.add_reader(self._fd, self.collect)

    def _tick(self) -> None:
        self._timer = None
        self._schedule(self.pool.tick(time.monotonic()))
        # Marks of started jobs cost no system call, so nothing wakes the loop for them: look.
        self.collect()

    def _schedule(self, pause: float) -> None:
        """Tick again after `pause` seconds, or sooner if that is due already."""
        pause = max(_SHORTEST, min(pause, _LONGEST))
        deadline = time.monotonic() + pause
        if self._timer is not None:
            if self._timer.callback is not None and self._timer.deadline <= deadline:
                return
            self._timer.cancel()
        self._timer = self._loop.call_later(pause, self._tick)
