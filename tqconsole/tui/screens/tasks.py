"""The Tasks screen: every task the events told of, filtered, sorted, marked, acted upon."""

from collections.abc import Sequence

from textual.app import ComposeResult
from textual.containers import Container

from tq.monitor import TaskInfo
from tqconsole.tui.model.advice import no_match_hints, no_task_hints, searching_hints
from tqconsole.tui.model.detail import preview_lines
from tqconsole.tui.model.filters import EVERYTHING, Filter
from tqconsole.tui.model.format import Cell, clip, count, width_of
from tqconsole.tui.model.lines import Line, Piece, two_sided
from tqconsole.tui.model.tasks import TaskRows
from tqconsole.tui.screens.base import LOW, Console, ListScreen
from tqconsole.tui.screens.filtered import FilteredList
from tqconsole.tui.screens.task_acts import TaskActs
from tqconsole.tui.widgets.line_bar import LineBar
from tqconsole.tui.widgets.live_table import LiveTable
from tqconsole.tui.widgets.text_pager import TextPager

__all__ = ["TasksScreen"]

_SIDE = 120  # cells from which the preview stands beside the list
_ROOMY = 150  # cells from which the preview takes its full share
_SHORT_PREVIEW = 5
_SORT_KEYS = {
    "a": "age",
    "s": "state",
    "n": "name",
    "w": "worker",
    "q": "queue",
    "r": "run",
    "t": "tries",
}


