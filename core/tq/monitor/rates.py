"""Counts over time and distributions of durations, in a few fixed bytes each.

Pure: every time is an argument, in wall-clock seconds.
"""

import math
from array import array
from collections.abc import Sequence

__all__ = ["Histogram", "Ring", "Rings", "bucket_of"]


class Ring:
    """Counts of the newest `size` slots of `width` seconds."""

    __slots__ = ("counts", "newest", "size", "width")

    def __init__(self, width: int, size: int) -> None:
        """Start empty."""
        self.width = width
        self.size = size
        self.counts = array("I", bytes(4 * size))
        self.newest = 0

    def add(self, now: float, count: int) -> None:
        """Count `count` more at `now`; what is older than the ring is dropped."""
        slot = int(now) // self.width
        if slot > self.newest:
            self._advance(slot)
        elif slot <= self.newest - self.size:
            return
        at = slot % self.size
        # A slot that would overflow stays at its most: a wrong peak is better than an error.
        self.counts[at] = min(self.counts[at] + count, 0xFFFFFFFF)

    def _advance(self, slot: int) -> None:
        """Empty the slots between the newest one and `slot`."""
        if slot - self.newest >= self.size:
            self.counts = array("I", bytes(4 * self.size))
        else:
            for passed in range(self.newest + 1, slot + 1):
                self.counts[passed % self.size] = 0
        self.newest = slot

    def series(self, now: float, slots: int) -> list[int]:
        """Return the newest `slots` counts, oldest first; the last slot is unfinished."""
        last = int(now) // self.width
        oldest_kept = self.newest - self.size + 1
        return [
            self.counts[slot % self.size] if max(oldest_kept, 0) <= slot <= self.newest else 0
            for slot in range(last - min(slots, self.size) + 1, last + 1)
        ]


class Rings:
    """One count kept at several resolutions."""

    __slots__ = ("rings", "total")

    FULL = ((1, 600), (10, 720), (60, 1440))
    SHORT = ((1, 60), (10, 60))

    def __init__(self, shape: Sequence[tuple[int, int]] = FULL) -> None:
        """Keep one ring per `(seconds, slots)` of `shape`, finest first."""
        self.rings = tuple(Ring(width, size) for width, size in shape)
        self.total = 0

    @classmethod
    def short(cls) -> "Rings":
        """Make the small kind that each worker and each task name has (0.5 KB)."""
        return cls(cls.SHORT)

    def add(self, now: float, count: int = 1) -> None:
        """Count `count` more at `now`."""
        self.total += count
        for ring in self.rings:
            ring.add(now, count)

    def series(self, now: float, width: int, slots: int) -> list[int]:
        """Return counts per `width` seconds, oldest first; `width` must be one of the shape's."""
        for ring in self.rings:
            if ring.width == width:
                return ring.series(now, slots)
        known = ", ".join(str(ring.width) for ring in self.rings)
        raise ValueError(f"no ring of {width} s; there are {known}")

    def rate(self, now: float, window: int = 10) -> float:
        """Return the mean count per second over the last `window` finished seconds.

        The finest ring that is long enough is read, and the second that is not over yet is left
        out, so that a steady stream gives a steady figure.
        """
        for ring in self.rings:
            if ring.width * (ring.size - 1) >= window:
                slots = max(1, -(-window // ring.width))
                return sum(ring.series(now, slots + 1)[:-1]) / (slots * ring.width)
        ring = self.rings[-1]
        return sum(ring.series(now, ring.size)[:-1]) / (ring.width * (ring.size - 1))


# Bucket i holds durations up to LOWEST * GROWTH**i: 10 us to 12 days within 5 %.
_LOWEST = 1e-5
_GROWTH = 1.1
_BUCKETS = 264
_PER_LOG = 1.0 / math.log(_GROWTH)
_OFFSET = -math.log(_LOWEST) * _PER_LOG
_log = math.log


def bucket_of(seconds: float) -> int:
    """Return the histogram bucket of a duration, which must be neither negative nor infinite."""
    if seconds <= _LOWEST:
        return 0
    bucket = int(_log(seconds) * _PER_LOG + _OFFSET + 1.0)
    return bucket if bucket < _BUCKETS else _BUCKETS - 1


class Histogram:
    """A distribution of durations in seconds; percentiles are right within 5 %."""

    __slots__ = ("_counts", "count", "highest", "lowest", "total")

    def __init__(self) -> None:
        """Start empty; the buckets are made with the first value."""
        self._counts: array[int] | None = None
        self.count = 0
        self.total = 0.0
        self.lowest = math.inf
        self.highest = 0.0

    def add(self, seconds: float) -> None:
        """Count one duration; negative ones and NaN are not durations and are left out."""
        if not 0.0 <= seconds < math.inf:
            return
        self.add_to(bucket_of(seconds), seconds)

    def add_to(self, bucket: int, seconds: float) -> None:
        """Count one duration whose `bucket_of` is known already."""
        counts = self._counts
        if counts is None:
            counts = self._counts = array("I", bytes(4 * _BUCKETS))
        counts[bucket] += 1
        self.count += 1
        self.total += seconds
        if seconds < self.lowest:
            self.lowest = seconds
        if seconds > self.highest:
            self.highest = seconds

    @property
    def mean(self) -> float | None:
        """The average, or None when empty."""
        return self.total / self.count if self.count else None

    def percentile(self, share: float) -> float | None:
        """Return the duration that `share` (0..1) of all do not exceed, or None when empty."""
        if self._counts is None or not self.count:
            return None
        wanted = max(1, math.ceil(share * self.count))
        passed = 0
        for bucket, count in enumerate(self._counts):
            passed += count
            if passed >= wanted:
                middle = _LOWEST * _GROWTH ** (bucket - 0.5) if bucket else _LOWEST
                return min(max(middle, self.lowest), self.highest)
        return self.highest
