"""The request context: what a running task knows of its own call, and which task runs here.

    build_context(headers, body, message, *, hostname, redelivered=False, deliveries=0) -> Context
    push(task, context) -> Token;  pop(token)      around one run
    current_task(), current_context()              None outside tasks

Source: API.md, "Context"; celery/app/task.py, `Context`.
"""

from collections.abc import Mapping
from contextvars import ContextVar, Token
from typing import Any

from tq.wire.envelope import Message
from tq.wire.message import TaskBody, TaskHeaders

__all__ = [
    "Context",
    "Frame",
    "build_context",
    "context_of",
    "current_context",
    "current_task",
    "pop",
    "push",
]


class Context:
    """One call of a task; custom headers and stamps are attributes as well.

    Attributes:
        id: The task's id.
        task: Its registered name.
        timelimit: [hard, soft] in seconds as sent.
        callbacks: Signatures run on success.
        errbacks: Signatures run on failure.
        chain: Remaining steps, the next one last.
        chord: The body of the chord this call is a part of.
        called_directly: The function was called, not sent.
        headers: Headers of the message that are not the protocol's.
        delivery_info: `exchange`, `routing_key`, `priority`, `redelivered`.
        properties: The message's: `correlation_id`, `reply_to`, `delivery_mode`, `priority`, ...
        deliveries: How many earlier deliveries of this message ended unsettled.
        successors: Messages that go out in the same step as the acknowledgement.
    """

    args: Any = None
    argsrepr: str | None = None
    callbacks: list[Any] | None = None
    called_directly: bool = True
    chain: list[Any] | None = None
    chord: Any = None
    correlation_id: str | None = None
    delivery_info: dict[str, Any] | None = None
    deliveries: int = 0
    errbacks: list[Any] | None = None
    eta: str | None = None
    expires: str | None = None
    group: str | None = None
    group_index: int | None = None
    headers: dict[str, Any] | None = None
    hostname: str | None = None
    id: str | None = None
    ignore_result: bool | None = False
    is_eager: bool = False
    kwargs: Any = None
    kwargsrepr: str | None = None
    lang: str | None = None
    logfile: str | None = None
    loglevel: int | None = None
    origin: str | None = None
    parent_id: str | None = None
    properties: dict[str, Any] | None = None
    replaced_task_nesting: int = 0
    reply_to: str | None = None
    retries: int = 0
    root_id: str | None = None
    shadow: str | None = None
    stamped_headers: list[str] | None = None
    stamps: dict[str, Any] | None = None
    successors: list[Message] | None = None
    task: str | None = None
    taskset: str | None = None
    timelimit: Any = None
    utc: bool | None = None
    _children: list[Any] | None = None

    def __init__(self, *args: Mapping[str, Any], **kwargs: Any) -> None:
        """Take attributes from mappings and keywords."""
        self.update(*args, **kwargs)

    def update(self, *args: Mapping[str, Any], **kwargs: Any) -> None:
        """Set attributes from mappings and keywords."""
        for mapping in args:
            self.__dict__.update(mapping)
        self.__dict__.update(kwargs)

    def clear(self) -> None:
        """Return every attribute to its default."""
        self.__dict__.clear()

    def get(self, key: str, default: Any = None) -> Any:
        """Return an attribute, or `default` when there is none of that name."""
        return getattr(self, key, default)

    @property
    def children(self) -> list[Any]:
        """Results of what this call has started."""
        if self._children is None:
            self._children = []
        return self._children

    @property
    def started_any(self) -> bool:
        """Whether `children` has entries; asking does not create the list."""
        return bool(self._children)

    @property
    def time_limit(self) -> float | None:
        """The hard limit in seconds that came with the call."""
        return self.timelimit[0] if self.timelimit else None

    @property
    def soft_time_limit(self) -> float | None:
        """The soft limit in seconds that came with the call."""
        return self.timelimit[1] if self.timelimit else None

    @property
    def idempotency_key(self) -> str:
        """A key for effects outside the queue: the same for every delivery of this attempt."""
        return f"{self.id}:{self.retries}"

    def as_execution_options(self) -> dict[str, Any]:
        """Return the options that a call must be given to continue this one."""
        hard, soft = self.timelimit or (None, None)
        return {
            "task_id": self.id,
            "root_id": self.root_id,
            "parent_id": self.parent_id,
            "group_id": self.group,
            "group_index": self.group_index,
            "shadow": self.shadow,
            "chord": self.chord,
            "chain": self.chain,
            "link": self.callbacks,
            "link_error": self.errbacks,
            "expires": self.expires,
            "soft_time_limit": soft,
            "time_limit": hard,
            "headers": self.headers,
            "retries": self.retries,
            "reply_to": self.reply_to,
            "replaced_task_nesting": self.replaced_task_nesting,
            "origin": self.origin,
            "stamped_headers": self.stamped_headers,
            "stamps": self.stamps,
        }

    def __repr__(self) -> str:
        """Show what is set."""
        return f"<Context: {self.__dict__!r}>"


