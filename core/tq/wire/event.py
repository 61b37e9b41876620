"""Events: single ones and batches.

Source: PROTOCOL 7; celery/events/dispatcher.py, celery/events/receiver.py.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from math import isfinite
from typing import Any

from tq.errors import DecodeError, EncodeError
from tq.wire.envelope import Message
from tq.wire.limits import LIMITS, Limits
from tq.wire.serialization import accept_types, dumps, dumps_json, is_flat, loads

__all__ = ["Event", "decode_events", "encode_events", "utc_offset"]

Event = dict[str, Any]

TRANSIENT = 1
# Whatever a cluster's `event_serializer` is, a monitor reads it, and runs nothing by that.
_READABLE = accept_types(("json", "msgpack", "yaml"))
# Bounds on what a monitor takes in; a sender that exceeds them is broken or hostile.
_MAX_NAME_CHARS = 512
_MAX_TEXT_CHARS = 64 * 1024
_MAX_TIMESTAMP = 253402300799.0
_MAX_CLOCK = 1 << 62
# From UTC+14 to UTC-12, with room.
_MAX_OFFSET_HOURS = 26.0
_DEFAULT_FREQ = 2.0
_IDS = frozenset({"root_id", "parent_id", "queue", "exchange", "routing_key"})
_TEXTS = frozenset({"name", "args", "kwargs", "exception", "traceback", "eta", "expires"})
_STRINGS = _IDS | _TEXTS
_COUNTS = frozenset({"pid", "retries", "active", "processed"})
_NUMBERS = _COUNTS | {"runtime"}


def utc_offset() -> float:
    """Return this machine's hours west of UTC, as events carry them."""
    return -(time.localtime().tm_gmtoff / 3600)


def encode_events(
    events: Sequence[Mapping[str, Any]],
    hostname: str,
    exchange: str = "celeryev",
    exchange_type: str = "fanout",
    serializer: str = "json",
    *,
    batch: bool | None = None,
) -> Message:
    """Build the message for events of one group.

    Args:
        events: Complete events (PROTOCOL 7.2); a batch shares the part of `type` before `-`.
        hostname: The sending node, for the header.
        exchange: The setting `event_exchange`.
        exchange_type: `fanout` on Redis and in memory, `topic` elsewhere.
        serializer: The setting `event_serializer`.
        batch: True sends an array even for one event; None only for several.

    Raises:
        EncodeError: No events, several groups in one batch, or a value without a form in the
            serializer.
    """
    if not events:
        raise EncodeError("a message of events needs at least one")
    kind = str(events[0]["type"])
    group = kind.partition("-")[0]
    if batch or len(events) > 1:
        for event in events:
            if str(event["type"]).partition("-")[0] != group:
                raise EncodeError(f"one batch holds {kind} and {event['type']}")
        data: Any = events
        key = f"{group}.multi"
    else:
        data, key = events[0], kind.replace("-", ".")
    if serializer == "json":
        content_type, encoding = "application/json", "utf-8"
        body = dumps_json(data, flat=all(_is_flat_event(event) for event in events))
    else:
        content_type, encoding, body = dumps(data, serializer)
    return Message(
        body=body,
        content_type=content_type,
        content_encoding=encoding,
        headers={"hostname": hostname},
        exchange=exchange,
        exchange_type=exchange_type,
        routing_key=key,
        delivery_mode=TRANSIENT,
    )


def _is_flat_event(event: Mapping[str, Any]) -> bool:
    """Tell whether msgspec may write the event; every event has finite floats in known fields."""
    for value in event.values():
        if type(value) is float:
            if not isfinite(value):
                return False
        elif type(value) is list:
            if not all(type(item) is float and isfinite(item) for item in value):
                return False
        elif not is_flat((value,)):
            return False
    return True


