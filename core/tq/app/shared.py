"""Tasks of reusable packages: every application gets its own of each.

Source: celery/app/__init__.py, `shared_task`.
"""

from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar, cast, overload

from tq.app.current import add_shared_task, get_current_app
from tq.app.task import Task

__all__ = ["shared_task"]

P = ParamSpec("P")
R = TypeVar("R")


class _SharedTask:
    """Stands for the current application's task of one function."""

    def __init__(self, function: Callable[..., Any], options: dict[str, Any]) -> None:
        """Register the function with every application, present and future."""
        self.__wrapped__ = function
        self.__doc__ = function.__doc__
        self.__name__ = getattr(function, "__name__", "task")
        self._options = options
        # Keyed by application, not by name: `main` makes one function's name differ.
        self._names: dict[int, str] = {}
        add_shared_task(self._register)

    def _register(self, app: Any) -> None:
        task = app.task(self.__wrapped__, shared=False, **self._options)
        self._names[id(app)] = task.name

    def current(self) -> Any:
        """Return the current application's task."""
        app = get_current_app()
        tasks = app.tasks
        return tasks[self._names[id(app)]]

    def __getattr__(self, name: str) -> Any:
        """Read from the current application's task."""
        return getattr(self.current(), name)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the current application's task."""
        return self.current()(*args, **kwargs)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle as the task."""
        reduced: tuple[Any, ...] = self.current().__reduce__()
        return reduced

    def __repr__(self) -> str:
        """Show the function's name."""
        return f"<@shared_task: {self.__name__}>"


@overload
def shared_task(function: Callable[P, R], /) -> Task[P, R]: ...


@overload
def shared_task(
    function: None = None, /, **options: Any
) -> Callable[[Callable[P, R]], Task[P, R]]: ...


def shared_task(function: Any = None, /, **options: Any) -> Any:
    """Make a task of a function in a module that knows no application.

    Args:
        function: When used without arguments.
        **options: As for `TQ.task`.
    """

    def decorate(decorated: Callable[P, R]) -> Task[P, R]:
        return cast("Task[P, R]", _SharedTask(decorated, options))

    return decorate if function is None else decorate(function)
