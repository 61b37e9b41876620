"""What an event says: as a row of the stream, as a task that a filter can test, and as a page."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from tq.monitor import ClusterState, TaskDetail, TaskInfo
from tqconsole.tui.model.detail import heading, wrapped
from tqconsole.tui.model.event_log import Entry, Event, EventLog
from tqconsole.tui.model.format import (
    UNKNOWN,
    Cell,
    Glyphs,
    clock_ms,
    delta,
    duration,
    state_style,
)
from tqconsole.tui.model.masking import masked

__all__ = [
    "as_task",
    "detail_of",
    "event_lines",
    "name_of",
    "previous_of",
    "safe_event",
    "type_cell",
]

_STATES = {
    "task-sent": "SENT",
    "task-received": "RECEIVED",
    "task-started": "STARTED",
    "task-succeeded": "SUCCESS",
    "task-failed": "FAILURE",
    "task-retried": "RETRY",
    "task-revoked": "REVOKED",
    "task-rejected": "REJECTED",
}
# Fields that have a place of their own in a row, or that every event has.
_PLAIN = frozenset(
    {
        "type", "uuid", "hostname", "timestamp", "utcoffset", "local_received", "pid", "clock",
        "name", "args", "kwargs", "result", "runtime", "exception", "traceback", "root_id",
        "parent_id", "retries", "eta", "expires", "queue", "exchange", "routing_key", "freq",
        "active", "processed", "loadavg", "sw_ident", "sw_ver", "sw_sys",
    }
)  # fmt: skip
_LOOK_BACK = 5_000  # entries searched for the event before on the same subject


def state_of(event: Event) -> str:
    """Return the state that a task event leads to; empty for a worker's event."""
    kind = str(event.get("type", ""))
    if not kind.startswith("task-"):
        return ""
    return _STATES.get(kind) or kind.partition("-")[2].upper()


def type_cell(event: Event, symbols: Glyphs) -> Cell:
    """Return the type with its glyph."""
    kind = str(event.get("type", UNKNOWN))
    state = state_of(event)
    if state:
        return Cell(f"{symbols.state(state)} {kind}", state_style(state))
    glyph, style = {
        "worker-online": (symbols.up, "success"),
        "worker-offline": (symbols.gone, "warning"),
        "worker-heartbeat": (symbols.dot, "muted"),
    }.get(kind, (symbols.unknown, "accent"))
    return Cell(f"{glyph} {kind}", style)


def name_of(event: Event, state: ClusterState) -> str:
    """Return the task's name, from an earlier event if this one does not tell; may be empty."""
    name = event.get("name")
    if name is None:
        task = state.tasks.get(str(event.get("uuid", "")))
        name = task.name if task is not None else None
    return str(name) if name else ""


def detail_of(event: Event) -> str:
    """Return in a line what this event tells that others do not."""
    parts: list[str] = []
    kind = str(event.get("type", ""))
    if kind in ("task-sent", "task-received"):
        kwargs = _text(event.get("kwargs"))
        parts += [_text(event.get("args")), "" if kwargs == "{}" else kwargs]
        if event.get("retries"):
            parts.append(f"retry {event['retries']}")
        if event.get("eta"):
            parts.append(f"eta {_text(event['eta'])}")
        if event.get("queue"):
            parts.append(f"queue {_text(event['queue'])}")
    elif kind == "task-succeeded":
        runtime = event.get("runtime")
        parts.append(duration(runtime) if isinstance(runtime, int | float) else "")
        parts.append(_text(event.get("result")))
    elif kind in ("task-failed", "task-retried"):
        parts.append(_text(event.get("exception")))
    elif kind == "task-started" and event.get("pid"):
        parts.append(f"pid {_text(event['pid'])}")
    elif kind.startswith("worker-"):
        parts += [
            f"{name} {_text(event[name])}" for name in ("active", "processed") if name in event
        ]
        load = event.get("loadavg")
        if isinstance(load, list) and load:
            parts.append(f"load {_text(load[0])}")
        if kind != "worker-heartbeat":
            parts += [_text(event.get("sw_ident")), _text(event.get("sw_ver"))]
    parts += [
        masked(f"{name}={_text(value)}")
        for name, value in event.items()
        if name not in _PLAIN and value not in (None, False)
    ]
    return "  ".join(part for part in parts if part)


def _text(value: Any) -> str:
    if value is None:
        return ""
    return masked(value) if isinstance(value, str) else masked(json.dumps(value, default=str))


