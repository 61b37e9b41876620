"""Reading recorded events: the lines of `tq events --record`, and of `-o jsonl`."""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import IO, Any

from tq.brokers.base import Message
from tq.errors import ConfigError
from tq.events.reading import EventReader

__all__ = ["GapLine", "RecordedEvent", "Recording"]

_LONGEST_LINE = 4 * 1024 * 1024


@dataclass(frozen=True)
class RecordedEvent:
    """One event, and what the recorder knew of it.

    Attributes:
        event: As it was received: checked, its texts harmless.
        name: The task's name, when the event has none of its own.
        source: Where it came from: `live` or `inspect`.
    """

    event: dict[str, Any]
    name: str | None
    source: str


@dataclass(frozen=True)
class GapLine:
    """A time in which events were missed; wall timestamps."""

    start: float
    end: float | None


@dataclass
class Recording:
    """A file of recorded events.

    Attributes:
        path: The file; `-` is stdin.
        broker: Where the events came from, from the header.
        invalid: Lines that could not be read, by reason.
    """

    path: str
    broker: str = ""
    invalid: Counter[str] = field(default_factory=Counter)

    def read(self, file: IO[bytes]) -> Iterator[RecordedEvent | GapLine]:
        """Give what is in the file, in order.

        Raises:
            ConfigError: It is no recording.
        """
        reader = EventReader()
        header = _object(file.readline(_LONGEST_LINE))
        if header is None or header.get("tq") != "header":
            raise ConfigError(f"--replay: {self.path} is no recording: it has no header line")
        if header.get("version") != 1:
            raise ConfigError(f"--replay: {self.path} has version {header.get('version')!r}, not 1")
        self.broker = str(header.get("broker") or "")
        while raw := file.readline(_LONGEST_LINE):
            line = _object(raw)
            if line is None:
                self.invalid["not_object"] += 1
            elif "tq" in line:
                if line["tq"] == "gap":
                    yield GapLine(_number(line.get("from")), _number(line.get("to")) or None)
            else:
                yield from self._events(reader, line)
        self.invalid.update(reader.invalid)

    def _events(self, reader: EventReader, line: dict[str, Any]) -> Iterator[RecordedEvent]:
        """Check an event as one that comes from the broker is checked."""
        received = line.pop("_recv", None)
        name, source = line.pop("_name", None), line.pop("_src", None)
        at = _number(received) / 1e9
        # Its timestamp was put into the recorder's time already: nothing is to be added.
        own = _number(line.get("utcoffset"))
        message = Message(body=json.dumps(line).encode(), content_type="application/json")
        for event in reader.read(message, at, own):
            yield RecordedEvent(
                event,
                name if isinstance(name, str) else None,
                "inspect" if source == "inspect" else "live",
            )


def _object(raw: bytes) -> dict[str, Any] | None:
    try:
        value = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _number(value: Any) -> float:
    """Return a finite number, or 0."""
    good = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300
    return float(value) if good else 0.0
