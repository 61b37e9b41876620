"""Grows the pool when tasks wait for it, and shrinks it again when slots idle.

Source: celery/worker/autoscale.py, `Autoscaler` (bounds, keep-alive of 30 s).
"""

import logging
import time
from collections.abc import Callable

from tq.pools.base import Pool
from tq.worker.loop import Loop, Timer

__all__ = ["Autoscaler", "wanted_size"]

logger = logging.getLogger(__name__)

_INTERVAL = 1.0
KEEPALIVE = 30.0  # seconds a slot may idle before it is taken away


def wanted_size(
    size: int, busy: int, bounds: tuple[int, int], idle_seconds: float, keepalive: float
) -> int:
    """Decide how many slots the pool should have.

    Args:
        size: Slots now.
        busy: Tasks this worker holds, running or waiting for a slot.
        bounds: `(max, min)`.
        idle_seconds: How long there were more slots than tasks.
        keepalive: How long that may be.
    """
    maximum, minimum = bounds
    lower = max(1, minimum)
    if busy >= size:
        return max(lower, min(maximum, busy + 1 if busy == size else busy))
    if idle_seconds >= keepalive or size > maximum:
        return max(lower, min(maximum, busy))
    return max(lower, size)


class Autoscaler:
    """Watches how full the pool is, once a second. Owned by the loop thread."""

    name = "autoscaler"

    def __init__(
        self,
        loop: Loop,
        pool: Pool,
        held: Callable[[], int],
        maximum: int,
        minimum: int,
        keepalive: float = KEEPALIVE,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Keep the bounds; `held` counts the tasks that this worker holds."""
        self._loop = loop
        self._pool = pool
        self._held = held
        self._bounds = (maximum, minimum)
        self._keepalive = keepalive
        self._monotonic = monotonic
        self._idle_since: float | None = None
        self._timer: Timer | None = None

    def start(self) -> None:
        """Begin to watch."""
        self._timer = self._loop.call_later(_INTERVAL, self._watch)

    def stop(self, deadline: float) -> None:
        """Cease to watch; the pool keeps its size."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def update(self, maximum: int | None, minimum: int | None) -> tuple[int, int]:
        """Change the bounds; None keeps one. Returns `(max, min)`."""
        old_maximum, old_minimum = self._bounds
        most = old_maximum if maximum is None else maximum
        least = min(old_minimum if minimum is None else minimum, most)
        self._bounds = (max(1, most), max(0, least))
        self._scale()
        return self._bounds

    def info(self) -> dict[str, int]:
        """Describe for `inspect stats`."""
        maximum, minimum = self._bounds
        return {"max": maximum, "min": minimum, "current": self._pool.size, "qty": self._held()}

    def _watch(self) -> None:
        self._timer = self._loop.call_later(_INTERVAL, self._watch)
        self._scale()

    def _scale(self) -> None:
        now, busy, size = self._monotonic(), self._held(), self._pool.size
        if busy >= size:
            self._idle_since = None
        elif self._idle_since is None:
            self._idle_since = now
        idle = 0.0 if self._idle_since is None else now - self._idle_since
        wanted = wanted_size(size, busy, self._bounds, idle, self._keepalive)
        if wanted != size:
            logger.info("scaling the pool from %d to %d slots", size, wanted)
            self._pool.resize(wanted)
            self._idle_since = None
