"""The control commands as calls.

Source: API, `Control`; PROTOCOL 8.5; celery/app/control.py, `Control` (names, arguments, defaults).
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Any, Protocol

from tq.brokers.base import Broker
from tq.clock import LamportClock
from tq.config import queue_options
from tq.control.addresses import node_of
from tq.control.inspect import Inspect
from tq.control.mailbox import Call, Mailbox
from tq.control.matching import matches
from tq.errors import CommandRefused, ConfigError
from tq.wire.command import Reply

__all__ = ["Control", "ControlApp"]

ReplyBody = dict[str, Any]
Destination = Sequence[str] | None
Answers = list[ReplyBody] | None


class ControlApp(Protocol):
    """What `Control` needs of an application."""

    @property
    def broker(self) -> Broker:
        """The connection to send through."""
        ...

    @property
    def conf(self) -> Any:
        """Settings: `control_exchange`, `control_queue_ttl`, `control_queue_expires`, queues."""
        ...


class Control:
    """Sends control commands to workers.

    Every method that names a command takes the further keyword arguments of `broadcast`; with
    `reply=True` it returns `[{node: reply}, ...]`, otherwise None.

    Waiting ends early when all expected workers have answered: the destinations, else the workers
    that `known` tells of, else those whose command queues the broker lists. A worker that was
    killed may still be listed, so that one costs the whole timeout.

    Attributes:
        known: Returns the names of the live workers; set by who listens to events.
    """

    def __init__(
        self,
        app: ControlApp | None = None,
        *,
        broker: Broker | None = None,
        read_only: bool = False,
        known: Callable[[], Collection[str]] | None = None,
    ) -> None:
        """Prepare; the broker is first used when a command is sent.

        Args:
            app: Gives the broker and the settings.
            broker: The connection to use instead of the application's.
            read_only: Refuse every command that changes anything.
            known: Returns the names of the live workers, for early ends.
        """
        self.app = app
        self.read_only = read_only
        self.known = known
        self._broker = broker
        self._mailbox: Mailbox | None = None

    @property
    def broker(self) -> Broker:
        """The connection that commands go through."""
        if self._broker is not None:
            return self._broker
        if self.app is None:
            raise ConfigError("remote control needs an application or a broker")
        return self.app.broker

    @property
    def mailbox(self) -> Mailbox:
        """This process's mailbox, made at the first use."""
        if self._mailbox is None:
            self._mailbox = self._new_mailbox(self.broker)
        return self._mailbox

    @property
    def namespace(self) -> str:
        """The setting `control_exchange`."""
        return str(self._setting("control_exchange", "celery"))

    @property
    def inspect(self) -> Callable[..., Inspect]:
        """Make an `Inspect`: `control.inspect(destination, timeout, ...)`."""
        return partial(Inspect, app=self.app, control=self)

    def _setting(self, name: str, default: Any) -> Any:
        """Read one setting of the application."""
        return default if self.app is None else getattr(self.app.conf, name, default)

    def _queue_options(self) -> Mapping[str, Any]:
        return {} if self.app is None else queue_options(self.app.conf, "control")

    def _new_mailbox(self, broker: Broker) -> Mailbox:
        """Make a mailbox with the application's settings."""
        clock = getattr(self.app, "clock", None)
        return Mailbox(
            broker,
            namespace=self.namespace,
            clock=clock if isinstance(clock, LamportClock) else None,
            read_only=self.read_only,
            **self._queue_options(),
        )

    def expected(
        self,
        destination: Destination = None,
        pattern: str | None = None,
        matcher: str | None = None,
    ) -> frozenset[str] | None:
        """Return the nodes that should answer a command, or None when that is not known."""
        if destination:
            return frozenset(destination)
        nodes = set(self.known() if self.known is not None else ())
        nodes.update(self.bound())
        if pattern and matcher:
            nodes = {node for node in nodes if matches(node, pattern, matcher)}
        return frozenset(nodes) or None

    def bound(self) -> set[str]:
        """Return the nodes whose command queues the broker lists; killed ones may be among them."""
        namespace = self.namespace
        queues = (queue for _, queue in self.broker.bindings(f"{namespace}.pidbox"))
        return {node for queue in queues if (node := node_of(queue, namespace))}

    def start(
        self,
        command: str,
        arguments: Mapping[str, Any] | None = None,
        *,
        destination: Destination = None,
        timeout: float = 1.0,
        limit: int | None = None,
        callback: Callable[[Reply], Any] | None = None,
        pattern: str | None = None,
        matcher: str | None = None,
        expect: Collection[str] | None = None,
    ) -> Call:
        """Send a command and return at once; the `Call` collects the replies.

        Args:
            command: The command's name.
            arguments: Its keyword arguments.
            destination: Exact node names; None for all.
            timeout: Seconds until the call counts as done.
            limit: Done after so many replies.
            callback: Called with each reply as it arrives.
            pattern: Which nodes, with `matcher`, when there is no destination.
            matcher: `glob` or `pcre`.
            expect: The nodes to wait for; see `expected` for the default, () for unknown.

        Raises:
            CommandRefused: Read-only, and the command changes something.
            BrokerConnectionError: The command could not be sent.
        """
        if expect is None:
            expect = self.expected(destination, pattern, matcher)
        return self.mailbox.start(
            command,
            dict(arguments or {}),
            destination=destination,
            timeout=timeout,
            limit=limit,
            callback=callback,
            pattern=pattern,
            matcher=matcher,
            expect=expect,
        )

    def broadcast(
        self,
        command: str,
        arguments: Mapping[str, Any] | None = None,
        destination: Destination = None,
        connection: Broker | None = None,
        reply: bool = False,
        timeout: float = 1.0,
        limit: int | None = None,
        callback: Callable[[ReplyBody], Any] | None = None,
        channel: Any = None,
        pattern: str | None = None,
        matcher: str | None = None,
        **extra_kwargs: Any,
    ) -> Answers:
        """Send a command to all workers, or some.

        Args:
            command: The command's name.
            arguments: Its keyword arguments.
            destination: Exact node names; None for all.
            connection: Another broker to send through.
            reply: Wait for replies.
            timeout: Seconds to wait, at most.
            limit: Wait for so many replies only.
            callback: Called with each `{node: reply}` as it arrives.
            channel: Accepted for compatibility; brokers here have none.
            pattern: Which nodes, with `matcher` (`glob` or `pcre`), when there is no destination.
            matcher: How `pattern` is read.
            **extra_kwargs: More of the command's arguments.

        Returns:
            `[{node: reply}, ...]` with `reply`, else None.

        Raises:
            CommandRefused: Read-only, and the command changes something.
            BrokerConnectionError: The command could not be sent.
        """
        if not (pattern and matcher):
            pattern = matcher = None
        mailbox = self.mailbox if connection is None else self._new_mailbox(connection)
        expect = self.expected(destination, pattern, matcher) if reply else None
        on_reply = None if callback is None else _with_bodies(callback)
        try:
            replies = mailbox.broadcast(
                command,
                {**(arguments or {}), **extra_kwargs},
                destination=destination,
                reply=reply,
                timeout=timeout,
                limit=limit,
                pattern=pattern,
                matcher=matcher,
                expect=expect,
                callback=on_reply,
            )
        finally:
            if connection is not None:
                mailbox.close()
        return [{answer.node: answer.value} for answer in replies] if reply else None

    def close(self) -> None:
        """Remove the reply queue; a later command opens it again."""
        if self._mailbox is not None:
            self._mailbox.close()

    def purge(self, connection: Broker | None = None, queues: Collection[str] | None = None) -> int:
        """Delete all waiting messages of the application's queues; returns how many.

        Args:
            connection: Another broker.
            queues: Names of the queues; the application's own by default.

        Raises:
            CommandRefused: Read-only.
        """
        if self.read_only:
            raise CommandRefused(
                "purge is refused: this connection is read-only",
                command="purge",
                reason="read_only",
            )
        broker = connection or self.broker
        return sum(broker.purge(name) for name in queues or self._queue_names())

    def discard_all(self, connection: Broker | None = None) -> int:
        """Do as `purge` does, under Celery's older name."""
        return self.purge(connection)

    def _queue_names(self) -> list[str]:
        """Return the names of the application's queues."""
        queues = self._setting("task_queues", None)
        if isinstance(queues, Mapping):
            return [str(name) for name in queues]
        names = [queue if isinstance(queue, str) else str(queue.name) for queue in queues or ()]
        return names or [str(self._setting("task_default_queue", "celery"))]

    def ping(self, destination: Destination = None, timeout: float = 1.0, **kwargs: Any) -> Answers:
        """Ask workers whether they live; returns `[{node: {"ok": "pong"}}, ...]`."""
        kwargs.setdefault("reply", True)
        return self.broadcast("ping", {}, destination, timeout=timeout, **kwargs)

    def revoke(
        self,
        task_id: str | Sequence[str],
        destination: Destination = None,
        terminate: bool = False,
        signal: str = "SIGTERM",
        **kwargs: Any,
    ) -> Answers:
        """Tell workers to skip tasks, and with `terminate` to kill those that run.

        Args:
            task_id: One id, or many.
            destination: Exact node names; None for all.
            terminate: Kill those that run.
            signal: Name of the signal that kills.
            **kwargs: As `broadcast` takes them.
        """
        ids = task_id if isinstance(task_id, str) else list(task_id)
        arguments = {"task_id": ids, "terminate": terminate, "signal": signal}
        return self.broadcast("revoke", arguments, destination, **kwargs)

    def terminate(
        self,
        task_id: str | Sequence[str],
        destination: Destination = None,
        signal: str = "SIGTERM",
        **kwargs: Any,
    ) -> Answers:
        """Revoke tasks and kill those that run."""
        return self.revoke(task_id, destination, terminate=True, signal=signal, **kwargs)

    def revoke_by_stamped_headers(
        self,
        headers: Mapping[str, Any],
        destination: Destination = None,
        terminate: bool = False,
        signal: str = "SIGTERM",
        **kwargs: Any,
    ) -> Answers:
        """Tell workers to skip tasks whose stamps have these values.

        Args:
            headers: Stamp names with one value or a list of values each.
            destination: Exact node names; None for all.
            terminate: Kill those that run.
            signal: Name of the signal that kills.
            **kwargs: As `broadcast` takes them.
        """
        arguments = {"headers": dict(headers), "terminate": terminate, "signal": signal}
        return self.broadcast("revoke_by_stamped_headers", arguments, destination, **kwargs)

    def rate_limit(
        self,
        task_name: str,
        rate_limit: int | float | str,
        destination: Destination = None,
        **kwargs: Any,
    ) -> Answers:
        """Limit how many tasks of a name each worker starts: tasks per second, or `"10/m"`."""
        arguments = {"task_name": task_name, "rate_limit": rate_limit}
        return self.broadcast("rate_limit", arguments, destination, **kwargs)

    def time_limit(
        self,
        task_name: str,
        soft: float | None = None,
        hard: float | None = None,
        destination: Destination = None,
        **kwargs: Any,
    ) -> Answers:
        """Set the time limits of a task, in seconds."""
        arguments = {"task_name": task_name, "hard": hard, "soft": soft}
        return self.broadcast("time_limit", arguments, destination, **kwargs)

    def add_consumer(
        self,
        queue: str,
        exchange: str | None = None,
        exchange_type: str = "direct",
        routing_key: str | None = None,
        options: Mapping[str, Any] | None = None,
        destination: Destination = None,
        **kwargs: Any,
    ) -> Answers:
        """Tell workers to take from one more queue; exchange and key default to its name."""
        arguments = {
            "queue": queue,
            "exchange": exchange,
            "exchange_type": exchange_type,
            "routing_key": routing_key,
            **(options or {}),
        }
        return self.broadcast("add_consumer", arguments, destination, **kwargs)

    def cancel_consumer(
        self, queue: str, destination: Destination = None, **kwargs: Any
    ) -> Answers:
        """Tell workers to take no more from a queue."""
        return self.broadcast("cancel_consumer", {"queue": queue}, destination, **kwargs)

    def enable_events(self, destination: Destination = None, **kwargs: Any) -> Answers:
        """Tell workers to send task events."""
        return self.broadcast("enable_events", {}, destination, **kwargs)

    def disable_events(self, destination: Destination = None, **kwargs: Any) -> Answers:
        """Tell workers to send no task events; those started with `-E` go on."""
        return self.broadcast("disable_events", {}, destination, **kwargs)

    def pool_grow(self, n: int = 1, destination: Destination = None, **kwargs: Any) -> Answers:
        """Tell workers to add `n` slots."""
        return self.broadcast("pool_grow", {"n": n}, destination, **kwargs)

    def pool_shrink(self, n: int = 1, destination: Destination = None, **kwargs: Any) -> Answers:
        """Tell workers to remove `n` slots."""
        return self.broadcast("pool_shrink", {"n": n}, destination, **kwargs)

    def autoscale(
        self,
        max: int,  # noqa: A002 - the argument's name on the wire and in Celery
        min: int,  # noqa: A002 - likewise
        destination: Destination = None,
        **kwargs: Any,
    ) -> Answers:
        """Change the bounds of autoscaling workers."""
        return self.broadcast("autoscale", {"max": max, "min": min}, destination, **kwargs)

    def pool_restart(
        self,
        modules: Sequence[str] | None = None,
        reload: bool = False,
        reloader: Any = None,
        destination: Destination = None,
        **kwargs: Any,
    ) -> Answers:
        """Tell workers to restart their pools, with `modules` imported before."""
        arguments = {"modules": modules, "reload": reload, "reloader": reloader}
        return self.broadcast("pool_restart", arguments, destination, **kwargs)

    def heartbeat(self, destination: Destination = None, **kwargs: Any) -> Answers:
        """Ask workers for a heartbeat event now."""
        return self.broadcast("heartbeat", {}, destination, **kwargs)

    def election(
        self,
        id: str,  # noqa: A002 - the argument's name on the wire and in Celery
        topic: str,
        action: Any = None,
        connection: Broker | None = None,
    ) -> None:
        """Let the workers choose one of them to perform `action`."""
        self.broadcast(
            "election", {"id": id, "topic": topic, "action": action}, connection=connection
        )

    def shutdown(self, destination: Destination = None, **kwargs: Any) -> Answers:
        """Tell workers to stop after the tasks they run; they send no reply."""
        return self.broadcast("shutdown", {}, destination, **kwargs)


def _with_bodies(callback: Callable[[ReplyBody], Any]) -> Callable[[Reply], Any]:
    """Adapt a callback for `{node: reply}` to replies."""
    return lambda reply: callback({reply.node: reply.value})
