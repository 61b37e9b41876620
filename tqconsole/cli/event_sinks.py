"""Where events go: to stdout as lines, to stdout as rates, into a file."""

import json
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import IO, Any, Protocol

import click

from tq.monitor.dump import CONNECTION_LOST, CeleryDump, JsonDump, LineDump
from tqconsole.cli.output import note

__all__ = ["LineSink", "RateSink", "RecordSink", "Sink", "json_lines"]

Event = dict[str, Any]

_HEAD = (
    "TIME UTC  EVENTS   SENT   RECV  START     OK   FAIL  RETRY REVOKE REJECT   BY"  # per second
)
_HEAD_EVERY = 20
_RATED = ("sent", "received", "started", "succeeded", "failed", "retried", "revoked", "rejected")


class Sink(Protocol):
    """Takes in what a stream gives; `source` is `live`, `inspect` or `replay`."""

    def begin(self) -> None:
        """Write what comes first."""
        ...

    def write(self, events: Sequence[Event], source: str) -> None:
        """Take events."""
        ...

    def learn(self, uuid: str, name: str) -> None:
        """Take over a task's name that no event will tell."""
        ...

    def gap(self, start: float, end: float | None, reason: str) -> None:
        """Take note that events are missed, and again with its end when they are received again."""
        ...

    def tick(self) -> None:
        """Do what is due without events."""
        ...

    def close(self) -> None:
        """Write what comes last."""
        ...


def json_lines(url: str) -> JsonDump:
    """Return the format of recordings and of `-o jsonl`, for a stream that begins now."""
    return JsonDump(url, datetime.now(UTC).isoformat().replace("+00:00", "Z"))


class LineSink:
    """Writes a line for each event to stdout, flushed after every batch."""

    def __init__(self, form: str, url: str) -> None:
        """Choose the form: `celery`, `line` or `jsonl`; `url` is the broker's, for the header."""
        self._lines: CeleryDump | LineDump | JsonDump
        self._gap: float | None = None
        if form == "jsonl":
            self._lines = json_lines(url)
        else:
            self._lines = LineDump() if form == "line" else CeleryDump()

    def begin(self) -> None:
        """Write the header."""
        self._print(list(self._lines.header()))

    def write(self, events: Sequence[Event], source: str) -> None:
        """Write the events."""
        lines = self._lines
        if isinstance(lines, JsonDump):
            lines.source = source
        self._print([lines.line(event) for event in events])

    def learn(self, uuid: str, name: str) -> None:
        """Take over a task's name; Celery's lines show a task's label only after its event."""
        if not isinstance(self._lines, CeleryDump):
            self._lines.learn(uuid, name)

    def gap(self, start: float, end: float | None, reason: str) -> None:
        """Write that the connection was lost, for people at once, for programs with its end."""
        if isinstance(self._lines, JsonDump):
            self._gap = start if end is None else None
            self._print([self._lines.gap(start, end)] if end is not None else [])
        elif end is not None:
            return
        elif isinstance(self._lines, CeleryDump):
            self._print([CONNECTION_LOST])
        else:
            note(f"connection lost: {reason}")

    def tick(self) -> None:
        """Do nothing: all is written at once."""

    def close(self) -> None:
        """Write that events were missed up to the end, if they were."""
        if self._gap is not None and isinstance(self._lines, JsonDump):
            self._print([self._lines.gap(self._gap, None)])

    def _print(self, lines: list[str]) -> None:
        if lines:
            sys.stdout.write("\n".join(lines) + "\n")
            sys.stdout.flush()


