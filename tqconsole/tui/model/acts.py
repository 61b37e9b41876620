"""What is asked before something changes the cluster: the four tiers of confirmation.

Source: CONSOLE 5.6.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Any

from tq.monitor import ClusterState, TaskInfo
from tqconsole.tui.model.equivalents import control_line
from tqconsole.tui.model.format import age, clip, count
from tqconsole.tui.model.masking import masked
from tqconsole.tui.model.task_columns import short_id
from tqconsole.tui.model.task_fields import age_of

__all__ = ["Act", "breakdown", "control_act", "counted", "is_protected", "listing", "tally"]

_FEW_SLOTS = 2
_LIGHT = {"rate_limit": 1, "add_consumer": 1}  # tiers of commands that are easily undone


@dataclass(frozen=True, slots=True)
class Act:
    """Something that changes the cluster, as it is asked.

    Attributes:
        tier: 1 asks y/N on one line, 2 and 3 ask in a window for a word.
        question: The line of tier 1.
        title: The window's title.
        lines: Labels and values: what will be touched.
        effect: What it does, and what it does not.
        equivalent: The command line that does the same.
        word: What must be typed: the number of many, the name of one.
        listing: Everything that will be touched, one a line, for the dry run.
    """

    tier: int
    question: str
    title: str
    lines: tuple[tuple[str, str], ...]
    effect: tuple[str, ...]
    equivalent: str
    word: str
    listing: tuple[str, ...] = ()

    def in_protected(self, context: str) -> "Act":
        """Return it as it is asked in a protected context: with the context's name as the word."""
        return replace(self, tier=3, word=context) if self.tier >= 2 else self


def is_protected(context: str, patterns: Iterable[str]) -> bool:
    """Tell whether a context's name matches one of the patterns, whatever its case."""
    return any(fnmatchcase(context.lower(), pattern.lower()) for pattern in patterns)


def control_act(
    method: str,
    arguments: Mapping[str, Any],
    destination: Sequence[str] | None,
    nodes: Sequence[str],
    everybody: Sequence[str],
    context: str,
) -> Act:
    """Make the act of a typed control command.

    Args:
        method: The command's name.
        arguments: As they were typed.
        destination: The nodes that were typed, or None.
        nodes: Who will be asked.
        everybody: All workers that live.
        context: The cluster's name.
    """
    tier, word = _LIGHT.get(method, 2), method
    if method in ("pool_grow", "pool_shrink"):
        by = arguments.get("n", 1)
        tier = 1 if isinstance(by, int) and abs(by) <= _FEW_SLOTS else 2
    elif method == "shutdown" and 2 * len(nodes) > len(everybody):
        tier, word = 3, context
    elif method == "revoke" and not arguments.get("terminate"):
        tier = 1 if isinstance(arguments.get("task_id"), str) else 2
    words = [f"{name}={value}" for name, value in arguments.items()]
    return Act(
        tier=tier,
        question=f"{method} on {counted(len(nodes), 'worker')}?",
        title=f"{method} on {counted(len(nodes), 'worker')}",
        lines=(
            ("command", method),
            ("arguments", "  ".join(words) or "none"),
            ("workers", "  ".join(nodes) or "none known"),
        ),
        effect=("It is sent to these workers as typed, and is not undone by leaving.",),
        equivalent=control_line(method, arguments, destination),
        word=word,
        listing=tuple(nodes),
    )


def counted(number: int, noun: str = "task") -> str:
    """Write a number with its noun."""
    return f"1 {noun}" if number == 1 else f"{count(number)} {noun}s"


def breakdown(
    tasks: Sequence[TaskInfo], state: ClusterState, now: float, ellipsis: str
) -> list[tuple[str, str]]:
    """Count what will be touched, and show two of it."""
    if len(tasks) == 1:
        task = tasks[0]
        return [
            ("task", task.name or "?"),
            ("id", task.uuid),
            ("state", state.status(task, now)),
            ("worker", task.worker or "?"),
            ("args", _sample(task, now)),
        ]
    lines = [
        ("by state", tally(state.status(task, now).lower() for task in tasks)),
        ("by worker", tally(task.worker or "?" for task in tasks)),
        ("by name", tally(task.name or "?" for task in tasks)),
    ]
    for number, task in enumerate(tasks[:2]):
        words = _sample(task, now)
        if number == 1 and len(tasks) > 2:
            words += f"   {ellipsis} {count(len(tasks) - 2)} more"
        lines.append(("first" if number == 0 else "", f"{short_id(task.uuid)}  {words}"))
    return lines


def listing(tasks: Sequence[TaskInfo], state: ClusterState, now: float) -> tuple[str, ...]:
    """Name every task that will be touched."""
    return tuple(
        f"{task.uuid}  {state.status(task, now).lower():<8}  {task.name or '?'}" for task in tasks
    )


def _sample(task: TaskInfo, now: float) -> str:
    return f"{clip(masked(task.args) or '?', 30)}  {age(age_of(task, now))} old"


def tally(values: Iterable[str]) -> str:
    """Count equal values, the most frequent first."""
    found = Counter(values).most_common()
    words = [f"{value} {count(number)}" for value, number in found[:4]]
    if len(found) > 4:
        words.append(f"and {len(found) - 4} others")
    return "   ".join(words)
