"""What all schedules share: a time zone, and slots that follow one another.

A slot is a moment at which an entry is due. Slots depend on the schedule and the moment they are
counted from, never on when the question is asked, so that all beats agree on them.

Source: celery/schedules.py, `BaseSchedule`.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

__all__ = ["BaseSchedule", "schedstate"]

_MOST_STEPS = 10_000  # a schedule of the user's own that is further behind starts over from here


class schedstate(NamedTuple):
    """Whether a schedule is due, and how many seconds to wait before asking again."""

    is_due: bool
    next: float


class BaseSchedule:
    """A schedule; subclasses say which slot follows a moment.

    A schedule of the user's own may instead override `remaining_estimate`, as with Celery.

    Attributes:
        nowfun: Returns the current time, aware; the system's clock by default.
        app: The application whose setting `timezone` counts; UTC without one.
    """

    _tz: tzinfo | None = None

    def __init__(self, nowfun: Callable[[], datetime] | None = None, app: Any = None) -> None:
        """Remember where time and time zone come from."""
        self.nowfun = nowfun
        self.app = app

    @property
    def tz(self) -> tzinfo:
        """The zone in which the schedule is meant: one that was set, else the application's."""
        if self._tz is not None:
            return self._tz
        name = self.app.conf.timezone if self.app is not None else None
        return ZoneInfo(name) if name else UTC

    @tz.setter
    def tz(self, zone: tzinfo) -> None:
        self._tz = zone

    @property
    def utc_enabled(self) -> bool:
        """The setting `enable_utc`."""
        return True if self.app is None else bool(self.app.conf.enable_utc)

    def now(self) -> datetime:
        """Return the current time, aware."""
        return self.maybe_make_aware(self.nowfun()) if self.nowfun else datetime.now(UTC)

    def to_local(self, dt: datetime) -> datetime:
        """Return the same moment in the schedule's zone."""
        return self.maybe_make_aware(dt).astimezone(self.tz)

    def maybe_make_aware(self, dt: datetime, naive_as_utc: bool = True) -> datetime:
        """Return `dt`, read in UTC (or the schedule's zone) if it has no zone."""
        if dt.tzinfo is not None:
            return dt
        return dt.replace(tzinfo=UTC if naive_as_utc else self.tz)

    def next_after(self, after: datetime, zone: tzinfo | None = None) -> datetime | None:
        """Return the first slot after a moment, in UTC; None when there is none any more.

        Args:
            after: An aware datetime.
            zone: Instead of the application's.
        """
        return (self.now() + self.remaining_estimate(after)).astimezone(UTC)

    def latest(
        self, since: datetime, until: datetime, zone: tzinfo | None = None
    ) -> datetime | None:
        """Return the last slot that is after `since` and not after `until`, in UTC, or None.

        Args:
            since: An aware datetime: the slot that was run last.
            until: An aware datetime: now.
            zone: Instead of the application's.
        """
        found = None
        for _ in range(_MOST_STEPS):
            slot = self.next_after(found or since, zone)
            # A schedule that does not move on would never end.
            if slot is None or slot > until or slot <= (found or since):
                break
            found = slot
        return found

    def remaining_estimate(self, last_run_at: datetime) -> timedelta:
        """Return the time until the slot after `last_run_at`; negative when it is overdue."""
        if type(self).next_after is BaseSchedule.next_after:
            raise NotImplementedError("a schedule must say next_after or remaining_estimate")
        slot = self.next_after(self.maybe_make_aware(last_run_at))
        return timedelta.max if slot is None else slot - self.now()

    def is_due(self, last_run_at: datetime) -> tuple[bool, float]:
        """Tell whether the slot after `last_run_at` has come, and when to ask again."""
        remaining = self.remaining_estimate(last_run_at).total_seconds()
        if remaining > 0:
            return schedstate(False, remaining)
        return schedstate(True, max(0.0, self.remaining_estimate(self.now()).total_seconds()))

    def human(self) -> str:
        """Say the schedule in words."""
        return repr(self)
