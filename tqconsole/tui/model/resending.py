"""Calls to be sent again, and how it is known that their arguments are the real ones.

Source: CONSOLE 5.4: result backend, then a worker or the broker, then the text of an event that
can be read back and was not cut.
"""

import ast
import warnings
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tq.monitor import TaskInfo, WaitingTask
from tqconsole.tui.model.acts import Act, counted, tally
from tqconsole.tui.model.task_columns import short_id

__all__ = [
    "RESEND_HEADER",
    "Refusal",
    "Resend",
    "Verdict",
    "from_event",
    "from_record",
    "from_request",
    "from_waiting",
    "resend_act",
    "resend_line",
]

RESEND_HEADER = "tq-resend-of"
_SHOWN_IDS = 3
_ELLIPSES = ("...", "…")


@dataclass(frozen=True, slots=True)
class Resend:
    """A call whose arguments are known.

    Attributes:
        source: Where they are known from, in words.
        queue: Where it was sent; None for where its name is routed to.
    """

    task_id: str
    name: str
    args: Sequence[Any]
    kwargs: Mapping[str, Any]
    queue: str | None
    root_id: str | None
    source: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """A task that cannot be sent again, and why."""

    task_id: str
    reason: str


Verdict = Resend | Refusal


def from_record(task_id: str, extended: Mapping[str, Any] | None) -> Resend | None:
    """Read what the result backend keeps with `result_extended`; None when that is not enough."""
    if not extended:
        return None
    return _checked(
        task_id,
        extended.get("name"),
        extended.get("args"),
        extended.get("kwargs"),
        extended.get("queue"),
        None,
        "its result",
    )


def from_request(task_id: str, worker: str, request: Mapping[str, Any]) -> Resend | None:
    """Read what a worker told of a task that it holds; None when it told only texts."""
    info = request.get("delivery_info")
    return _checked(
        task_id,
        request.get("name"),
        request.get("args"),
        request.get("kwargs"),
        info.get("routing_key") if isinstance(info, dict) else None,
        request.get("root_id"),
        f"{worker}, which holds it",
    )


def from_waiting(waiting: WaitingTask) -> Resend | None:
    """Read a message that lies in a queue."""
    if waiting.call is None:
        return None
    args, kwargs = waiting.call
    return _checked(
        waiting.id, waiting.name, args, kwargs, waiting.queue, waiting.root_id, "its message"
    )


def _checked(
    task_id: str, name: Any, args: Any, kwargs: Any, queue: Any, root_id: Any, source: str
) -> Resend | None:
    """Return a call when what was found are values; Celery may have kept only their text."""
    if not (isinstance(name, str) and isinstance(args, list | tuple) and isinstance(kwargs, dict)):
        return None
    return Resend(
        task_id,
        name,
        list(args),
        kwargs,
        queue if isinstance(queue, str) and queue else None,
        root_id if isinstance(root_id, str) else None,
        source,
    )


def from_event(task: TaskInfo) -> Verdict:
    """Read the arguments' text that an event carried, if nothing can be missing from it."""
    if task.name is None or task.args is None or task.kwargs is None:
        return Refusal(task.uuid, "no event told its arguments")
    args, kwargs = _value(task.args), _value(task.kwargs)
    for what, text, value in (("args", task.args, args), ("kwargs", task.kwargs, kwargs)):
        if value is _CUT:
            return Refusal(task.uuid, f"{what} truncated at {len(text)} characters")
        if value is _UNREADABLE:
            return Refusal(task.uuid, f"{what} are no plain values: {text[:40]}")
    if isinstance(args, dict) or not isinstance(kwargs, dict):
        return Refusal(task.uuid, "the text of its arguments is not what it seems")
    found = _checked(
        task.uuid, task.name, args, kwargs, task.queue, task.root_id, "its event's text"
    )
    return found or Refusal(task.uuid, "args are no list")


_CUT, _UNREADABLE = object(), object()


def _value(text: str) -> Any:
    """Read a text of plain values back; says when it was cut or is none."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # odd escapes in foreign text are not our news
            value = ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
        return _CUT if any(mark in text for mark in _ELLIPSES) else _UNREADABLE
    return value if (fault := _fault(value)) is None else fault


def _fault(value: Any) -> object | None:
    """Return what is wrong with a value: an ellipsis stands for what is missing."""
    if value is Ellipsis:
        return _CUT
    if isinstance(value, str):
        return _CUT if value.endswith(_ELLIPSES) else None
    if value is None or isinstance(value, bool | int | float):
        return None
    if isinstance(value, dict):
        if not all(isinstance(key, str) for key in value):
            return _UNREADABLE
        parts: Iterable[Any] = (*value, *value.values())
    elif isinstance(value, list | tuple):
        parts = value
    else:
        return _CUT if isinstance(value, set) and Ellipsis in value else _UNREADABLE
    return next((fault for part in parts if (fault := _fault(part)) is not None), None)


def resend_line(ids: Sequence[str]) -> str:
    """Return the command lines that do the same."""
    lines = [f"tq resend {task_id}" for task_id in ids[:_SHOWN_IDS]]
    if len(ids) > _SHOWN_IDS:
        lines.append(f"...{len(ids) - _SHOWN_IDS} more")
    return "; ".join(lines)


def resend_act(verdicts: Sequence[Verdict], states: str) -> Act:
    """Make the act that sends again what can be sent; at least one must be.

    Args:
        verdicts: What was found out of each task.
        states: The tasks' states, counted.
    """
    good = [verdict for verdict in verdicts if isinstance(verdict, Resend)]
    bad = [verdict for verdict in verdicts if isinstance(verdict, Refusal)]
    first = good[0]
    reasons = Counter(refusal.reason for refusal in bad)
    lines = [
        ("by state", states),
        ("by name", tally(call.name for call in good)),
        ("by queue", tally(call.queue or "as routed" for call in good)),
        ("arguments", "from " + tally(call.source for call in good)),
    ]
    lines += [
        ("left out" if number == 0 else "", f"{counted(count)}: {reason}")
        for number, (reason, count) in enumerate(reasons.most_common(3))
    ]
    listing = [f"{call.task_id}  resend   {call.name}" for call in good]
    listing += [f"{refusal.task_id}  left out {refusal.reason}" for refusal in bad]
    single = len(verdicts) == 1
    return Act(
        tier=1 if single else 2,
        question=f"resend {short_id(first.task_id)} ({first.name}), arguments from {first.source}?",
        title=f"RESEND {counted(len(good))}",
        lines=tuple(lines),
        effect=(
            "Each is sent as a new task with a new id, the same arguments and the old id in the",
            f"header {RESEND_HEADER}. What the first run did is not undone.",
        ),
        equivalent=resend_line([call.task_id for call in good]),
        word=str(len(good)),
        listing=tuple(listing),
    )
