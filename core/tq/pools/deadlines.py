"""When the limits of running jobs pass. Pure."""

import heapq
from collections.abc import Callable, Iterator
from itertools import count
from typing import Generic, TypeVar

__all__ = ["Deadlines"]

T = TypeVar("T")
_SLACK = 64  # dead entries that are not worth a clean-up


class Deadlines(Generic[T]):
    """A heap of soft and hard limits. Owned by the loop's thread.

    Most jobs end before their limit; their entries are dropped when they outnumber the living.
    """

    def __init__(self, alive: Callable[[T], bool]) -> None:
        """Make an empty heap.

        Args:
            alive: Tells whether a job still runs.
        """
        self._alive = alive
        self._heap: list[tuple[float, int, T, bool]] = []
        self._order = count()  # keeps the heap from comparing jobs
        self._clean_at = _SLACK

    def __len__(self) -> int:
        """Return the number of entries, dead ones included."""
        return len(self._heap)

    def add(self, item: T, began: float, soft: float | None, hard: float | None) -> None:
        """Enter the limits of a job that began at a monotonic time."""
        for limit, is_soft in ((soft, True), (hard, False)):
            if limit is not None:
                heapq.heappush(self._heap, (began + limit, next(self._order), item, is_soft))
        if len(self._heap) > self._clean_at:
            self._heap = [entry for entry in self._heap if self._alive(entry[2])]
            heapq.heapify(self._heap)
            self._clean_at = 2 * len(self._heap) + _SLACK

    def passed(self, now: float) -> Iterator[tuple[T, bool]]:
        """Take out the limits that have passed; yields each living job, and whether it is soft."""
        while self._heap and self._heap[0][0] <= now:
            item, is_soft = heapq.heappop(self._heap)[2:]
            if self._alive(item):
                yield item, is_soft

    def wait(self, now: float, longest: float) -> float:
        """Return the seconds until the next limit passes, at most `longest`."""
        if not self._heap:
            return longest
        return min(max(self._heap[0][0] - now, 0.0), longest)
