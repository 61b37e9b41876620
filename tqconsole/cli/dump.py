"""The event stream: `tq events --dump`, `--stats`, `--record`, `--replay`, and the demo's lines."""

import selectors
import signal
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import nullcontext
from typing import IO, TYPE_CHECKING, Any

from tq.control import Control
from tq.errors import ConfigError
from tq.monitor import TaskInfo
from tqconsole.cli import exits
from tqconsole.cli.event_choice import EventChoice
from tqconsole.cli.event_sinks import LineSink, RateSink, RecordSink, Sink
from tqconsole.cli.held import Held
from tqconsole.cli.listening import receiver
from tqconsole.cli.output import note
from tqconsole.cli.recording import GapLine, Recording

if TYPE_CHECKING:
    from tq import TQ

__all__ = ["FORMS", "Dump", "replay"]

FORMS = ("celery", "line", "jsonl")
_FLUSH_SECONDS = 0.1  # in a pipe; on a terminal every batch is flushed
_ANSWER_SECONDS = 1.0


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


class _Output:
    """Chooses among events, counts them and hands them to the sinks."""

    def __init__(self, choice: EventChoice, sinks: Sequence[Sink], limit: int | None) -> None:
        """Print at most `limit` events."""
        self.choice, self.sinks, self.limit = choice, sinks, limit
        self.printed = 0

    @property
    def over(self) -> bool:
        """Whether no more events are wanted."""
        return self.choice.over or (self.limit is not None and self.printed >= self.limit)

    def write(self, events: Sequence[dict[str, Any]], source: str = "live") -> None:
        """Write what is wanted of some events."""
        chosen = self.choice.chosen(events, time.time())
        if self.limit is not None:
            chosen = chosen[: self.limit - self.printed]
        if chosen:
            self.printed += len(chosen)
            for sink in self.sinks:
                sink.write(chosen, source)

    def begin(self) -> None:
        """Write what comes first."""
        for sink in self.sinks:
            sink.begin()

    def learn(self, uuid: str, name: str) -> None:
        """Take over a task's name that no event will tell."""
        self.choice.know({uuid: TaskInfo(uuid, name=name)})
        for sink in self.sinks:
            sink.learn(uuid, name)

    def gap(self, start: float, end: float | None, reason: str) -> None:
        """Write that events were missed."""
        for sink in self.sinks:
            sink.gap(start, end, reason)

    def tick(self) -> None:
        """Let the sinks do what is due."""
        for sink in self.sinks:
            sink.tick()

    def close(self) -> None:
        """Write what comes last."""
        for sink in self.sinks:
            sink.close()


def _sinks(
    form: str, url: str, stats: float | None = None, record: str | None = None
) -> list[Sink]:
    """Make what the options ask for; the file comes first, so that nothing begins without it."""
    sinks: list[Sink] = [RecordSink(record, url)] if record else []
    if stats is not None:
        return [*sinks, RateSink(stats, as_json=form == "jsonl")]
    return [*sinks, LineSink(form, url)]


