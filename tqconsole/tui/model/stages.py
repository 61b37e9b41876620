"""Where a task's time goes: in the queue, in the worker's hands, running."""

import re
from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from tq.monitor import ClusterState, TaskInfo
from tqconsole.tui.model.facts import TimeLimit
from tqconsole.tui.model.task_fields import runtime_of

__all__ = ["Stage", "Stages", "read_limits", "stages_of"]

_WINDOW = 300.0  # seconds of finished tasks that are looked at
_SAMPLES = 5_000  # newest of them; sorting so many takes 3 ms, once a second
_REMEMBERED = 20_000  # ids of finished tasks that are not counted twice


class Stage(NamedTuple):
    """How long a stage took the tasks that ended lately, in seconds."""

    name: str
    p50: float
    p95: float
    p99: float
    worst: float
    worst_name: str


def stages_of(task: TaskInfo, now: float) -> list[tuple[str, float]]:
    """Return how long a task was in the queue, prefetched, and running, as far as events tell."""
    found: list[tuple[str, float]] = []
    if task.sent is not None and task.received is not None:
        found.append(("queue", max(0.0, task.received - task.sent)))
    if task.received is not None and task.started is not None:
        found.append(("prefetch", max(0.0, task.started - task.received)))
    run = runtime_of(task, now)
    if run is not None:
        found.append(("run", run))
    return found


class Stages:
    """Percentiles of the stages of what ended in the last minutes. Owned by the event loop."""

    def __init__(self) -> None:
        """Start with nothing seen."""
        self._samples: deque[tuple[float, str, dict[str, float]]] = deque(maxlen=_SAMPLES)
        self._counted: dict[str, None] = {}
        self._version = -1

    def update(self, state: ClusterState, now: float) -> None:
        """Take in the tasks that ended since the last update."""
        changed: Iterable[TaskInfo] | None = None
        if self._version >= 0:
            changed = state.changes(self._version)
        self._version = state.version
        for task in state.tasks.values() if changed is None else changed:
            ended = task.ended
            if ended is None or task.uuid in self._counted or now - ended > _WINDOW:
                continue
            self._counted[task.uuid] = None
            if len(self._counted) > _REMEMBERED:
                del self._counted[next(iter(self._counted))]
            spent = dict(stages_of(task, now))
            if task.sent is not None:
                spent["total"] = max(0.0, ended - task.sent)
            self._samples.append((ended, task.name or "?", spent))

    def table(self, now: float) -> list[Stage]:
        """Return the stages that anything is known of, in the order of a task's life."""
        samples = [item for item in self._samples if now - item[0] <= _WINDOW]
        found = []
        for name in ("queue", "prefetch", "run", "total"):
            spent = sorted((item[2][name], item[1]) for item in samples if name in item[2])
            if spent:
                p50, p95, p99 = (
                    spent[min(len(spent) - 1, int(share * len(spent)))][0] for share in _SHARES
                )
                found.append(Stage(name, p50, p95, p99, *spent[-1]))
        return found


_SHARES = (0.5, 0.95, 0.99)
_ITEM = re.compile(r"(soft_time_limit|time_limit)=([0-9.]+)")


def read_limits(registered: Any, conf: Any, known: Mapping[str, TimeLimit]) -> dict[str, TimeLimit]:
    """Read time limits from what a worker answered; what is not understood is left out.

    Args:
        registered: The answer to `registered` with the items `time_limit` and `soft_time_limit`,
            such as `proj.add [time_limit=10 soft_time_limit=5]`.
        conf: The answer to `conf`, for the limits of tasks that have none of their own.
        known: What is known so far.
    """
    found = dict(known)
    settings = conf if isinstance(conf, dict) else {}
    default = TimeLimit(
        _seconds(settings.get("task_time_limit")), _seconds(settings.get("task_soft_time_limit"))
    )
    for line in registered if isinstance(registered, list) else ():
        name, _, items = str(line).partition(" [")
        own = {key: _seconds(value) for key, value in _ITEM.findall(items)}
        limit = TimeLimit(
            own.get("time_limit", default.hard), own.get("soft_time_limit", default.soft)
        )
        if limit.nearest is not None:
            found[name] = limit
        else:
            found.pop(name, None)
    return found


def _seconds(value: Any) -> float | None:
    """Read a limit; zero means none."""
    try:
        seconds = float(value)
    except (TypeError, ValueError):
        return None
    return seconds if 0 < seconds < float("inf") else None
