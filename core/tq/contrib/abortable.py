"""Tasks that can be asked to stop, and look for themselves whether they were.

    @app.task(bind=True, base=AbortableTask)
    def export(self):
        while more() and not self.is_aborted():
            step()

    export.delay().abort()

Unlike a revoke it also reaches tasks that run, without a signal; the task decides where it stops.
The result backend carries the request, so both sides need the same one, not `rpc://`.

Source: API.md, AbortableTask; celery/contrib/abortable.py (the state `ABORTED`, and its place among
the results, so that Celery peers abort ours and we theirs).
"""

from collections.abc import Iterable, Mapping
from typing import Any

from tq.app.task import Task
from tq.results import AsyncResult
from tq.wire.result import ResultMeta

__all__ = ["ABORTED", "AbortableAsyncResult", "AbortableTask"]

ABORTED = "ABORTED"


class AbortableAsyncResult(AsyncResult):
    """A result with `abort`."""

    def is_aborted(self) -> bool:
        """Tell whether somebody asked the task to stop, and it has not ended since."""
        return self.state == ABORTED

    def abort(self) -> None:
        """Ask the task to stop. A result that is final already stays as it is."""
        if not self.ready():
            self.backend.store([ResultMeta(task_id=self.id, status=ABORTED)])


class AbortableTask(Task[Any, Any]):
    """Base of tasks that call `is_aborted` from time to time."""

    abstract = True

    def apply_async(
        self,
        args: Iterable[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        *positional: Any,
        **options: Any,
    ) -> Any:
        """Send a call, as `Task.apply_async`; its result can be aborted."""
        result = super().apply_async(args, kwargs, *positional, **options)
        if type(result) is not AsyncResult:
            return result  # eager
        return AbortableAsyncResult(result.id, app=self.app, parent=result.parent)

    def AsyncResult(self, task_id: str, **kwargs: Any) -> AbortableAsyncResult:
        """Return the result of a call of this task."""
        return AbortableAsyncResult(task_id, app=self.app, task_name=self.name, **kwargs)

    def is_aborted(self, **kwargs: Any) -> bool:
        """Tell whether the running call should stop.

        Args:
            **kwargs: `task_id` of another call.
        """
        task_id: str | None = kwargs.get("task_id", self.request.id)
        if task_id is None:
            return False
        return self.AsyncResult(task_id).is_aborted()
