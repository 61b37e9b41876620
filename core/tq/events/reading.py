"""Event messages to checked events, fast.

A monitor reads tens of thousands of events a second, nearly all of a few shapes: the same fields
with the same types. A shape that `wire.event.decode_events` passed once is remembered, and later
events of it need only their ranges and lengths checked (2 us instead of 9 each). Everything else
goes the careful way. What comes out is the same by both ways.

Source: PROTOCOL 7.1, 7.2; RELIABILITY 6.3.
"""

import re
from collections.abc import Callable
from typing import Any

import msgspec

from tq.errors import WireError
from tq.saferepr import safe_text
from tq.wire.envelope import Message
from tq.wire.event import decode_events

__all__ = ["EventReader"]

Event = dict[str, Any]

_TEXT_LIMIT = 4096
_NAME_LIMIT = 512
_MOST_SHAPES = 256
_MOST_FIELDS = 64
_MOST = 253402300799
_LISTED = 32
_LONGEST_FIELD = 64
_ALWAYS = frozenset({"uuid", "hostname", "timestamp", "utcoffset", "clock"})
_BLOCKS = frozenset({"traceback"})
_ESCAPE = re.compile(rb'\\[^"\\]')


class _Shape:
    """Fields to check in events of one shape."""

    __slots__ = ("numbers", "texts")

    def __init__(self, event: Event) -> None:
        """Remember which fields are texts and which are numbers."""
        self.texts = tuple(name for name, value in event.items() if type(value) is str)
        self.numbers = tuple(
            name
            for name, value in event.items()
            if type(value) in (int, float) and name != "utcoffset"
        )


class EventReader:
    """Reads event messages; owned by one thread.

    Every text that comes out is harmless for a terminal and at most 4 KB long.

    Attributes:
        invalid: Messages and events left out, by reason.
    """

    def __init__(self) -> None:
        """Start without known shapes."""
        self.invalid: dict[str, int] = {}
        self._shapes: dict[tuple[tuple[str, ...], tuple[type, ...]], _Shape] = {}
        self._decode: Callable[[bytes], Any] = msgspec.json.Decoder().decode

    def read(self, message: Message, now: float, own_offset: float) -> list[Event]:
        """Return a message's events; never raises.

        Args:
            message: As received.
            now: Wall timestamp of its arrival.
            own_offset: This machine's hours west of UTC.
        """
        events = self._read_known(message, now, own_offset)
        return self._read_carefully(message, now, own_offset) if events is None else events

    def _read_known(self, message: Message, now: float, own_offset: float) -> list[Event] | None:
        """Read task events of known shapes, or return None if there is anything else."""
        raw = message.body
        if message.content_type != "application/json" or _is_doubtful(raw):
            return None
        try:
            events = self._decode(raw)
        except (msgspec.DecodeError, RecursionError):
            return None
        if type(events) is dict:
            events = [events]
        elif type(events) is not list:
            return None
        for event in events:
            if type(event) is not dict or not self._is_sound(event, own_offset):
                return None
            event["local_received"] = now
        return events

    def _is_sound(self, event: Event, own_offset: float) -> bool:
        """Tell whether an event has a known shape and nothing in it is out of range."""
        shape = self._shapes.get((tuple(event), tuple(map(type, event.values()))))
        if shape is None or event["utcoffset"] != own_offset:
            return False
        if not (event["type"].startswith("task-") and event["uuid"] and event["hostname"]):
            return False
        for name in shape.texts:
            if len(event[name]) > _NAME_LIMIT:
                return False
        for name in shape.numbers:  # noqa: SIM110 - a generator costs twice as much here
            if not 0 <= event[name] <= _MOST:
                return False
        return True

    def _read_carefully(self, message: Message, now: float, own_offset: float) -> list[Event]:
        """Read events of any kind, and learn their shapes."""
        try:
            events = decode_events(
                message, now=now, own_offset=own_offset, on_bad=lambda reason, _: self._bad(reason)
            )
        except WireError as error:
            self._bad(getattr(error, "reason", "undecodable"))
            return []
        for event in events:
            _make_safe(event)
            self._learn(event)
        return events

    def _learn(self, event: Event) -> None:
        """Remember the shape of a checked task event.

        Only the shape as it came can be met again, so nothing is learned from an event from which
        a field was removed or to which a default was added: such a shape is never looked up with
        success, or is one whose fields are all right.
        """
        if not event["type"].startswith("task-") or len(self._shapes) >= _MOST_SHAPES:
            return
        bare = {name: value for name, value in event.items() if name != "local_received"}
        if not bare.keys() >= _ALWAYS or max(map(len, bare)) > _LONGEST_FIELD:
            return
        if all(type(value) in (str, int, float, type(None), bool) for value in bare.values()):
            self._shapes[(tuple(bare), tuple(map(type, bare.values())))] = _Shape(bare)

    def _bad(self, reason: str) -> None:
        """Count what is left out."""
        self.invalid[reason] = self.invalid.get(reason, 0) + 1


def _is_doubtful(raw: bytes) -> bool:
    """Tell whether texts may hold anything but printable ASCII.

    JSON escapes control characters, so escapes other than of quotes and backslashes are looked for;
    the regular expression is slow (1.5 us an event), so it runs only when there is any backslash.
    """
    if not raw.isascii() or b"\x7f" in raw:
        return True
    return b"\\" in raw and _ESCAPE.search(raw) is not None


def _make_safe(event: Event) -> None:
    """Make every text of an event harmless and short, whatever the event holds."""
    if len(event) > _MOST_FIELDS:
        for name in list(event)[_MOST_FIELDS:]:
            if name not in ("local_received", "timestamp", "clock", "utcoffset", "hostname"):
                del event[name]
    for name, value in list(event.items()):
        kind = type(value)
        if kind is str:
            event[name] = safe_text(value, _TEXT_LIMIT, single_line=name not in _BLOCKS)
        elif kind is list or kind is dict:
            event[name] = _safe_value(value, 3)
        if not name.isprintable() or len(name) > _NAME_LIMIT:
            event[safe_text(name, _NAME_LIMIT)] = event.pop(name)


def _safe_value(value: Any, levels: int) -> Any:
    """Make a nested value harmless; what is too deep or too long becomes text."""
    if type(value) is str:
        return safe_text(value, _NAME_LIMIT)
    if type(value) is list:
        if levels and len(value) <= _LISTED:
            return [_safe_value(item, levels - 1) for item in value]
        return safe_text(value, _NAME_LIMIT)
    if type(value) is dict:
        if levels and len(value) <= _LISTED:
            return {
                safe_text(name, _NAME_LIMIT): _safe_value(item, levels - 1)
                for name, item in value.items()
            }
        return safe_text(value, _NAME_LIMIT)
    return value
