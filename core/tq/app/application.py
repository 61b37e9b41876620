"""The application: a client with tasks, which it defines, finds, sends and runs programs for.

Source: API.md, "Celery"; celery/app/base.py.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import ModuleType
from typing import Any, Concatenate, Literal, ParamSpec, Self, TypeVar, overload

from tq import signals
from tq.app import hooks as hooks  # results and canvas find the current application through these
from tq.app.catalog import Catalog
from tq.app.client import Client
from tq.app.current import (
    forget_app,
    known_apps,
    remember_app,
    set_current_app,
    set_default_app,
)
from tq.app.define import task_name
from tq.app.modules import Discovery, import_related
from tq.app.periodic import make_entry
from tq.app.producer import Producer
from tq.app.registry import TaskRegistry
from tq.app.sending import Sending
from tq.app.sources import Sources
from tq.app.task import Task as BaseTask
from tq.canvas import Signature, signature
from tq.config import mask_password
from tq.results import AsyncResult, GroupResult, ResultSet

__all__ = ["TQ"]

P = ParamSpec("P")
R = TypeVar("R")


class TQ(Client):
    """An application. Any thread may use it; connections are opened on first use.

    Attributes:
        main: Its name, used for tasks defined in `__main__`.
        strict_typing: Tasks check their arguments where they are called.
        user_options: `preload` holds `click.Option`s that every `tq` command of this application
            takes; their values come with the signal `user_preload_options`.
        steps: Kept for Celery's configuration hooks; tq's worker has services instead.
    """

    def __init__(
        self,
        main: str | None = None,
        loader: Any = None,
        backend: str | None = None,
        *,
        set_as_current: bool = True,
        broker: str | None = None,
        include: Sequence[str] | None = None,
        changes: Mapping[str, Any] | None = None,
        config_source: Any = None,
        task_cls: Any = None,
        autofinalize: bool = True,
        namespace: str | None = None,
        strict_typing: bool = True,
        config_source_silent: bool = False,
        **kwargs: Any,
    ) -> None:
        """Describe an application; nothing is connected or loaded yet.

        Args:
            main: Its name.
            loader: Ignored; Celery's signature has it.
            backend: `result_backend`.
            set_as_current: Make it the process's current application.
            broker: `broker_url`.
            include: Modules that the worker imports.
            changes: Settings.
            config_source: Module, object or mapping with settings.
            task_cls: Class of tasks, or its path.
            autofinalize: Register built-in and shared tasks on first use of `tasks`.
            namespace: Prefix of the settings in `config_source`.
            strict_typing: Check arguments where tasks are called.
            config_source_silent: Ignore a `config_source` that is missing.
            **kwargs: More settings by name, or attributes of the application.
        """
        self.main = main
        self.autofinalize = autofinalize
        self.strict_typing = strict_typing
        self.user_options: defaultdict[str, set[Any]] = defaultdict(set)
        self.steps: defaultdict[str, set[Any]] = defaultdict(set)
        self.on_after_configure = signals.Signal("app.on_after_configure", ("source",))
        self.on_after_finalize = signals.Signal("app.on_after_finalize")
        self.on_after_fork = signals.Signal("app.on_after_fork")
        settings, attributes = Sources.split(kwargs)
        given = {"broker_url": broker, "result_backend": backend, "include": include}
        settings.update((name, value) for name, value in given.items() if value is not None)
        super().__init__({**(changes or {}), **settings}, namespace)
        if config_source is not None:
            self.config_from_object(config_source, config_source_silent)
        self._catalog = Catalog(self, task_cls)
        self._discovery = Discovery()
        self._producer = Producer(self)
        self._sending = Sending(self, self._producer, self._connections)
        for name, value in attributes.items():
            setattr(self, name, value)
        remember_app(self)
        if set_as_current:
            self.set_current()
        self.on_init()

    # -- being current -------------------------------------------------------------------------

    def set_current(self) -> None:
        """Make this the process's current application."""
        set_current_app(self)

    def set_default(self) -> None:
        """Make this the application that is current when none was chosen."""
        set_default_app(self)

    def on_init(self) -> None:
        """Do something when an application was made; for overriding."""

    def __enter__(self) -> Self:
        """Use the application for a block, and close it afterwards."""
        return self

    def __exit__(self, *exc_info: object) -> None:
        """Close it."""
        self.close()

    def disconnect(self) -> None:
        """Close its connections; they open again on use, as the settings then say."""
        super().close()
        self._producer.forget_declarations()

    def close(self) -> None:
        """Close its connections, and forget it as current application. It may be used again."""
        self.disconnect()
        forget_app(self)

    # -- tasks ---------------------------------------------------------------------------------

    @property
    def Task(self) -> type[BaseTask[..., Any]]:
        """The class of this application's tasks, for subclassing."""
        return self._catalog.task_class

    @Task.setter
    def Task(self, cls: type[BaseTask[..., Any]]) -> None:
        self._catalog.task_class = cls

    @property
    def finalized(self) -> bool:
        """Whether built-in and shared tasks are registered."""
        return self._catalog.finalized

    @property
    def tasks(self) -> TaskRegistry:
        """The registered tasks by name; the first use finalizes the application."""
        if not self._catalog.finalized:
            self.finalize(auto=True)
        return self._catalog.registry

    @overload
    def task(self, function: Callable[P, R], /) -> BaseTask[P, R]: ...

    @overload
    def task(
        self, function: None = None, /, *, bind: Literal[True], **options: Any
    ) -> Callable[[Callable[Concatenate[Any, P], R]], BaseTask[P, R]]: ...

    @overload
    def task(
        self, function: None = None, /, **options: Any
    ) -> Callable[[Callable[P, R]], BaseTask[P, R]]: ...

    def task(self, function: Any = None, /, **options: Any) -> Any:
        """Make a task of a function; a decorator, with or without options.

        Args:
            function: When used without options.
            **options: `name`, `bind` (the first parameter is the task), `base`, and every attribute
                of `Task`: `max_retries`, `autoretry_for`, `rate_limit`, `queue`, `time_limit`, ...

        Raises:
            TypeError: The function is not callable, or an option is unknown.
        """
        options.pop("lazy", None)

        def decorate(decorated: Callable[..., Any]) -> Any:
            return self._catalog.define(decorated, dict(options))

        if function is None:
            return decorate
        if not callable(function):
            raise TypeError("the task decorator takes options by keyword only")
        return decorate(function)

    def register_task(self, task: Any, **options: Any) -> Any:
        """Register a class-based task.

        Args:
            task: A `Task` object or class, with a name or a `run` to name it after.
            **options: Attributes to set.
        """
        return self._catalog.add(task, options)

    def gen_task_name(self, name: str, module: str) -> str:
        """Return the default name of a task; for overriding.

        Args:
            name: The function's name.
            module: Its module.
        """
        return task_name(self.main, name, module)

    def finalize(self, auto: bool = False) -> None:
        """Register built-in and shared tasks.

        Args:
            auto: Not asked for by the user, but by first use.

        Raises:
            RuntimeError: By first use, and `autofinalize` is off.
        """
        if not self._catalog.finalize(allowed=self.autofinalize or not auto):
            return
        self.on_after_configure.send(sender=self, source=self._conf)
        self.on_after_finalize.send(sender=self)

    # -- modules -------------------------------------------------------------------------------

    def autodiscover_tasks(
        self,
        packages: Iterable[str] | Callable[[], Iterable[str]] | None = None,
        related_name: str | None = "tasks",
        force: bool = False,
    ) -> None:
        """Import a module of each package when the worker starts.

        Args:
            packages: Names, a function that returns them, or None for Django's installed apps.
            related_name: The module, or None for the packages themselves.
            force: Import now.

        Raises:
            ConfigError: When they are imported: a package is missing, or a module raises.
        """
        if force:
            import_related(packages, related_name)
        else:
            self._discovery.later(packages, related_name)

    def import_default_modules(self) -> list[ModuleType]:
        """Import everything that defines tasks; the worker and beat call this when they start.

        Raises:
            ConfigError: A module is missing or raises.
        """
        signals.import_modules.send(sender=self)
        settings = self.conf.settings
        found = self._discovery.import_all([*settings.imports, *settings.include])
        self.finalize()
        return found

    def add_periodic_task(
        self,
        schedule: Any,
        sig: Any,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        name: str | None = None,
        **opts: Any,
    ) -> str:
        """Add an entry to `beat_schedule`.

        Args:
            schedule: Seconds, a timedelta, or a schedule object.
            sig: A signature, or a task's name.
            args: More arguments.
            kwargs: More keyword arguments.
            name: The entry's name; what is called, by default.
            **opts: Options of the call.

        Returns:
            The entry's name.
        """
        default_name, entry = make_entry(self, schedule, sig, args, kwargs, opts)
        key = name or default_name
        self._configuration.add_entry(key, entry)
        return key

    # -- sending -------------------------------------------------------------------------------

    def send(
        self,
        name: str,
        args: Any,
        kwargs: Any,
        options: Mapping[str, Any],
        task: Any = None,
    ) -> "AsyncResult":
        """Send one call; `send_task` and `Task.apply_async` end here.

        Args:
            name: The task's name.
            args: Positional arguments.
            kwargs: Keyword arguments.
            options: Of the call.
            task: The task, where it is registered here.
        """
        return self._sending.send(name, args, kwargs, options, task)

    def send_task(
        self, name: str, args: Any = None, kwargs: Any = None, **options: Any
    ) -> "AsyncResult":
        """Send a call of a task that need not be registered here.

        Args:
            name: The task's name.
            args: Positional arguments.
            kwargs: Keyword arguments.
            **options: As for `Task.apply_async`.

        Raises:
            BrokerConnectionError: The broker did not answer.
            EncodeError: The arguments have no form in the serializer.
        """
        return self.send(name, args, kwargs, options)

    def send_many(self, signatures: Iterable[Any]) -> "ResultSet":
        """Send many calls, a thousand in each round trip.

        Args:
            signatures: Simple signatures, complete with their arguments; they may name tasks that
                are not registered here.

        Returns:
            Their results, in the same order.

        Raises:
            TypeError: The arguments of one do not fit its task; batches before it were sent.
            BrokerConnectionError: The broker did not answer; some may have been sent.
        """
        return self._sending.send_many(signatures)

    # -- signatures and results ----------------------------------------------------------------

    def signature(self, *args: Any, **kwargs: Any) -> "Signature":
        """Return a signature of this application."""
        kwargs["app"] = self
        return signature(*args, **kwargs)

    subtask = signature

    def AsyncResult(self, id: str, **kwargs: Any) -> "AsyncResult":  # noqa: A002 - Celery's
        """Return the result of a call, by its id."""
        return AsyncResult(id, app=self, **kwargs)

    def GroupResult(
        self,
        id: str | None = None,  # noqa: A002 - Celery's name
        results: Any = None,
        **kwargs: Any,
    ) -> "GroupResult":
        """Return the result of a group, by its id."""
        return GroupResult(id, results, app=self, **kwargs)

    def ResultSet(self, results: Iterable[Any], **kwargs: Any) -> "ResultSet":
        """Return several results as one."""
        return ResultSet(list(results), app=self, **kwargs)

    # -- programs ------------------------------------------------------------------------------

    def worker_main(self, argv: Sequence[str] | None = None) -> None:
        """Run a worker of this application until it is stopped.

        Args:
            argv: `["worker", "--loglevel=INFO"]`; the program's own arguments by default.
        """
        from tq.app.programs import run_program  # 20 ms for the versions of a bug report

        run_program(self, argv, "worker")

    def start(self, argv: Sequence[str] | None = None) -> None:
        """Run the `tq` command line for this application.

        Args:
            argv: Its arguments; the program's own by default.
        """
        from tq.app.programs import run_program  # as above

        run_program(self, argv, None)

    @property
    def Beat(self) -> Any:
        """Beat as a process of this application: `app.Beat(loglevel="INFO").run()`."""
        from tq.app.programs import beat_program  # as above

        return beat_program(self)

    def bugreport(self) -> str:
        """Describe versions, broker, backend and settings, secrets masked."""
        from tq.app.programs import describe  # as above

        return describe(self)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle as a name: the other process has, or makes, an application of it."""
        return (find_or_make, (self.main, self.conf.table(censored=False)))

    def __repr__(self) -> str:
        """Show name and broker."""
        url = self.conf.settings.broker_url if self.conf.loaded else None
        shown = mask_password(url) if isinstance(url, str) else url
        return f"<TQ {self.main or '__main__'} broker={shown or 'embedded'}>"


def find_or_make(main: str | None, settings: dict[str, Any]) -> Any:
    """Return this process's application of that name, else a new one with those settings."""
    found = next((app for app in known_apps() if app.main == main), None)
    return found or TQ(main, changes=settings, set_as_current=False)
