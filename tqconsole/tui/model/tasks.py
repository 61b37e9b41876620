"""The rows of the Tasks screen: which tasks, in which order, looking how."""

import copy
import time
from bisect import bisect_left
from collections.abc import Hashable, Iterator, Sequence
from itertools import chain
from typing import Any

from tq.monitor import ClusterState, TaskInfo
from tqconsole.tui.model.columns import Placed, header_cells, layout_of, line_cells, place
from tqconsole.tui.model.facts import Gap
from tqconsole.tui.model.filters import EVERYTHING, Filter
from tqconsole.tui.model.format import (
    Cell,
    Glyphs,
    age,
    clock,
    duration,
)
from tqconsole.tui.model.task_columns import task_columns
from tqconsole.tui.model.task_fields import Context, age_of, runtime_of

__all__ = ["SORTS", "TaskRows"]

SORTS = ("age", "state", "name", "worker", "queue", "run", "tries")
FINISHED = frozenset({"SUCCESS", "REVOKED", "REJECTED"})
_SORT_SHARE = 10.0  # sorting may take a tenth of the time, whatever the number of rows
_SORT_PAUSE = 0.5  # seconds between two sorts at least

_SLICE = 0.007  # seconds of searching in one frame; the last chunk may take one more
_CHUNK = 250  # tasks between two looks at the clock

Item = TaskInfo | Gap


