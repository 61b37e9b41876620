"""Which events of a stream are wanted, and when it has shown enough."""

import fnmatch
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tq.monitor import ClusterState, TaskInfo
from tqconsole.tui.model.filters import Filter
from tqconsole.tui.model.task_fields import Context

__all__ = ["EventChoice"]

Event = dict[str, Any]


class EventChoice:
    """Chooses by type and by the task that an event tells of, as far as it is known by then.

    Attributes:
        over: Whether an event's task has matched `until`.
    """

    def __init__(
        self, types: Sequence[str] = (), where: Filter | None = None, until: Filter | None = None
    ) -> None:
        """Choose all by default.

        Args:
            types: Globs of event types.
            where: Only events of tasks that match.
            until: The event whose task matches is the last one.
        """
        self.over = False
        self._types = list(types)
        self._where, self._until = where, until
        # Filters ask for more than one event tells: its name, for one, came with an earlier event.
        self._state = ClusterState() if where or until else None

    def know(self, tasks: Mapping[str, TaskInfo]) -> None:
        """Take over tasks that are known from elsewhere."""
        if self._state is not None:
            for uuid, task in tasks.items():
                known = self._state.tasks.setdefault(uuid, task)
                known.name = known.name or task.name

    def chosen(self, events: Iterable[Event], now: float) -> list[Event]:
        """Return what is wanted of some events, up to the last one."""
        return [event for event in events if not self.over and self._is_wanted(event, now)]

    def _is_wanted(self, event: Event, now: float) -> bool:
        kind = event["type"]
        typed = not self._types or any(fnmatch.fnmatchcase(kind, glob) for glob in self._types)
        if self._state is None:
            return typed
        self._state.apply(event, now)
        uuid = event.get("uuid")
        task = self._state.tasks.get(uuid) if isinstance(uuid, str) else None
        context = Context(now)
        if task is not None and self._until is not None:
            self.over = self._until.test(task, context)
        if self._where is None:
            return typed
        return typed and task is not None and self._where.test(task, context)
