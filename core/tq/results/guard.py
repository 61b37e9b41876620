"""Which application results belong to, and whether the caller may block for one."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Protocol

from tq.errors import ConfigError

__all__ = [
    "AppLike",
    "allow_join_result",
    "assert_will_not_block",
    "default_app",
    "denied_join_result",
    "set_default_app",
    "task_join_will_block",
]

WOULD_BLOCK = (
    "Never call result.get() within a task: a worker waiting for its own tasks can deadlock. "
    "Use a callback or a chord, or pass disable_sync_subtasks=False."
)


class AppLike(Protocol):
    """What a result needs of the application.

    Attributes:
        backend: `tq.backends.base.Backend`.
        control: Has `revoke` and `revoke_by_stamped_headers`.
    """

    @property
    def backend(self) -> Any:
        """Return the result backend."""
        ...

    @property
    def control(self) -> Any:
        """Return the remote control client."""
        ...


_provider: Callable[[], AppLike] | None = None
_join_denied: ContextVar[bool] = ContextVar("tq_join_denied", default=False)


def set_default_app(provider: Callable[[], AppLike] | None) -> None:
    """Install where results without an application of their own find one.

    Args:
        provider: Usually `tq.app.current_app`; called at each use, so it may follow the context.
    """
    global _provider  # one process, one hook: installed when tq.app is imported
    _provider = provider


def default_app() -> AppLike:
    """Return the current application.

    Raises:
        ConfigError: Nobody installed one.
    """
    if _provider is None:
        raise ConfigError("no application: create a TQ, or pass app= or backend= to the result")
    return _provider()


def task_join_will_block() -> bool:
    """Tell whether this context runs a task, where waiting for another one may deadlock."""
    return _join_denied.get()


def assert_will_not_block() -> None:
    """Refuse to wait inside a task.

    Raises:
        RuntimeError: As Celery does, so that callers' handlers keep working.
    """
    if _join_denied.get():
        raise RuntimeError(WOULD_BLOCK)


@contextmanager
def allow_join_result() -> Iterator[None]:
    """Let the code inside wait for results although a task runs."""
    token = _join_denied.set(False)
    try:
        yield
    finally:
        _join_denied.reset(token)


@contextmanager
def denied_join_result() -> Iterator[None]:
    """Refuse waiting for results inside; the worker runs every task in this."""
    token = _join_denied.set(True)
    try:
        yield
    finally:
        _join_denied.reset(token)