class RecordSink:
    """Writes events into a file, from which `--replay` reads them.

    Raises:
        UsageError: The file cannot be made.
        ClickException: It cannot be written to, as when the disk is full.
    """

    def __init__(self, path: str, url: str) -> None:
        """Make the file, which must not be there yet; only its owner may read it."""
        self._path, self._lines = path, json_lines(url)
        self._gap: float | None = None
        try:
            # Arguments and results are in it: nobody else is to read them.
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            raise click.UsageError(f"--record: {path} is there already") from None
        except OSError as error:
            raise click.UsageError(f"--record: {path}: {error.strerror}") from None
        self._file: IO[str] = os.fdopen(descriptor, "w", encoding="utf-8")

    def begin(self) -> None:
        """Write the header."""
        self._write(list(self._lines.header()))

    def write(self, events: Sequence[Event], source: str) -> None:
        """Write the events."""
        self._lines.source = source
        self._write([self._lines.line(event) for event in events])

    def learn(self, uuid: str, name: str) -> None:
        """Take over a task's name."""
        self._lines.learn(uuid, name)

    def gap(self, start: float, end: float | None, reason: str) -> None:
        """Write when events were missed, as soon as the end is known."""
        self._gap = start if end is None else None
        if end is not None:
            self._write([self._lines.gap(start, end)])

    def tick(self) -> None:
        """Do nothing: all is written at once."""

    def close(self) -> None:
        """Close the file."""
        try:
            if self._gap is not None:
                self._write([self._lines.gap(self._gap, None)])
            self._file.close()
        except OSError as error:
            raise click.ClickException(f"--record: {self._path}: {error.strerror}") from None

    def _write(self, lines: list[str]) -> None:
        try:
            self._file.writelines(line + "\n" for line in lines)
            self._file.flush()
        except OSError as error:
            raise click.ClickException(f"--record: {self._path}: {error.strerror}") from None


class RateSink:
    """Counts events, and writes a line of rates to stdout at each interval.

    Args:
        interval: Seconds.
        as_json: Write objects instead of text.
        monotonic: The clock, in seconds.
    """

    def __init__(
        self,
        interval: float,
        *,
        as_json: bool = False,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin to count."""
        self._interval, self._json, self._clock = interval, as_json, monotonic
        self._counts: Counter[str] = Counter()
        self._workers: set[str] = set()
        self._lines = 0
        self._since = monotonic()

    def begin(self) -> None:
        """Begin the first interval."""
        self._since = self._clock()

    def write(self, events: Sequence[Event], source: str) -> None:
        """Count events that happened; what workers hold from before did not happen now."""
        if source == "inspect":
            return
        for event in events:
            kind = str(event["type"])
            self._counts[kind] += 1
            if kind != "task-sent":
                self._workers.add(str(event["hostname"]))

    def learn(self, uuid: str, name: str) -> None:
        """Do nothing: rates have no names."""

    def gap(self, start: float, end: float | None, reason: str) -> None:
        """Say that figures are too low."""
        if end is None:
            note(f"connection lost, figures are too low: {reason}")

    def tick(self) -> None:
        """Write a line when an interval is over."""
        now = self._clock()
        if now - self._since >= self._interval:
            self._print(now - self._since)
            self._since = now

    def close(self) -> None:
        """Write the interval that was not over, if anything happened in it."""
        if self._counts:
            self._print(max(self._clock() - self._since, 1e-3))

    def _print(self, seconds: float) -> None:
        rates = {name: self._counts[f"task-{name}"] / seconds for name in _RATED}
        total, workers = self._counts.total() / seconds, len(self._workers)
        self._counts.clear()
        self._workers.clear()
        now = datetime.now(UTC)
        if self._json:
            at = now.isoformat(timespec="milliseconds").replace("+00:00", "Z")
            figures = {name: round(rate, 3) for name, rate in {"events": total, **rates}.items()}
            row = {"tq": "rates", "at": at, "seconds": round(seconds, 3), **figures}
            text = json.dumps({**row, "workers": workers}, separators=(",", ":"))
        else:
            if self._lines % _HEAD_EVERY == 0 and (not self._lines or sys.stdout.isatty()):
                sys.stdout.write(_HEAD + "\n")
            self._lines += 1
            text = f"{now:%H:%M:%S}Z{_figure(total)}"
            text += "".join(map(_figure, rates.values())) + f"{workers:>5}"
        sys.stdout.write(text + "\n")
        sys.stdout.flush()


def _figure(rate: float) -> str:
    """Write a rate in seven places."""
    return f"{rate:7.1f}" if rate < 10_000 else f"{rate:7.0f}"