class Dump:
    """Receives events and writes them until told to stop.

    Args:
        app: The application, for broker and settings.
        form: `celery`, `line` or `jsonl`.
        choice: Which events; all by default.
        stats: Print rates at this interval in seconds, instead of the events.
        record: A file that gets the events too.
        bootstrap: Print what workers hold first.
    """

    def __init__(
        self,
        app: "TQ",
        *,
        form: str = "celery",
        choice: EventChoice | None = None,
        stats: float | None = None,
        record: str | None = None,
        bootstrap: bool = False,
    ) -> None:
        """Prepare; nothing is received before `run`."""
        self._app = app
        self._form = form
        self._choice = choice or EventChoice()
        self._stats, self._record, self._bootstrap = stats, record, bootstrap
        self._gaps = 0
        self._missing = False
        self._receiver = receiver(app)

    def run(
        self, *, limit: int | None = None, seconds: float | None = None, quiet: bool = False
    ) -> int:
        """Print events until a limit, a time, or an interrupt; returns the exit code.

        Raises:
            BrokerConnectionError: The broker does not answer at the start; later it is waited for.
            BrokenPipeError: Nobody reads any more.
            ClickException: The recording cannot be written.
        """
        self._app.broker.ping(self._app.conf.broker_connection_timeout or 4.0)
        sinks = _sinks(self._form, self._app.broker.url, self._stats, self._record)
        output = _Output(self._choice, sinks, limit)
        output.begin()
        if threading.current_thread() is threading.main_thread():
            # A supervisor ends this with TERM: the event queue's binding must go then too.
            signal.signal(signal.SIGTERM, _interrupt)
        self._receiver.start()
        deadline = None if seconds is None else time.monotonic() + seconds
        try:
            if self._bootstrap:
                # The subscription stands already: what changes meanwhile comes as events.
                self._write_held(output)
            self._loop(output, deadline)
        except KeyboardInterrupt:
            return exits.INTERRUPTED
        finally:
            self._receiver.close()
            output.close()
            if self._form != "celery" and self._stats is None:
                self._summary(output.printed, quiet)
        return exits.OK

    def _write_held(self, output: _Output) -> None:
        """Write the workers that answer, and what they hold, as events."""
        control = Control(self._app, read_only=True)
        try:
            held = Held(control, _ANSWER_SECONDS)
            while True:
                held.poll(time.time())
                if held.done:
                    break
                control.mailbox.pump(0.1)
        finally:
            control.close()
        output.choice.know(held.tasks)
        now = time.time()
        for node in sorted(held.workers):
            output.write([_event("worker-heartbeat", node, now)], "inspect")
        for task in held.tasks.values():
            output.write(_events_of(task, now), "inspect")

    def _loop(self, output: _Output, deadline: float | None) -> None:
        terminal = sys.stdout.isatty()
        with selectors.DefaultSelector() as selector:
            selector.register(self._receiver.fileno(), selectors.EVENT_READ)
            while not output.over:
                wait = min(1.0, self._stats or 1.0)
                if deadline is not None:
                    wait = min(wait, deadline - time.monotonic())
                    if wait <= 0:
                        return
                selector.select(wait)
                if not terminal:
                    # Lets a batch grow instead of waking up for each event of a busy cluster.
                    time.sleep(min(_FLUSH_SECONDS, wait))
                self._report_gaps(output)
                output.write([e for batch in self._receiver.drain() for e in batch.events])
                output.tick()

    def _report_gaps(self, output: _Output) -> None:
        """Tell of gaps that began, and of the one that ended."""
        gaps = self._receiver.gaps
        for gap in list(gaps)[self._gaps :]:
            output.gap(gap.start, None, gap.reason)
            self._missing = True
        self._gaps = len(gaps)
        if self._missing and gaps[-1].end is not None:
            output.gap(gaps[-1].start, gaps[-1].end, gaps[-1].reason)
            self._missing = False

    def _summary(self, printed: int, quiet: bool) -> None:
        receiver = self._receiver
        text = f"{printed} events printed, {receiver.received} received"
        if receiver.dropped:
            text += f", {receiver.dropped} dropped"
        invalid = sum(receiver.invalid.values())
        if invalid:
            text += f", {invalid} unreadable"
        note(text, quiet)


def _event(kind: str, node: str, timestamp: float, **fields: Any) -> dict[str, Any]:
    """Build what an event would have told."""
    return {
        "type": kind,
        "hostname": node,
        "timestamp": timestamp,
        "utcoffset": 0,
        "clock": 0,
        **fields,
    }


def _events_of(task: TaskInfo, now: float) -> list[dict[str, Any]]:
    """Build the events that a listener from the beginning would have had of a held task."""
    node, moment = task.worker or "?", task.started or now
    known = {
        "uuid": task.uuid, "name": task.name, "args": task.args, "kwargs": task.kwargs,
        "root_id": task.root_id, "queue": task.queue, "eta": task.eta,
    }  # fmt: skip
    told = {name: value for name, value in known.items() if value is not None}
    events = [_event("task-received", node, moment, **told)]
    if task.state == "STARTED":
        events.append(_event("task-started", node, moment, uuid=task.uuid, pid=task.pid))
    return events


def replay(
    path: str,
    *,
    form: str,
    choice: EventChoice,
    limit: int | None,
    record: str | None = None,
    quiet: bool = False,
) -> int:
    """Print recorded events as if they happened now, as fast as they can be read.

    Raises:
        ConfigError: The file cannot be read, or is no recording.
    """
    recording = Recording(path)
    try:
        file: Any = nullcontext(sys.stdin.buffer) if path == "-" else open(path, "rb")  # noqa: SIM115 - in the `with` below
    except OSError as error:
        raise ConfigError(f"--replay: {path}: {error.strerror}") from None
    with file as stream:
        output = _print_recording(recording, stream, form, choice, limit, record)
    invalid = sum(recording.invalid.values())
    if form != "celery" or invalid:
        note(f"{output.printed} events printed, {invalid} unreadable", quiet)
    return exits.OK


def _print_recording(
    recording: Recording,
    stream: IO[bytes],
    form: str,
    choice: EventChoice,
    limit: int | None,
    record: str | None,
) -> _Output:
    items = recording.read(stream)
    first = next(items, None)  # reads the header, which names the broker
    output = _Output(choice, _sinks(form, recording.broker, None, record), limit)
    output.begin()
    while first is not None and not output.over:
        if isinstance(first, GapLine):
            output.gap(first.start, None, "not recorded")
            if first.end is not None:
                output.gap(first.start, first.end, "not recorded")
        else:
            event = first.event
            uuid = event.get("uuid")
            if first.name is not None and isinstance(uuid, str) and "name" not in event:
                # The recorder knew it from an event that a filter kept out of the file.
                output.learn(uuid, first.name)
            output.write([event], first.source)
        first = next(items, None)
    output.close()
    return output
