"""What running a task needs of the application and of the task; `tq.app` implements both."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any, Protocol

from tq.backends.base import Backend
from tq.brokers.base import Broker
from tq.wire.envelope import Message

__all__ = ["Host", "Runnable"]


class Runnable(Protocol):
    """A registered task, as far as the runner looks at it; see `tq.app.Task` for the meaning."""

    name: str
    app: Any
    throws: Any
    trail: bool
    resultrepr_maxsize: int
    autoretry_for: Any
    dont_autoretry_for: Any
    retry_backoff: Any
    retry_kwargs: Mapping[str, Any]
    execution_plan: Any

    @property
    def run(self) -> Any:
        """Return the function."""
        ...

    def retry(self, *args: Any, **options: Any) -> Any:
        """Send the running call again and return or raise `Retry`."""
        ...

    def retry_countdown(self, retries: int) -> float:
        """Return the seconds until an automatic retry."""
        ...


class Host(Protocol):
    """The application."""

    @property
    def tasks(self) -> Mapping[str, Any]:
        """Return the registered tasks by name."""
        ...

    @property
    def conf(self) -> Any:
        """Return the settings; `conf.settings` is the frozen record."""
        ...

    @property
    def broker(self) -> Broker:
        """Return the connection for publishing."""
        ...

    @property
    def backend(self) -> Backend:
        """Return the result backend."""
        ...

    def capture(self) -> AbstractContextManager[list[Message]]:
        """Collect messages published inside instead of sending them."""
        ...