def decode_events(
    message: Message,
    *,
    now: float | None = None,
    own_offset: float | None = None,
    limits: Limits = LIMITS,
    on_bad: Callable[[str, Any], None] | None = None,
) -> list[Event]:
    """Read the events of a message: checked, of bounded size, in this machine's time.

    Each gets `local_received`. An event without readable type, host or (for tasks) uuid is left
    out and reported to `on_bad`; other wrong fields get a default or are left out. Text may still
    hold control characters: what shows it calls `saferepr.safe_text`.

    Args:
        message: As received.
        now: Wall timestamp of receipt.
        own_offset: `utc_offset()`, for callers that read many.
        limits: Bounds on the whole body.
        on_bad: Called with a reason (one word) and the item.

    Raises:
        DecodeError: The body as a whole is not readable.
    """
    raw = message.body
    if len(raw) > limits.message:
        raise DecodeError(f"{len(raw)} bytes of events are too many", reason="too_large", raw=raw)
    data = loads(raw, message.content_type, message.content_encoding, _READABLE, limits)
    if type(data) is dict:
        data = [data]
    elif type(data) is not list:
        raise DecodeError("no event and no list of events", reason="bad_event", raw=raw)
    now = time.time() if now is None else now
    offset = utc_offset() if own_offset is None else own_offset
    sender = message.headers.get("hostname")
    events = []
    for item in data:
        fault = "not_object" if type(item) is not dict else _fault(item, sender)
        if fault is None:
            _adjust(item, now, offset)
            events.append(item)
        elif on_bad is not None:
            on_bad(fault, item)
    return events


def _fault(event: Event, sender: Any) -> str | None:
    """Say why an event is of no use, or None."""
    kind = event.get("type")
    if type(kind) is not str or not 0 < len(kind) <= _MAX_NAME_CHARS:
        return "bad_type"
    host = event.setdefault("hostname", sender)
    if type(host) is not str or not 0 < len(host) <= _MAX_NAME_CHARS:
        return "bad_hostname"
    if kind.startswith("task-"):
        uuid = event.get("uuid")
        if type(uuid) is not str or not 0 < len(uuid) <= _MAX_NAME_CHARS:
            return "bad_uuid"
    return None


def _adjust(event: Event, now: float, own_offset: float) -> None:
    """Put the times right and the optional fields into shape."""
    offset = event.get("utcoffset")
    if not _is_number(offset) or abs(offset) > _MAX_OFFSET_HOURS:  # type: ignore[arg-type]  # checked
        offset = event["utcoffset"] = 0.0
    stamp = event.get("timestamp")
    if not _is_number(stamp) or not 0 <= stamp <= _MAX_TIMESTAMP:  # type: ignore[operator]  # checked
        event["timestamp"] = now
    elif offset != own_offset:
        event["timestamp"] = stamp - (offset - own_offset) * 3600  # type: ignore[operator]  # checked
    clock = event.get("clock")
    if type(clock) is not int or not 0 <= clock <= _MAX_CLOCK:
        event["clock"] = 0
    event["local_received"] = now
    if event["type"].startswith("worker-"):
        _adjust_worker(event)
    _bound(event)


def _adjust_worker(event: Event) -> None:
    freq = event.get("freq")
    if freq is not None and not (_is_number(freq) and 0 < freq <= 86400):
        event["freq"] = _DEFAULT_FREQ
    load = event.get("loadavg")
    if load is not None and not (
        isinstance(load, list) and len(load) <= 3 and all(_is_number(item) for item in load)
    ):
        del event["loadavg"]


def _bound(event: Event) -> None:
    """Drop known fields of a wrong type, and cut long text."""
    suspects = [
        name
        for name, value in event.items()
        if (
            (len(value) > _MAX_NAME_CHARS or name in _NUMBERS)
            if type(value) is str
            else (name in _STRINGS or name in _NUMBERS) and value is not None
        )
    ]
    for name in suspects:
        value = event[name]
        if name in _NUMBERS:
            if not _is_valid_number(name, value):
                del event[name]
        elif type(value) is not str or name in _IDS:
            del event[name]
        elif len(value) > _MAX_TEXT_CHARS:
            event[name] = value[:_MAX_TEXT_CHARS] + "…"


def _is_valid_number(name: str, value: Any) -> bool:
    if name in _COUNTS:
        return type(value) is int and 0 <= value <= _MAX_CLOCK
    return _is_number(value) and value >= 0


def _is_number(value: Any) -> bool:
    kind = type(value)
    return kind is int or (kind is float and isfinite(value))
