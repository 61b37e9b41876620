"""Values in filters: durations, numbers and times with their units."""

import re
import time
from collections.abc import Callable
from datetime import datetime

from tqconsole.tui.model.filter_syntax import FilterError, Value

__all__ = ["Moment", "duration_value", "moment_value", "number_value", "text_matcher"]

Moment = Callable[[float], float]  # now -> wall timestamp

_NUMBER = re.compile(r"([+-]?\d+(?:\.\d*)?|[+-]?\.\d+)([A-Za-zµ]*)\Z")
_SECONDS = {
    "": 1.0,
    "ms": 0.001,
    "us": 1e-6,
    "s": 1.0,
    "m": 60.0,
    "h": 3600.0,
    "d": 86400.0,
    "w": 604800.0,
}
_FACTORS = {"": 1.0, "k": 1e3, "m": 1e6, "g": 1e9}
_CLOCK = re.compile(r"(\d{1,2}):(\d{2})(?::(\d{2}))?\Z")


def duration_value(value: Value) -> float:
    """Read `250ms`, `5s`, `10m`, `2h`, `1d`, or plain seconds.

    Raises:
        FilterError: It is none of these.
    """
    match = _NUMBER.match(value.text)
    if match is None or match[2] not in _SECONDS:
        raise FilterError(
            f"{value.text!r} is not a duration such as 250ms, 5s, 10m or 2h", value.column
        )
    return float(match[1]) * _SECONDS[match[2]]


def number_value(value: Value) -> float:
    """Read `3`, `1.5k`, `2M`.

    Raises:
        FilterError: It is no number.
    """
    match = _NUMBER.match(value.text)
    if match is None or match[2].lower() not in _FACTORS:
        raise FilterError(f"{value.text!r} is not a number such as 3 or 1.5k", value.column)
    return float(match[1]) * _FACTORS[match[2].lower()]


def moment_value(value: Value) -> Moment:
    """Read a time: `14:05` (the last one before now, local), `-15m` (before now), or ISO 8601.

    Raises:
        FilterError: It is no time.
    """
    text = value.text
    if text.startswith("-") and _NUMBER.match(text):
        ago = -duration_value(value)
        return lambda now: now - ago
    match = _CLOCK.match(text)
    if match:
        hour, minute, second = int(match[1]), int(match[2]), int(match[3] or 0)
        if hour > 23 or minute > 59 or second > 59:
            raise FilterError(f"{text!r} is not a time of day", value.column)
        return lambda now: _last_time_of_day(now, hour, minute, second)
    try:
        timestamp = datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError, OSError):
        raise FilterError(
            f"{text!r} is not a time such as 14:05, -15m or 2026-01-31T14:05", value.column
        ) from None
    return lambda now: timestamp


def _last_time_of_day(now: float, hour: int, minute: int, second: int) -> float:
    local = time.localtime(now)
    today = time.mktime(
        (local.tm_year, local.tm_mon, local.tm_mday, hour, minute, second, 0, 0, -1)
    )
    return today if today <= now else today - 86400.0


def text_matcher(value: Value, exact: bool = False) -> Callable[[str], bool]:
    """Return a test of a text against a value.

    `/pattern/` searches, `*` globs over the whole text, anything else is contained in it without
    regard to case; `exact` asks for equality.

    Raises:
        FilterError: The pattern is no regular expression.
    """
    text = value.text
    if value.pattern:
        return _search(text, value.column)
    if exact:
        return text.__eq__
    if "*" in text and not value.quoted:
        glob = ".*".join(re.escape(part) for part in text.split("*"))
        full = re.compile(glob, re.IGNORECASE | re.DOTALL).fullmatch
        return lambda candidate: full(candidate) is not None
    needle = text.lower()
    return lambda candidate: needle in candidate.lower()


def _search(pattern: str, column: int) -> Callable[[str], bool]:
    try:
        search = re.compile(pattern, re.IGNORECASE | re.DOTALL).search
    except (re.error, OverflowError, RecursionError) as error:
        raise FilterError(f"not a regular expression: {error}", column) from None
    return lambda candidate: search(candidate) is not None
