"""What the console shows and filters of a task, derived from the events in one place."""

import ast
import functools
import re
import warnings
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from tq.monitor import TaskInfo
from tqconsole.tui.model.facts import TimeLimit

__all__ = [
    "Context",
    "age_of",
    "is_truncated",
    "kwarg",
    "limit_share",
    "plain_status",
    "running_for",
    "runtime_of",
    "total_of",
    "tries_of",
]

STUCK_AFTER = 300.0  # seconds a task may wait before `is:stuck` names it
NEAR_LIMIT = 0.8  # share of its time limit from which a task is shown as in danger
SLOW_AFTER = 10.0  # seconds of run time from which `is:slow` names a task


def plain_status(task: TaskInfo, now: float) -> str:
    """Return the state to show where nothing is known of the worker: never PENDING."""
    return "SENT" if task.state == "PENDING" else str(task.state)


@dataclass(slots=True)
class Context:
    """What a task's appearance depends on besides the task.

    Attributes:
        now: Wall timestamp in seconds.
        status: The state to show of a task at a time; `ClusterState.status` where there is one.
        marked: Ids the user marked.
        limits: Time limits by task name.
    """

    now: float = 0.0
    status: Callable[[TaskInfo, float], str] = plain_status
    marked: Collection[str] = frozenset()
    limits: Mapping[str, TimeLimit] = field(default_factory=dict)

    def state(self, task: TaskInfo) -> str:
        """Return the state to show of a task; only two of them depend on more than events."""
        if task.state not in ("STARTED", "PENDING"):
            return str(task.state)
        return self.status(task, self.now)


def age_of(task: TaskInfo, now: float) -> float | None:
    """Return the seconds since the task was first heard of."""
    for moment in (task.sent, task.received, task.started, task.timestamp):
        if moment is not None:
            return max(0.0, now - moment)
    return max(0.0, now - task.local_received) if task.local_received else None


def running_for(task: TaskInfo, now: float) -> float | None:
    """Return the seconds since a task that runs was started, or None."""
    if task.state != "STARTED" or task.started is None:
        return None
    return max(0.0, now - task.started)


def limit_share(task: TaskInfo, limits: Mapping[str, TimeLimit], now: float) -> float | None:
    """Return which share of its nearest time limit a running task has used."""
    limit = limits.get(task.name or "")
    spent = running_for(task, now)
    if limit is None or limit.nearest is None or spent is None:
        return None
    return spent / limit.nearest


def runtime_of(task: TaskInfo, now: float) -> float | None:
    """Return the run time: reported, or so far, or from start to end."""
    if task.runtime is not None:
        return task.runtime
    running = running_for(task, now)
    if running is not None:
        return running
    if task.started is None or task.timestamp is None or task.state == "RECEIVED":
        return None
    # a failure's event carries no run time; its start and end do
    return max(0.0, task.timestamp - task.started)


def total_of(task: TaskInfo) -> float | None:
    """Return the seconds from sending (or receiving) to the end."""
    begin = task.sent if task.sent is not None else task.received
    ended = task.ended
    return None if begin is None or ended is None else max(0.0, ended - begin)


def tries_of(task: TaskInfo) -> int:
    """Return how many retries the task has had."""
    return max(task.retries or 0, len(task.tries))


def is_truncated(task: TaskInfo) -> bool:
    """Tell whether the sender cut the arguments or the result."""
    return any(_cut(text) for text in (task.args, task.kwargs, task.result))


def _cut(text: str | None) -> bool:
    return bool(text) and ("..." in text[-8:] or "…" in text[-8:])  # type: ignore[index]  # bool() excludes None


def kwarg(text: str | None, path: str) -> Any:
    """Look up a dotted path in the text of keyword arguments; None when it is not there.

    Arguments travel as Python's or JSON's text, often cut: what does not parse is searched for
    the first key instead.
    """
    if not text:
        return None
    parsed = _parsed(text)
    if parsed is None:
        return _searched(text, path)
    value: Any = parsed
    for part in path.split("."):
        if isinstance(value, dict) and part in value:
            value = value[part]
        elif isinstance(value, list | tuple) and part.isdigit() and int(part) < len(value):
            value = value[int(part)]
        else:
            return None
    return value


@functools.lru_cache(maxsize=4096)
def _parsed(text: str) -> dict[Any, Any] | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # odd escapes in foreign text are not our news
            value = ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
        return None
    return value if isinstance(value, dict) else None


def _searched(text: str, path: str) -> str | None:
    key = re.escape(path.split(".", 1)[0])
    found = re.search(rf"""['"]{key}['"]\s*:\s*(?:'([^']*)'|"([^"]*)"|([^,}}\s]+))""", text)
    if found is None:
        return None
    return next((group for group in found.groups() if group is not None), None)
