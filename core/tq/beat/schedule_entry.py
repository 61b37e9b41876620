"""An entry as a scheduler of the user's own keeps it.

Source: celery/beat.py, `ScheduleEntry`; API.md (schedules and beat).
"""

import copy
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Self

from tq.schedules import maybe_schedule

__all__ = ["ScheduleEntry", "timestamp_of"]

_EDITABLE = ("task", "schedule", "args", "kwargs", "options")


class ScheduleEntry:
    """What is called and when, and how often it was; subclasses may read it from anywhere.

    Attributes:
        app: The application, or None.
        name: Unique among the entries.
        task: The task's name.
        schedule: When; anything with `is_due(last_run_at)` and `now()`.
        args: Positional arguments; `BeatLazyFunc`s are called when the entry is sent.
        kwargs: Keyword arguments, likewise.
        options: Of the call, as for `apply_async`.
        last_run_at: When it was sent last, or from when the first slot is counted; aware.
        total_run_count: How often it was sent.
    """

    name: str = ""
    task: str = ""
    schedule: Any = None
    args: Any = ()
    kwargs: Any = None
    options: Any = None
    last_run_at: Any = None
    total_run_count: int = 0

    def __init__(
        self,
        name: str = "",
        task: str = "",
        last_run_at: datetime | None = None,
        total_run_count: int | None = None,
        schedule: Any = None,
        args: Any = (),
        kwargs: Mapping[str, Any] | None = None,
        options: Mapping[str, Any] | None = None,
        relative: bool = False,
        app: Any = None,
    ) -> None:
        """Read the schedule.

        Args:
            name: Unique among the entries.
            task: The task's name.
            last_run_at: When it was sent last; now by default.
            total_run_count: How often it was sent.
            schedule: Seconds, a timedelta or a schedule.
            args: Positional arguments.
            kwargs: Keyword arguments.
            options: Of the call.
            relative: Whether an interval is rounded down to its unit.
            app: The application, whose time zone the schedule gets.

        Raises:
            ConfigError: The schedule makes no sense.
        """
        self.app = app
        self.name = name
        self.task = task
        self.args = args
        self.kwargs = dict(kwargs or {})
        self.options = dict(options or {})
        self.schedule = maybe_schedule(schedule, relative, app)
        self.last_run_at = last_run_at or self.default_now()
        self.total_run_count = total_run_count or 0

    def default_now(self) -> datetime:
        """Return the current time, as the schedule tells it."""
        now: datetime = self.schedule.now()
        return now

    def is_due(self) -> tuple[bool, float]:
        """Tell whether the entry is to be sent, and after how many seconds to ask again."""
        answer: tuple[bool, float] = self.schedule.is_due(self.last_run_at)
        return answer

    def next(self, last_run_at: datetime | None = None) -> Self:
        """Return the entry as it is once it was sent.

        Args:
            last_run_at: When; now by default.
        """
        following = copy.copy(self)
        following.last_run_at = last_run_at or self.default_now()
        following.total_run_count = self.total_run_count + 1
        return following

    def __next__(self) -> Self:
        """Return `next()`: a subclass may define either."""
        return self.next()

    def update(self, other: "ScheduleEntry") -> None:
        """Take over what users edit, and keep how far the entry has come."""
        for field in _EDITABLE:
            setattr(self, field, getattr(other, field))

    def editable_fields_equal(self, other: "ScheduleEntry") -> bool:
        """Tell whether both stand for the same call at the same times."""
        return all(getattr(self, field) == getattr(other, field) for field in _EDITABLE)

    def __iter__(self) -> Iterator[tuple[str, Any]]:
        """Yield the attributes with their names, so that `dict(entry)` copies them."""
        return iter(vars(self).items())

    def __eq__(self, other: object) -> bool:
        """Compare what users edit."""
        if not isinstance(other, ScheduleEntry):
            return NotImplemented
        return self.editable_fields_equal(other)

    __hash__ = None  # type: ignore[assignment]  # equal entries may differ in progress

    def __repr__(self) -> str:
        """Show name, task and schedule."""
        return f"<{type(self).__name__}: {self.name} {self.task} {self.schedule!r}>"


def timestamp_of(moment: datetime | None) -> float:
    """Return a moment's timestamp; a moment without a zone is meant in UTC, None is the epoch."""
    if moment is None:
        return 0.0
    return (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).timestamp()
