"""The application: settings, tasks, connections, and every way to send.

Source: API.md, "Celery"; celery/app/base.py.
"""

import os
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime, tzinfo
from typing import TYPE_CHECKING, Any, Concatenate, Literal, ParamSpec, Self, TypeVar, overload
from zoneinfo import ZoneInfo

from tq import signals
from tq.app import hooks as hooks  # results and canvas find the current application through these
from tq.app import producer as producing
from tq.app.calls import Call, SendPlan, origin, prepare
from tq.app.connections import BACKEND_SETTINGS, BROKER_SETTINGS, open_backend, open_broker
from tq.app.current import (
    forget_app,
    remember_app,
    set_current_app,
    set_default_app,
    shared_tasks,
)
from tq.app.define import annotate, make_task, task_name
from tq.app.modules import import_modules, import_related
from tq.app.queues import Queues
from tq.app.registry import TaskRegistry
from tq.app.router import Router
from tq.app.sources import Sources
from tq.app.task import SENT_OPTIONS
from tq.app.task import Task as BaseTask
from tq.backends.base import Backend
from tq.brokers.base import Broker
from tq.clock import LamportClock
from tq.config import Conf, Settings, mask_password
from tq.errors import ConfigError
from tq.execution.context import Context, current_context, current_task
from tq.wire.envelope import Message
from tq.wire.ids import new_id

if TYPE_CHECKING:
    from tq.canvas import Signature
    from tq.control import Control
    from tq.results import AsyncResult, GroupResult, ResultSet

__all__ = ["TQ"]

P = ParamSpec("P")
R = TypeVar("R")

_BROKER_CONNECTION = "the broker connection"
_RESULT_CONNECTION = "the result backend"


