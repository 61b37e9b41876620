"""Conditions of `tq watch`: `rate(state:failure) > 1%`, `depth(mail) = 0`, and so on.

Pure: a condition is read from text once, and judged on what was seen so far.
"""

import difflib
import fnmatch
import operator
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from tq.monitor import TaskInfo
from tqconsole.tui.model.filter_syntax import FilterError, Value
from tqconsole.tui.model.filter_values import duration_value, number_value
from tqconsole.tui.model.filters import Filter, parse
from tqconsole.tui.model.task_fields import Context, age_of

__all__ = ["Condition", "ConditionError", "Scene", "read_condition"]

_COMPARE: Mapping[str, Callable[[float, float], bool]] = {
    ">": operator.gt, ">=": operator.ge, "<": operator.lt, "<=": operator.le,
    "=": operator.eq, "==": operator.eq, "!=": operator.ne,
}  # fmt: skip
_FORM = re.compile(r"\s*([a-z_]+)\s*\((.*)\)\s*(>=|<=|==|!=|>|<|=)\s*(\S+)\s*\Z", re.DOTALL)
_PER = {"/s": 1.0, "/m": 60.0, "/h": 3600.0}
_OUTCOMES = ("state", "is:failed", "is:finished", "-state", "-is:failed", "-is:finished")
RATE_WINDOW = 60.0  # seconds over which `rate(...) > 5/s` is counted


class ConditionError(ValueError):
    """A condition that means nothing; the text says why."""


@dataclass(frozen=True)
class Scene:
    """What conditions are judged on.

    Attributes:
        tasks: All tasks seen so far.
        context: The time, and what filters need.
        began: Wall timestamp since when events are seen.
        depths: Ready messages by queue, of those that were counted.
        up: Names of the workers that are there.
    """

    tasks: Iterable[TaskInfo]
    context: Context
    began: float
    depths: Mapping[str, int]
    up: Iterable[str]


@dataclass(frozen=True)
class Condition:
    """A condition ready to be judged.

    Attributes:
        source: The text it was read from.
        queue: The queue that must be counted for it, or None.
    """

    source: str
    queue: str | None
    unit: str
    _measure: Callable[[Scene], float | None]
    _compare: Callable[[float, float], bool]
    _bound: float

    def value(self, scene: Scene) -> float | None:
        """Return what is compared, or None while that is not known."""
        return self._measure(scene)

    def holds(self, scene: Scene) -> bool:
        """Tell whether it is so; what is not known is not so."""
        value = self._measure(scene)
        return value is not None and self._compare(value, self._bound)

    def shown(self, value: float | None) -> str:
        """Write a value in the unit of the condition."""
        match self.unit:
            case _ if value is None:
                return "not known"
            case "%":
                return f"{100 * value:.3g}%"
            case "s":
                return f"{value:.1f}s"
            case "":
                return f"{value:g}"
            case per:
                return f"{value * _PER[per]:.3g}{per}"


def read_condition(text: str) -> Condition:
    """Read a condition.

    Measures: `count(FILTER)` tasks seen; `rate(FILTER)` as a share (`1%`) of the finished tasks
    that the filter would match without its words on states, or per time (`5/s`, `5/m`, `5/h`) over
    the last minute; `oldest(FILTER)` the age of the oldest task that waits; `depth(QUEUE)` ready
    messages; `workers(GLOB)` workers that are there.

    Raises:
        ConditionError: It is none.
    """
    found = _FORM.match(text)
    if found is None:
        raise ConditionError(
            "a condition is MEASURE(FILTER) OPERATOR VALUE, as in count(name:x) > 3"
        )
    name, inner, sign, bound = found.groups()
    if name not in _MEASURES:
        near = difflib.get_close_matches(name, _MEASURES, n=1)
        hint = f"; did you mean {near[0]}?" if near else f"; there are: {', '.join(_MEASURES)}"
        raise ConditionError(f"nothing is called {name}(){hint}")
    try:
        measure, unit, limit, queue = _MEASURES[name](inner.strip(), bound)
    except FilterError as error:
        raise ConditionError(error.reason) from None
    return Condition(text.strip(), queue, unit, measure, _COMPARE[sign], limit)


_Read = tuple[Callable[[Scene], float | None], str, float, str | None]


def _count(inner: str, bound: str) -> _Read:
    test = parse(inner).test
    return (
        lambda scene: float(sum(test(task, scene.context) for task in scene.tasks)),
        "",
        number_value(Value(bound, 0)),
        None,
    )


def _rate(inner: str, bound: str) -> _Read:
    matching = parse(inner)
    if bound.endswith("%"):
        base = _without_outcomes(matching)
        if len(base.terms) == len(matching.terms):
            raise ConditionError("rate(...) in % needs a word on states, as in rate(state:failure)")
        share = number_value(Value(bound[:-1], 0)) / 100
        return lambda scene: _share(matching, base, scene), "%", share, None
    per = bound[-2:]
    if per not in _PER:
        raise ConditionError(f"rate(...) is compared with 1%, 5/s, 5/m or 5/h, not {bound}")
    limit = number_value(Value(bound[:-2], 0)) / _PER[per]
    return lambda scene: _per_second(matching, scene), per, limit, None


def _without_outcomes(matching: Filter) -> Filter:
    """Return the filter without its words on how a task ended."""
    kept = [(text, test) for text, test in matching.terms if not text.startswith(_OUTCOMES)]

    def test(task: TaskInfo, context: Context) -> bool:
        return all(each(task, context) for _, each in kept)

    return Filter(matching.source, test, tuple(kept))


def _share(matching: Filter, base: Filter, scene: Scene) -> float | None:
    """Count matching ones among the tasks of the base that finished; None without any."""
    hits = finished = 0
    for task in scene.tasks:
        if task.ready and base.test(task, scene.context):
            finished += 1
            hits += matching.test(task, scene.context)
    return hits / finished if finished else None


def _per_second(matching: Filter, scene: Scene) -> float:
    """Count the matching tasks that were heard of in the last minute, per second."""
    now = scene.context.now
    window = min(RATE_WINDOW, max(1.0, now - scene.began))
    heard = (task for task in scene.tasks if task.local_received > now - window)
    return sum(matching.test(task, scene.context) for task in heard) / window


def _oldest(inner: str, bound: str) -> _Read:
    test = parse(inner).test

    def measure(scene: Scene) -> float:
        now = scene.context.now
        ages = (
            age_of(task, now) or 0.0
            for task in scene.tasks
            if task.state in ("PENDING", "RECEIVED") and not task.eta and test(task, scene.context)
        )
        return max(ages, default=0.0)

    return measure, "s", duration_value(Value(bound, 0)), None


def _depth(inner: str, bound: str) -> _Read:
    queue = inner.removeprefix("queue:")
    if not queue:
        raise ConditionError("depth(...) needs a queue, as in depth(mail) > 1000")

    def measure(scene: Scene) -> float | None:
        return scene.depths.get(queue)

    return measure, "", number_value(Value(bound, 0)), queue


def _workers(inner: str, bound: str) -> _Read:
    glob = inner or "*"

    def measure(scene: Scene) -> float:
        return float(len(fnmatch.filter(scene.up, glob)))

    return measure, "", number_value(Value(bound, 0)), None


_MEASURES: Mapping[str, Callable[[str, str], _Read]] = {
    "count": _count, "rate": _rate, "oldest": _oldest, "depth": _depth, "workers": _workers,
}  # fmt: skip
