"""What the modules of this room need of the application, which stands above them all.

`tq.app.TQ` implements `App`; only it, and what finds or makes one, imports the class itself.
"""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from tq.app.router import Router
from tq.brokers.base import Broker
from tq.canvas import Sender, Signature
from tq.clock import LamportClock
from tq.execution.host import Host
from tq.results import AsyncResult

__all__ = ["App", "Connected"]


class Connected(Protocol):
    """Has a broker and settings.

    Attributes:
        clock: The Lamport clock of what this process sends.
    """

    clock: LamportClock

    @property
    def conf(self) -> Any:
        """Return the settings; `conf.settings` is the frozen record."""
        ...

    @property
    def broker(self) -> Broker:
        """Return the connection for publishing."""
        ...


class App(Connected, Sender, Host, Protocol):
    """The application, as tasks and what makes them see it; see `TQ` for the meaning.

    Attributes:
        main: Its name, used for tasks defined in `__main__`.
        strict_typing: Tasks check their arguments where they are called.
    """

    main: str | None
    strict_typing: bool

    @property
    def Task(self) -> Any:
        """Return the class of its tasks."""
        ...

    @property
    def control(self) -> Any:
        """Return what sends remote control commands."""
        ...

    @property
    def router(self) -> Router:
        """Return what finds where calls go."""
        ...

    @property
    def finalized(self) -> bool:
        """Tell whether built-in and shared tasks are registered."""
        ...

    def set_current(self) -> None:
        """Make it the process's current application."""
        ...

    def task(self, function: None = None, /, **options: Any) -> Callable[[Callable[..., Any]], Any]:
        """Make a task of a function; a decorator with options."""
        ...

    def gen_task_name(self, name: str, module: str) -> str:
        """Return the default name of a task."""
        ...

    def send(
        self, name: str, args: Any, kwargs: Any, options: Mapping[str, Any], task: Any = None
    ) -> AsyncResult:
        """Send one call."""
        ...

    def send_event(self, type_: str, hostname: str | None = None, **fields: Any) -> None:
        """Publish one event at once."""
        ...

    def signature(self, *args: Any, **kwargs: Any) -> Signature:
        """Return a signature of this application."""
        ...

    def AsyncResult(self, id: str, **kwargs: Any) -> AsyncResult:  # noqa: A002 - Celery's
        """Return the result of a call, by its id."""
        ...

    def current_request(self) -> Any:
        """Return the `Context` of the call that runs here, or None outside calls by messages."""
        ...

    def bugreport(self) -> str:
        """Describe versions, broker, backend and settings, secrets masked."""
        ...