class TQ:
    """An application. Any thread may use it; connections are opened on first use.

    Attributes:
        main: Its name, used for tasks defined in `__main__`.
        finalized: Built-in and shared tasks are registered.
        clock: The Lamport clock of events and commands sent by this process.
        strict_typing: Tasks check their arguments where they are called.
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
        self.clock = LamportClock()
        self.finalized = False
        self.user_options: dict[str, set[Any]] = {}
        self.steps: dict[str, set[Any]] = {}
        self.on_configure = signals.Signal("app.on_configure")
        self.on_after_configure = signals.Signal("app.on_after_configure", ("source",))
        self.on_after_finalize = signals.Signal("app.on_after_finalize")
        self.on_after_fork = signals.Signal("app.on_after_fork")
        settings, attributes = Sources.split(kwargs)
        given = {"broker_url": broker, "result_backend": backend, "include": include}
        self._sources = Sources({**(changes or {}), **settings, **_present(given)})
        if config_source is not None:
            self._sources.set(config_source, namespace, config_source_silent)
        self._namespace = namespace
        self._conf = Conf(self._load_settings)
        self._tasks = TaskRegistry()
        self._task_cls = task_cls
        self._task_class: type[BaseTask[..., Any]] | None = None
        self._lock = threading.RLock()
        self._producer = producing.Producer(self)
        self._broker: Broker | None = None
        self._read_broker: Broker | None = None
        self._backend: Backend | None = None
        self._router: Router | None = None
        self._control: Any = None
        self._packages: list[tuple[Any, str | None]] = []
        self._foreign_plans: dict[str, SendPlan] = {}
        self._oid = (0, "")
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

    def close(self) -> None:
        """Close its connections, and forget it as current application. It may be used again."""
        with self._lock:
            open_ones = [self._backend, self._read_broker, self._broker]
            self._backend = self._read_broker = self._broker = None
            self._control = None
            self._producer.forget_declarations()
            self._conf.unmark_used(_BROKER_CONNECTION)
            self._conf.unmark_used(_RESULT_CONNECTION)
        for connection in open_ones:
            if connection is not None:
                connection.close()
        forget_app(self)

    # -- settings ------------------------------------------------------------------------------

    @property
    def conf(self) -> Conf:
        """The settings; reading the first one loads them."""
        return self._conf

    @conf.setter
    def conf(self, values: Any) -> None:
        self._conf.update(values if isinstance(values, Mapping) else dict(values.items()))

    def _load_settings(self) -> Mapping[str, Any]:
        self.on_configure.send(sender=self)
        return self._sources.load()

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
        self._sources.set(obj, namespace or self._namespace, silent)
        if self._conf.loaded:
            self._conf.update(self._sources.load(), source_name="configuration")
        elif force:
            self._conf.settings  # noqa: B018 - loads

    def config_from_envvar(
        self, variable_name: str, silent: bool = False, force: bool = False
    ) -> None:
        """Read settings from the module that an environment variable names.

        Raises:
            ConfigError: The variable is not set, and `silent` is False.
        """
        module = os.environ.get(variable_name)
        if module:
            self.config_from_object(module, silent=silent, force=force)
        elif not silent:
            raise ConfigError(f"the environment variable {variable_name} is not set")

    def add_defaults(self, defaults: Any) -> None:
        """Give settings other defaults: a mapping, or a function that returns one."""
        values = defaults() if callable(defaults) else defaults
        self._sources.add_defaults(values)
        if self._conf.loaded:
            for name, value in values.items():
                self._conf.setdefault(name, value)

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

    # -- tasks ---------------------------------------------------------------------------------

    @property
    def Task(self) -> type[BaseTask[..., Any]]:
        """The class of this application's tasks, for subclassing."""
        if self._task_class is None:
            given = self._task_cls
            if isinstance(given, str):
                module, _, name = given.replace(":", ".").rpartition(".")
                given = getattr(import_modules([module])[0], name)
            root = given or BaseTask
            self._task_class = type(root.__name__, (root,), {"app": self, "abstract": True})
        return self._task_class

    @Task.setter
    def Task(self, cls: type[BaseTask[..., Any]]) -> None:
        self._task_class = cls

    @property
    def tasks(self) -> TaskRegistry:
        """The registered tasks by name; the first use finalizes the application."""
        if not self.finalized:
            self.finalize(auto=True)
        return self._tasks

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
            return self._define(decorated, dict(options))

        if function is None:
            return decorate
        if not callable(function):
            raise TypeError("the task decorator takes options by keyword only")
        return decorate(function)

    def _define(self, function: Callable[..., Any], options: dict[str, Any]) -> Any:
        if isinstance(function, BaseTask):
            # Stacked decorators of two applications: each gets its own task of the function.
            function = function.__wrapped__  # type: ignore[attr-defined] # set by make_task
        base = options.pop("base", None)
        # Celery gives each task to every application of the process; here only shared_task does.
        options.pop("shared", None)
        name = options.get("name") or self.gen_task_name(
            getattr(function, "__name__", type(function).__name__), function.__module__
        )
        with self._lock:
            if name in self._tasks:
                # The same module imported again under another name: the first stays, so that
                # references to it keep working.
                return self._tasks[name]
            task = make_task(self, function, base, options)
            self._tasks.register(task)
        return task

    def register_task(self, task: Any, **options: Any) -> Any:
        """Register a class-based task.

        Args:
            task: A `Task` object or class, with a name or a `run` to name it after.
            **options: Attributes to set.
        """
        if isinstance(task, type):
            task = task()
        task.app = self
        for name, value in options.items():
            setattr(task, name, value)
        if not task.name:
            kind = type(task)
            task.name = self.gen_task_name(kind.__name__, kind.__module__)
        self._tasks.register(task)
        annotate(task, self._conf.settings.task_annotations)
        type(task).on_bound(self)
        return task

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
        with self._lock:
            if self.finalized:
                return
            if auto and not self.autofinalize:
                raise RuntimeError("the application is not finalized: call app.finalize() first")
            # Set first: registering tasks reads `tasks`.
            self.finalized = True
            from tq.app.builtins import register_builtins  # they need this class

            register_builtins(self)
            for register in shared_tasks():
                register(self)
            annotations = self._conf.settings.task_annotations
            for task in self._tasks.values():
                annotate(task, annotations)
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
            self._packages.append((packages, related_name))

    def import_default_modules(self) -> list[Any]:
        """Import everything that defines tasks; the worker and beat call this when they start.

        Raises:
            ConfigError: A module is missing or raises.
        """
        signals.import_modules.send(sender=self)
        settings = self._conf.settings
        found = import_modules([*settings.imports, *settings.include])
        while self._packages:
            packages, related_name = self._packages.pop(0)
            found += import_related(packages, related_name)
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
        from tq.canvas import Signature, signature  # clients that only send need no canvas

        made = sig if isinstance(sig, Signature) else signature(sig, args, kwargs, app=self)
        if isinstance(sig, Signature) and (args or kwargs):
            made = sig.clone(tuple(args), dict(kwargs or {}))
        entry = {
            "task": made["task"],
            "schedule": schedule,
            "args": list(made["args"]),
            "kwargs": dict(made["kwargs"]),
            "options": {**made["options"], **opts},
        }
        key = name or repr(made)
        if self._conf.loaded:
            self._conf.update(beat_schedule={**self._conf.settings.beat_schedule, key: entry})
        else:
            self._sources.add_schedule(key, entry)
        return key

    # -- connections ---------------------------------------------------------------------------

    @property
    def broker(self) -> Broker:
        """The connection for publishing, opened on first use.

        Raises:
            ConfigError: `broker_url` names no broker.
        """
        return self._broker or self._open_broker()

    def _open_broker(self) -> Broker:
        with self._lock:
            if self._broker is None:
                self._broker = open_broker(self._conf.settings)
                self._conf.mark_used(BROKER_SETTINGS, _BROKER_CONNECTION)
            return self._broker

    @property
    def read_broker(self) -> Broker:
        """The connection for consuming: `broker_read_url` where that is set, else `broker`."""
        given = self._conf.settings.broker_read_url
        if not given:
            return self.broker
        with self._lock:
            if self._read_broker is None:
                url = given if isinstance(given, str) else given[0]
                self._read_broker = open_broker(self._conf.settings, url)
            return self._read_broker

    @property
    def backend(self) -> Backend:
        """The result backend, opened on first use.

        Raises:
            ConfigError: `result_backend` names no backend.
        """
        return self._backend or self._open_backend()

    @backend.setter
    def backend(self, backend: Backend) -> None:
        self._backend = backend

    def _open_backend(self) -> Backend:
        with self._lock:
            if self._backend is None:
                self._backend = open_backend(self._conf.settings, self.broker, self.thread_oid)
                self._conf.mark_used(BACKEND_SETTINGS, _RESULT_CONNECTION)
            return self._backend

    @property
    def oid(self) -> str:
        """The address of this process for replies; a forked child has its own."""
        pid = os.getpid()
        if self._oid[0] != pid:
            self._oid = (pid, new_id())
        return self._oid[1]

    @property
    def thread_oid(self) -> str:
        """The address that `rpc://` results come back to: the process's, for all its threads."""
        return self.oid

    @property
    def control(self) -> "Control":
        """Sends remote control commands."""
        if self._control is None:
            from tq.control import Control  # few programs send commands

            self._control = Control(self)
        found: Control = self._control
        return found

    @property
    def events(self) -> Any:
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
        plan = self._plan(name, task)
        call = prepare(name, args, kwargs, options, plan)
        self._producer.publish((call,), plan.settings, options)
        return self._result(call, options)

    def _result(self, call: Call, options: Mapping[str, Any]) -> "AsyncResult":
        from tq.results import AsyncResult

        result = AsyncResult(call.headers.id, task_name=call.headers.task, app=self)
        result.ignored = bool(call.headers.ignore_result)
        if options.get("add_to_parent", True):
            self.add_trail(result)
        return result

    def _plan(self, name: str, task: Any) -> SendPlan:
        """Return what all calls of a task share, made anew when the settings were written since."""
        settings = self._conf.settings
        plan: SendPlan | None = task.send_plan if task else self._foreign_plans.get(name)
        if plan is not None and plan.settings is settings and plan.reply_to == self.oid:
            return plan
        plan = self._make_plan(settings, task)
        if task:
            task.send_plan = plan
        else:
            self._foreign_plans[name] = plan
        return plan

    def _make_plan(self, settings: Settings, task: Any) -> SendPlan:
        own: dict[str, Any] = {}
        if task is not None:
            own = {name: getattr(task, name) for name in SENT_OPTIONS}
            own = {name: value for name, value in own.items() if value is not None}
            # These follow from the settings unless the task says otherwise: the plan holds them.
            own.pop("serializer", None)
            own.pop("compression", None)
            own.pop("priority", None)
        shadow = getattr(type(task), "shadow_name", None) if task is not None else None
        return SendPlan(
            settings=settings,
            router=self.router,
            task=task,
            options=own,
            ignore_result=None if task is None else bool(task.ignore_result),
            shadow=task.shadow_name if shadow not in (None, BaseTask.shadow_name) else None,
            reply_to=self.oid,
            timezone=zone_of(settings),
            insecure=settings.allow_insecure_serializers,
            serializer=(task.serializer if task else None) or settings.task_serializer,
            compression=(task.compression if task else None) or settings.task_compression,
            default_priority=task.priority if task else settings.task_default_priority,
            timelimit=(task.time_limit, task.soft_time_limit) if task else (None, None),
        )

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
        from tq.results import AsyncResult, ResultSet

        settings = self._conf.settings
        plans: dict[str, SendPlan] = {}
        results: list[AsyncResult] = []
        calls: list[Call] = []
        for signature in signatures:
            name, options = signature["task"], signature["options"]
            args, kwargs = signature["args"], signature["kwargs"]
            plan = plans.get(name)
            if plan is None:
                plan = plans[name] = self._plan(name, self.tasks.get(name))
            if plan.task is not None:
                plan.task.check_arguments(args, kwargs)
                if settings.task_always_eager:
                    results.append(plan.task.apply(args, kwargs, **options))
                    continue
            call = prepare(name, args, kwargs, options, plan)
            result = AsyncResult(call.headers.id, None, name, self)
            if call.headers.ignore_result:
                result.ignored = True
            results.append(result)
            calls.append(call)
            # Sent as they are made: a generator of a million calls needs the memory of one batch.
            if len(calls) == producing.BATCH:
                self._producer.publish(calls, settings)
                calls.clear()
        if calls:
            self._producer.publish(calls, settings)
        return ResultSet(results, app=self)

    def capture(self) -> AbstractContextManager[list[Message]]:
        """Collect what this thread or coroutine publishes inside, instead of sending it."""
        return producing.capture()

    def send_event(self, type_: str, hostname: str | None = None, **fields: Any) -> None:
        """Publish one event at once.

        Args:
            type_: Such as `task-progress`.
            hostname: The sender; this process by default.
            **fields: The event's own fields.
        """
        from tq.app.streams import publish_event  # few programs send events of their own

        publish_event(self, type_, hostname or origin(), fields)

    # -- signatures and results ----------------------------------------------------------------

    def signature(self, *args: Any, **kwargs: Any) -> "Signature":
        """Return a signature of this application."""
        from tq.canvas import signature  # clients that only send need no canvas

        kwargs["app"] = self
        return signature(*args, **kwargs)

    subtask = signature

    def AsyncResult(self, id: str, **kwargs: Any) -> "AsyncResult":  # noqa: A002 - Celery's
        """Return the result of a call, by its id."""
        from tq.results import AsyncResult

        return AsyncResult(id, app=self, **kwargs)

    def GroupResult(
        self,
        id: str | None = None,  # noqa: A002 - Celery's name
        results: Any = None,
        **kwargs: Any,
    ) -> "GroupResult":
        """Return the result of a group, by its id."""
        from tq.results import GroupResult

        return GroupResult(id, results, app=self, **kwargs)

    def ResultSet(self, results: Iterable[Any], **kwargs: Any) -> "ResultSet":
        """Return several results as one."""
        from tq.results import ResultSet

        return ResultSet(list(results), app=self, **kwargs)

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

    # -- programs ------------------------------------------------------------------------------

    def worker_main(self, argv: Sequence[str] | None = None) -> None:
        """Run a worker of this application until it is stopped.

        Args:
            argv: `["worker", "--loglevel=INFO"]`; the program's own arguments by default.
        """
        from tq.app.programs import run_program

        run_program(self, argv, "worker")

    def start(self, argv: Sequence[str] | None = None) -> None:
        """Run the `tq` command line for this application.

        Args:
            argv: Its arguments; the program's own by default.
        """
        from tq.app.programs import run_program

        run_program(self, argv, None)

    def bugreport(self) -> str:
        """Describe versions, broker, backend and settings, secrets masked."""
        from tq.app.programs import describe

        return describe(self)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle as a name: the other process has, or makes, an application of it."""
        from tq.app.current import find_or_make

        return (find_or_make, (self.main, self._conf.table(censored=False)))

    def __repr__(self) -> str:
        """Show name and broker."""
        url = self._conf.settings.broker_url if self._conf.loaded else None
        shown = mask_password(url) if isinstance(url, str) else url
        return f"<TQ {self.main or '__main__'} broker={shown or 'embedded'}>"


def zone_of(settings: Settings) -> tzinfo:
    """Return the zone that the settings name; UTC by default."""
    return ZoneInfo(settings.timezone) if settings.timezone else UTC


def _present(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}
