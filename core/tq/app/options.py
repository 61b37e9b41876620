"""The options of a task: attributes that a decorator, a class or the settings give it.

Source: API.md, "Task"; celery/app/task.py, `Task.from_config`.
"""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, cast

from tq.app.host import App

__all__ = ["SENT_OPTIONS", "TaskOptions"]

SENT_OPTIONS = (
    "queue",
    "routing_key",
    "exchange",
    "exchange_type",
    "priority",
    "expires",
    "serializer",
    "delivery_mode",
    "compression",
)
"""Attributes of a task that are options of each of its calls."""


class _FromSettings:
    """An option that, unless a class or a call says otherwise, is a setting's current value."""

    __slots__ = ("setting",)

    def __init__(self, setting: str) -> None:
        """Name the setting."""
        self.setting = setting

    def __get__(self, task: Any, owner: Any = None) -> Any:
        """Read the setting; on the class, where no application is known, None."""
        if task is None or task.app is None:
            return None
        return getattr(task.app.conf.settings, self.setting)


def _setting(name: str) -> Any:
    return _FromSettings(name)


class TaskOptions:
    """What can be said about a task besides what it does.

    Attributes:
        name: Under which it is registered; `module.function` unless given.
        app: The application.
        max_retries: Retries allowed; None for no limit.
        default_retry_delay: Seconds until a retry that says nothing else.
        throws: Exceptions that are expected: recorded and logged without a traceback.
        typing: Check arguments where the call is made.
        trail: Record what the task starts as its children.
        resultrepr_maxsize: Characters of the return value shown in logs and events.
        autoretry_for: Exceptions that retry the task by themselves.
        dont_autoretry_for: Exceptions among them that do not.
        retry_backoff: Base of exponential delays in seconds, True for 1.
        retry_backoff_max: Longest such delay.
        retry_jitter: Take a random delay between 0 and the computed one.
        retry_kwargs: Further arguments of `retry` for automatic retries.
        bound: The function's first parameter is the task.
        execution_plan: Kept by the runner.
        send_plan: Kept by the application.
    """

    abstract: ClassVar[bool] = True
    name: str = ""
    app: App = cast(Any, None)
    bound: bool = False
    max_retries: int | None = 3
    default_retry_delay: float = 180
    throws: tuple[type[BaseException], ...] = ()
    typing: bool | None = None
    trail: bool = True
    send_events: bool = True
    resultrepr_maxsize: int = 1024
    time_limit: float | None = _setting("task_time_limit")
    soft_time_limit: float | None = _setting("task_soft_time_limit")
    rate_limit: str | float | None = _setting("task_default_rate_limit")
    ignore_result: bool | None = _setting("task_ignore_result")
    store_errors_even_if_ignored: bool | None = _setting("task_store_errors_even_if_ignored")
    store_eager_result: bool | None = _setting("task_store_eager_result")
    track_started: bool | None = _setting("task_track_started")
    acks_late: bool | None = _setting("task_acks_late")
    acks_on_failure_or_timeout: bool | None = _setting("task_acks_on_failure_or_timeout")
    acks_on_failure: bool | None = _setting("task_acks_on_failure")
    acks_on_timeout: bool | None = _setting("task_acks_on_timeout")
    reject_on_worker_lost: bool | None = _setting("task_reject_on_worker_lost")
    retry_on_worker_lost: bool | None = _setting("task_retry_on_worker_lost")
    serializer: str | None = _setting("task_serializer")
    compression: str | None = _setting("task_compression")
    priority: int | None = _setting("task_default_priority")
    expires: Any = None
    queue: Any = None
    exchange: Any = None
    exchange_type: str | None = None
    routing_key: str | None = None
    delivery_mode: Any = None
    autoretry_for: tuple[type[BaseException], ...] = ()
    dont_autoretry_for: tuple[type[BaseException], ...] = ()
    retry_backoff: bool | float = False
    retry_backoff_max: float = 600
    retry_jitter: bool = True
    retry_kwargs: Mapping[str, Any] = {}
    execution_plan: Any = None
    send_plan: Any = None
    _check: Callable[..., None] | None = None
