"""The result of a task that ran in the caller."""

from typing import Any

from tq.results.guard import assert_will_not_block
from tq.results.single import AsyncResult
from tq.states import PROPAGATE_STATES, REVOKED
from tq.wire.result import ResultMeta

__all__ = ["EagerResult"]


class EagerResult(AsyncResult):
    """Known at once: nothing is stored and nothing is waited for.

    Source: celery/result.py, `EagerResult`.
    """

    def __init__(
        self,
        id: str,  # noqa: A002 - Celery's name for it
        ret_value: Any,
        state: str,
        traceback: str | None = None,
        name: str | None = None,
    ) -> None:
        """Keep the outcome; `ret_value` is the exception where `state` is a failure."""
        super().__init__(id)
        self._set(ret_value, state, traceback)
        self._name = name

    def _set(self, value: Any, state: str, traceback: str | None) -> None:
        self.final = ResultMeta(task_id=self.id, status=state, result=value, traceback=traceback)
        self._value = value
        self._children = []

    @property
    def name(self) -> str | None:
        """Return the task's name."""
        return self._name

    @property
    def children(self) -> list[Any]:
        """Return nothing: eager tasks leave no trail."""
        return []

    @property
    def supports_native_join(self) -> bool:
        """Say no: there is nothing to wait for."""
        return False

    def get(  # type: ignore[override]  # Celery's shape: most options have nothing to act on
        self,
        timeout: float | None = None,
        propagate: bool = True,
        disable_sync_subtasks: bool = True,
        **options: Any,
    ) -> Any:
        """Return the value, or raise the exception; the options have nothing to act on."""
        if disable_sync_subtasks:
            assert_will_not_block()
        value = self.result
        if self.state in PROPAGATE_STATES and propagate:
            raise value if isinstance(value, BaseException) else RuntimeError(value)
        return value

    wait = get  # type: ignore[assignment]  # as above

    def ready(self) -> bool:
        """Say yes."""
        return True

    def exists(self) -> bool:
        """Say yes: the outcome is here, though no backend stores it."""
        return True

    def forget(self) -> None:
        """Do nothing: nothing is stored."""

    def revoke(self, *args: Any, **options: Any) -> None:
        """Mark as revoked; the task ran already."""
        self._set(self.result, REVOKED, self.traceback)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the outcome."""
        return type(self), (self.id, self.result, self.state, self.traceback, self._name)

    def __repr__(self) -> str:
        """Show the id."""
        return f"<EagerResult: {self.id}>"
