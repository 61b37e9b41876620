"""The event stream on stdout: `tq events --dump` and the demo without a terminal."""

import fnmatch
import selectors
import signal
import sys
import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol

from tq.monitor.dump import CONNECTION_LOST, CeleryDump, JsonDump, LineDump
from tqconsole.cli import exits
from tqconsole.cli.listening import receiver
from tqconsole.cli.output import note

if TYPE_CHECKING:
    from tq import TQ

__all__ = ["FORMS", "Dump"]

FORMS = ("celery", "line", "jsonl")
_FLUSH_SECONDS = 0.1  # in a pipe; on a terminal every batch is flushed


class _Format(Protocol):
    def header(self) -> Any: ...

    def line(self, event: Any) -> str: ...


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


class Dump:
    """Receives events and writes them until told to stop.

    Args:
        app: The application, for broker and settings.
        form: `celery`, `line` or `jsonl`.
        types: Globs of event types to print; all when empty.
    """

    def __init__(self, app: "TQ", *, form: str = "celery", types: Sequence[str] = ()) -> None:
        """Prepare; nothing is received before `run`."""
        self._app = app
        self._form = form
        self._types = list(types)
        self._printed = 0
        self._gaps = 0
        self._receiver = receiver(app)

    def run(
        self, *, limit: int | None = None, seconds: float | None = None, quiet: bool = False
    ) -> int:
        """Print events until a limit, a time, or an interrupt; returns the exit code.

        Raises:
            BrokerConnectionError: The broker does not answer at the start; later it is waited for.
            BrokenPipeError: Nobody reads any more.
        """
        self._app.broker.ping(self._app.conf.broker_connection_timeout or 4.0)
        lines = self._lines()
        for line in lines.header():
            sys.stdout.write(line + "\n")
        sys.stdout.flush()
        if threading.current_thread() is threading.main_thread():
            # A supervisor ends this with TERM: the event queue's binding must go then too.
            signal.signal(signal.SIGTERM, _interrupt)
        self._receiver.start()
        deadline = None if seconds is None else time.monotonic() + seconds
        try:
            self._loop(lines, limit, deadline)
        except KeyboardInterrupt:
            return exits.INTERRUPTED
        finally:
            self._receiver.close()
            if self._form != "celery":
                self._summary(quiet)
        return exits.OK

    def _lines(self) -> _Format:
        if self._form == "jsonl":
            started = datetime.now(UTC).isoformat().replace("+00:00", "Z")
            return JsonDump(self._app.broker.url, started)
        return LineDump() if self._form == "line" else CeleryDump()

    def _loop(self, lines: _Format, limit: int | None, deadline: float | None) -> None:
        terminal = sys.stdout.isatty()
        with selectors.DefaultSelector() as selector:
            selector.register(self._receiver.fileno(), selectors.EVENT_READ)
            while limit is None or self._printed < limit:
                wait = 1.0 if deadline is None else min(1.0, deadline - time.monotonic())
                if wait <= 0:
                    return
                selector.select(wait)
                if not terminal:
                    # Lets a batch grow instead of waking up for each event of a busy cluster.
                    time.sleep(min(_FLUSH_SECONDS, wait))
                self._report_gaps(lines)
                self._write(lines, limit)

    def _write(self, lines: _Format, limit: int | None) -> None:
        batches = self._receiver.drain()
        events = [event for batch in batches for event in batch.events if self._wanted(event)]
        if limit is not None:
            events = events[: limit - self._printed]
        if events:
            self._printed += len(events)
            sys.stdout.write("".join([lines.line(event) + "\n" for event in events]))
            sys.stdout.flush()

    def _wanted(self, event: Any) -> bool:
        if not self._types:
            return True
        return any(fnmatch.fnmatchcase(event["type"], glob) for glob in self._types)

    def _report_gaps(self, lines: _Format) -> None:
        gaps = list(self._receiver.gaps)
        for gap in gaps[self._gaps :]:
            if isinstance(lines, JsonDump):
                sys.stdout.write(lines.gap(gap.start, gap.end) + "\n")
            elif isinstance(lines, CeleryDump):
                sys.stdout.write(f"{CONNECTION_LOST}\n")
            else:
                note(f"connection lost: {gap.reason}")
        self._gaps = len(gaps)

    def _summary(self, quiet: bool) -> None:
        receiver = self._receiver
        text = f"{self._printed} events printed, {receiver.received} received"
        if receiver.dropped:
            text += f", {receiver.dropped} dropped"
        invalid = sum(receiver.invalid.values())
        if invalid:
            text += f", {invalid} unreadable"
        note(text, quiet)
