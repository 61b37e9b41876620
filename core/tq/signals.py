"""Signals: every moment at which a user's function may be called, under Celery's names.

    from tq import signals

    @signals.task_failure.connect
    def on_failure(sender, task_id, exception, **kwargs): ...

A receiver is called with `signal`, `sender` and the arguments that each signal's docstring names.
Receivers are held weakly unless `weak=False`. An exception in a receiver is logged and does not
reach the sender of the signal.

Source: API.md, "signals"; celery/signals.py, celery/utils/dispatch/signal.py.
"""

import inspect
import logging
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import Any, TypeVar, overload

__all__ = [  # noqa: RUF022 - in the order of the definitions: publishing, running, workers, pools
    "Signal",
    "ALL_SIGNALS",
    "before_task_publish",
    "after_task_publish",
    "task_sent",
    "task_received",
    "task_prerun",
    "task_postrun",
    "task_success",
    "task_retry",
    "task_failure",
    "task_internal_error",
    "task_revoked",
    "task_rejected",
    "task_unknown",
    "celeryd_init",
    "celeryd_after_setup",
    "import_modules",
    "worker_init",
    "worker_before_create_process",
    "worker_process_init",
    "worker_process_shutdown",
    "worker_ready",
    "worker_shutting_down",
    "worker_shutdown",
    "heartbeat_sent",
    "setup_logging",
    "after_setup_logger",
    "after_setup_task_logger",
    "beat_init",
    "beat_embedded_init",
    "eventlet_pool_started",
    "eventlet_pool_preshutdown",
    "eventlet_pool_postshutdown",
    "eventlet_pool_apply",
    "user_preload_options",
]

_log = logging.getLogger(__name__)

F = TypeVar("F", bound=Callable[..., Any])


class _Receiver:
    """One connected function with its sender filter."""

    __slots__ = ("dispatch_uid", "identity", "reference", "sender")

    def __init__(
        self,
        function: Callable[..., Any],
        sender: Any,
        weak: bool,
        dispatch_uid: Any,
        gone: Callable[[Any], None],
    ) -> None:
        """Hold `function`, weakly if asked; `gone` is called when it is collected."""
        self.identity = _identity(function)
        self.dispatch_uid = dispatch_uid
        self.sender = _sender_key(sender)
        self.reference: Callable[[], Callable[..., Any] | None]
        if not weak:
            self.reference = lambda: function
        elif inspect.ismethod(function):
            self.reference = weakref.WeakMethod(function, gone)
        else:
            self.reference = weakref.ref(function, gone)

    def wants(self, sender: Any) -> bool:
        """Tell whether a signal from `sender` passes the filter."""
        return self.sender is None or self.sender == _sender_key(sender)


def _identity(function: Callable[..., Any]) -> tuple[int, int]:
    if inspect.ismethod(function):
        return (id(function.__self__), id(function.__func__))
    return (id(function), 0)


def _sender_key(sender: Any) -> Any:
    """Return what senders are compared by: text by value, tasks by name, the rest by identity."""
    if sender is None or isinstance(sender, str):
        return sender
    name = getattr(sender, "name", None)
    # A shared task and the task of each app that it became are one sender.
    if isinstance(name, str) and hasattr(sender, "apply_async"):
        return ("task", name)
    return id(sender)


