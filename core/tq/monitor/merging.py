"""How an event changes a task.

Source: PROTOCOL 7.4; celery/events/state.py, `Task.event`, `Task.merge_rules`.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from tq import states
from tq.monitor.task import TaskDetail, TaskInfo
from tq.saferepr import saferepr

__all__ = ["EventKind", "kind_of", "merge", "merge_request", "text_size"]

Event = Mapping[str, Any]

_TEXT_LIMIT = 4096
_MOST_EXTRA = 32
_MOST_TRIES = 50
_MOST_KINDS = 256
_LONGEST_SUBJECT = 64

_TEXTS = frozenset({"args", "kwargs", "result"})
_BASE = frozenset(
    {
        "name",
        "args",
        "kwargs",
        "result",
        "runtime",
        "retries",
        "root_id",
        "parent_id",
        "queue",
        "exchange",
        "routing_key",
        "pid",
        "clock",
    }
)
_DETAIL = frozenset(["exception", "traceback", "eta", "expires"])
_NOT_MERGED = frozenset(
    (
        "type",
        "uuid",
        "hostname",
        "timestamp",
        "utcoffset",
        "local_received",
        "state",
        "worker",
        "client",
    )
)
_LATE_RECEIVED = frozenset(
    ["name", "args", "kwargs", "parent_id", "root_id", "retries", "eta", "expires"]
)
_SHARED = frozenset(["name", "queue", "exchange", "routing_key"])
# Texts that very many tasks have; kept once.
_COMMON = {text: text for text in ("()", "[]", "{}", "None", "True", "False", "''", "0", "1")}


_MOST_TRACEBACKS = 256
_tracebacks: dict[str, str] = {}


class EventKind(msgspec.Struct, frozen=True):
    """What an event type means to a task.

    Attributes:
        subject: The type after the dash; for the built-in ones also the timestamp's field.
        state: The state it leads to.
        rank: The state's precedence; 0 is the strongest.
        known: Whether it is one of Celery's own states.
        plain_size: Number of fields of a plain event of this type, or 0 for rare types.
    """

    subject: str
    state: str
    rank: int
    known: bool
    plain_size: int = 0


def _known(subject: str, state: str, plain_size: int = 0) -> EventKind:
    """Describe one of Celery's own task events."""
    return EventKind(subject, state, states.precedence(state), True, plain_size)


_KINDS: dict[str, EventKind] = {
    "task-sent": _known("sent", states.PENDING),
    "task-received": _known("received", states.RECEIVED, 16),
    "task-started": _known("started", states.STARTED, 8),
    "task-succeeded": _known("succeeded", states.SUCCESS, 10),
    "task-failed": _known("failed", states.FAILURE),
    "task-retried": _known("retried", states.RETRY),
    "task-revoked": _known("revoked", states.REVOKED),
    "task-rejected": _known("rejected", states.REJECTED),
}


def kind_of(event_type: str) -> EventKind:
    """Return what a `task-` event type means; other subjects are custom states."""
    kind = _KINDS.get(event_type)
    if kind is None:
        subject = event_type.partition("-")[2][:_LONGEST_SUBJECT]
        state = subject.upper()
        kind = EventKind(subject, state, states.precedence(state), False)
        if len(_KINDS) < _MOST_KINDS:
            _KINDS[event_type] = kind
    return kind


def merge(task: TaskInfo, event: Event, kind: EventKind, strings: dict[str, str]) -> int:
    """Change a task as an event says.

    Args:
        task: Changed in place, except for `worker`, `client`, `version` and `local_received`.
        event: As `wire.event.decode_events` gives it.
        kind: What its type means.
        strings: Where names are kept once; the caller bounds it.

    Returns:
        By how many characters the task's texts grew.
    """
    late = (
        kind.rank > states.precedence(task.state)
        and kind.state != states.RETRY
        and task.state != states.RETRY
    )
    timestamp = event["timestamp"]
    if kind.known:
        _stamp(task, kind, timestamp)
    if late and kind.subject == "received":
        fields = {name: value for name, value in event.items() if name in _LATE_RECEIVED}
        return _merge_fields(task, fields, strings)
    grown = _merge_plain(task, event, kind, strings)
    if grown is None:
        grown = _merge_fields(task, event, strings)
    # A late event sets the timestamp and yet not the state: so does Celery.
    task.timestamp = timestamp
    if not late:
        task.state = kind.state
    return grown


def _stamp(task: TaskInfo, kind: EventKind, timestamp: float) -> None:
    """Set the timestamp named after the event."""
    subject = kind.subject
    if subject == "received":
        task.received = timestamp
    elif subject == "started":
        task.started = timestamp
    elif subject == "succeeded":
        task.succeeded = timestamp
    elif subject == "sent":
        task.sent = timestamp
    else:
        detail = _detail(task)
        setattr(detail, subject, timestamp)
        if subject == "retried" and timestamp not in detail.tries:
            detail.tries = tuple(sorted((*detail.tries, timestamp)))[-_MOST_TRIES:]


