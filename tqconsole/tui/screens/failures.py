"""The Failures screen: what goes wrong, grouped by what it is."""

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult

from tq.monitor import FailureGroup, TaskInfo
from tqconsole.tui.model.acts import counted
from tqconsole.tui.model.failing import failure_rows, group_filter, group_lines
from tqconsole.tui.model.format import Cell, age, count
from tqconsole.tui.model.lines import Line, Piece, two_sided
from tqconsole.tui.screens.base import LOW, Console, ListScreen
from tqconsole.tui.screens.resend_acts import ResendActs
from tqconsole.tui.widgets.line_bar import LineBar
from tqconsole.tui.widgets.live_table import LiveTable
from tqconsole.tui.widgets.text_pager import TextPager

__all__ = ["FailuresScreen"]

_SORT_KEYS = {"c": "failed", "r": "recent", "l": "last", "n": "name"}


class FailuresScreen(ResendActs, ListScreen):
    """Failures by task, exception and innermost own frame."""

    key: ClassVar[str] = "failures"

    def __init__(self, console: Console) -> None:
        """Belong to `console`."""
        super().__init__(console)
        groups = console.insight.failures
        self.rows = failure_rows(console.symbols, groups, lambda: console.now)
        self.rows.sort = "failed"
        self.table = LiveTable(self.rows, console.palette, console.symbols, id="failures")
        self.table.follow = False
        self.bar = LineBar(console.palette, id="filter")
        self.pane = TextPager(console.palette, console.symbols.thumb, id="failures-preview")
        self.pane.can_focus = False

    def body(self) -> ComposeResult:
        """Give a summary, the list and what is known of the group under the cursor."""
        yield self.bar
        yield self.table
        yield self.pane

    def draw_body(self) -> None:
        """Take in the groups of the moment and draw what changed."""
        groups = self.console.insight.failures
        if not self.console.paused:
            self.rows.show(self._sorted(list(groups)))
        if len(self.rows) and self.table.cursor is None:
            self.table.choose(self.rows.key(0))
        elif not len(self.rows):
            watched = age(self.console.now - (groups.since or self.console.now))
            symbol = self.console.symbols.success
            self.rows.hints = (
                (),
                (Cell(f" {symbol} ", "success"), Cell("No failure and no retry", "bold")),
                (Cell(f"   in the {watched} since this console listens", "muted"),),
            )
        self.bar.show(self._summary())
        self.pane.display = self.size.height >= LOW and len(self.rows) > 0
        self.table.tick()
        group = self.current()
        if self.pane.display and group is not None:
            width = max(20, self.pane.size.width - 1)
            console = self.console
            state = console.source.state
            self.pane.show(group_lines(group, groups, state, console.now, width, console.symbols))

    def _sorted(self, groups: list[FailureGroup]) -> list[FailureGroup]:
        now, name = self.console.now, self.rows.sort
        if name == "name":
            groups.sort(key=lambda group: group.key)
        elif name == "last":
            groups.sort(key=lambda group: -group.last_seen)
        elif name == "recent":
            groups.sort(key=lambda group: (-group.recent(now), group.key))
        else:
            groups.sort(key=lambda group: (-group.failed, -group.retried, group.key))
        return groups[::-1] if self.rows.reverse else groups

    def _summary(self) -> Line:
        groups = self.console.insight.failures
        failed = sum(group.failed for group in groups)
        retried = sum(group.retried for group in groups)
        left: list[Piece] = [
            (Cell(f" {counted(len(groups), 'group')}   ", "bold"), None),
            (Cell(f"{counted(failed, 'failure')}   ", "failure" if failed else "muted"), None),
            (
                Cell(
                    f"{count(retried)} {'retry' if retried == 1 else 'retries'}",
                    "retry" if retried else "muted",
                ),
                None,
            ),
        ]
        if groups.dropped:
            left.append((Cell(f"   {count(groups.dropped)} groups forgotten", "warning"), None))
        wide = self.size.width >= 100
        right = "by task, exception class, innermost own frame " if wide else "by task and cause "
        return two_sided(left, [(Cell(right, "muted"), None)], self.size.width)

    def current(self) -> FailureGroup | None:
        """Return the group under the cursor."""
        return self.rows.get(self.chosen())

    def _chosen(self) -> FailureGroup | None:
        group = self.current()
        if group is None:
            self.nothing_chosen("failure")
        return group

    def do_open(self) -> None:
        """Show the tasks of the group under the cursor."""
        group = self._chosen()
        if group is not None:
            self.console.show_tasks(group_filter(group))

    def do_traceback(self) -> None:
        """Open the newest task of the group at its traceback."""
        group = self._chosen()
        if group is not None and group.samples:
            self.console.open_task(group.samples[-1], "traceback")

    def resend_targets(self) -> Sequence[TaskInfo]:
        """Return the tasks of the group that are failed still."""
        group = self._chosen()
        if group is None:
            return ()
        groups = self.console.insight.failures
        tasks = self.console.source.state.tasks.values()
        found = [t for t in tasks if t.state == "FAILURE" and groups.of(t) is group]
        if not found:
            self.say("nothing to resend: no failed task of this group is kept, or all recovered")
        return found

    def do_pause(self) -> None:
        """Freeze the view, or let it go on."""
        self.console.paused = not self.console.paused
        self.tick()

    def do_sort(self) -> None:
        """Ask which column to sort by."""
        self.ask_sort(_SORT_KEYS, self.rows.sort, self._sort_by)

    def _sort_by(self, name: str) -> None:
        self.rows.reverse = not self.rows.reverse if name == self.rows.sort else False
        self.rows.sort = name
        self.tick()

    def do_copy(self) -> None:
        """Copy the group's name or the filter of its tasks."""
        group = self._chosen()
        if group is not None:
            self.console.copy_text(group_filter(group), "filter")

    def rows_to_export(self) -> Sequence[object]:
        """Return the groups."""
        return [self.rows.item(at) for at in range(len(self.rows))]
