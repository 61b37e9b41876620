"""The Schedules screen: periodic tasks, and single ones that wait for their time."""

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult

from tq.monitor import TaskInfo
from tqconsole.tui.model.format import Cell, age, clip, count, width_of
from tqconsole.tui.model.lines import Line, Piece, two_sided
from tqconsole.tui.model.overview import share
from tqconsole.tui.model.schedule_book import BeatEntry, Planned
from tqconsole.tui.model.schedules import (
    TimedTasks,
    beat_text,
    entry_rows,
    no_entry_hints,
    no_planned_hints,
    planned_rows,
    planned_tasks,
)
from tqconsole.tui.screens.base import Console
from tqconsole.tui.screens.panes import Panes
from tqconsole.tui.screens.task_acts import TaskActs
from tqconsole.tui.widgets.line_bar import LineBar
from tqconsole.tui.widgets.live_table import LiveTable, RowModel

__all__ = ["SchedulesScreen"]

_LOOK_EVERY = 5.0
_JOIN_EVERY = 0.5
_LOWEST = 9  # rows from which both lists are shown
_NARROW = 80
_OLD = 15.0  # seconds from which the age of the last look is worth a warning


class SchedulesScreen(TaskActs, Panes):
    """What is due when: beat's entries above, tasks with an ETA and retries below."""

    key: ClassVar[str] = "schedules"

    def __init__(self, console: Console) -> None:
        """Belong to `console`."""
        super().__init__(console)
        symbols = console.symbols
        self.timed = TimedTasks()
        self.entries = entry_rows(
            symbols, self._now, self._times, self.timed.newest.get, self._is_led
        )
        self.planned = planned_rows(symbols, self._now, self._times)
        self.bar = LineBar(console.palette, id="filter")
        self.panes: dict[str, LiveTable] = {}
        models: dict[str, RowModel] = {"entries": self.entries, "planned": self.planned}
        for name, model in models.items():
            pane = LiveTable(model, console.palette, symbols, id=f"schedules-{name}")
            pane.follow = False
            self.panes[name] = pane
        self.table = self.panes["entries"]
        self._looked_at = self._joined_at = -100.0

    def _now(self) -> float:
        return self.console.now

    def _times(self) -> str:
        return self.console.times

    def _is_led(self) -> bool:
        return self.console.source.schedules.leader is not None

    def body(self) -> ComposeResult:
        """Give who sends, the entries, and what waits."""
        yield self.bar
        yield from self.panes.values()

    def draw_body(self) -> None:
        """Take in what changed and draw it."""
        if not self.console.paused:
            self._take()
        self._arrange()
        self.bar.show(self._bar_line())
        for pane in self.panes.values():
            pane.tick()

    def _take(self) -> None:
        console, source, now = self.console, self.console.source, self.console.now
        if abs(now - self._looked_at) >= _LOOK_EVERY:
            self._looked_at = now
            source.read_schedules()
        book = source.schedules
        self.entries.show(book.entries)
        self.entries.title = f"periodic ({len(book.entries)})"
        self.entries.hints = no_entry_hints(book, source.link)
        self.timed.update(source.state, frozenset(entry.task for entry in book.entries))
        if not len(self.planned) or abs(now - self._joined_at) >= _JOIN_EVERY:
            self._joined_at = now
            waiting = planned_tasks(book, self.timed, source.state)
            self.planned.title = f"waiting ({count(len(waiting))})"
            self.planned.show(waiting)
        self.planned.hints = no_planned_hints(book, console.source.state, source.link)

    def _arrange(self) -> None:
        """Share the lines between the two lists; none is left without a row."""
        room = max(4, self.size.height - (6 if self.prompt.is_open else 5))
        wants = [
            (1 + max(len(rows), len(rows.hints) if not len(rows) else 0, 1), 2)
            for rows in (self.entries, self.planned)
        ]
        upper, _ = share(room, wants)
        self.panes["entries"].styles.height = upper
        for pane in self.panes.values():  # a very low screen has room for one
            pane.display = self.size.height >= _LOWEST or pane is self.table
        self.panes["planned"].styles.height = "1fr"
        if self.table.cursor is None and not len(self.table.model):
            for name, pane in self.panes.items():
                if len(pane.model):
                    self.activate(name)
                    break
        if self.table.cursor is None and len(self.table.model):
            self.table.select(0)

    def _bar_line(self) -> Line:
        book, now, width = self.console.source.schedules, self.console.now, self.size.width
        right: list[Piece] = []
        later = (book.parked or 0) - sum(item.holder == "broker" for item in book.planned)
        if later > 0:
            right.append((Cell(f"{count(later)} more in the broker, due later   ", "muted"), None))
        if book.as_of:
            old = now - book.as_of
            style = "warning" if old > _OLD else "muted"
            right.append((Cell(f"as of {age(old)} ", style), "refresh"))
        workers = self.console.source.state.workers.values()
        is_celerys = bool(workers) and all(w.sw_ident == "py-celery" for w in workers)
        said = beat_text(book, now, is_celerys)
        if width < _NARROW:
            del right[:-1]
        used = sum(width_of(cell.text) for cell, _ in right)
        room, ellipsis = max(4, width - used - 3), self.console.symbols.ellipsis
        left: list[Piece] = [(Cell(f" {clip(said.text, room, ellipsis)}", said.style), None)]
        if book.planned_error is not None:
            text = clip(book.planned_error, room // 2, ellipsis)
            left.append((Cell(f"  {text}", "error"), None))
        return two_sided(left, right, width)

    # Moving

    def _other(self) -> str:
        return "planned" if self.table is self.panes["entries"] else "entries"

    def do_next_pane(self) -> None:
        """Go to the other list, if it has rows."""
        other = self._other()
        if len(self.panes[other].model):
            self.activate(other)
            self.table.select(0)

    def do_move_down(self) -> None:
        """Go to the next row, and on into the lower list."""
        last = len(self.table.model) - 1
        if self._other() == "planned" and self.table.cursor_row == last and len(self.planned):
            self.do_next_pane()
        else:
            self.table.move(1)

    def do_move_up(self) -> None:
        """Go to the row before, and on into the upper list."""
        if self._other() == "entries" and self.table.cursor_row == 0 and len(self.entries):
            self.activate("entries")
            self.table.select(len(self.entries) - 1)
        else:
            self.table.move(-1)

    # Looks

    def entry(self) -> BeatEntry | None:
        """Return the periodic task under the cursor."""
        return self.entries.get(self.chosen()) if self._other() == "planned" else None

    def item(self) -> Planned | None:
        """Return the waiting task under the cursor."""
        return self.planned.get(self.chosen()) if self._other() == "entries" else None

    def current(self) -> TaskInfo | None:
        """Return the waiting task under the cursor, as far as it is known."""
        item = self.item()
        if item is None:
            return None
        known = self.console.source.state.tasks.get(item.id)
        # events may have told nothing of it, and it can be called off all the same
        return known or TaskInfo(
            item.id, item.name or None, "RECEIVED", args=item.args, kwargs=item.kwargs
        )

    def targets(self) -> list[TaskInfo]:
        """Return the waiting task under the cursor."""
        task = self.current()
        return [task] if task is not None else []

    def nothing_chosen(self, noun: str) -> None:
        """Say which list has tasks that can be acted on."""
        self.say("no waiting task chosen: tab goes to those that wait for their time")

    def do_open(self) -> None:
        """Show the tasks of an entry, or open the task that waits."""
        entry, item = self.entry(), self.item()
        if entry is not None:
            self.console.show_tasks(f'name="{entry.task}"')
        elif item is not None and item.id in self.console.source.state.tasks:
            self.console.open_task(item.id)
        elif item is not None:
            self.say(f"no event told of {item.id}; {item.holder} does")

    def do_pause(self) -> None:
        """Freeze the view, or let it go on."""
        self.console.paused = not self.console.paused
        self.tick()

    def do_refresh(self) -> None:
        """Ask workers and broker again now."""
        self._looked_at = -100.0
        self.console.source.refresh()
        self.tick()
        self.say("asked workers and broker again", "muted")

    def do_copy(self) -> None:
        """Copy an entry's name, or something of the task that waits."""
        entry, task = self.entry(), self.current()
        if entry is not None:
            self.console.copy_text(entry.name, "entry")
        elif task is not None:
            self.ask_copy(task)

    def do_back(self) -> None:
        """Go to the first row."""
        self.table.select(0)

    def rows_to_export(self) -> Sequence[object]:
        """Return the list that the cursor is in."""
        if self._other() == "planned":
            return [self.entries.item(at) for at in range(len(self.entries))]
        return [self.planned.item(at) for at in range(len(self.planned))]
