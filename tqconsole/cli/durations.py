"""Durations on the command line: `90`, `1.5s`, `250ms`, `10m`, `2h`, as in filters."""

from typing import Any

import click

from tqconsole.tui.model.filter_syntax import FilterError, Value
from tqconsole.tui.model.filter_values import duration_value

__all__ = ["Duration"]


class Duration(click.ParamType[float]):
    """Seconds, with or without a unit.

    Args:
        low: The least.
        high: The most.
    """

    name = "duration"

    def __init__(self, low: float = 0.0, high: float = 86400.0 * 366) -> None:
        """Accept durations within bounds."""
        self._low, self._high = low, high

    def convert(self, value: Any, param: Any, ctx: Any) -> float:
        """Return seconds, or fail with one line."""
        if isinstance(value, int | float):  # a default
            return float(value)
        try:
            seconds = duration_value(Value(str(value), 0))
        except FilterError as error:
            self.fail(error.reason, param, ctx)
        if seconds < self._low:
            self.fail(f"{value} is less than {self._low:g}s", param, ctx)
        if seconds > self._high:
            self.fail(f"{value} is more than {self._high:.0f}s", param, ctx)
        return seconds
