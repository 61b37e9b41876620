"""What Flows and Schedules show beyond events, read in a thread while they are looked at."""

import logging
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from tq.beat.overview import overview
from tq.control import Control
from tq.errors import DecodeError, TQError
from tq.monitor import parked
from tq.saferepr import safe_text
from tqconsole.tui.model.lineage import ChordFacts, Lineage, LineageBook, read_children
from tqconsole.tui.model.schedule_book import BeatEntry, Planned, ScheduleBook, read_scheduled

if TYPE_CHECKING:
    from tq import TQ

__all__ = ["Lookups"]

_log = logging.getLogger(__name__)

_ASK_WITHIN = 1.0  # seconds in which workers may say what they hold
_MOST_PARKED = 300
_FIRST_BATCH = 20
_LARGEST_BATCH = 200
_SLOW = 0.1  # seconds of reading results from which a batch was too large: they may be long
_NAME = 512

Done = Callable[[], None]


class Lookups:
    """One thread that reads results and schedules; it begins at the first question.

    Everything public belongs to the event loop; what is found comes back through `drain`.

    Attributes:
        lineage: What results told of how tasks belong together.
        schedules: What waits for its time, as of the last look.
    """

    def __init__(self, app: "TQ") -> None:
        """Look into the broker, the result backend and the settings of `app`."""
        self.lineage = LineageBook()
        self.schedules = ScheduleBook()
        self._app = app
        self._control: Control | None = None
        self._todo: queue.SimpleQueue[Callable[[], Done] | None] = queue.SimpleQueue()
        self._news: deque[Done] = deque()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._reading = self._looking = False
        self._imported = False
        self._backend: Any = None
        self._beside: TQ | None = None  # an application made only for its result backend
        self._batch = _FIRST_BATCH

    def stop(self, deadline: float) -> None:
        """End; what was not begun is not done. `deadline` is monotonic."""
        self._stopping.set()
        self._todo.put(None)
        if self._thread is not None:
            self._thread.join(max(0.0, deadline - time.monotonic()))

    def drain(self) -> None:
        """Hand over what has come back."""
        while self._news:
            self._news.popleft()()

    def _begin(self, errand: Callable[[], Done]) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="console lookups", daemon=True)
            self._thread.start()
        self._todo.put(errand)

    def _run(self) -> None:
        while (errand := self._todo.get()) is not None and not self._stopping.is_set():
            self._news.append(errand())
        if self._control is not None:
            self._control.close()
        if self._beside is not None:
            self._beside.close()

    # Results

    def read_lineage(self, tasks: Sequence[str], groups: Sequence[str]) -> None:
        """Read the results of these tasks and the progress of these chords, newest first.

        One question at a time, and of many tasks as few as can be read quickly; the rest is asked
        for again.
        """
        if self._reading or not (tasks or groups):
            return
        self._reading = True
        some, chords = list(tasks)[: self._batch], list(groups)[:_LARGEST_BATCH]
        self._begin(lambda: self._read(some, chords))

    def _read(self, tasks: list[str], groups: list[str]) -> Done:
        found: dict[str, Lineage] = {}
        chords: dict[str, ChordFacts] = {}
        error: str | None = None
        backend: Any = None
        where = self.lineage.where
        began = time.monotonic()
        try:
            backend, where = self._results()
            if backend is not None:
                found = _lineages(backend, tasks)
                now = time.time()
                progress = backend.chord_progress(groups) if groups else {}
                chords = {
                    group_id: ChordFacts(size, returned, now)
                    for group_id, (size, returned) in progress.items()
                }
        except (TQError, ValueError) as problem:
            error = str(problem)
        spent = time.monotonic() - began
        self._batch = (
            max(1, self._batch // 2) if spent > _SLOW else min(_LARGEST_BATCH, self._batch * 2)
        )

        def done() -> None:
            book = self.lineage
            book.where, book.available, book.error = where, backend is not None, error
            for task_id in tasks if backend is not None and error is None else ():
                book.note(task_id, found.get(task_id))
            for group_id, facts in chords.items():
                book.note_chord(group_id, facts)
            self._reading = False

        return done

    def _results(self) -> tuple[Any, str]:
        """Return the result backend that can be asked, and where it is or why there is none.

        Without a setting, results are looked for where the broker is: that is where they mostly
        are, and reading what is not there costs nothing.
        """
        from tq import TQ  # deferred: the console starts without building a second application

        if self._backend is None:
            app = self._app
            if not app.conf.result_backend:
                if app.broker.driver != "redis":
                    return None, "no result backend is known: give --result-backend URL, or -A"
                url = _broker_url(app)
                app = TQ("console results", broker=url, backend=url, set_as_current=False)
                self._beside = app
            self._backend = app.backend
        backend = self._backend
        if not hasattr(backend, "chord_progress"):
            return None, f"the result backend {backend.url} does not keep how tasks belong together"
        return backend, str(backend.url)

    # Schedules

    def read_schedules(self) -> None:
        """Look what waits for its time."""
        if not self._looking:
            self._looking = True
            self._begin(self._look)

    def _look(self) -> Done:
        now = time.time()
        entries, leader, entries_error = self._entries(now)
        planned: list[Planned] = []
        answered: list[str] = []
        held: int | None = None
        error: str | None = None
        try:
            for node, reply in self._scheduled():
                answered.append(node)
                planned.extend(read_scheduled(node, reply))
            found = parked(self._app.broker, _MOST_PARKED)
            if found is not None:
                held = found[0]
                planned.extend(_planned(due, task) for due, task in found[1])
        except TQError as problem:
            error = str(problem)
        book = ScheduleBook(
            as_of=now,
            entries=entries,
            leader=leader,
            entries_error=entries_error,
            planned=tuple({item.id: item for item in planned}.values()),
            parked=held,
            planned_error=error,
            answered=tuple(answered),
        )

        def done() -> None:
            self.schedules = book
            self._looking = False

        return done

    def _scheduled(self) -> list[tuple[str, Any]]:
        """Ask the workers what they hold until its time."""
        if self._control is None:
            self._control = Control(self._app, read_only=True)
        call = self._control.start("scheduled", timeout=_ASK_WITHIN)
        return [(reply.node, reply.value) for reply in call.wait()]

    def _entries(self, now: float) -> tuple[tuple[BeatEntry, ...], str | None, str | None]:
        """Read the application's periodic tasks: entries, the beat that leads, what is wrong."""
        try:
            if not self._imported:
                self._imported = True
                self._app.import_default_modules()
            found = overview(self._app, now)
        except Exception as problem:  # the application's own modules may raise anything
            _log.info("beat_schedule cannot be read: %s", problem)
            return (), "", safe_text(f"{type(problem).__name__}: {problem}", _NAME)
        rows = (
            BeatEntry(
                name=safe_text(row.name, _NAME),
                task=safe_text(row.task, _NAME),
                schedule=safe_text(row.schedule, _NAME),
                next_due=row.next_due,
                last_run_at=row.last_run_at,
                runs=row.total_run_count,
            )
            for row in found.rows
        )
        return tuple(rows), found.leader, None


def _broker_url(app: "TQ") -> str:
    """Return the URL of the broker, of several the first; a private server's is its socket."""
    given = app.conf.broker_url
    first = given if isinstance(given, str) or given is None else next(iter(given), None)
    url = (first or "").partition(";")[0]
    private = not url or url.startswith(("embedded:", "tq:"))
    return str(app.broker.url) if private else url


def _lineages(backend: Any, tasks: list[str]) -> dict[str, Lineage]:
    """Read results; one that cannot be read does not hide the others."""
    try:
        records = backend.fetch(tasks)
    except DecodeError:
        if len(tasks) <= 1:
            return {}
        half = len(tasks) // 2
        return _lineages(backend, tasks[:half]) | _lineages(backend, tasks[half:])
    found: dict[str, Lineage] = {}
    for task_id, record in records.items():
        children, groups = read_children(record.children)
        found[task_id] = Lineage(record.group_id, record.parent_id, children, groups)
    return found


def _planned(due: float, task: Any) -> Planned:
    return Planned(
        id=safe_text(task.id, _NAME),
        name=safe_text(task.name or "", _NAME),
        due=due,
        holder="broker",
        queue=safe_text(task.queue, _NAME),
        args=task.args,
        kwargs=task.kwargs,
        why="retry" if task.retries else "eta",
    )
