"""What a user may give as a schedule, and the schedule it stands for.

Source: celery/schedules.py, `maybe_schedule`.
"""

from datetime import timedelta
from typing import Any

from tq.errors import ConfigError
from tq.schedules.base import BaseSchedule
from tq.schedules.cron import crontab
from tq.schedules.interval import schedule

__all__ = ["maybe_schedule"]


def maybe_schedule(given: Any, relative: bool = False, app: Any = None) -> Any:
    """Return a schedule for a number of seconds, a timedelta or a schedule.

    Args:
        given: Celery's own schedule objects are understood as well.
        relative: Round intervals down to their unit.
        app: The application; set on a schedule that has none.

    Raises:
        ConfigError: It is none of these.
    """
    if isinstance(given, timedelta | int | float) and not isinstance(given, bool):
        return schedule(given, relative, app=app)
    if isinstance(given, BaseSchedule):
        if given.app is None:
            given.app = app
        return given
    if hasattr(given, "month_of_year") and hasattr(given, "minute"):
        names = ("minute", "hour", "day_of_week", "day_of_month", "month_of_year")
        return crontab(*(_foreign_field(given, name) for name in names), app=app)
    if hasattr(given, "run_every"):
        return schedule(given.run_every, bool(getattr(given, "relative", False)), app=app)
    raise ConfigError(
        f"schedule must be seconds, a timedelta or a schedule, not {given!r}", field="schedule"
    )


def _foreign_field(given: Any, name: str) -> Any:
    """Return a field as it was written, which reads better than the numbers it stands for."""
    return getattr(given, f"_orig_{name}", getattr(given, name))