class Frame:
    """A running task; frames form a stack through `outer`."""

    __slots__ = ("context", "outer", "task")

    def __init__(self, task: Any, context: Context, outer: "Frame | None") -> None:
        """Put `task`, run with `context`, inside `outer`."""
        self.task, self.context, self.outer = task, context, outer


_top: ContextVar[Frame | None] = ContextVar("tq_running_task", default=None)


def push(task: Any, context: Context) -> Token[Frame | None]:
    """Say that `task` runs here, in this thread, coroutine or greenlet, until `pop`."""
    return _top.set(Frame(task, context, _top.get()))


def pop(token: Token[Frame | None]) -> None:
    """End what `push` began."""
    _top.reset(token)


def current_task() -> Any:
    """Return the task that runs here, or None."""
    frame = _top.get()
    return frame.task if frame is not None else None


def current_context() -> Context | None:
    """Return the request of the task that runs here, or None."""
    frame = _top.get()
    return frame.context if frame is not None else None


def context_of(task: Any) -> Context | None:
    """Return the request of the innermost run of `task` here, or None."""
    frame = _top.get()
    while frame is not None and frame.task is not task:
        frame = frame.outer
    return frame.context if frame is not None else None


def build_context(
    headers: TaskHeaders,
    body: TaskBody,
    message: Message,
    *,
    hostname: str,
    redelivered: bool = False,
    deliveries: int = 0,
) -> Context:
    """Make the context of a delivery that is about to run.

    Args:
        headers: As `wire.message.read_headers` gave them.
        body: As `wire.message.read_body` gave it.
        message: The message itself, for its address and properties.
        hostname: The worker's node name.
        redelivered: The broker's word, beside that of the headers.
        deliveries: Earlier deliveries that ended unsettled.
    """
    context = Context()
    custom = headers.custom
    # One update of the dictionary: 40 attribute stores cost three times as much.
    context.__dict__.update(
        custom,
        args=body.args,
        argsrepr=headers.argsrepr,
        kwargs=body.kwargs,
        kwargsrepr=headers.kwargsrepr,
        callbacks=body.callbacks,
        errbacks=body.errbacks,
        chain=body.chain,
        chord=body.chord,
        called_directly=False,
        correlation_id=message.correlation_id,
        delivery_info={
            "exchange": message.exchange,
            "routing_key": message.routing_key,
            "priority": message.priority,
            "redelivered": redelivered or headers.redelivered,
        },
        deliveries=deliveries,
        eta=headers.eta,
        expires=headers.expires,
        group=headers.group,
        group_index=headers.group_index,
        headers=custom or None,
        hostname=hostname,
        id=headers.id,
        ignore_result=headers.ignore_result,
        lang=headers.lang,
        origin=headers.origin,
        parent_id=headers.parent_id,
        properties=_properties(message),
        replaced_task_nesting=headers.replaced_task_nesting,
        reply_to=message.reply_to,
        retries=headers.retries,
        root_id=headers.root_id or headers.id,
        shadow=headers.shadow,
        stamped_headers=headers.stamped_headers,
        stamps=headers.stamps,
        task=headers.task,
        timelimit=list(headers.timelimit),
    )
    return context


def _properties(message: Message) -> dict[str, Any]:
    return {
        **(message.properties or {}),
        "correlation_id": message.correlation_id,
        "reply_to": message.reply_to,
        "delivery_mode": message.delivery_mode,
        "priority": message.priority,
        "delivery_info": {"exchange": message.exchange, "routing_key": message.routing_key},
    }
