"""The rows of the Events screen: the stream as it arrives, filtered, frozen or sampled."""

import math
from bisect import bisect_left
from collections import deque
from collections.abc import Hashable, Iterator, Sequence
from time import localtime, perf_counter

from tq.monitor import ClusterState
from tqconsole.tui.model.columns import (
    Column,
    Placed,
    header_cells,
    layout_of,
    line_cells,
    place,
)
from tqconsole.tui.model.event_fields import as_task, detail_of, name_of, type_cell
from tqconsole.tui.model.event_log import Entry, EventLog
from tqconsole.tui.model.filters import EVERYTHING, Filter
from tqconsole.tui.model.format import UNKNOWN, Cell, Glyphs, clock_ms, width_of
from tqconsole.tui.model.task_columns import short_id
from tqconsole.tui.model.task_fields import Context

__all__ = ["EventRows"]

READABLE = 30.0  # rows per second beyond which following shows a sample
_SAMPLED_OVER = 1.0
_BEATS = "worker-heartbeat"
_SLICE = 0.008  # seconds of a frame for applying the filter to what is kept
_CHUNK = 64


class EventRows:
    """Events, newest first. Owned by the event loop.

    Attributes:
        marked: Always empty: events are looked at, nothing is done to them.
        hints: Lines shown while there are no rows.
        filter: What is shown, applied to the task an event tells of.
        hide_beats: Whether heartbeats are left out.
        times: `local` shows times of the day here, all else UTC.
        frozen: Whether the rows stand still.
        missed: Events that arrived since.
        sample: One in how many events is shown while following; 1 is all.
        speed: Events per second that match, over the last second.
    """

    def __init__(self, log: EventLog, state: ClusterState, symbols: Glyphs) -> None:
        """Show the events of `log`; `state` knows the names of tasks."""
        self.log = log
        self.state = state
        self.symbols = symbols
        self.marked: set[str] = set()
        self.hints: Sequence[Sequence[Cell]] = ()
        self.filter: Filter = EVERYTHING
        self.hide_beats = False
        self.times = "age"
        self.frozen = False
        self.missed = 0
        self.sample = 1
        self.speed = 0.0
        self.context = Context(0.0)
        self._numbers: list[int] = []
        self._pending: list[int] = []
        self._blame: Iterator[str | None] | None = None
        self._culprit: str | None = None
        self._held: dict[int, Entry] = {}
        self._seen = 0
        self._phase = 0
        self._arrivals: deque[tuple[float, int]] = deque()
        self._placed: tuple[int, list[Placed[Entry]]] | None = None
        self._columns = self._make_columns()

    # Taking in

    def update(self, now: float, following: bool) -> None:
        """Take in what arrived; `following` allows a sample to be shown instead of everything."""
        self.context.now = now
        log = self.log
        if self.frozen:
            self.missed = log.next - self._seen
            self._search_on()
            return
        fresh = log.since(self._seen)
        self._seen = log.next
        kept = [entry for entry in fresh if self._keeps(entry)]
        self._measure(now, kept)
        wanted = max(1, math.ceil(self.speed / READABLE)) if following else 1
        sampled_before = self.sample > 1
        self.sample = wanted
        if sampled_before and wanted == 1:
            self.rebuild()  # what was left out is there after all
            return
        self._numbers += [entry.number for entry in self._some(kept)]
        for numbers in (self._numbers, self._pending):
            del numbers[: bisect_left(numbers, log.first)]
        self._search_on()

    def _measure(self, now: float, entries: Sequence[Entry]) -> None:
        """Count what arrived in the last second; a screen just opened takes in much that is old."""
        arrivals = self._arrivals
        recent = sum(now - entry.arrived < _SAMPLED_OVER for entry in entries if not entry.note)
        if recent:
            arrivals.append((now, recent))
        while arrivals and not 0.0 <= now - arrivals[0][0] < _SAMPLED_OVER:
            arrivals.popleft()
        self.speed = sum(number for _, number in arrivals) / _SAMPLED_OVER

    def _some(self, entries: Sequence[Entry]) -> Sequence[Entry]:
        """Return every `sample`-th event, and all notes."""
        if self.sample == 1:
            return entries
        chosen: list[Entry] = []
        for entry in entries:
            if entry.note:
                chosen.append(entry)
                continue
            self._phase += 1
            if self._phase >= self.sample:
                self._phase = 0
                chosen.append(entry)
        return chosen

    def _keeps(self, entry: Entry) -> bool:
        if entry.note:
            return True
        if self.hide_beats and entry.type == _BEATS:
            return False
        if self.filter is EVERYTHING:
            return True
        return self.filter.test(as_task(entry.event, self.state), self.context)

    def rebuild(self) -> None:
        """Choose the rows anew, from everything that is kept or held."""
        entries = self._entries()
        self._culprit, self._blame = None, None
        if self.filter is EVERYTHING:
            self._pending = []
            self._numbers = [entry.number for entry in entries if self._keeps(entry)]
        else:
            self._numbers, self._pending = [], [entry.number for entry in entries]
            self._search_on()
        self.sample = 1
        if not self.frozen:
            self._seen = self.log.next

    def _entries(self) -> list[Entry]:
        return list(self._held.values()) if self.frozen else self.log.since(0)

    @property
    def searched(self) -> float:
        """Share of the entries that the filter has been applied to, 0..1."""
        return 1.0 - len(self._pending) / max(1, self.kept) if self._pending else 1.0

    def finish_search(self) -> None:
        """Apply the filter to all that is left."""
        while self._pending:
            self._search_on()

    def _search_on(self) -> None:
        """Apply the filter to the newest entries it has not seen yet, for one slice of time."""
        pending, until = self._pending, perf_counter() + _SLICE
        while pending and perf_counter() < until:
            chunk = pending[-_CHUNK:]
            del pending[-_CHUNK:]
            entries = (self._entry(number) for number in chunk)
            found = [entry.number for entry in entries if entry is not None and self._keeps(entry)]
            self._numbers = found + self._numbers

    def _entry(self, number: int) -> Entry | None:
        return self._held.get(number) if self.frozen else self.log.get(number)

    @property
    def kept(self) -> int:
        """How many entries the rows are chosen from."""
        return len(self._held) if self.frozen else len(self.log)

    def explain(self) -> str | None:
        """Name the term of the filter that left nothing; None until that is known.

        Like searching, this goes on for one slice of time at each call.
        """
        if self._pending or not self.filter.terms:
            return None
        if self._blame is None:
            tasks = (as_task(e.event, self.state) for e in self._entries() if not e.note)
            self._blame = self.filter.blame(self.context, tasks)
        until = perf_counter() + _SLICE
        for culprit in self._blame:
            self._culprit = culprit
            if culprit is not None or perf_counter() >= until:
                break
        return self._culprit

    def freeze(self) -> None:
        """Stand still: everything kept now stays, whatever arrives."""
        self._held = {entry.number: entry for entry in self.log.since(0)}
        self.frozen = True
        self.missed = 0
        self._seen = self.log.next
        if self.sample > 1:
            self.rebuild()

    def thaw(self) -> None:
        """Go on with the present."""
        self.frozen = False
        self.missed = 0
        self._held = {}
        self.rebuild()

    # Rows

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self._numbers)

    def item(self, index: int) -> Entry:
        """Return the entry of a row; one that was evicted a moment ago is an empty note."""
        number = self._numbers[-1 - index]
        return self._entry(number) or Entry(number, 0.0, note="no longer kept")

    def get(self, key: str | None) -> Entry | None:
        """Return an entry by its key."""
        if key is None:
            return None
        at = self.index_of(key)
        return None if at is None else self.item(at)

    def key(self, index: int) -> str:
        """Return an entry's number."""
        return str(self._numbers[-1 - index])

    def index_of(self, key: str) -> int | None:
        """Return the row of an entry."""
        number = int(key)
        at = bisect_left(self._numbers, number)
        if at >= len(self._numbers) or self._numbers[at] != number:
            return None
        return len(self._numbers) - 1 - at

    def stamp(self, index: int) -> Hashable:
        """Return what a row's look depends on."""
        entry = self.item(index)
        return entry.number, entry.note, self.times, name_of(entry.event, self.state)

    def cells(self, index: int, width: int) -> Sequence[Cell]:
        """Return a row."""
        entry = self.item(index)
        if entry.note:
            text = f" {entry.note} "
            rule = self.symbols.rule
            rest = max(0, width - width_of(text) - 2)
            return Cell(rule * 2, "rule"), Cell(text, "warning"), Cell(rule * rest, "rule")
        return line_cells(entry, self.placed(width), self.symbols.ellipsis)

    def layout(self, width: int) -> Hashable:
        """Return how a width is shared between the columns."""
        return layout_of(self.placed(width))

    def header(self, width: int) -> Sequence[Cell]:
        """Return the headings."""
        return header_cells(self.placed(width), "", "", self.symbols.ellipsis)

    def empty(self, width: int) -> Sequence[Sequence[Cell]]:
        """Return the lines shown while there are no rows."""
        return self.hints

    def show_times(self, how: str) -> None:
        """Show times of the day here, or in UTC."""
        self.times = how
        self._columns = self._make_columns()
        self._placed = None

    def placed(self, width: int) -> list[Placed[Entry]]:
        """Return the columns with their widths."""
        basis = width * 10_000 + max(
            [10, *(len(name) for name in self.state.names), *map(len, self.state.workers)]
        )
        if self._placed is None or self._placed[0] != basis:
            wanted = {
                "name": max([10, *map(len, self.state.names)]),
                "worker": max([8, *map(len, self.state.workers)]),
            }
            self._placed = (basis, place(self._columns, width, wanted))
        return self._placed[1]

    def _make_columns(self) -> list[Column[Entry]]:
        symbols, state = self.symbols, self.state

        def moment(entry: Entry) -> Cell:
            shift = localtime(entry.arrived).tm_gmtoff if self.times == "local" else 0
            return Cell(clock_ms(entry.arrived, shift), "muted")

        def name(entry: Entry) -> Cell:
            found = name_of(entry.event, state)
            if found:
                return Cell(found, "name")
            return Cell(UNKNOWN if "uuid" in entry.event else "", "muted")

        def task_id(entry: Entry) -> Cell:
            return Cell(short_id(str(entry.event.get("uuid", ""))), "muted")

        def worker(entry: Entry) -> Cell:
            return Cell(str(entry.event.get("hostname", UNKNOWN)))

        def detail(entry: Entry) -> Cell:
            return Cell(f"  {detail_of(entry.event)}", "muted")

        return [
            Column("time", "ARRIVED" if self.times == "local" else "ARRIVED Z", moment, 12, rank=2),
            Column("type", "  TYPE", lambda e: type_cell(e.event, symbols), 16, 18, rank=1),
            Column("name", "NAME", name, 10, 44, rank=0),
            Column("id", "ID", task_id, 8, rank=4),
            Column("worker", "WORKER", worker, 8, 30, rank=3),
            Column("detail", "  DETAIL", detail, 12, 400, rank=9, extra=True),
        ]  # fmt: skip
