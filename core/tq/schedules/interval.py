"""Intervals.

Source: celery/schedules.py, `schedule`; celery/utils/time.py, `delta_resolution`.
"""

import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

from tq.errors import ConfigError
from tq.schedules.base import BaseSchedule
from tq.schedules.words import interval_words, short_seconds

__all__ = ["schedule"]

_SHORTEST, _LONGEST = 0.01, 100 * 365.25 * 86400


class schedule(BaseSchedule):
    """Every so often, counted from the slot before, so that slots do not drift.

    Attributes:
        run_every: The interval.
        relative: Whether slots are rounded down to the interval's unit: hourly on the hour.
    """

    def __init__(
        self,
        run_every: float | timedelta | None = None,
        relative: bool = False,
        nowfun: Callable[[], datetime] | None = None,
        app: Any = None,
    ) -> None:
        """Check the interval.

        Raises:
            ConfigError: It is no time, or not between 10 ms and 100 years.
        """
        super().__init__(nowfun, app)
        self.run_every = _interval(run_every)
        self.relative = bool(relative)

    @property
    def seconds(self) -> float:
        """The interval in seconds."""
        return max(self.run_every.total_seconds(), 0)

    @property
    def human_seconds(self) -> str:
        """The interval as Celery's logs show it: `5.00 minutes`."""
        return short_seconds(self.seconds)

    def next_after(self, after: datetime, zone: tzinfo | None = None) -> datetime | None:
        """Return the first slot after a moment; see `BaseSchedule.next_after`."""
        try:
            following = after.astimezone(UTC) + self.run_every
            return self._rounded(following, self._tz or zone or self.tz)
        except OverflowError:  # after the year 9999
            return None

    def latest(
        self, since: datetime, until: datetime, zone: tzinfo | None = None
    ) -> datetime | None:
        """Return the last slot of a span; see `BaseSchedule.latest`."""
        first = self.next_after(since, zone)
        if first is None or first > until:
            return None
        steps = (until - first) // self.run_every
        found = self._rounded(first + steps * self.run_every, self._tz or zone or self.tz)
        # Rounding down may have made room for one more.
        following = self.next_after(found, zone)
        return following if following is not None and following <= until else found

    def _rounded(self, moment: datetime, zone: tzinfo) -> datetime:
        if not self.relative or self.seconds < 60:
            return moment.astimezone(UTC)
        local = moment.astimezone(zone).replace(second=0, microsecond=0)
        if self.seconds >= 3600:
            local = local.replace(minute=0)
        if self.seconds >= 86400:
            local = local.replace(hour=0)
        return local.astimezone(UTC)

    def human(self) -> str:
        """Say the schedule in words: `every 5 minutes`."""
        return interval_words(self.seconds)

    def __eq__(self, other: object) -> bool:
        """Compare the intervals."""
        if not isinstance(other, schedule):
            return NotImplemented
        return (self.run_every, self.relative) == (other.run_every, other.relative)

    def __hash__(self) -> int:
        return hash((self.run_every, self.relative))

    def __repr__(self) -> str:
        """Show the interval as Celery does."""
        return f"<freq: {self.human_seconds}>"

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle as interval and rounding."""
        return (type(self), (self.run_every, self.relative), {"_tz": self._tz})


def _interval(given: Any) -> timedelta:
    if isinstance(given, timedelta):
        seconds = given.total_seconds()
    elif isinstance(given, bool) or not isinstance(given, int | float):
        raise ConfigError(
            f"an interval must be seconds or a timedelta, not {given!r}", field="schedule"
        )
    else:
        seconds = float(given)
    if math.isnan(seconds) or not _SHORTEST <= seconds <= _LONGEST:
        raise ConfigError(
            f"an interval must be between 10 ms and 100 years, not {given!r}", field="schedule"
        )
    return timedelta(seconds=seconds)
