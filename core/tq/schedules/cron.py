"""Crontabs: fields of the wall clock, and what daylight saving does to them.

Every slot is a wall time that runs once. A wall time that the clock skips runs as much later as the
gap is wide; one that the clock shows twice runs the first time. Only a crontab of every hour runs
in both passes of a repeated hour, since its intervals are what its user means.

cronsim is not used: with it a day matches when day of month *or* day of week do, with Celery both
must.

Source: celery/schedules.py, `crontab`; RELIABILITY 6.7.
"""

import calendar
from bisect import bisect_right
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta, tzinfo
from functools import lru_cache
from typing import Any, Self

from tq.errors import ConfigError
from tq.schedules.base import BaseSchedule, schedstate
from tq.schedules.fields import parse_field
from tq.schedules.words import crontab_words

__all__ = ["crontab"]

_DAY = 86400
_YEARS = 41  # 29 February on a given weekday may be 40 years away, over a year such as 2100
_LONGEST_MONTHS = {2: 29, 4: 30, 6: 30, 9: 30, 11: 30}


class crontab(BaseSchedule):
    """Wall-clock times: minute, hour, day of week, day of month and month must all match.

    Each field is a number, several numbers, or text: `*`, `*/5`, `mon-fri`, `8-18/2`, `0,30`.
    Sunday is 0.

    Attributes:
        minute: The minutes, as numbers.
        hour: The hours.
        day_of_week: The days of the week.
        day_of_month: The days of the month.
        month_of_year: The months.
    """

    def __init__(
        self,
        minute: Any = "*",
        hour: Any = "*",
        day_of_week: Any = "*",
        day_of_month: Any = "*",
        month_of_year: Any = "*",
        *,
        nowfun: Callable[[], datetime] | None = None,
        app: Any = None,
    ) -> None:
        """Read the fields.

        Raises:
            ConfigError: A field cannot be read, or no day can ever match; `field` names it.
        """
        super().__init__(nowfun, app)
        # As Celery calls them: subclasses written for it read them.
        self._orig_minute = minute
        self._orig_hour = hour
        self._orig_day_of_week = day_of_week
        self._orig_day_of_month = day_of_month
        self._orig_month_of_year = month_of_year
        self.minute = parse_field(minute, "minute")
        self.hour = parse_field(hour, "hour")
        self.day_of_week = parse_field(day_of_week, "day_of_week")
        self.day_of_month = parse_field(day_of_month, "day_of_month")
        self.month_of_year = parse_field(month_of_year, "month_of_year")
        earliest = min(self.day_of_month)
        if all(earliest > _LONGEST_MONTHS.get(month, 31) for month in self.month_of_year):
            raise ConfigError(
                f"crontab: day_of_month={day_of_month!r} is in no month of {month_of_year!r}",
                field="day_of_month",
            )
        self._seconds = [h * 3600 + m * 60 for h in sorted(self.hour) for m in sorted(self.minute)]
        self._each_hour = len(self.hour) == 24

    @classmethod
    def from_string(cls, crontab: str) -> Self:
        """Read the five fields in cron's order: minute, hour, day of month, month, day of week.

        Raises:
            ConfigError: There are not five fields, or one cannot be read.
        """
        parts = crontab.split()
        if len(parts) != 5:
            raise ConfigError(
                f"crontab: {crontab!r} has {len(parts)} fields, not the five "
                "'minute hour day_of_month month_of_year day_of_week'",
                field="schedule",
            )
        minute, hour, day_of_month, month_of_year, day_of_week = parts
        return cls(minute, hour, day_of_week, day_of_month, month_of_year)

    def next_after(self, after: datetime, zone: tzinfo | None = None) -> datetime | None:
        """Return the first slot after a moment; see `BaseSchedule.next_after`."""
        zone = self._tz or zone or self.tz
        moment = after.timestamp()
        # From the day before: where a whole day is skipped, its slots fall on the next one.
        start = after.astimezone(zone).date() - timedelta(days=1)
        for day in self._days(start, forward=True):
            found = self._first_after(day, zone, moment)
            if found is not None:
                return datetime.fromtimestamp(found, UTC)
        return None

    def latest(
        self, since: datetime, until: datetime, zone: tzinfo | None = None
    ) -> datetime | None:
        """Return the last slot of a span; see `BaseSchedule.latest`."""
        zone = self._tz or zone or self.tz
        first, last = since.timestamp(), until.timestamp()
        for day in self._days(until.astimezone(zone).date(), forward=False):
            found = self._last_until(day, zone, last)
            if found is not None:
                return datetime.fromtimestamp(found, UTC) if found > first else None
            # A gap may carry a day's slots into the next, hence two days of margin.
            if _midnight(day, zone) < first - 2 * _DAY:
                break
        return None

    def is_due(self, last_run_at: datetime) -> tuple[bool, float]:
        """Tell whether a slot has come since, if it is within `beat_cron_starting_deadline`."""
        due, wait = super().is_due(last_run_at)
        deadline = self.app.conf.beat_cron_starting_deadline if self.app is not None else None
        if due and deadline is not None:
            now = self.now()
            slot = self.latest(self.maybe_make_aware(last_run_at), now)
            due = slot is not None and now - slot <= timedelta(seconds=deadline)
        return schedstate(due, wait)

    # Slots of a day.

    def _first_after(self, day: date, zone: tzinfo, moment: float) -> float | None:
        base = _midnight(day, zone)
        slots: list[int] | list[float] = self._seconds
        if not _is_even(day, zone):
            base, slots = 0.0, self._uneven(day, zone)
        at = bisect_right(slots, moment - base)
        return base + slots[at] if at < len(slots) else None

    def _last_until(self, day: date, zone: tzinfo, moment: float) -> float | None:
        base = _midnight(day, zone)
        slots: list[int] | list[float] = self._seconds
        if not _is_even(day, zone):
            base, slots = 0.0, self._uneven(day, zone)
        at = bisect_right(slots, moment - base)
        return base + slots[at - 1] if at else None

    def _uneven(self, day: date, zone: tzinfo) -> list[float]:
        """Return the slots of a day on which the clock is set, as timestamps."""
        found = set()
        for second in self._seconds:
            wall = datetime(
                day.year, day.month, day.day, second // 3600, second % 3600 // 60, tzinfo=zone
            )
            # For a wall time in a gap this is the moment by the offset before it: shifted.
            first = wall.timestamp()
            found.add(first)
            again = wall.replace(fold=1).timestamp()
            if self._each_hour and again > first:
                found.add(again)
        return sorted(found)

    def _days(self, start: date, forward: bool) -> Iterator[date]:
        """Yield the matching days from `start` on, or back from it."""
        step = 1 if forward else -1
        days = sorted(self.day_of_month, reverse=not forward)
        year, month = start.year, start.month
        for _ in range(_YEARS * 12):
            if not 1 <= year <= 9998:
                return
            if month in self.month_of_year:
                length = calendar.monthrange(year, month)[1]
                for number in days:
                    if number > length:
                        continue
                    day = date(year, month, number)
                    if (day >= start if forward else day <= start) and self._has_weekday(day):
                        yield day
            month += step
            if not 1 <= month <= 12:
                year, month = year + step, 1 if forward else 12

    def _has_weekday(self, day: date) -> bool:
        return day.isoweekday() % 7 in self.day_of_week

    # Being a value.

    def human(self) -> str:
        """Say the schedule in words: `every 5 minutes`, `at 14:00 on weekdays`."""
        return crontab_words(
            self.minute, self.hour, self.day_of_week, self.day_of_month, self.month_of_year
        )

    def _sets(self) -> tuple[frozenset[int], ...]:
        return (self.minute, self.hour, self.day_of_week, self.day_of_month, self.month_of_year)

    def __eq__(self, other: object) -> bool:
        """Compare the times that the fields stand for, not how they are written, and the zone."""
        if not isinstance(other, crontab):
            return NotImplemented
        return (self._sets(), self._tz) == (other._sets(), other._tz)

    def __hash__(self) -> int:
        return hash(self._sets())

    def __repr__(self) -> str:
        """Show the fields in cron's order, as they were written."""
        return (
            f"<crontab: {self._orig_minute} {self._orig_hour} {self._orig_day_of_month} "
            f"{self._orig_month_of_year} {self._orig_day_of_week} (m/h/dM/MY/d)>"
        )

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle as the fields; the application is the receiver's affair."""
        given = (
            self._orig_minute,
            self._orig_hour,
            self._orig_day_of_week,
            self._orig_day_of_month,
            self._orig_month_of_year,
        )
        return (type(self), given, {"_tz": self._tz})


@lru_cache(maxsize=1024)
def _midnight(day: date, zone: tzinfo) -> float:
    """Return the timestamp at which a day begins."""
    return datetime(day.year, day.month, day.day, tzinfo=zone).timestamp()


@lru_cache(maxsize=1024)
def _is_even(day: date, zone: tzinfo) -> bool:
    """Tell whether the clock is not set on that day."""
    start = datetime(day.year, day.month, day.day, tzinfo=zone)
    following = day + timedelta(days=1)
    end = datetime(following.year, following.month, following.day, tzinfo=zone)
    even = end.timestamp() - start.timestamp() == _DAY
    return even and start.utcoffset() == end.utcoffset() == start.replace(fold=1).utcoffset()
