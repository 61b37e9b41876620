"""The fields of a crontab: text to numbers.

Source: celery/schedules.py, `crontab_parser` (grammar; ranges that wrap around).
"""

import re
from collections.abc import Iterable
from typing import Any, NamedTuple

from tq.errors import ConfigError

__all__ = [
    "DAY_NAMES",
    "FIELDS",
    "MONTH_NAMES",
    "Field",
    "ParseException",
    "crontab_parser",
    "parse_field",
]

MONTH_NAMES = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September",
    "October", "November", "December",
)  # fmt: skip
DAY_NAMES = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")

_PART = re.compile(r"(?:(\*)|(\w+)(?:-(\w+))?)(?:(/)(\w*))?", re.ASCII)
_MOST_TEXT = 4096  # longer than every number of the widest field written out


class Field(NamedTuple):
    """A field's name, range, and the names that stand for its numbers."""

    name: str
    low: int
    high: int
    names: tuple[str, ...] = ()


FIELDS = {
    field.name: field
    for field in (
        Field("minute", 0, 59),
        Field("hour", 0, 23),
        Field("day_of_week", 0, 6, DAY_NAMES),
        Field("day_of_month", 1, 31),
        Field("month_of_year", 1, 12, MONTH_NAMES),
    )
}


class ParseException(Exception):
    """A field of a crontab cannot be read."""


def parse_field(given: Any, name: str) -> frozenset[int]:
    """Return the numbers that a field stands for.

    Args:
        given: Text in crontab's syntax, a number, or several of both.
        name: The field's name, a key of `FIELDS`.

    Raises:
        ConfigError: It cannot be read; `field` is the name.
    """
    field = FIELDS[name]
    try:
        found = frozenset(_expand(given, field))
        if not found:
            raise ParseException("it is empty")
    except ParseException as exc:
        raise ConfigError(f"crontab: {name}={given!r}: {exc}", field=name) from exc
    return found


def _expand(given: Any, field: Field) -> Iterable[int]:
    if isinstance(given, str):
        return _parse(given, field)
    if isinstance(given, bool):
        raise ParseException("True and False are no numbers")
    if isinstance(given, int):
        return {_in_range(given, field)}
    if isinstance(given, Iterable):
        return {number for item in given for number in _expand(item, field)}
    raise ParseException("expected text, a number, or several numbers")


def _parse(text: str, field: Field) -> set[int]:
    if len(text) > _MOST_TEXT:
        raise ParseException(f"longer than {_MOST_TEXT} characters")
    found: set[int] = set()
    for part in text.split(","):
        found.update(_parse_part(part.strip(), field))
    return found


def _parse_part(part: str, field: Field) -> list[int]:
    if not part:
        raise ParseException("a part of it is empty")
    match = _PART.fullmatch(part)
    if match is None:
        raise ParseException(f"{part!r} is no number, range or *")
    star, first, last, slash, step = match.groups()
    if slash and not star and last is None:
        raise ParseException(f"{part!r}: a step needs a range or *")
    numbers = list(range(field.low, field.high + 1)) if star else _range(first, last, field)
    return numbers[:: _step(step, part)] if slash else numbers


def _range(first: str, last: str | None, field: Field) -> list[int]:
    low = _number(first, field)
    if last is None:
        return [low]
    high = _number(last, field)
    if high >= low:
        return list(range(low, high + 1))
    # Around the end, such as fri-mon.
    return [*range(low, field.high + 1), *range(field.low, high + 1)]


def _number(text: str, field: Field) -> int:
    if text.isdigit():
        return _in_range(int(text), field)
    if len(text) >= 3:
        for index, name in enumerate(field.names):
            if name.lower().startswith(text.lower()):
                return index + field.low
    raise ParseException(f"{text!r} is not known")


def _in_range(number: int, field: Field) -> int:
    if not field.low <= number <= field.high:
        hint = " (Sunday is 0)" if field.name == "day_of_week" and number == 7 else ""
        raise ParseException(f"{number} is not between {field.low} and {field.high}{hint}")
    return number


def _step(text: str, part: str) -> int:
    if not text.isdigit() or len(text) > 9 or int(text) < 1:
        raise ParseException(f"{part!r}: the step must be a number from 1")
    return int(text)


class crontab_parser:
    """Reads one field with a range of its own."""

    ParseException = ParseException

    def __init__(self, max_: int = 60, min_: int = 0) -> None:
        """Take the number of values, and the first."""
        names = {(7, 0): DAY_NAMES, (12, 1): MONTH_NAMES}.get((max_, min_), ())
        self._field = Field("field", min_, min_ + max_ - 1, names)

    def parse(self, spec: str) -> set[int]:
        """Return the numbers that `spec` stands for.

        Raises:
            ParseException: It cannot be read.
        """
        return _parse(spec, self._field)
