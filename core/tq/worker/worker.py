"""The worker: a list of services around one loop, started in order and stopped in order.

Source: DESIGN 5; CLI 3 and 4.
"""

import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from types import FrameType
from typing import Any
from urllib.parse import urlsplit

from tq import logs, signals
from tq.brokers.base import Dead, Delivery
from tq.clock import SystemClock
from tq.control.node import Node
from tq.errors import BrokerError, ConfigError, DecodeError
from tq.events import Emitter
from tq.pools import make
from tq.pools.base import PoolEvent
from tq.service import Service
from tq.wire.message import read_body
from tq.wire.serialization import accept_types
from tq.worker import control_commands, inspect_commands  # noqa: F401 - they declare themselves
from tq.worker.actions import Actions
from tq.worker.autoscale import Autoscaler
from tq.worker.banner import banner
from tq.worker.conclusions import Concluder
from tq.worker.dispatcher import Dispatcher
from tq.worker.effects import Effects, EffectWriter
from tq.worker.fetcher import Fetcher
from tq.worker.hands import Hands
from tq.worker.heartbeat import Heartbeat
from tq.worker.loop import Loop
from tq.worker.options import resolve
from tq.worker.policies import Policies
from tq.worker.registry import CommandTable
from tq.worker.remote import RemoteControl
from tq.worker.reporter import Reporter
from tq.worker.request import Request
from tq.worker.runner import TaskRunner
from tq.worker.settler import Settler
from tq.worker.stackdump import dump_stacks
from tq.worker.state import WorkerState
from tq.worker.stopping import EXIT_UNAVAILABLE, Shutdown

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
        **more: Any,
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
            without_gossip: Accepted for Celery's sake; there is no gossip.
            without_mingle: Accepted for Celery's sake; nothing waits at the start.
            autoscale: `MAX,MIN`.
            purge: Empty the queues first.
            pool_start_method: `fork` or `spawn`.
            **more: Options of the command line that concern others (pid file, ...).

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
            "autoscale": autoscale,
            "purge": purge,
            "pool_start_method": pool_start_method,
        }
        self.app = app
        app.set_current()
        app.import_default_modules()
        settings = app.conf.settings
        self.options = options = resolve(settings, given)
        self.hostname = options.hostname
        self.clock = SystemClock()
        self.loop = Loop()
        self._select_queues()
        self.policies = Policies(app)
        self.accept = accept_types(
            settings.accept_content, insecure=settings.allow_insecure_serializers
        )
        self.runner = TaskRunner(app, self.hostname, self.accept, self._log_options())
        self.pool = make(options.pool, self.runner, options.pool_options)
        self.dispatcher = Dispatcher(
            self.policies.get,
            self.runner.read_outcome,
            soft_limit=options.pool_options.soft_limit,
            hard_limit=options.pool_options.hard_limit,
            delivery_limit=options.delivery_limit,
            settles_itself=self._children_settle(),
            accept=self.accept,
        )
        self.policies.apply_rates(self.dispatcher)
        self.emitter = Emitter(
            app.broker,
            self.hostname,
            app.clock,
            exchange=settings.event_exchange,
            enabled=options.heartbeat or options.task_events,
            groups=None if options.task_events else {"worker"},
        )
        self.heartbeat = Heartbeat(
            self.loop,
            self.emitter,
            lambda: (len(self.dispatcher.active()), self.dispatcher.processed),
            version=_version(),
            enabled=options.heartbeat,
            always=options.task_events,
            on_switch=self._switch_reports,
            sender=self,
        )
        self.reporter = Reporter(app, self.emitter, self.heartbeat.schedule_flush)
        self.hands = Hands(self.loop, self.pool, self._collected)
        self.fetcher = Fetcher(
            self.loop,
            app.read_broker,
            list(app.queues.consume_from.values()),
            room=self._room,
            deliver=self._delivered,
            on_dead=self._given_up,
            on_reconnect=self._connected,
            prefetch_count=options.prefetch_count,
            max_retries=None,
            retry=settings.broker_connection_retry,
        )
        self.fetcher.on_give_up = self._broker_gave_up
        self.settler = Settler(
            self.loop,
            EffectWriter(app, app.backend, app.broker),
            lambda: self.fetcher.consumer if self.fetcher.connected else None,
            self.fetcher.lost,
            self._settled,
        )
        self.concluder = Concluder(
            app, self.hostname, self.settler, fused=self.runner.fused, accept=self.accept
        )
        self.state = WorkerState(
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
            refresh=self.hands.collect,
            extra={
                "forget_policy": self.policies.forget,
                "broker_url": app.broker.url,
                "backend_url": app.backend.url,
                "broker": _broker_info(app.broker.url, app.broker.driver),
            },
        )
        self.commands = CommandTable(self.state)
        self.shutdown = Shutdown(
            self.loop,
            self.dispatcher,
            fetcher=self.fetcher,
            hands=self.hands,
            settler=self.settler,
            soft_seconds=options.soft_shutdown,
        )
        # In start order: the pool first, since its processes must not inherit connections.
        # Stopped in reverse, so that the pool's last news are settled while the consumer lives;
        # `offline` is sent and control answered until the tasks are done.
        self.services: list[Service] = [
            self.hands,
            self.fetcher,
            self.settler,
            self.heartbeat,
        ]
        if settings.worker_enable_remote_control:
            node = Node(
                app.broker,
                self.hostname,
                app.clock,
                namespace=settings.control_exchange,
                queue_ttl=settings.control_queue_ttl,
                queue_expires=settings.control_queue_expires,
            )
            self.services.append(RemoteControl(self.loop, node, lambda: self.commands))
        if options.autoscale is not None:
            self.state.autoscaler = Autoscaler(
                self.loop, self.pool, lambda: len(self.dispatcher.requests), *options.autoscale
            )
            self.services.append(self.state.autoscaler)

    # Starting and stopping.

    def start(self) -> int:
        """Run the worker until it is stopped; returns the exit code of CLI 4."""
        with self._logging():
            signals.worker_init.send(sender=self)
            signals.celeryd_after_setup.send(
                sender=self.hostname, instance=self, conf=self.app.conf
            )
            if self.options.purge:
                self._purge()
            if hasattr(self.pool, "serve"):
                return self._start_beside()
            return self._run()

    def stop(self, how: str = "remote") -> None:
        """Ask the worker to stop; from any thread, and more than once.

        Args:
            how: `warm`, `cold`, or `remote` for a warm stop asked for by a command.
        """
        self.loop.call_threadsafe(lambda: self._request_stop(how))

    def _request_stop(self, how: str) -> None:
        if not self.shutdown.begun:
            signals.worker_shutting_down.send(
                sender=self.hostname, sig=how, how=how.capitalize(), exitcode=self.shutdown.exitcode
            )
        if how == "cold":
            self.shutdown.cold()
        else:
            self.shutdown.warm()

    def _run(self) -> int:
        """Start the services, run the loop, stop the services."""
        started: list[Service] = []
        restore = self._handle_signals()
        try:
            self.state.started = self.clock.monotonic()
            self._switch_reports()
            for service in self.services:
                service.start()
                started.append(service)
            logger.info("%s", banner(self))
            logger.warning("%s ready.", self.hostname)
            signals.worker_ready.send(sender=self)
            self.loop.run()
        finally:
            self._stop_services(started)
            restore()
            self.loop.close()
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

        restore = self._handle_signals()
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

    def _handle_signals(self) -> Callable[[], None]:
        """Install the handlers of CLI 3, where this is the main thread; returns their removal."""
        if threading.current_thread() is not threading.main_thread():
            return lambda: None
        term = signal.SIGTERM
        quits = {signal.SIGQUIT}
        if os.environ.get("REMAP_SIGTERM") == "SIGQUIT":
            quits.add(term)

        def on_signal(number: int, _frame: FrameType | None) -> None:
            self.loop.call_threadsafe(lambda: self._signalled(number, number in quits))

        def on_dump(_number: int, _frame: FrameType | None) -> None:
            dump_stacks()

        handlers = dict.fromkeys((term, signal.SIGINT, signal.SIGQUIT), on_signal)
        before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
        before[signal.SIGUSR1] = signal.signal(signal.SIGUSR1, on_dump)
        self.loop.set_signal_wakeup()

        def restore() -> None:
            signal.set_wakeup_fd(-1)
            for number, handler in before.items():
                signal.signal(number, handler)

        return restore

    def _signalled(self, number: int, quits: bool) -> None:
        if number == signal.SIGINT:
            self.shutdown.interrupted()
            self._request_stop("cold" if self.shutdown.interrupts > 1 else "warm")
        else:
            self._request_stop("cold" if quits else "warm")

    def _broker_gave_up(self, error: BrokerError) -> None:
        logger.critical("the worker stops, the broker is away: %s", error)
        self.shutdown.exitcode = EXIT_UNAVAILABLE
        self._request_stop("warm")

    # The flow of tasks, in the loop's thread.

    def _room(self) -> int:
        """Say how many more deliveries are worth having now."""
        if self.settler.congested:
            return 0
        room = self.pool.credit()
        limit = self.options.prefetch_limit
        if limit is not None:
            room = min(room, limit - len(self.dispatcher.requests))
        return room

    def _delivered(self, deliveries: list[Delivery]) -> None:
        self._perform(self.dispatcher.accept(deliveries, self.clock.time()))

    def _collected(self, events: list[PoolEvent]) -> None:
        self._perform(self.dispatcher.collected(events, self.clock.time()))
        if self.shutdown.begun:
            self.shutdown.look()
        else:
            self.fetcher.fetch()

    def _given_up(self, dead: list[Dead]) -> None:
        for item in dead:
            logger.error(
                "a message of queue %s went to the dead letters: %s", item.queue, item.reason
            )
            self.concluder.record_dead(item)

    def _perform(self, actions: Actions) -> None:
        """Do what the dispatcher decided; settlements first, so that credit is worth something."""
        settler = self.settler
        settler.settle(actions.effects)
        settler.add("record", actions.record)
        settler.add("ack", actions.ack)
        if actions.conclude:
            self.concluder.conclude(actions.conclude)
        settler.add("forget", actions.forget)
        settler.add("park", actions.park)
        settler.add("bury", actions.bury)
        settler.add("requeue", actions.requeue)
        settler.add("lost", [request.delivery.tag for request in actions.lost])
        if actions.submit:
            self.hands.submit(actions.submit)
        if actions.reports:
            self.reporter.tell(actions.reports)

    def _connected(self) -> None:
        consumer = self.fetcher.consumer
        self.dispatcher.consumer_id = consumer.id if consumer is not None else ""
        self.settler.flush()

    def _settled(self, effects: Effects) -> None:
        if not effects.done:
            self.dispatcher.lost_leases += 1
            logger.warning(
                "the lease of %s was lost before its task was settled; another worker has it",
                effects.settlement.tag,
            )

    def _switch_reports(self) -> None:
        self.dispatcher.reports = self.reporter.wanted

    # Building.

    def _select_queues(self) -> None:
        queues = self.app.queues
        if self.options.queues:
            queues.select(self.options.queues)
        if self.options.exclude_queues:
            queues.deselect(self.options.exclude_queues)
        if not queues.consume_from:
            raise ConfigError("there is no queue left to consume (-Q, -X)")

    def _children_settle(self) -> bool:
        return self.options.pool in ("prefork", "processes") and self.app.broker.driver == "redis"

    def _purge(self) -> None:
        for name in self.app.queues.consume_from:
            logger.warning("purged %d messages of queue %s", self.app.broker.purge(name), name)

    def _read_arguments(self, request: Request) -> tuple[Any, Any]:
        """Read a task's arguments for an inspect reply; the worker itself never needs them."""
        try:
            body = read_body(request.delivery.message, self.accept)
        except DecodeError as exc:
            return f"<unreadable: {exc.reason}>", {}
        return body.args, body.kwargs

    def _log_options(self) -> logs.LogOptions | None:
        if self.options.loglevel is None and self.options.logfile is None:
            return None
        settings = self.app.conf.settings
        return logs.LogOptions(
            self.options.loglevel,
            self.options.logfile,
            node=self.hostname,
            colour=settings.worker_log_color,
            fmt=settings.worker_log_format,
            task_fmt=settings.worker_task_log_format,
            as_json=settings.worker_log_json,
        )

    @contextmanager
    def _logging(self) -> Iterator[None]:
        """Set logging up as the options say, unless a receiver of `setup_logging` does it."""
        options = self._log_options()
        if options is None:
            yield
            return
        arguments = {"loglevel": options.level, "logfile": options.logfile, "colorize": None}
        if signals.setup_logging.receivers:
            signals.setup_logging.send(sender=None, format=options.fmt, **arguments)
            yield
            return
        logs.setup(options)
        for sent, name, fmt in (
            (signals.after_setup_logger, None, options.fmt),
            (signals.after_setup_task_logger, logs.TASK_LOGGER, options.task_fmt),
        ):
            sent.send(sender=None, logger=logging.getLogger(name), format=fmt, **arguments)
        if not self.app.conf.worker_redirect_stdouts:
            yield
            return
        with logs.redirect_stdouts():
            yield


def _version() -> str:
    """Return the distribution's version, read from its metadata."""
    try:
        return version("tqconsole")
    except PackageNotFoundError:  # a source tree that was never installed
        return "0"


def _broker_info(url: str, driver: str) -> dict[str, Any]:
    """Describe the broker connection as `inspect stats` shows it; never the password."""
    parts = urlsplit(url)
    try:
        port = parts.port
    except ValueError:
        port = None
    return {
        "hostname": parts.hostname or parts.path or None,
        "userid": parts.username,
        "virtual_host": parts.path.strip("/") or "0",
        "port": port,
        "insist": False,
        "ssl": parts.scheme.endswith("s") and parts.scheme not in ("redis", "sentinel"),
        "transport": driver,
        "connect_timeout": 4,
        "transport_options": {},
        "login_method": None,
        "uri_prefix": None,
        "heartbeat": 120.0,
        "failover_strategy": "round-robin",
        "alternates": [],
        "credential_provider": None,
    }