class TasksScreen(TaskActs, FilteredList):
    """Tasks, newest first, with a filter that is always in sight and a preview."""

    key = "tasks"

    def __init__(self, console: Console) -> None:
        """Belong to `console`."""
        super().__init__(console)
        self.rows = TaskRows(console.source.state, console.symbols)
        self.table = LiveTable(self.rows, console.palette, console.symbols, id="tasks")
        self.filter_bar = LineBar(console.palette, id="filter")
        self.pane = TextPager(console.palette, console.symbols.thumb, id="preview")
        self.pane.can_focus = False
        self.preview = True
        self.zoomed = False
        self._all_marked = False

    def body(self) -> ComposeResult:
        """Give filter bar, list and preview."""
        yield self.filter_bar
        with Container(id="tasks-body"):
            yield self.table
            yield self.pane

    def missed(self) -> int:
        """Return the events that arrived since the pause."""
        return self.rows.missed

    def draw_body(self) -> None:
        """Take in what changed and draw it."""
        source = self.console.source
        if self.rows.times != self.console.times:
            self.rows.show_times(self.console.times)
        self.rows.context.limits = source.limits
        self.rows.update(self.console.now, source.link.gaps)
        self._arrange()
        self._explain_emptiness()
        self.filter_bar.show(self._filter_line())
        self.table.tick()
        if self.pane.display:
            self._draw_preview()

    def _arrange(self) -> None:
        """Choose between a preview beside, below, and none."""
        width, height = self.size.width, self.size.height
        side = width >= _SIDE
        shown = self.preview and not self.zoomed and height >= LOW and width >= 60
        if self.pane.display != shown:
            self.pane.display = shown
        body = self.query_one("#tasks-body")
        body.set_class(side, "side")
        if side:
            self.pane.styles.width = max(44, width * 42 // 100 if width >= _ROOMY else 44)
            self.pane.styles.height = "1fr"
        else:
            self.pane.styles.width = "1fr"
            self.pane.styles.height = _SHORT_PREVIEW

    def _draw_preview(self) -> None:
        task = self.current()
        width, height = self.pane.size.width - 1, self.pane.size.height
        if task is None:
            lines: Sequence[Sequence[Cell]] = self._no_cursor(width)
        else:
            lines = preview_lines(
                task,
                self.rows.context,
                self.console.source.state,
                width,
                height,
                self.console.symbols,
            )
        self.pane.show(lines)

    def _no_cursor(self, width: int) -> Sequence[Sequence[Cell]]:
        rule = [Cell(self.console.symbols.rule * width, "rule")]
        if not len(self.rows):
            return [rule, [Cell(" nothing to show, and nothing to act on", "muted")]]
        return [rule, [Cell(" j or a click chooses a task; its details show here", "muted")]]

    def _filter_line(self) -> Line:
        rows, symbols = self.rows, self.console.symbols
        text = rows.filter.source
        shown, total = count(len(rows)), count(len(rows.state.tasks))
        arrow = symbols.descending if rows.reverse else symbols.ascending
        right = f"{shown} of {total}" if text or rows.hide_finished else f"{total} tasks"
        more = f"  sort {rows.sort.upper()} {arrow}  {'follow' if self.table.follow else 'hold'} "
        if self.size.width < 100 and rows.sort == "age":
            more = "  follow " if self.table.follow else "  hold "
        left: list[Piece] = [(Cell(" /", "key"), "filter")]
        if text:
            room = max(2, self.size.width - width_of(right + more) - 4)
            left.append((Cell(f" {clip(text, room, symbols.ellipsis)}", "bold"), "filter"))
        else:
            left.append((Cell(" all tasks", "muted"), "filter"))
        if rows.searched < 1.0:
            left.append((Cell(f"  searching {rows.searched * 100:.0f}%", "warning"), None))
        if rows.hide_finished:
            left.append((Cell("  finished hidden", "warning"), "hide_finished"))
        return two_sided(
            left, [(Cell(right, "muted"), None), (Cell(more, "muted"), "follow")], self.size.width
        )

    def _explain_emptiness(self) -> None:
        rows = self.rows
        if len(rows):
            return
        if rows.searched < 1.0:
            rows.hints = searching_hints(rows.searched)
            return
        source = self.console.source
        if source.state.tasks:
            rows.hints = no_match_hints(rows.explain(), rows.hide_finished)
        else:
            rows.hints = no_task_hints(source.state, source.link, self.console.now, source.url)

    # What the cursor is on

    def current(self) -> TaskInfo | None:
        """Return the task under the cursor, if the list shows it."""
        return self.rows.get(self.chosen())

    def targets(self) -> list[TaskInfo]:
        """Return the marked tasks that the list shows, or the one under the cursor."""
        marked = self._marked_here()
        if marked:
            return marked
        task = self.current()
        return [task] if task is not None else []

    def _marked_here(self) -> list[TaskInfo]:
        rows = self.rows
        rows.finish_search()
        here = [key for key in sorted(rows.marked) if rows.index_of(key) is not None]
        return [task for task in map(rows.get, here) if task is not None]

    def nothing_chosen(self, noun: str) -> None:
        """Say that there is no row to act on."""
        ListScreen.nothing_chosen(self, noun)

    def chosen_by_filter(self) -> bool:
        """Tell whether the marks were set for all that matched."""
        return bool(self.rows.marked) and self._all_marked

    def selection_note(self) -> Cell | None:
        """Say how many rows are marked."""
        rows = self.rows
        marked = len(rows.marked)
        if not marked:
            return None
        text = f"{count(marked)} marked"
        if rows.filter.source or rows.hide_finished:
            hidden = sum(rows.index_of(key) is None for key in rows.marked)
            text += f" ({count(hidden)} not shown)" if hidden else ""
        return Cell(text, "warning")

    # Looks

    def do_open(self, section: str = "summary") -> None:
        """Open the task under the cursor."""
        if self.table.cursor is None:
            self.table.move(1)
        task = self.current()
        if task is not None:
            self.console.open_task(task.uuid, section)

    def do_traceback(self) -> None:
        """Open the task at its traceback."""
        self.do_open("traceback")

    def do_result(self) -> None:
        """Open the task at its arguments and result."""
        self.do_open("arguments")

    def do_pause(self) -> None:
        """Freeze the rows, or let them go on."""
        if self.rows.frozen:
            self.rows.thaw()
        else:
            self.rows.freeze()
        self.console.paused = self.rows.frozen
        self.unsay()
        self.tick()

    def do_follow(self) -> None:
        """Stay with the newest tasks, or with what is shown."""
        self.table.set_follow(not self.table.follow)
        self.tick()

    def do_first(self) -> None:
        """Go to the first row and stay with the newest tasks."""
        self.table.select(0)
        self.table.follow = True
        self.tick()

    def do_wide(self) -> None:
        """Show all columns at full width, or those that fit."""
        self.rows.wide = not self.rows.wide
        self.table.scrolled = 0
        self.table.redraw()
        self.say(
            "wide: arrows scroll sideways, w fits again" if self.rows.wide else "fitted", "muted"
        )

    def do_hide_finished(self) -> None:
        """Leave out tasks that are over, or show them again."""
        self.rows.hide_finished = not self.rows.hide_finished
        self.rows.rebuild()
        self.tick()

    def do_preview(self) -> None:
        """Show or hide the preview."""
        self.preview = not self.preview
        self.tick()

    def do_zoom(self) -> None:
        """Give the list the whole screen, or share it again."""
        self.zoomed = not self.zoomed
        self.tick()

    def do_sort(self) -> None:
        """Ask which column to sort by."""
        self.ask_sort(_SORT_KEYS, self.rows.sort, self.rows.sort_by)

    # Filter

    def filter_now(self) -> Filter:
        """Return the filter of the rows."""
        return self.rows.filter

    def use_filter(self, chosen: Filter) -> None:
        """Choose the rows anew."""
        self.rows.filter = chosen
        self.rows.rebuild()

    def do_back(self) -> None:
        """Clear marks, then the filter, then the cursor."""
        if self.rows.marked:
            self.do_unmark()
        elif self.rows.filter.source or self.rows.hide_finished:
            self.rows.hide_finished = False
            self.use_filter(EVERYTHING)
        else:
            self.table.choose(None)
            self.table.set_follow(True)
        self.tick()

    def rows_to_export(self) -> Sequence[object]:
        """Return all matching tasks, oldest first."""
        return self.rows.matching()

    # Marks

    def do_mark(self) -> None:
        """Mark the row under the cursor, or clear its mark, and go to the next."""
        if self.table.cursor is None:
            self.table.move(1)
            return
        if self.current() is not None:
            self.rows.marked ^= {self.table.cursor}
        self.table.move(1)
        self.tick()

    def do_mark_all(self) -> None:
        """Mark all matching tasks."""
        self.rows.marked.update(task.uuid for task in self.rows.matching())
        self._all_marked = True
        self.tick()

    def do_unmark(self) -> None:
        """Clear all marks."""
        self.rows.marked.clear()
        self._all_marked = False
        self.tick()

    # Copy

    def do_copy(self) -> None:
        """Ask what to copy of the task."""
        task = self.current()
        if task is None:
            self.nothing_chosen("task")
            return
        self.ask_copy(task)
