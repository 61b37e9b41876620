"""The worker: a list of services around one loop, started in order and stopped in order.

Source: DESIGN 5; CLI 3 and 4.
"""

import logging
import threading
import time
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from tq import nodename, signals
from tq.clock import SystemClock
from tq.config import queue_options
from tq.errors import BrokerError, ConfigError, DecodeError
from tq.events import Emitter
from tq.pools import make
from tq.service import Service
from tq.wire.message import parse_time, read_body
from tq.wire.serialization import accept_types
from tq.worker import control_commands, inspect_commands  # noqa: F401 - they declare themselves
from tq.worker.banner import banner, broker_info
from tq.worker.companions import after_flow, before_flow, direct_queue, shared_revocations
from tq.worker.conclusions import Concluder
from tq.worker.descriptors import provide_descriptors
from tq.worker.dispatcher import Dispatcher
from tq.worker.effects import EffectWriter
from tq.worker.fetcher import Fetcher
from tq.worker.flow import TaskFlow
from tq.worker.hands import Hands
from tq.worker.heartbeat import Heartbeat
from tq.worker.interrupts import handle_signals
from tq.worker.journal import journal, log_options
from tq.worker.loop import Loop
from tq.worker.options import names, resolve
from tq.worker.pidfile import pid_file
from tq.worker.policies import Policies, body_limits
from tq.worker.registry import CommandTable
from tq.worker.reporter import Reporter
from tq.worker.request import Request
from tq.worker.restart import restart_program
from tq.worker.runner import TaskRunner
from tq.worker.settler import Settler
from tq.worker.state import WorkerState
from tq.worker.stopping import EXIT_OK, EXIT_UNAVAILABLE, Shutdown, cancel_running

__all__ = ["Worker"]

logger = logging.getLogger(__name__)

_STOP_SECONDS = 5.0  # for all services together, once no task runs any more