class TaskRows:
    """Tasks that match a filter, newest first or sorted. Owned by the console's event loop.

    Attributes:
        filter: What is shown.
        hide_finished: Whether tasks that ended well or were revoked are left out.
        sort: Name of the column sorted by; `age` is the order of arrival.
        reverse: Whether the order is turned round.
        marked: Ids the user marked.
        frozen: Whether the rows stand still while the cluster goes on.
        missed: Events that arrived since the rows were frozen.
        times: How the age column is shown: `age`, `local` or `utc`.
        hints: Lines shown while there are no rows.
        culprit: The term that left nothing, as far as `explain` has found out.
    """

    def __init__(self, state: ClusterState, symbols: Glyphs) -> None:
        """Show the tasks of `state`."""
        self.state = state
        self.symbols = symbols
        self.filter: Filter = EVERYTHING
        self.hide_finished = False
        self.sort = "age"
        self.reverse = False
        self.wide = False
        self.marked: set[str] = set()
        self.frozen = False
        self.missed = 0
        self.times = "age"
        self.hints: Sequence[Sequence[Cell]] = ()
        self.context = Context(status=state.status, marked=self.marked)
        self._version = -1
        self._evicted = 0
        self.culprit: str | None = None
        self._pending: list[int] = []  # numbers that the filter has not been applied to, ascending
        self._blame: Iterator[str | None] | None = None
        self._numbers: dict[str, int] = {}  # id -> order of arrival
        self._items: dict[int, Item] = {}
        self._rows: list[int] = []  # numbers of matching items, ascending
        self._next = 0
        self._sorted: list[int] | None = None
        self._places: dict[int, int] = {}
        self._sort_due = 0.0
        self._gaps_seen = 0
        self._frozen_events = 0
        self._queue_width = 0
        self._wanted: dict[str, int] = {}
        self._wanted_for: tuple[int, int, int] = (-1, -1, -1)
        self._columns = task_columns(self.context, self.symbols, self.times)
        self._placed: tuple[tuple[Any, ...], list[Placed[TaskInfo]]] | None = None

    # Keeping up

    def update(self, now: float, gaps: Sequence[Gap] = ()) -> bool:
        """Take in what changed in the cluster; returns whether anything did.

        Args:
            now: Wall timestamp that ages are counted to.
            gaps: All times in which nothing was observed, oldest first.
        """
        if self.frozen:
            if self._pending:
                self._search_on()
                self._resort(True, at_once=not self._pending)
            self.missed = self._events() - self._frozen_events
            return False
        self.context.now = now
        changed = self.state.changes(self._version) if self._version >= 0 else None
        self._version = self.state.version
        if changed is None:
            self._take_all()
            return True
        for gap in gaps[self._gaps_seen :]:
            self._add(gap)
        self._gaps_seen = len(gaps)
        for task in changed:
            self._take(task)
        if self.state.evicted != self._evicted:
            self._drop_evicted()
        searching = bool(self._pending)
        if searching:
            self._search_on()
        self._resort(bool(changed) or searching, at_once=searching and not self._pending)
        return bool(changed)

    def rebuild(self) -> None:
        """Filter everything again, after a change of the filter; the newest tasks first.

        What takes longer than a slice goes on at each `update`.
        """
        self._blame = None
        self.culprit = None
        # numbers only grow, so the items stand in the order of arrival
        if self.hide_finished or self.filter is not EVERYTHING:
            self._rows = []
            self._pending = list(self._items)
            self._search_on()
        else:
            self._pending = []
            self._rows = list(self._items)
        self._resort(True, at_once=True)

    @property
    def searched(self) -> float:
        """Share of the tasks that the filter has been applied to, 0..1."""
        if not self._pending or not self._items:
            return 1.0
        return max(0.0, 1.0 - len(self._pending) / len(self._items))

    def finish_search(self) -> None:
        """Apply the filter to all that is left, before an action on everything that matches."""
        while self._pending:
            self._search_on()

    def _search_on(self) -> None:
        """Apply the filter to the newest tasks it has not seen yet, for one slice of time."""
        until = time.perf_counter() + _SLICE
        items, keeps, pending = self._items, self._keeps, self._pending
        parts: list[list[int]] = []
        while pending:
            chunk = pending[-_CHUNK:]
            del pending[-_CHUNK:]
            found = [
                number
                for number in chunk
                if (item := items.get(number)) is not None
                and (isinstance(item, Gap) or keeps(item))
            ]
            if found:
                parts.append(found)
            if time.perf_counter() >= until:
                break
        if parts:
            self._rows = [*chain.from_iterable(reversed(parts)), *self._rows]

    def explain(self) -> str | None:
        """Name the term of the filter that left nothing; None until that is known.

        Like searching, this goes on for one slice of time at each call.
        """
        if self._pending or not self.filter.terms:
            return None
        if self._blame is None:
            self._blame = self.filter.blame(self.context, tuple(self._items.values()))
        until = time.perf_counter() + _SLICE
        for culprit in self._blame:
            self.culprit = culprit
            if culprit is not None or time.perf_counter() >= until:
                break
        return self.culprit

    def _take_all(self) -> None:
        """Look at every task of the cluster again, at the start or after a long absence."""
        known = self.state.tasks
        for task_id in [task_id for task_id in self._numbers if task_id not in known]:
            self._forget(task_id)
        for task_id, task in known.items():
            number = self._numbers.get(task_id)
            if number is None:
                number = self._numbers[task_id] = self._next
                self._next += 1
            self._items[number] = task
            self._note_queue(task)
        self._evicted = self.state.evicted
        self.rebuild()

    def _take(self, task: TaskInfo) -> None:
        """Put a changed task where it belongs, or take it out."""
        number = self._numbers.get(task.uuid)
        if number is None:
            if task.uuid not in self.state.tasks:
                return
            number = self._numbers[task.uuid] = self._next
            self._next += 1
            self._items[number] = task
            self._note_queue(task)
            if self._keeps(task):
                self._rows.append(number)
            return
        self._items[number] = task
        self._note_queue(task)
        if self.filter is EVERYTHING and not self.hide_finished:
            return
        if self._pending and number <= self._pending[-1]:
            return  # the search has not come to it yet
        at = bisect_left(self._rows, number)
        present = at < len(self._rows) and self._rows[at] == number
        keep = self._keeps(task)
        if keep and not present:
            self._rows.insert(at, number)
        elif present and not keep:
            del self._rows[at]

    def _add(self, gap: Gap) -> None:
        self._items[self._next] = gap
        self._rows.append(self._next)
        self._next += 1

    def _keeps(self, task: TaskInfo) -> bool:
        if self.hide_finished and task.state in FINISHED:
            return False
        return self.filter.test(task, self.context)

    def _drop_evicted(self) -> None:
        """Forget what the cluster state forgot: the longest known tasks, mostly."""
        count = self.state.evicted - self._evicted
        self._evicted = self.state.evicted
        known, gone = self.state.tasks, set()
        for task_id in list(_first(self._numbers, 2 * count + 64)):
            if task_id not in known:
                gone.add(self._forget(task_id))
            else:  # it was touched and moved to the end there: look at others first next time
                self._numbers[task_id] = self._numbers.pop(task_id)
        if gone:
            self._rows = [number for number in self._rows if number not in gone]
        if len(self._numbers) > len(known) + 1000:
            self._take_all()

    def _forget(self, task_id: str) -> int:
        number = self._numbers.pop(task_id)
        del self._items[number]
        self.marked.discard(task_id)
        return number

    def _note_queue(self, task: TaskInfo) -> None:
        if task.queue and len(task.queue) > self._queue_width:
            self._queue_width = len(task.queue)

    def _events(self) -> int:
        return sum(self.state.totals.values())

    # Standing still

    def freeze(self) -> None:
        """Stand still: rows keep their values of this moment."""
        # tasks change in place, so standing still means to hold copies (0.1 s for 100 000)
        for number, item in self._items.items():
            if isinstance(item, TaskInfo):
                held = copy.copy(item)
                if held.more is not None:
                    held.more = copy.copy(held.more)
                self._items[number] = held
        self.frozen = True
        self.missed = 0
        self._frozen_events = self._events()

    def thaw(self) -> None:
        """Go on with the present."""
        self.frozen = False
        self.missed = 0
        self._version = -1

    # Order

    def sort_by(self, column: str) -> None:
        """Sort by a column; the same column again turns the order round."""
        self.reverse = not self.reverse if column == self.sort else False
        self.sort = column
        self._resort(True, at_once=True)

    def _resort(self, changed: bool, at_once: bool = False) -> None:
        if self.sort == "age":
            self._sorted = None
            return
        started = time.perf_counter()
        if not at_once and (not changed or started < self._sort_due):
            return
        column = next(column for column in self._columns if column.name == self.sort)
        key = column.sort
        assert key is not None, "every name in SORTS has a sort key"
        tasks = [
            (key(item), -number)
            for number in self._rows
            if isinstance(item := self._items[number], TaskInfo)
        ]
        tasks.sort(reverse=self.reverse)
        self._sorted = [-number for _, number in tasks]
        self._places = {number: place for place, number in enumerate(self._sorted)}
        ended = time.perf_counter()
        self._sort_due = ended + max(_SORT_PAUSE, (ended - started) * _SORT_SHARE)

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self._rows) if self._sorted is None else len(self._sorted)

    def item(self, index: int) -> Item:
        """Return the task (or gap) of a row."""
        return self._items[self._number(index)]

    def get(self, key: str | None) -> TaskInfo | None:
        """Return a task by id, as the rows show it."""
        number = None if key is None else self._numbers.get(key)
        item = None if number is None else self._items.get(number)
        return item if isinstance(item, TaskInfo) else None

    def matching(self) -> list[TaskInfo]:
        """Return all tasks of the rows, oldest first."""
        self.finish_search()
        items = (self._items[number] for number in self._rows)
        return [item for item in items if isinstance(item, TaskInfo)]

    def _number(self, index: int) -> int:
        if self._sorted is not None:
            return self._sorted[index]
        return self._rows[index if self.reverse else -1 - index]

    def key(self, index: int) -> str:
        """Return the id of a row's task."""
        number = self._number(index)
        item = self._items.get(number)
        return item.uuid if isinstance(item, TaskInfo) else f"gap {number}"

    def index_of(self, key: str) -> int | None:
        """Return the row of a task."""
        number = self._numbers.get(key)
        if number is None:
            if not key.startswith("gap "):
                return None
            number = int(key[4:])
        if self._sorted is not None:
            return self._places.get(number)
        at = bisect_left(self._rows, number)
        if at >= len(self._rows) or self._rows[at] != number:
            return None
        return at if self.reverse else len(self._rows) - 1 - at

    def show_times(self, how: str) -> None:
        """Show ages, or the time of day here or in UTC."""
        self.times = how
        self._columns = task_columns(self.context, self.symbols, self.times)
        self._placed = None

    # Looks

    def stamp(self, index: int) -> Hashable:
        """Return what a row's look depends on."""
        item = self._items.get(self._number(index))
        if not isinstance(item, TaskInfo):
            return item
        now = self.context.now
        running = item.state == "STARTED"
        return (
            item.version,
            age(age_of(item, now)),
            duration(runtime_of(item, now)) if running else "",
            self.context.state(item),
        )

    def cells(self, index: int, width: int) -> Sequence[Cell]:
        """Return a row."""
        item = self._items.get(self._number(index))
        if isinstance(item, Gap):
            return self._gap_cells(item, width)
        if item is None:
            return ()
        return line_cells(item, self.placed(width), self.symbols.ellipsis)

    def layout(self, width: int) -> Hashable:
        """Return how a width is shared between the columns."""
        return layout_of(self.placed(width))

    def header(self, width: int) -> Sequence[Cell]:
        """Return the headings."""
        arrow = self.symbols.descending if self.reverse else self.symbols.ascending
        return header_cells(self.placed(width), self.sort, arrow, self.symbols.ellipsis)

    def empty(self, width: int) -> Sequence[Sequence[Cell]]:
        """Return the lines shown while there are no rows."""
        return self.hints

    def _gap_cells(self, gap: Gap, width: int) -> Sequence[Cell]:
        text = f" {clock(gap.begin)}-{clock(gap.end)}Z not observed "
        rule = self.symbols.rule
        return (
            Cell(rule * 2, "rule"),
            Cell(text, "warning"),
            Cell(rule * max(0, width - len(text) - 2), "rule"),
        )

    def placed(self, width: int) -> list[Placed[TaskInfo]]:
        """Return the columns with their widths."""
        basis = (len(self.state.names), len(self.state.workers), self._queue_width)
        if basis != self._wanted_for:
            self._wanted_for = basis
            self._wanted = {
                "name": max([14, *map(len, self.state.names)]),
                "worker": max([8, *map(len, self.state.workers)]),
                "queue": max(5, self._queue_width),
            }
            self._placed = None
        key = (width, self.wide)
        if self._placed is None or self._placed[0] != key:
            columns = [c for c in self._columns if c.name != "queue" or self._queue_width]
            wanted = self._wanted
            self._placed = (
                key,
                place(columns, 240 if self.wide else width, wanted, drop=not self.wide),
            )
        return self._placed[1]


def _first(mapping: dict[str, int], count: int) -> list[str]:
    return [key for _, key in zip(range(count), mapping, strict=False)]