class Signal:
    """One moment; `send` calls whoever is connected. Any thread may use it."""

    def __init__(self, name: str, providing_args: tuple[str, ...] = ()) -> None:
        """Name the signal.

        Args:
            name: As users know it.
            providing_args: Keyword arguments that every receiver gets besides `signal`, `sender`.
        """
        self.name = name
        self.providing_args = frozenset(providing_args)
        # Replaced as a whole on every change, so that `send` walks it without the lock.
        self._receivers: tuple[_Receiver, ...] = ()
        self._lock = threading.Lock()

    @property
    def receivers(self) -> list[Callable[..., Any]]:
        """List the functions connected now."""
        return [function for function, _ in self._live()]

    @overload
    def connect(self, function: F, /) -> F: ...

    @overload
    def connect(
        self,
        function: F,
        /,
        sender: Any = None,
        weak: bool = True,
        dispatch_uid: Any = None,
        retry: bool = False,
    ) -> F: ...

    @overload
    def connect(
        self,
        function: None = None,
        /,
        sender: Any = None,
        weak: bool = True,
        dispatch_uid: Any = None,
        retry: bool = False,
    ) -> Callable[[F], F]: ...

    def connect(
        self,
        function: Any = None,
        /,
        sender: Any = None,
        weak: bool = True,
        dispatch_uid: Any = None,
        retry: bool = False,
    ) -> Any:
        """Connect a function; also a decorator, with or without arguments.

        Args:
            function: Called with keyword arguments; must accept `**kwargs`.
            sender: Only signals of this sender: a task, a task's name, a node name, an object.
            weak: Forget the function when nobody else holds it.
            dispatch_uid: A second connect with the same id replaces the first.
            retry: Call again while it raises, at most five times at once.

        Raises:
            TypeError: `function` is not callable, or takes no `**kwargs`.
        """

        def register(receiver: F) -> F:
            self._add(_checked(receiver), sender, weak, dispatch_uid, retry)
            return receiver

        return register if function is None else register(function)

    def _add(
        self, function: Callable[..., Any], sender: Any, weak: bool, uid: Any, retry: bool
    ) -> None:
        target, held_weakly = (_retrying(function), False) if retry else (function, weak)
        new = _Receiver(target, sender, held_weakly, uid, self._forget)
        new.identity = _identity(function)
        with self._lock:
            kept = [old for old in self._receivers if not _same(old, new)]
            self._receivers = (*kept, new)

    def disconnect(
        self,
        function: Callable[..., Any] | None = None,
        sender: Any = None,
        weak: bool | None = None,
        dispatch_uid: Any = None,
    ) -> bool:
        """Disconnect a function, or what was connected under `dispatch_uid`.

        Args:
            function: What `connect` was given.
            sender: What `connect` was given.
            weak: Ignored; Celery's signature has it.
            dispatch_uid: What `connect` was given.

        Returns:
            Whether it was connected.
        """
        identity = _identity(function) if function is not None else None
        key = _sender_key(sender)
        with self._lock:
            kept = tuple(
                old
                for old in self._receivers
                if old.sender != key
                or (
                    old.dispatch_uid != dispatch_uid
                    if dispatch_uid is not None
                    else old.identity != identity
                )
            )
            found = len(kept) != len(self._receivers)
            self._receivers = kept
        return found

    def _forget(self, reference: Any) -> None:
        # Called by the garbage collector, maybe inside `connect` of the same thread: no lock.
        self._receivers = tuple(item for item in self._receivers if item.reference is not reference)

    def has_listeners(self, sender: Any = None) -> bool:
        """Tell whether anybody would be called for this sender."""
        return any(item.wants(sender) for item in self._receivers)

    def _live(self) -> Iterator[tuple[Callable[..., Any], _Receiver]]:
        for item in self._receivers:
            function = item.reference()
            if function is not None:
                yield function, item

    def send(self, sender: Any = None, **named: Any) -> list[tuple[Callable[..., Any], Any]]:
        """Call the receivers in the order of their connection.

        Args:
            sender: Who sends; filters receivers, and is passed on.
            **named: The signal's arguments.

        Returns:
            Each receiver with what it returned, or with the exception it raised (already logged).
        """
        if not self._receivers:
            return []
        answers: list[tuple[Callable[..., Any], Any]] = []
        for function, item in self._live():
            if not item.wants(sender):
                continue
            try:
                answer = function(signal=self, sender=sender, **named)
            except Exception as exc:  # a receiver must not break what it watches
                _log.exception("signal %s: receiver %r raised", self.name, function)
                answer = exc
            answers.append((function, answer))
        return answers

    send_robust = send

    def __bool__(self) -> bool:
        """Tell whether anybody is connected: `if signal: signal.send(...)` saves the arguments."""
        return bool(self._receivers)

    def __repr__(self) -> str:
        """Show the name and how many are connected."""
        return f"<Signal {self.name}: {len(self._receivers)} receivers>"


