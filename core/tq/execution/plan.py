"""What all runs of one task share, computed once per task and state of the settings."""

import inspect
from typing import Any

import msgspec

from tq.config import Settings
from tq.execution.host import Host, Runnable

__all__ = ["Plan", "plan_for"]

_HANDLERS = ("before_start", "on_success", "on_retry", "on_failure", "after_return")


class Plan(msgspec.Struct, kw_only=True):
    """How to run a task.

    Attributes:
        function: `task.run`, or the task itself where its class overrides `__call__`.
        is_async: The function is a coroutine function.
        handlers: Names of the handlers that the task, or its class, overrides; others are not
            called.
        stores_errors: Failures are recorded although results are ignored.
        autoretry: Exceptions that retry the task.
    """

    settings: Settings
    function: Any
    is_async: bool
    handlers: frozenset[str]
    ignore_result: bool
    stores_errors: bool
    stores_eager: bool
    track_started: bool
    autoretry: tuple[type[BaseException], ...]
    no_autoretry: tuple[type[BaseException], ...]
    throws: tuple[type[BaseException], ...]


def plan_for(app: Host, task: Runnable) -> Plan:
    """Return the task's plan, made anew when the settings were written since."""
    settings = app.conf.settings
    plan: Plan | None = task.execution_plan
    if plan is None or plan.settings is not settings:
        plan = task.execution_plan = _make(settings, task)
    return plan


def _make(settings: Settings, task: Any) -> Plan:
    kind = type(task)
    plain = _root(kind)
    overridden = kind.__call__ is not plain.__call__
    handlers = frozenset(
        name
        for name in _HANDLERS
        if name in vars(task) or getattr(kind, name, None) is not getattr(plain, name, None)
    )
    return Plan(
        settings=settings,
        function=task if overridden else task.run,
        is_async=inspect.iscoroutinefunction(inspect.unwrap(task.run))
        or inspect.iscoroutinefunction(task.run),
        handlers=handlers,
        ignore_result=bool(_value(task, "ignore_result", settings.task_ignore_result)),
        stores_errors=bool(
            _value(task, "store_errors_even_if_ignored", settings.task_store_errors_even_if_ignored)
        ),
        stores_eager=bool(_value(task, "store_eager_result", settings.task_store_eager_result)),
        track_started=bool(_value(task, "track_started", settings.task_track_started)),
        autoretry=_classes(task.autoretry_for),
        no_autoretry=_classes(task.dont_autoretry_for),
        throws=_classes(task.throws),
    )


def _root(kind: type) -> Any:
    """Return the class that defines what a task is: the last but `Generic` and `object`."""
    return next(base for base in reversed(kind.__mro__) if hasattr(base, "apply_async"))


def _value(task: Any, name: str, default: Any) -> Any:
    """Return an option; None on a task means the setting, as in Celery."""
    found = getattr(task, name, None)
    return default if found is None else found


def _classes(given: Any) -> tuple[type[BaseException], ...]:
    if not given:
        return ()
    return (given,) if isinstance(given, type) else tuple(given)
