"""Rate limits and the set of revoked ids: pure, bounded, and told the time.

Source: PROTOCOL 6 (rate limit), 11 and 13 (revoked set); celery/utils/time.py, `rate`;
celery/utils/collections.py, `LimitedSet`.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

__all__ = [
    "REVOKED_LIMIT",
    "REVOKED_SECONDS",
    "RevokedIds",
    "RevokedStamps",
    "TokenBucket",
    "parse_rate",
]

REVOKED_LIMIT = 50_000  # Celery's bounds, PROTOCOL 13
REVOKED_SECONDS = 10_800.0
STAMP_NAMES_LIMIT = 1_000  # names of stamps; their values are bounded by REVOKED_LIMIT each

_UNIT_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0}

# Parked messages come back at the broker's pace (every 100-250 ms), so a bucket holds what a
# quarter of a second allows; with less, a limit of 100/s would reach only a few per second.
_BURST_SECONDS = 0.25


def parse_rate(rate: str | float | None) -> float:
    """Read a rate limit such as `10/m`, `5/s`, `100/h`, `3` or 2.5.

    Returns:
        Tokens per second; 0 means no limit.

    Raises:
        ValueError: It is none of these, negative, or not finite. The text matches Celery's for
            words, since it travels in the reply of the `rate_limit` command.
    """
    if rate is None or rate == "":
        return 0.0
    if isinstance(rate, bool) or not isinstance(rate, str | int | float):
        raise ValueError(f"could not convert {type(rate).__name__} to a rate: {rate!r:.100}")
    if isinstance(rate, str):
        count, _, unit = rate.partition("/")
        number = float(count)
        if unit and unit not in _UNIT_SECONDS:
            raise ValueError(f"unknown unit of time in {rate!r:.100}: one of s, m, h")
        per_second = number / _UNIT_SECONDS[unit or "s"]
    else:
        per_second = float(rate)
    if not math.isfinite(per_second) or per_second < 0:
        raise ValueError(f"a rate must be finite and not negative: {rate!r:.100}")
    return per_second


class TokenBucket:
    """How often one task may start. Owned by the dispatcher.

    `take` says how long a message must be parked. Messages over the limit get places one after
    another (`_cursor`), so that a long backlog comes back spread out and not all at once.
    """

    __slots__ = ("_capacity", "_cursor", "_tokens", "_updated", "rate")

    def __init__(self, rate: float) -> None:
        """Begin full.

        Args:
            rate: Tokens per second, above 0.
        """
        self.rate = rate
        self._capacity = max(1.0, rate * _BURST_SECONDS)
        self._tokens = self._capacity
        self._updated: float | None = None
        self._cursor = -math.inf

    def take(self, now: float) -> float:
        """Take a token.

        Args:
            now: Wall-clock timestamp; going backwards costs nothing.

        Returns:
            0 when there was one, else the seconds to wait before asking again.
        """
        if self._updated is not None and now > self._updated:
            gained = (now - self._updated) * self.rate
            self._tokens = min(self._capacity, self._tokens + gained)
        self._updated = now
        if self._tokens >= 1.0:
            self._tokens -= 1.0
            return 0.0
        interval = 1.0 / self.rate
        soonest = now + (1.0 - self._tokens) * interval
        # A cursor further away than the backlog can explain means that the clock went backwards.
        self._cursor = max(soonest, self._cursor + interval)
        return self._cursor - now


class RevokedIds:
    """Ids that must not run, oldest first, bounded by count and age. Owned by the dispatcher."""

    def __init__(self, limit: int = REVOKED_LIMIT, seconds: float = REVOKED_SECONDS) -> None:
        """Keep at most `limit` ids, each for `seconds`."""
        self._limit = limit
        self._seconds = seconds
        self._added: dict[str, float] = {}

    def add(self, ids: Iterable[str], now: float) -> None:
        """Add ids; one that is already there becomes the youngest.

        Args:
            ids: Task ids.
            now: Wall-clock timestamp.
        """
        added = self._added
        for task_id in ids:
            added.pop(task_id, None)
            added[task_id] = now
        self.expire(now)

    def restore(self, entries: Iterable[tuple[str, float]], now: float) -> None:
        """Take in `(id, wall timestamp)` from an earlier life; ids that are known keep their age.

        Args:
            entries: What `items` returned.
            now: Wall-clock timestamp; entries of the future count as of now.
        """
        older = {task_id: min(timestamp, now) for task_id, timestamp in entries}
        older.update(self._added)
        self._added = dict(sorted(older.items(), key=lambda entry: entry[1]))
        self.expire(now)

    def items(self) -> list[tuple[str, float]]:
        """Return `(id, wall timestamp)`, oldest first."""
        return list(self._added.items())

    def discard(self, task_id: str) -> None:
        """Remove an id, if it is there."""
        self._added.pop(task_id, None)

    def expire(self, now: float) -> None:
        """Drop what is too old or too much."""
        added = self._added
        surplus = len(added) - self._limit
        oldest = now - self._seconds
        for task_id, timestamp in list(_first(added, surplus, oldest)):
            if added.get(task_id) == timestamp:
                del added[task_id]

    def __contains__(self, task_id: object) -> bool:
        """Tell whether an id is revoked."""
        return task_id in self._added

    def __len__(self) -> int:
        """Count the ids."""
        return len(self._added)

    def __iter__(self) -> Iterator[str]:
        """Go through the ids, oldest first."""
        return iter(self._added)


def _first(added: dict[str, float], surplus: int, oldest: float) -> Iterator[tuple[str, float]]:
    """Yield the entries at the old end that are over the count or past their age."""
    for index, (task_id, timestamp) in enumerate(added.items()):
        if index >= surplus and timestamp > oldest:
            return
        yield task_id, timestamp


class RevokedStamps:
    """Stamp values that must not run: name -> values. Owned by the dispatcher.

    Source: celery/worker/state.py, `revoked_stamps`; celery/worker/request.py, `revoked`.
    """

    def __init__(self) -> None:
        """Begin with nothing revoked."""
        self._values: dict[str, RevokedIds] = {}

    def __bool__(self) -> bool:
        """Tell whether anything is revoked, to spare tasks without stamps the look."""
        return bool(self._values)

    def add(self, headers: Mapping[str, Any], now: float) -> None:
        """Revoke each value (or each of a list of values) of each stamp name."""
        for name, value in headers.items():
            if name not in self._values and len(self._values) >= STAMP_NAMES_LIMIT:
                del self._values[next(iter(self._values))]
            values = self._values.setdefault(name, RevokedIds())
            values.add(stamp_values(value), now)

    def match(self, stamped_headers: Iterable[str] | None, stamps: Mapping[str, Any]) -> bool:
        """Tell whether one of a task's stamps is revoked."""
        for name in stamped_headers or ():
            revoked = self._values.get(name)
            if revoked and any(value in revoked for value in stamp_values(stamps.get(name))):
                return True
        return False

    def expire(self, now: float) -> None:
        """Drop what is too old."""
        for name in list(self._values):
            self._values[name].expire(now)
            if not len(self._values[name]):
                del self._values[name]


def stamp_values(value: Any) -> list[str]:
    """Return a stamp's values as texts: a stamp holds one value or a list of them."""
    if value is None:
        return []
    if isinstance(value, list | tuple | set | frozenset):
        return [str(item) for item in value]
    return [str(value)]