def _merge_plain(
    task: TaskInfo, event: Event, kind: EventKind, strings: dict[str, str]
) -> int | None:
    """Merge a frequent event without looking at each field; None when it is not that plain."""
    if len(event) != kind.plain_size:
        return None
    try:
        if kind.subject == "started":
            task.clock, task.pid = event["clock"], event["pid"]
            return 0
        if kind.subject == "succeeded":
            result, runtime = event["result"], event["runtime"]
            task.clock, task.pid = event["clock"], event["pid"]
            before = len(task.result or "")
            task.result = _text(result)
            task.runtime = runtime
            return len(task.result or "") - before
        if event["eta"] is not None or event["expires"] is not None or task.more is not None:
            return None
        name, args, kwargs = event["name"], event["args"], event["kwargs"]
        root_id, parent_id, retries = event["root_id"], event["parent_id"], event["retries"]
        clock, pid = event["clock"], event["pid"]
    except KeyError:
        return None
    before = len(task.args or "") + len(task.kwargs or "")
    task.name = name if name is None else strings.setdefault(name, name)
    task.args, task.kwargs = _text(args), _text(kwargs)
    # A task without parent is its own root: one text for both.
    task.root_id = task.uuid if root_id == task.uuid else root_id
    task.parent_id, task.retries = parent_id, retries
    task.clock, task.pid = clock, pid
    return len(task.args or "") + len(task.kwargs or "") - before


def _merge_fields(task: TaskInfo, fields: Event, strings: dict[str, str]) -> int:
    """Merge whatever fields there are; returns by how much the texts grew."""
    size = text_size(task)
    for name, value in fields.items():
        if name in _BASE:
            if name != "clock" or type(value) is int:
                setattr(task, name, _value(name, value, strings))
        elif name in _DETAIL:
            if value is not None or task.more is not None:
                text = _text(value)
                if name == "traceback" and text is not None:
                    text = _shared_traceback(text)
                setattr(_detail(task), name, text)
        elif name not in _NOT_MERGED:
            _merge_extra(task, name, value)
    return text_size(task) - size


def merge_request(task: TaskInfo, request: Mapping[str, Any], strings: dict[str, str]) -> int:
    """Fill in what a worker says of a task that it runs; returns by how much the texts grew.

    Args:
        task: Changed in place; what events told of it stays.
        request: An item of the answer to `active` (PROTOCOL 8.4).
        strings: Where names are kept once; the caller bounds it.
    """
    info = request.get("delivery_info")
    queue = info.get("routing_key") if isinstance(info, dict) else None
    told = {
        "name": request.get("name"),
        "args": request.get("args"),
        "kwargs": request.get("kwargs"),
        "queue": queue if isinstance(queue, str) and queue else None,
        "pid": pid if type(pid := request.get("worker_pid")) is int else None,
    }
    missing = {
        name: value
        for name, value in told.items()
        if value is not None and getattr(task, name) is None
    }
    return _merge_fields(task, missing, strings)


def _merge_extra(task: TaskInfo, name: str, value: Any) -> None:
    """Keep a field that has no attribute of its own."""
    detail = _detail(task)
    if name in detail.extra or len(detail.extra) < _MOST_EXTRA:
        kept = value if type(value) in (bool, int, float, type(None)) else _text(value)
        detail.extra = {**detail.extra, name: kept}


def _detail(task: TaskInfo) -> TaskDetail:
    """Return the task's rare fields, making room for them."""
    detail = task.more
    if detail is None:
        detail = task.more = TaskDetail()
    return detail


def _value(name: str, value: Any, strings: dict[str, str]) -> Any:
    """Shape one field's value: names are kept once, texts are bounded."""
    if name in _TEXTS:
        return _text(value)
    if name in _SHARED and type(value) is str:
        return strings.setdefault(value, value)
    return value


def _text(value: Any) -> str | None:
    """Bound a text and share the frequent ones; what is no text becomes its repr."""
    if value is None:
        return None
    text = value if type(value) is str else saferepr(value)
    if len(text) <= 5:
        return _COMMON.get(text, text)
    return text if len(text) <= _TEXT_LIMIT else text[: _TEXT_LIMIT - 1] + "…"


def _shared_traceback(text: str) -> str:
    """Return the one kept copy of a traceback: what fails often fails at the same place."""
    if len(_tracebacks) >= _MOST_TRACEBACKS:
        _tracebacks.clear()
    return _tracebacks.setdefault(text, text)


def text_size(task: TaskInfo) -> int:
    """Count the characters of a task's long texts."""
    size = len(task.args or "") + len(task.kwargs or "") + len(task.result or "")
    more = task.more
    if more is not None:
        size += len(more.exception or "") + len(more.traceback or "")
        size += 100 * len(more.extra)
    return size
