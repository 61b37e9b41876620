"""Events as lines of text: Celery's own format, one for people, and JSON for programs.

Pure: what comes out is text; who writes it decides where and when.

Source: CLI 2 `events`, CONSOLE 6.4; celery/events/dumper.py, `Dumper`.
"""

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from tq.saferepr import safe_text

__all__ = [
    "CELERY_HEADER",
    "CONNECTION_LOST",
    "CeleryDump",
    "JsonDump",
    "LineDump",
]

Event = Mapping[str, Any]

CELERY_HEADER = "-> evdump: starting capture..."
CONNECTION_LOST = "-> Connection lost, attempting reconnect"

_NAMES_KEPT = 4095
_HUMAN_TYPES = {
    "worker-offline": "shutdown",
    "worker-online": "started",
    "worker-heartbeat": "heartbeat",
}
_LABELLED = frozenset({"task-received", "task-sent"})
_GLYPHS = {
    "sent": "·",
    "received": "▸",
    "started": "▶",
    "succeeded": "✔",
    "failed": "✘",
    "retried": "↻",
    "revoked": "⊘",
    "rejected": "⊘",
}
_SHORT_ID = 8
_json = msgspec.json.Encoder(enc_hook=str)


class _Names:
    """The newest labels of tasks by id."""

    def __init__(self, limit: int = _NAMES_KEPT) -> None:
        """Keep at most `limit`."""
        self._limit = limit
        self._labels: OrderedDict[str, str] = OrderedDict()

    def put(self, uuid: str, label: str) -> None:
        """Remember a task's label."""
        self._labels[uuid] = label
        self._labels.move_to_end(uuid)
        if len(self._labels) > self._limit:
            self._labels.popitem(last=False)

    def get(self, uuid: str) -> str:
        """Return a task's label, or an empty text."""
        return self._labels.get(uuid, "")


class CeleryDump:
    """Formats events exactly as `celery events --dump` does."""

    def __init__(self) -> None:
        """Start knowing no task."""
        self._names = _Names()

    def header(self) -> Iterator[str]:
        """Give the line that comes first."""
        yield CELERY_HEADER

    def lines(self, events: Iterable[Event]) -> Iterator[str]:
        """Give one line per event."""
        for event in events:
            yield self.line(event)

    def line(self, event: Event) -> str:
        """Format one event."""
        kind = str(event["type"]).lower()
        hidden = {"type", "timestamp", "hostname"}
        label = None
        if kind.startswith("task-"):
            hidden.add("uuid")
            uuid = event["uuid"]
            if kind in _LABELLED:
                hidden |= {"name", "args", "kwargs"}
                label = (
                    f"{event.get('name')}({uuid}) args={event.get('args')} "
                    f"kwargs={event.get('kwargs')}"
                )
                self._names.put(uuid, label)
            else:
                label = self._names.get(uuid)
        fields = ", ".join(f"{name}={event[name]}" for name in sorted(event) if name not in hidden)
        moment = datetime.fromtimestamp(event["timestamp"], UTC)
        words = _HUMAN_TYPES.get(kind) or kind.replace("-", " ")
        colon = ":" if fields else ""
        middle = "" if label is None else f"{label} "
        # A traceback's newlines stay, as in Celery's dump; everything else was made harmless
        # when it was received.
        return f"{event['hostname']} [{moment}] {words}{colon} {middle}{fields}"


class LineDump:
    """Formats events for people: one short aligned line each."""

    def __init__(self, *, utc: bool = False, ascii_only: bool = False) -> None:
        """Start knowing no task.

        Args:
            utc: Show UTC instead of local time.
            ascii_only: Leave out the glyphs.
        """
        self._names = _Names()
        self._zone = UTC if utc else None
        self._ascii = ascii_only

    def header(self) -> Iterator[str]:
        """Give the lines that come first: none."""
        yield from ()

    def lines(self, events: Iterable[Event]) -> Iterator[str]:
        """Give one line per event."""
        for event in events:
            yield self.line(event)

    def line(self, event: Event) -> str:
        """Format one event; always a single line."""
        group, _, subject = str(event["type"]).partition("-")
        moment = datetime.fromtimestamp(event["timestamp"], self._zone)
        glyph = "" if self._ascii else f"{_GLYPHS.get(subject, '•')} "
        start = f"{moment:%H:%M:%S}.{moment.microsecond // 1000:03d} {glyph}{subject:<9}"
        host = event["hostname"]
        what = self._task(event, subject) if group == "task" else _worker_words(event)
        return safe_text(f"{start} {host:<20} {what}".rstrip())

    def learn(self, uuid: str, name: str) -> None:
        """Take over a task's name that no event will tell."""
        self._names.put(uuid, name)

    def _task(self, event: Event, subject: str) -> str:
        """Describe what happened to a task."""
        uuid = str(event["uuid"])
        if event.get("name"):
            self._names.put(uuid, str(event["name"]))
        words = [self._names.get(uuid) or "?", uuid[:_SHORT_ID]]
        if subject in ("sent", "received"):
            words.append(f"{event.get('args') or ''} {event.get('kwargs') or ''}".strip())
        runtime = event.get("runtime")
        if isinstance(runtime, int | float):
            words.append(f"{runtime:.2f}s")
        words += [
            str(event[name]) for name in ("result", "exception") if event.get(name) is not None
        ]
        return " ".join(words)


def _worker_words(event: Event) -> str:
    """Describe a worker's event, or one of a foreign group."""
    shown = ("active", "processed", "loadavg", "sw_ident", "sw_ver")
    return " ".join(f"{name}={event[name]}" for name in shown if event.get(name) is not None)


class JsonDump:
    """Formats events as JSON lines for programs and recordings."""

    def __init__(self, broker_url: str, started: str, source: str = "live") -> None:
        """Start knowing no task.

        Args:
            broker_url: Where the events come from, the password masked.
            started: ISO 8601 time for the header.
            source: Value of `_src` in each line; may be changed on the way.
        """
        self._names = _Names()
        self._header = {"tq": "header", "version": 1, "broker": broker_url, "started": started}
        self.source = source

    def header(self) -> Iterator[str]:
        """Give the line that comes first."""
        yield _json.encode(self._header).decode()

    def learn(self, uuid: str, name: str) -> None:
        """Take over a task's name that no event will tell."""
        self._names.put(uuid, name)

    def gap(self, start: float, end: float | None) -> str:
        """Give the line that says when events were missed; wall timestamps."""
        return _json.encode({"tq": "gap", "from": start, "to": end}).decode()

    def lines(self, events: Iterable[Event]) -> Iterator[str]:
        """Give one line per event."""
        for event in events:
            yield self.line(event)

    def line(self, event: Event) -> str:
        """Format one event: its own fields, and `_recv` (ns), `_name`, `_src`."""
        uuid, name = event.get("uuid"), event.get("name")
        if isinstance(uuid, str) and isinstance(name, str):
            self._names.put(uuid, name)
        received = event.get("local_received") or event["timestamp"]
        added = {
            "_recv": int(received * 1e9),
            "_name": self._names.get(uuid) or None if isinstance(uuid, str) else None,
            "_src": self.source,
        }
        own = {key: value for key, value in event.items() if key != "local_received"}
        return _json.encode(own | added).decode()