class Worker:
    """One parent process with its pool.

    `start` blocks until the worker has stopped. Everything but `start` and `stop` belongs to the
    loop's thread: the one that called `start`, or with the solo pool a second one, so that leases
    and control live on while the main thread runs a task.
    """

    def __init__(
        self,
        app: Any,
        *,
        hostname: str | None = None,
        concurrency: int | str | None = None,
        pool: str | None = None,
        queues: Any = None,
        exclude_queues: Any = None,
        loglevel: str | int | None = None,
        logfile: str | None = None,
        task_events: bool | None = None,
        prefetch_multiplier: int | None = None,
        max_tasks_per_child: int | None = None,
        max_memory_per_child: int | None = None,
        time_limit: float | None = None,
        soft_time_limit: float | None = None,
        without_heartbeat: bool = False,
        without_gossip: bool = False,
        without_mingle: bool = False,
        autoscale: Any = None,
        purge: bool = False,
        pool_start_method: str | None = None,
        include: Any = None,
        pidfile: str | None = None,
        statedb: str | None = None,
        heartbeat_interval: float | None = None,
        no_color: bool = False,
        disable_prefetch: bool | None = None,
    ) -> None:
        """Check the options and build the services; nothing is started or connected yet.

        Args:
            app: The application.
            hostname: Node name with the codes of CLI 5.
            concurrency: Slots of the pool, or `auto`.
            pool: Name of the pool.
            queues: Names of the queues to consume, as a list or separated by commas.
            exclude_queues: Names not to consume.
            loglevel: `INFO`, ...; None leaves logging as it is configured.
            logfile: Path with the codes of CLI 5.
            task_events: Send task events from the start.
            prefetch_multiplier: Most deliveries held per slot; 0 for no bound.
            max_tasks_per_child: Jobs after which a child is replaced.
            max_memory_per_child: Resident KiB after which a child is replaced.
            time_limit: Hard limit in seconds of tasks that have none.
            soft_time_limit: Soft limit of tasks that have none.
            without_heartbeat: Send no worker events.
            without_gossip: Do not listen to the other workers.
            without_mingle: Do not greet the other workers at the start.
            autoscale: `MAX,MIN`.
            purge: Empty the queues first.
            pool_start_method: `fork` or `spawn`.
            include: More modules to import, as a list or separated by commas.
            pidfile: Path of the pid file, with the codes of CLI 5.
            statedb: Path of the file that keeps revoked ids, with the codes of CLI 5.
            heartbeat_interval: Seconds between heartbeat events.
            no_color: Write no colours.
            disable_prefetch: Take a message only when a slot is free.

        Raises:
            ConfigError: An option or setting makes no sense.
        """
        given = {
            "hostname": hostname,
            "concurrency": concurrency,
            "pool": pool,
            "queues": queues,
            "exclude_queues": exclude_queues,
            "loglevel": loglevel,
            "logfile": logfile,
            "task_events": task_events,
            "prefetch_multiplier": prefetch_multiplier,
            "max_tasks_per_child": max_tasks_per_child,
            "max_memory_per_child": max_memory_per_child,
            "time_limit": time_limit,
            "soft_time_limit": soft_time_limit,
            "without_heartbeat": without_heartbeat,
            "without_gossip": without_gossip,
            "without_mingle": without_mingle,
            "pidfile": pidfile,
            "statedb": statedb,
            "heartbeat_interval": heartbeat_interval,
            "no_color": no_color,
            "disable_prefetch": disable_prefetch,
            "autoscale": autoscale,
            "purge": purge,
            "pool_start_method": pool_start_method,
        }
        self.app = app
        app.set_current()
        # Before modules and options are looked at: receivers may still change the settings.
        signals.celeryd_init.send(
            sender=nodename.make(hostname), instance=self, conf=app.conf, options=given
        )
        if include:
            app.conf.include = [*app.conf.include, *names(include)]
        app.import_default_modules()
        # Whatever can be wrong with the options is found before anything is opened.
        settings = app.conf.settings
        self.limits = body_limits(settings)
        self.options = options = resolve(settings, given)
        self.hostname = options.hostname
        self.clock = SystemClock()
        self.accept = accept_types(
            settings.accept_content, insecure=settings.allow_insecure_serializers
        )
        self.log_options = log_options(options, settings)
        self.event_queues = queue_options(settings, "event")
        self.control_queues = queue_options(settings, "control")
        self.policies = Policies(app)
        rates = self.policies.rates()
        self._select_queues()
        self.restart_folder: str | None = None
        self._restarts = False

        self.runner = TaskRunner(app, self.hostname, self.accept, self.log_options)
        self.pool = make(options.pool, self.runner, options.pool_options)
        self.loop = Loop()
        self.dispatcher = self._make_dispatcher(rates)
        self.flow = TaskFlow(self.dispatcher, self.clock, options.prefetch_limit)
        self.hands = self.flow.hands = Hands(self.loop, self.pool, self.flow.collected)
        self.fetcher = self.flow.fetcher = self._make_fetcher()
        self.settler = self.flow.settler = Settler(
            self.loop,
            EffectWriter(app, app.backend, app.broker),
            lambda: self.fetcher.consumer if self.fetcher.connected else None,
            self.fetcher.lost,
            self.flow.settled,
        )
        self.concluder = self.flow.concluder = Concluder(
            app, self.hostname, self.settler, fused=self.runner.fused, accept=self.accept
        )
        self.emitter, self.heartbeat = self._make_events()
        self.flow.reporter = Reporter(app, self.emitter, self.heartbeat.schedule_flush)
        self.shutdown = self.flow.shutdown = Shutdown(
            self.loop,
            self.dispatcher,
            fetcher=self.fetcher,
            hands=self.hands,
            settler=self.settler,
            soft_seconds=options.soft_shutdown,
        )
        self.state = self._make_state()
        self.commands = CommandTable(self.state)
        self.revocations = shared_revocations(self)
        # In start order: the pool first, since its processes must not inherit connections.
        # Stopped in reverse, so that the pool's last news are settled while the consumer lives;
        # monitors see `offline`, and commands are answered, until the tasks are done.
        self.services: list[Service] = [
            *before_flow(self),
            self.hands,
            self.fetcher,
            self.settler,
            self.concluder,
            self.heartbeat,
            *after_flow(self),
        ]

    # Building.

    def _select_queues(self) -> None:
        """Choose the queues to consume.

        Raises:
            ConfigError: None is left.
        """
        queues = self.app.queues
        if self.options.queues:
            queues.select(self.options.queues)
        if self.options.exclude_queues:
            queues.deselect(self.options.exclude_queues)
        if not queues.consume_from:
            raise ConfigError("there is no queue left to consume (-Q, -X)")
        if self.app.conf.settings.worker_direct:
            queues.select_add(direct_queue(self.hostname))

    def _make_dispatcher(self, rates: dict[str, float]) -> Dispatcher:
        options = self.options
        timezone = self.app.timezone
        dispatcher = Dispatcher(
            self.policies.get,
            self.runner.read_outcome,
            parse=lambda text: parse_time(text, timezone),
            soft_limit=options.pool_options.soft_limit,
            hard_limit=options.pool_options.hard_limit,
            delivery_limit=options.delivery_limit,
            settles_itself=self._children_settle(),
            accept=self.accept,
        )
        for name, rate in rates.items():
            dispatcher.set_rate(name, rate)
        return dispatcher

    def _children_settle(self) -> bool:
        """Tell whether jobs run in processes that settle by themselves."""
        prefork = self.options.pool in ("prefork", "processes")
        return prefork and self.app.broker.driver == "redis"

    def _make_fetcher(self) -> Fetcher:
        settings = self.app.conf.settings
        at_start = settings.broker_connection_retry_on_startup
        # Celery's default of 100 is nobody's wish: a worker must outlast its broker's absence.
        limit = self.app.conf.table().get("broker_connection_max_retries")
        return Fetcher(
            self.loop,
            self.app.read_broker,
            list(self.app.queues.consume_from.values()),
            room=self.flow.room,
            deliver=self.flow.delivered,
            on_dead=self.flow.given_up,
            on_reconnect=self._connected,
            on_loss=self._disconnected,
            on_give_up=self._broker_gave_up,
            prefetch_count=self.options.prefetch_count,
            max_retries=limit or None,
            retry=settings.broker_connection_retry,
            retry_at_start=settings.broker_connection_retry if at_start is None else at_start,
        )

    def _make_events(self) -> tuple[Emitter, Heartbeat]:
        options = self.options
        emitter = Emitter(
            self.app.broker,
            self.hostname,
            self.app.clock,
            exchange=self.app.conf.settings.event_exchange,
            serializer=self.app.conf.settings.event_serializer,
            groups=None if options.task_events else {"worker"},
        )
        heartbeat = Heartbeat(
            self.loop,
            emitter,
            lambda: (len(self.dispatcher.active()), self.dispatcher.processed),
            version=_version(),
            enabled=options.heartbeat,
            always=options.task_events,
            frequency=options.heartbeat_interval,
            on_switch=self.flow.switch_reports,
            sender=self,
        )
        return emitter, heartbeat

    def _make_state(self) -> WorkerState:
        app = self.app
        return WorkerState(
            app=app,
            hostname=self.hostname,
            clock=self.clock,
            lamport=app.clock,
            dispatcher=self.dispatcher,
            pool=self.pool,
            intake=self.fetcher,
            events=self.heartbeat,
            recorder=self.concluder,
            read_arguments=self._read_arguments,
            request_stop=self.stop,
            refresh=self.hands.tick,
            extra={
                "forget_policy": self.policies.forget,
                "broker_url": app.broker.url,
                "backend_url": app.backend.url,
                "broker": broker_info(app.broker.url, app.broker.driver),
            },
        )

    def _read_arguments(self, request: Request) -> tuple[Any, Any]:
        """Read a task's arguments for an inspect reply; the worker itself never needs them."""
        try:
            body = read_body(request.delivery.message, self.accept, self.limits)
        except DecodeError as exc:
            return f"<unreadable: {exc.reason}>", {}
        return body.args, body.kwargs

    # Starting and stopping.

    def start(self) -> int:
        """Run the worker until it is stopped; returns the exit code of CLI 4.

        After SIGHUP it does not return: the program begins anew in the same process.

        Raises:
            PidFileTaken: Another process holds the pid file.
            ConfigError: A file that was asked for cannot be written, or too few may be open.
            BrokerConnectionError: The queues cannot be purged.
        """
        settings = self.app.conf.settings
        try:
            with pid_file(self.options.pidfile), journal(self.log_options, settings):
                code = self._serve()
        finally:
            self.loop.close()
        if self._restarts and code == EXIT_OK:
            self.app.close()
            restart_program(self.restart_folder)
        return code

    def _serve(self) -> int:
        if self.options.pool in ("prefork", "processes"):
            provide_descriptors(self.options.pool_options.size)
        signals.worker_init.send(sender=self)
        signals.celeryd_after_setup.send(sender=self.hostname, instance=self, conf=self.app.conf)
        if self.options.purge:
            self._purge()
        if hasattr(self.pool, "serve"):
            return self._start_beside()
        return self._run()

    def stop(self, how: str = "remote") -> None:
        """Ask the worker to stop; from any thread, and more than once.

        Args:
            how: `warm`, `cold`, `remote` for a warm stop asked for by a command, or `restart` for
                one after which the program begins anew.
        """
        self.loop.call_threadsafe(lambda: self._request_stop(how))

    def _request_stop(self, how: str, sig: str | None = None) -> None:
        """Begin to stop, in the loop's thread; an interrupt is warm at first and cold the next.

        Args:
            how: As for `stop`, or `interrupt`.
            sig: The name of the signal that asks for it.
        """
        if how == "interrupt":
            self.shutdown.interrupted()
            how = "cold" if self.shutdown.interrupts > 1 else "warm"
        if how == "restart" and not self.shutdown.begun:
            logger.warning("the worker will stop and begin anew")
            self._restarts = True
        if not self.shutdown.begun:
            code = self.shutdown.exitcode
            signals.worker_shutting_down.send(
                sender=self.hostname, sig=sig or how, how=how.capitalize(), exitcode=code
            )
        if how == "cold":
            self.shutdown.cold()
        else:
            self.shutdown.warm()

    def _run(self) -> int:
        """Start the services, run the loop, stop the services."""
        started: list[Service] = []
        restore = handle_signals(self.loop, self._request_stop)
        try:
            self.state.started = self.clock.monotonic()
            self.flow.switch_reports()
            for service in self.services:
                service.start()
                started.append(service)
            if self.shutdown.exitcode == EXIT_OK:
                logger.info("%s", banner(self))
                # A warning, so that supervisors see it at the default level too.
                logger.warning("%s ready.", self.hostname)
                signals.worker_ready.send(sender=self)
            self.loop.run()
        finally:
            self._stop_services(started)
            restore()
        return self.shutdown.exitcode

    def _stop_services(self, started: list[Service]) -> None:
        deadline = time.monotonic() + _STOP_SECONDS
        for service in reversed(started):
            try:
                service.stop(deadline)
            except Exception:  # the others must still be stopped
                logger.exception("could not stop %s", service.name)
        signals.worker_shutdown.send(sender=self)

    def _start_beside(self) -> int:
        """Run the loop in a second thread, and the solo pool's jobs in this one."""
        codes: list[int] = []
        failures: list[BaseException] = []

        def run_loop() -> None:
            try:
                codes.append(self._run())
            except BaseException as exc:  # raised again below, in the thread that can report it
                failures.append(exc)

        restore = handle_signals(self.loop, self._request_stop, runs_tasks=True)
        signals.worker_process_init.send(sender=self.hostname)  # as in Celery's solo pool
        thread = threading.Thread(target=run_loop, name="worker-loop")
        thread.start()
        try:
            self.pool.serve(lambda: not thread.is_alive())  # type: ignore[attr-defined] # solo only
        finally:
            self.stop("warm")
            thread.join()
            restore()
        if failures:
            raise failures[0]
        return codes[0]

    def _broker_gave_up(self, error: BrokerError) -> None:
        logger.critical("the worker stops, the broker is away: %s", error)
        self.shutdown.exitcode = EXIT_UNAVAILABLE
        self.stop("warm")  # not at once: the loop may not even have begun

    def _connected(self) -> None:
        self.flow.connected()
        if self.revocations is not None:
            self.revocations.read_all()  # before the first message is taken

    def _disconnected(self) -> None:
        """End late-acknowledged tasks whose messages are somebody else's soon, if asked to."""
        if self.app.conf.settings.worker_cancel_long_running_tasks_on_connection_loss:
            cancel_running(self.dispatcher, self.hands)

    def _purge(self) -> None:
        for name in self.app.queues.consume_from:
            logger.warning("purged %d messages of queue %s", self.app.broker.purge(name), name)


def _version() -> str:
    """Return the distribution's version, read from its metadata."""
    try:
        return version("tqconsole")
    except PackageNotFoundError:  # a source tree that was never installed
        return "0"