def as_task(event: Event, state: ClusterState) -> TaskInfo:
    """Show an event to a filter as the task it tells of; `type:` finds its type."""
    uuid = str(event.get("uuid", ""))
    known = state.tasks.get(uuid)
    failed = _some(event, "exception"), _some(event, "traceback")
    arrived = event.get("local_received")
    runtime, retries, pid = event.get("runtime"), event.get("retries"), event.get("pid")
    return TaskInfo(
        uuid=uuid,
        name=name_of(event, state) or None,
        state={"SENT": "PENDING", "": "WORKER"}.get(found := state_of(event), found),
        worker=_some(event, "hostname"),
        client=_some(event, "hostname") if event.get("type") == "task-sent" else None,
        args=_some(event, "args"),
        kwargs=_some(event, "kwargs"),
        result=_some(event, "result"),
        runtime=runtime if isinstance(runtime, int | float) else None,
        retries=retries if isinstance(retries, int) else None,
        root_id=_some(event, "root_id") or (known.root_id if known else None),
        parent_id=_some(event, "parent_id") or (known.parent_id if known else None),
        queue=_some(event, "queue") or (known.queue if known else None),
        routing_key=_some(event, "routing_key"),
        pid=pid if isinstance(pid, int) else None,
        timestamp=_moment(event.get("timestamp")),
        local_received=arrived if isinstance(arrived, int | float) else 0.0,
        more=TaskDetail(
            exception=failed[0],
            traceback=failed[1],
            eta=_some(event, "eta"),
            expires=_some(event, "expires"),
            extra={"type": str(event.get("type", ""))},
        ),
    )


def _some(event: Event, name: str) -> str | None:
    value = event.get(name)
    return value if value is None or isinstance(value, str) else str(value)


def _moment(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) else None


def safe_event(event: Event) -> dict[str, Any]:
    """Return an event with the values of secret names replaced, for files and the clipboard."""
    return {name: _safe(name, value) for name, value in event.items()}


def _safe(name: str, value: Any) -> Any:
    if isinstance(value, str):
        text = masked(value)
        # a field of its own may have a secret's name
        return text if masked(f"{name}='x'") == f"{name}='x'" else "****"
    if isinstance(value, Mapping):
        return {str(key): _safe(str(key), item) for key, item in value.items()}
    if isinstance(value, list):
        return [_safe(name, item) for item in value]
    return value


def previous_of(log: EventLog, entry: Entry) -> Entry | None:
    """Return the event before on the same task, or of the same type from the same worker."""
    event = entry.event
    uuid = event.get("uuid")
    for number, other in enumerate(log.before(entry.number)):
        if number >= _LOOK_BACK:
            return None
        if uuid is not None:
            if other.event.get("uuid") == uuid:
                return other
        elif other.type == entry.type and other.event.get("hostname") == event.get("hostname"):
            return other
    return None


def event_lines(
    entry: Entry, before: Entry | None, state: ClusterState, width: int, symbols: Glyphs
) -> list[list[Cell]]:
    """Return an event as JSON, marked where it differs from the event before.

    Args:
        entry: The event.
        before: The one before on the same subject, or None.
        state: Knows the names of tasks.
        width: Cells of a line.
        symbols: The glyphs in use.
    """
    event = safe_event(entry.event)
    sent = _moment(event.get("timestamp"))
    lines: list[list[Cell]] = [
        [
            Cell(" "),
            type_cell(event, symbols),
            Cell(f"   {name_of(event, state)}", "name"),
        ],
        [
            Cell(f" arrived {clock_ms(entry.arrived)}Z", "muted"),
            Cell(f"   {delta(entry.arrived - sent)} after it was sent" if sent else "", "muted"),
        ],
    ]
    if before is not None:
        step = delta(entry.arrived - before.arrived)
        lines.append(
            [
                Cell(" compared with ", "muted"),
                type_cell(before.event, symbols),
                Cell(f" of {clock_ms(before.arrived)}Z ({step}):", "muted"),
                Cell(" + new", "success"),
                Cell("  ~ changed", "warning"),
            ]
        )
    lines += [[], heading("event", width, symbols)]
    old = safe_event(before.event) if before is not None else None
    traceback = event.pop("traceback", None)
    lines.append([Cell("   {", "muted")])
    for name, value in event.items():
        mark = Cell("   ")
        if old is not None and name not in old:
            mark = Cell(" + ", "success")
        elif old is not None and old[name] != value:
            mark = Cell(" ~ ", "warning-bold")
        lines.extend(_field_lines(mark, name, value, width))
    lines.append([Cell("   }", "muted")])
    if isinstance(traceback, str) and traceback:
        lines += [[], heading("traceback", width, symbols)]
        lines.extend([Cell("   "), *line] for line in wrapped(masked(traceback), width - 3))
    return lines


def _field_lines(mark: Cell, name: str, value: Any, width: int) -> Iterator[list[Cell]]:
    text = json.dumps(value, ensure_ascii=False, default=str)
    label = f"{json.dumps(name, ensure_ascii=False)}: "
    first = True
    for line in wrapped(label + text + ",", max(20, width - 5)):
        written = line[1].text
        if first:
            yield [
                mark,
                Cell("  "),
                Cell(written[: len(label)], "key"),
                Cell(written[len(label) :]),
            ]
        else:
            yield [Cell("     "), Cell(written)]
        first = False
