"""The tasks of an application, by name.

Source: celery/app/registry.py, `TaskRegistry`.
"""

import difflib
from typing import Any

from tq.errors import NotRegistered

__all__ = ["TaskRegistry"]


class TaskRegistry(dict[str, Any]):
    """Tasks by name; a missing one raises `NotRegistered`. Filled at import, read anywhere."""

    NotRegistered = NotRegistered

    def __missing__(self, name: str) -> Any:
        """Raise for a name nobody registered, with the nearest one that somebody did."""
        near = difflib.get_close_matches(str(name), self, n=1, cutoff=0.8)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise NotRegistered(name, hint=hint)

    def register(self, task: Any) -> None:
        """Add a task under its name; the last of a name wins, as modules may be imported again.

        Args:
            task: A `Task`, or a class of one.

        Raises:
            ValueError: The task has no name.
        """
        if isinstance(task, type):
            task = task()
        if not task.name:
            raise ValueError(f"a task class needs a name: {type(task).__qualname__}")
        self[task.name] = task

    def unregister(self, name: Any) -> None:
        """Remove a task, by name or by itself.

        Raises:
            NotRegistered: There is none of that name.
        """
        name = getattr(name, "name", name)
        if name not in self:
            self.__missing__(name)
        del self[name]

    def regular(self) -> dict[str, Any]:
        """Return the tasks that are not periodic classes: all of them."""
        return self.filter_types("regular")

    def periodic(self) -> dict[str, Any]:
        """Return tasks of the type `periodic`, which only old code defines."""
        return self.filter_types("periodic")

    def filter_types(self, type: str) -> dict[str, Any]:  # noqa: A002 - Celery's parameter name
        """Return the tasks whose `type` attribute is the one given."""
        return {
            name: task for name, task in self.items() if getattr(task, "type", "regular") == type
        }