def _same(old: _Receiver, new: _Receiver) -> bool:
    if old.sender != new.sender:
        return False
    if new.dispatch_uid is not None or old.dispatch_uid is not None:
        return bool(old.dispatch_uid == new.dispatch_uid)
    return old.identity == new.identity


def _checked(function: F) -> F:
    if not callable(function):
        raise TypeError(f"a signal's receiver must be callable, not {function!r}")
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return function
    if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        raise TypeError(f"a signal's receiver must accept **kwargs: {function!r}")
    return function


def _retrying(function: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap a receiver connected with `retry=True`."""

    def call(**named: Any) -> Any:
        for _ in range(4):
            try:
                return function(**named)
            except Exception:  # the last attempt's exception reaches `send`, which logs it
                _log.warning("signal receiver %r raised, trying again", function, exc_info=True)
        return function(**named)

    return call


before_task_publish = Signal(
    "before_task_publish",
    ("body", "exchange", "routing_key", "headers", "properties", "declare", "retry_policy"),
)
after_task_publish = Signal(
    "after_task_publish", ("body", "exchange", "routing_key", "headers", "properties")
)
task_sent = Signal("task_sent", ("task_id", "task", "args", "kwargs", "eta", "taskset"))
task_received = Signal("task_received", ("request",))
task_prerun = Signal("task_prerun", ("task_id", "task", "args", "kwargs"))
task_postrun = Signal("task_postrun", ("task_id", "task", "args", "kwargs", "retval", "state"))
task_success = Signal("task_success", ("result", "runtime"))
task_retry = Signal("task_retry", ("request", "reason", "einfo"))
task_failure = Signal(
    "task_failure", ("task_id", "exception", "args", "kwargs", "traceback", "einfo")
)
task_internal_error = Signal(
    "task_internal_error",
    ("task_id", "args", "kwargs", "request", "exception", "traceback", "einfo"),
)
task_revoked = Signal("task_revoked", ("request", "terminated", "signum", "expired"))
task_rejected = Signal("task_rejected", ("message", "exc"))
task_unknown = Signal("task_unknown", ("message", "exc", "name", "id"))

celeryd_init = Signal("celeryd_init", ("instance", "conf", "options"))
celeryd_after_setup = Signal("celeryd_after_setup", ("instance", "conf"))
import_modules = Signal("import_modules")
worker_init = Signal("worker_init")
worker_before_create_process = Signal("worker_before_create_process")
worker_process_init = Signal("worker_process_init")
worker_process_shutdown = Signal("worker_process_shutdown", ("pid", "exitcode"))
worker_ready = Signal("worker_ready")
worker_shutting_down = Signal("worker_shutting_down", ("sig", "how", "exitcode"))
worker_shutdown = Signal("worker_shutdown")
heartbeat_sent = Signal("heartbeat_sent")

setup_logging = Signal("setup_logging", ("loglevel", "logfile", "format", "colorize"))
after_setup_logger = Signal(
    "after_setup_logger", ("logger", "loglevel", "logfile", "format", "colorize")
)
after_setup_task_logger = Signal(
    "after_setup_task_logger", ("logger", "loglevel", "logfile", "format", "colorize")
)

beat_init = Signal("beat_init")
beat_embedded_init = Signal("beat_embedded_init")

# The sender is the pool. `apply` comes as a job is queued: `target` is what will be called with it.
eventlet_pool_started = Signal("eventlet_pool_started")
eventlet_pool_preshutdown = Signal("eventlet_pool_preshutdown")
eventlet_pool_postshutdown = Signal("eventlet_pool_postshutdown")
eventlet_pool_apply = Signal("eventlet_pool_apply", ("target", "args", "kwargs"))

user_preload_options = Signal("user_preload_options", ("app", "options"))

ALL_SIGNALS: tuple[Signal, ...] = tuple(
    value for value in list(globals().values()) if isinstance(value, Signal)
)
