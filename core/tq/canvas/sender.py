"""What canvas needs of an application, and where it finds the current one.

`tq.app.TQ` implements `Sender`; canvas never imports the application.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

from tq.errors import ConfigError
from tq.results import AsyncResult, ResultSet

__all__ = ["CallableTask", "RunningRequest", "Sender", "default_sender", "set_default_sender"]


class CallableTask(Protocol):
    """A registered task, as far as canvas calls it."""

    name: str

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the task's function here and now."""
        ...

    def apply_async(self, args: Any = None, kwargs: Any = None, **options: Any) -> AsyncResult:
        """Publish one call; adds the task's own options and checks its arguments."""
        ...

    def apply(self, args: Any = None, kwargs: Any = None, **options: Any) -> AsyncResult:
        """Run one call eagerly; returns an `EagerResult`."""
        ...


class RunningRequest(Protocol):
    """The request of the task that runs in this context.

    Attributes:
        id: The running task's id.
        root_id: The first task of its workflow.
    """

    id: str
    root_id: str | None


class Sender(Protocol):
    """Publishes what canvas prepares.

    Attributes:
        tasks: Registered tasks by name; a name that is missing goes through `send_task`.
        conf: Settings; canvas reads `task_always_eager` and
            `task_allow_error_cb_on_chord_header`.
        backend: Where chord sizes and groups are written.
        thread_oid: Queue id that replies of `rpc://` go to; Celery puts it in every signature.

    Options that canvas passes besides the user's own (`queue`, `countdown`, `priority`, ...):
    `task_id`, `root_id`, `parent_id`, `group_id`, `group_index`, `chord` (body signature), `chain`
    (remaining signatures, last one next), `link`, `link_error` (lists of signatures), `reply_to`,
    `add_to_parent`, `stamped_headers` (names) with each stamp's value as an option of that name.
    `root_id` and `parent_id` that are absent default to the running task's, then to the task's own
    id and None.
    """

    @property
    def tasks(self) -> Mapping[str, Any]:
        """Return the registered tasks by name (each a `CallableTask`)."""
        ...

    @property
    def conf(self) -> Any:
        """Return the settings."""
        ...

    @property
    def backend(self) -> Any:
        """Return the result backend (`tq.backends.base.Backend`)."""
        ...

    @property
    def broker(self) -> Any:
        """Return the connection for publishing (`tq.brokers.base.Broker`)."""
        ...

    def capture(self) -> AbstractContextManager[list[Any]]:
        """Collect the messages that are published inside, instead of sending them."""
        ...

    @property
    def thread_oid(self) -> str:
        """Return the reply queue's id."""
        ...

    def send_task(
        self, name: str, args: Any = None, kwargs: Any = None, **options: Any
    ) -> AsyncResult:
        """Publish one call by name."""
        ...

    def send_many(self, signatures: Sequence[Any]) -> ResultSet:
        """Publish simple signatures in as few round trips as the transport allows.

        Each signature's `args`, `kwargs` and `options` are complete (with `task_id`); a registered
        task's own options apply as in `apply_async`. Results come back in the same order, and are
        not added to the running task's children.
        """
        ...

    def current_request(self) -> RunningRequest | None:
        """Return the running task's request, or None outside tasks."""
        ...

    def add_trail(self, result: Any) -> None:
        """Record `result` as a child of the running task; does nothing outside tasks."""
        ...


_provider: Callable[[], Sender] | None = None


def set_default_sender(provider: Callable[[], Sender] | None) -> None:
    """Install where signatures without an application of their own find one.

    Args:
        provider: Usually `tq.app.current_app`; called at each use, so it may follow the context.
    """
    global _provider  # one process, one hook: installed when tq.app is imported
    _provider = provider


def default_sender() -> Sender:
    """Return the current application.

    Raises:
        ConfigError: Nobody installed one.
    """
    if _provider is None:
        raise ConfigError("no application: create a TQ, or pass app= to the signature")
    return _provider()
