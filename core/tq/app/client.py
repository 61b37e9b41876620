"""The part of an application that knows no tasks: its settings, its connections, what runs here.

Source: API.md, "Celery"; celery/app/base.py.
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime, tzinfo
from typing import TYPE_CHECKING, Any

from tq import signals
from tq.app.calls import origin
from tq.app.configuration import Configuration
from tq.app.connections import Connections
from tq.app.producer import capture
from tq.app.queues import Queues
from tq.app.router import Router
from tq.app.sending import zone_of
from tq.backends.base import Backend
from tq.brokers.base import Broker
from tq.clock import LamportClock
from tq.config import Conf
from tq.execution.context import Context, current_context, current_task
from tq.wire.envelope import Message

if TYPE_CHECKING:
    from tq.app.streams import Streams
    from tq.control import Control

__all__ = ["Client"]


class Client:
    """An application without its tasks. Any thread may use it; connections open on first use.

    Attributes:
        clock: The Lamport clock of events and commands sent by this process.
        on_configure: Sent before the settings are read.
    """

    def __init__(self, given: Mapping[str, Any], namespace: str | None) -> None:
        """Keep settings; nothing is connected or loaded yet.

        Args:
            given: Settings that win over the configuration object.
            namespace: Prefix of the settings in configuration objects.
        """
        self.clock = LamportClock()
        self.on_configure = signals.Signal("app.on_configure")
        self._configuration = Configuration(given, namespace, self._about_to_load)
        self._conf = self._configuration.conf
        self._connections = Connections(self._conf)
        self._router: Router | None = None
        self._control: Control | None = None

    def close(self) -> None:
        """Close its connections. It may be used again."""
        control, self._control = self._control, None
        if control is not None:
            control.close()
        self._connections.close()

    # -- settings ------------------------------------------------------------------------------

    @property
    def conf(self) -> Conf:
        """The settings; reading the first one loads them."""
        return self._conf

    @conf.setter
    def conf(self, values: Any) -> None:
        self._conf.update(values if isinstance(values, Mapping) else dict(values.items()))

    def _about_to_load(self) -> None:
        self.on_configure.send(sender=self)

    def config_from_object(
        self, obj: Any, silent: bool = False, force: bool = False, namespace: str | None = None
    ) -> None:
        """Read settings from a module, object or mapping, on first use.

        Args:
            obj: The source, or `module` or `module:attribute`.
            silent: Ignore a source that is missing.
            force: Read now.
            namespace: Prefix of the names, such as `CELERY`.

        Raises:
            ConfigError: When it is read: the source is missing, or a setting is wrong.
        """
        self._configuration.use(obj, silent, namespace)
        if force:
            self._configuration.load()

    def config_from_envvar(
        self, variable_name: str, silent: bool = False, force: bool = False
    ) -> None:
        """Read settings from the module that an environment variable names.

        Raises:
            ConfigError: The variable is not set, and `silent` is False.
        """
        self._configuration.use_variable(variable_name, silent)
        if force:
            self._configuration.load()

    def add_defaults(self, defaults: Any) -> None:
        """Give settings other defaults: a mapping, or a function that returns one."""
        self._configuration.add_defaults(defaults() if callable(defaults) else defaults)

    def either(self, default_key: str, *defaults: Any) -> Any:
        """Return the first value that is not None, else a setting."""
        found = next((value for value in defaults if value is not None), None)
        return self._conf[default_key] if found is None else found

    @property
    def timezone(self) -> tzinfo:
        """The zone of times given without an offset."""
        return zone_of(self._conf.settings)

    def uses_utc_timezone(self) -> bool:
        """Tell whether that zone is UTC."""
        return self._conf.settings.timezone in (None, "UTC")

    def now(self) -> datetime:
        """Return the current time in the application's zone."""
        return datetime.now(self.timezone)

    # -- connections ---------------------------------------------------------------------------

    @property
    def broker(self) -> Broker:
        """The connection for publishing, opened on first use.

        Raises:
            ConfigError: `broker_url` names no broker.
        """
        return self._connections.broker

    @property
    def read_broker(self) -> Broker:
        """The connection for consuming: `broker_read_url` where that is set, else `broker`."""
        return self._connections.read_broker

    @property
    def backend(self) -> Backend:
        """The result backend, opened on first use.

        Raises:
            ConfigError: `result_backend` names no backend.
        """
        return self._connections.backend

    @backend.setter
    def backend(self, backend: Backend) -> None:
        self._connections.backend = backend

    @property
    def oid(self) -> str:
        """The name of this process among those of the application; a forked child has its own."""
        return self._connections.oid

    @property
    def thread_oid(self) -> str:
        """The address that `rpc://` results come back to: the process's, for all its threads."""
        return self._connections.reply_to

    def connection(self, url: str | tuple[str, ...] | None = None, **options: Any) -> Any:
        """Return a `kombu.Connection` to the broker, for programs that speak kombu themselves.

        tq's own connections are others: `broker` and `read_broker`.

        Args:
            url: Another address than `broker_write_url` or `broker_url`.
            **options: As for `kombu.Connection`.
        """
        from tq.app.kombu_connections import connection  # few programs need kombu for Redis

        settings = self._conf.settings
        given = url or settings.broker_write_url or settings.broker_url
        return connection(settings, given, **options)

    connection_for_write = broker_connection = connection

    def connection_for_read(self, url: str | None = None, **options: Any) -> Any:
        """Return a `kombu.Connection` to where calls are consumed; see `connection`."""
        settings = self._conf.settings
        return self.connection(url or settings.broker_read_url or settings.broker_url, **options)

    @property
    def pool(self) -> Any:
        """Kombu's pool of connections to the broker; see `connection`."""
        from tq.app.kombu_connections import connection_pool  # as above

        settings = self._conf.settings
        return connection_pool(settings, settings.broker_write_url or settings.broker_url)

    @property
    def producer_pool(self) -> Any:
        """Kombu's pool of producers; see `connection`."""
        from tq.app.kombu_connections import producer_pool  # as above

        settings = self._conf.settings
        return producer_pool(settings, settings.broker_write_url or settings.broker_url)

    @property
    def control(self) -> "Control":
        """Sends remote control commands."""
        if self._control is None:
            from tq.control import Control  # few programs send commands

            self._control = Control(self)
        return self._control

    @property
    def events(self) -> "Streams":
        """Sends and receives events."""
        from tq.app.streams import Streams  # few programs read events

        return Streams(self)

    @property
    def queues(self) -> Queues:
        """The queues the application knows."""
        return self.router.queues

    @property
    def router(self) -> Router:
        """Finds where calls go, by the current settings."""
        settings = self._conf.settings
        router = self._router
        if router is None or router.settings is not settings:
            queues = router.queues if router and router.queues.fits(settings) else Queues(settings)
            router = self._router = Router(settings, queues)
        return router

    def select_queues(self, queues: str | Sequence[str] | None = None) -> None:
        """Consume these queues only."""
        if queues:
            self.queues.select(queues)

    # -- sending -----------------------------------------------------------------------------------

    def capture(self) -> AbstractContextManager[list[Message]]:
        """Collect what this thread or coroutine publishes inside, instead of sending it."""
        return capture()

    def send_event(self, type_: str, hostname: str | None = None, **fields: Any) -> None:
        """Publish one event at once.

        Args:
            type_: Such as `task-progress`.
            hostname: The sender; this process by default.
            **fields: The event's own fields.
        """
        from tq.app.streams import publish_event  # few programs send events of their own

        publish_event(self, type_, hostname or origin(), fields)

    # -- the running task ----------------------------------------------------------------------

    @property
    def current_task(self) -> Any:
        """The task that runs here now, or None."""
        return current_task()

    @property
    def current_worker_task(self) -> Any:
        """The task that runs here now for a worker, or None."""
        context = current_context()
        return current_task() if context is not None and not context.called_directly else None

    def current_request(self) -> Context | None:
        """Return the running task's request, or None outside calls made by messages."""
        context = current_context()
        return context if context is not None and context.id else None

    def add_trail(self, result: Any) -> None:
        """Record a result as a child of the running task; does nothing outside tasks."""
        context = current_context()
        if context is not None and current_task().trail:
            context.children.append(result)
