"""Task policies from the application's tasks and settings, worked out once per task.

Source: SETTINGS (task_acks_late and what follows); celery/app/task.py, `from_config`.
"""

from typing import Any

from tq.config import Settings
from tq.errors import ConfigError
from tq.wire.limits import Limits
from tq.worker.limits import parse_rate
from tq.worker.request import TaskPolicy

__all__ = ["Policies", "body_limits"]


class Policies:
    """Looks tasks up for the dispatcher. Owned by the loop thread."""

    def __init__(self, app: Any) -> None:
        """Keep the application."""
        self._app = app
        self._known: dict[str, TaskPolicy] = {}

    def get(self, name: str) -> TaskPolicy | None:
        """Return a task's policy, or None when no such task is registered."""
        policy = self._known.get(name)
        if policy is None:
            task = self._app.tasks.get(name)
            if task is None:
                return None
            policy = self._known[name] = _policy(task, self._app.conf)
        return policy

    def forget(self, name: str) -> None:
        """Work a task's policy out anew at its next message."""
        self._known.pop(name, None)

    def rates(self) -> dict[str, float]:
        """Return the starts per second of each task that limits them.

        Raises:
            ConfigError: A task's rate limit cannot be read.
        """
        if self._app.conf.worker_disable_rate_limits:
            return {}
        default = self._app.conf.task_default_rate_limit
        rates = {}
        for name, task in self._app.tasks.items():
            rate = getattr(task, "rate_limit", None)
            try:
                rates[name] = parse_rate(default if rate is None else rate)
            except ValueError as exc:
                raise ConfigError(f"rate_limit of task {name}: {exc}") from exc
        return {name: rate for name, rate in rates.items() if rate > 0}


def body_limits(settings: Settings) -> Limits:
    """Return how large a task's body may be."""
    return Limits(message=settings.message_max_bytes, inflated=settings.message_max_inflated_bytes)


def _policy(task: Any, conf: Any) -> TaskPolicy:
    acks_on_timeout = _first(
        getattr(task, "acks_on_timeout", None),
        getattr(task, "acks_on_failure_or_timeout", None),
        conf.task_acks_on_timeout,
        conf.task_acks_on_failure_or_timeout,
    )
    lost = _first(getattr(task, "reject_on_worker_lost", None), conf.task_reject_on_worker_lost)
    return TaskPolicy(
        name=task.name,
        acks_late=bool(_first(getattr(task, "acks_late", None), conf.task_acks_late)),
        acks_on_timeout=bool(acks_on_timeout),
        # Late acknowledgement promises at least once, so a lost process means another try.
        reject_on_worker_lost=lost is not False,
        retry_on_worker_lost=bool(getattr(task, "retry_on_worker_lost", False)),
        max_retries=getattr(task, "max_retries", 3),
        send_events=bool(getattr(task, "send_events", True)),
        soft_limit=getattr(task, "soft_time_limit", None),
        hard_limit=getattr(task, "time_limit", None),
    )


def _first(*values: Any) -> Any:
    return next((value for value in values if value is not None), None)
