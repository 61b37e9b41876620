"""Schedules in words.

Source: CONSOLE 1 (plain language); celery/utils/time.py, `humanize_seconds` for `short_seconds`.
"""

from collections.abc import Collection, Sequence

from tq.schedules.fields import DAY_NAMES, MONTH_NAMES

__all__ = ["crontab_words", "interval_words", "short_seconds"]

_UNITS = ((86400, "day"), (3600, "hour"), (60, "minute"), (1, "second"))
_MOST_TIMES = 6  # a longer list of times says less than its pattern
_WEEKDAYS, _WEEKEND = frozenset(range(1, 6)), frozenset({0, 6})


def short_seconds(seconds: float) -> str:
    """Return seconds in their largest unit, with two decimals."""
    for length, unit in _UNITS:
        count = seconds / length
        if count >= 1:
            return f"{count:.2f} {unit}{'' if count == 1 else 's'}"
    return "now"


def interval_words(seconds: float) -> str:
    """Say an interval: `every 5 minutes`, `every hour`, `every 0.5 seconds`."""
    for length, unit in _UNITS:
        if seconds >= length and seconds % length == 0:
            return _every(int(seconds // length), unit)
    return f"every {seconds:g} seconds"


def crontab_words(
    minutes: Collection[int],
    hours: Collection[int],
    weekdays: Collection[int],
    days: Collection[int],
    months: Collection[int],
) -> str:
    """Say a crontab: when on a day, and on which days.

    Args:
        minutes: The minutes that match.
        hours: The hours.
        weekdays: The days of the week, Sunday is 0.
        days: The days of the month.
        months: The months.
    """
    parts = [_time_words(sorted(minutes), sorted(hours))]
    on_days = _day_words(sorted(weekdays), sorted(days), sorted(months))
    if on_days:
        parts += on_days
    elif parts[0].startswith("at "):
        parts.append("every day")
    return " ".join(parts)


def _time_words(minutes: Sequence[int], hours: Sequence[int]) -> str:
    if len(hours) == 24:
        return _each_hour(minutes)
    if len(minutes) * len(hours) <= _MOST_TIMES:
        times = [f"{hour:02}:{minute:02}" for hour in hours for minute in minutes]
        step = _step(hours, 24)
        if len(minutes) > 1 or len(hours) < 4 or not step:
            return f"at {_and(times)}"
    step = _step(hours, 24)
    if step and len(minutes) == 1:
        at = "" if minutes[0] == 0 else f" at :{minutes[0]:02}"
        return f"{_every(step, 'hour')}{at}"
    return f"{_each_hour(minutes)} {_hour_words(hours)}"


def _each_hour(minutes: Sequence[int]) -> str:
    if len(minutes) == 60:
        return "every minute"
    if tuple(minutes) == (0,):
        return "every hour"
    step = _step(minutes, 60)
    if step and len(minutes) > 1:
        return _every(step, "minute")
    if len(minutes) <= _MOST_TIMES:
        return f"every hour at {_and([f':{minute:02}' for minute in minutes])}"
    return f"in the minutes {_spans([f'{minute:02}' for minute in minutes], minutes)} of every hour"


def _hour_words(hours: Sequence[int]) -> str:
    if list(hours) == list(range(hours[0], hours[-1] + 1)):
        return f"from {hours[0]:02}:00 to {hours[-1]:02}:59"
    return f"in the hours {_spans([f'{hour:02}' for hour in hours], hours)}"


def _day_words(weekdays: Sequence[int], days: Sequence[int], months: Sequence[int]) -> list[str]:
    parts = []
    if len(weekdays) < 7:
        if frozenset(weekdays) == _WEEKDAYS:
            parts.append("on weekdays")
        elif frozenset(weekdays) == _WEEKEND:
            parts.append("at weekends")
        else:
            parts.append(f"on {_and([DAY_NAMES[day] for day in weekdays])}")
    if len(days) < 31:
        joint = "that is day" if parts else "on day"
        parts.append(f"{joint} {_spans([str(day) for day in days], days)} of the month")
    if len(months) < 12:
        names = [MONTH_NAMES[month - 1] for month in months]
        parts.append(f"in {_spans(names, months)}")
    return parts


def _step(numbers: Sequence[int], size: int) -> int:
    """Return the distance of numbers that fill a range from 0 on evenly, else 0."""
    if len(numbers) < 2 or numbers[0] != 0:
        return 0
    step = numbers[1]
    even = size % step == 0 and list(numbers) == list(range(0, size, step))
    return step if even else 0


def _every(count: int, unit: str) -> str:
    return f"every {unit}" if count == 1 else f"every {count} {unit}s"


def _and(words: Sequence[str]) -> str:
    if len(words) == 1:
        return words[0]
    return f"{', '.join(words[:-1])} and {words[-1]}"


def _spans(words: Sequence[str], numbers: Sequence[int]) -> str:
    """List words, those of three and more consecutive numbers as a span."""
    parts: list[str] = []
    start = 0
    for at in range(1, len(numbers) + 1):
        if at < len(numbers) and numbers[at] == numbers[at - 1] + 1:
            continue
        run = words[start:at]
        parts += [f"{run[0]} to {run[-1]}"] if len(run) > 2 else run
        start = at
    return _and(parts)
