"""One flow: its tree, and whether it will finish."""

from collections.abc import Sequence
from time import perf_counter
from typing import ClassVar

from textual.app import ComposeResult

from tq.monitor import TaskInfo
from tqconsole.tui.model.flow_index import Flow
from tqconsole.tui.model.flow_tree import FlowTree, TreeRow, build_tree
from tqconsole.tui.model.flows import (
    name_of_flow,
    no_relation_hints,
    tree_rows,
    verdict_lines,
    verdict_style,
)
from tqconsole.tui.model.format import Cell, clip
from tqconsole.tui.model.lines import Line
from tqconsole.tui.model.task_columns import short_id
from tqconsole.tui.model.verdicts import Verdict, verdicts
from tqconsole.tui.screens.base import LOW, Console, ListScreen
from tqconsole.tui.widgets.line_bar import LineBar
from tqconsole.tui.widgets.live_table import LiveTable
from tqconsole.tui.widgets.text_pager import TextPager

__all__ = ["FlowScreen"]

_ASK_EVERY = 1.0
_MOST_ASKED = 200
_SLICE = 0.02  # seconds of a frame for taking in what changed
_SHARE = 10.0  # of the time between two layouts of a large tree, one part goes to laying it out


class FlowScreen(ListScreen):
    """A flow as a tree; parts that are alike are folded."""

    key: ClassVar[str] = "flow"

    def __init__(self, console: Console, some_id: str, task_id: str | None = None) -> None:
        """Show a flow.

        Args:
            console: The application.
            some_id: Any id that leads to it: a task's, a group's key, a flow's key.
            task_id: The task that the cursor is put on; the first row by default.
        """
        super().__init__(console)
        source = console.source
        self.index = console.insight.flows
        self.some_id = some_id
        self.task_id = task_id
        self.unfolded: frozenset[str] = frozenset()
        self.folding = True
        self.laid_out = FlowTree([], {})
        self.rows = tree_rows(
            console.symbols, source.state, lambda: self.laid_out, lambda: console.now
        )
        self.table = LiveTable(self.rows, console.palette, console.symbols, id="flow")
        self.table.follow = False
        self.bar = LineBar(console.palette, id="filter")
        self.pane = TextPager(console.palette, console.symbols.thumb, id="flow-verdicts")
        self.pane.can_focus = False
        self._found: list[Verdict] = []
        self._laid: object = None
        self._judged: object = None
        self._due = 0.0
        self._asked_at = -1.0
        self._pointed = False

    def body(self) -> ComposeResult:
        """Give what there is to say, and the tree."""
        yield self.bar
        yield self.pane
        yield self.table

    def tab_of(self) -> str:
        """Belong to Flows."""
        return "flows"

    def crumbs(self) -> tuple[str, ...]:
        """Name the flow."""
        flow, source = self.flow(), self.console.source
        name = name_of_flow(flow, source.state, source.lineage) if flow is not None else "?"
        return ("flows", f"{short_id(self.some_id.lstrip(chr(0)))} {name}")

    def flow(self) -> Flow | None:
        """Return the flow as it is now; it may have been joined with another."""
        return self.index.of(self.some_id)

    def draw_body(self) -> None:
        """Lay out the tree again if it changed."""
        console, source = self.console, self.console.source
        if not console.paused:
            self.index.update(source.state, source.lineage, _SLICE)
            self._ask()
            self._lay_out()
        if not self._pointed and len(self.rows):
            self._pointed = True
            self._point()
        low = self.size.height < LOW
        self.pane.display = not low and len(self.rows) > 0
        self.bar.display = low or not len(self.rows)
        self.bar.show(self._bar_line())
        self._draw_verdicts()
        self.table.tick()

    def _lay_out(self) -> None:
        flow, source = self.flow(), self.console.source
        if flow is None:
            self.rows.show([])
            task = source.state.tasks.get(self.some_id)
            self.rows.hints = no_relation_hints(task, source.lineage, self.console.symbols)
            return
        laid = (flow.key, flow.version, self.unfolded, self.folding, len(source.lineage.chords))
        now = perf_counter()
        if laid != self._laid and now >= self._due:
            self._laid = laid
            self.laid_out = build_tree(
                flow, source.state.tasks, source.lineage, self.unfolded, self.folding
            )
            self.rows.show(self.laid_out.rows)
            self._due = perf_counter() + (perf_counter() - now) * _SHARE
        judged = (self._laid, int(self.console.now), source.lineage.error)
        if judged != self._judged:  # of ten thousand parts it takes 20 ms
            self._judged = judged
            self._found = verdicts(
                flow, self.laid_out, source.state, source.lineage, self.console.now
            )

    def _ask(self) -> None:
        """Have results of ended tasks read, and the progress of its chords."""
        now, flow = self.console.now, self.flow()
        if abs(now - self._asked_at) < _ASK_EVERY:
            return
        self._asked_at = now
        source = self.console.source
        ids = [self.some_id] if flow is None else list(flow.tasks())
        ended = [
            task_id
            for task_id in ids
            if task_id not in source.lineage.tasks
            and (task := source.state.tasks.get(task_id)) is not None
            and task.ready
        ]
        groups = sorted(flow.groups)[:_MOST_ASKED] if flow is not None else []
        source.read_lineage(ended[:_MOST_ASKED], groups)

    def _point(self) -> None:
        """Put the cursor on the task from which the flow was opened, or on the first row."""
        at = self.rows.index_of(self.task_id) if self.task_id is not None else None
        self.table.select(at or 0)

    def _bar_line(self) -> Line:
        width = self.size.width
        if not self._found:
            return Line((Cell(" no flow", "muted"),))
        first, ellipsis = self._found[0], self.console.symbols.ellipsis
        return Line((Cell(f" {clip(first.text, width - 2, ellipsis)}", verdict_style(first)),))

    def _draw_verdicts(self) -> None:
        flow = self.flow()
        if flow is None or not self.pane.display:
            return
        console, width = self.console, max(20, self.size.width - 1)
        source = console.source
        title = name_of_flow(flow, source.state, source.lineage)
        lines = verdict_lines(title, self._found, flow, source.lineage, width, console.symbols)
        self.pane.styles.height = min(len(lines), max(3, self.size.height // 3))
        self.pane.show(lines)

    # Looks

    def row(self) -> TreeRow | None:
        """Return the row under the cursor."""
        return self.rows.get(self.chosen())

    def current(self) -> TaskInfo | None:
        """Return the task under the cursor."""
        row = self.row()
        return self.console.source.state.tasks.get(row.subject) if row is not None else None

    def do_open(self, section: str = "summary") -> None:
        """Open the task under the cursor, or unfold what is folded there."""
        row = self.row()
        if row is None:
            return
        if row.kind == "fold":
            self.unfolded |= {row.key}
            self._relay()
        elif self.current() is not None:
            self.console.open_task(row.subject, section)
        elif row.kind == "unseen":
            self.say(f"no event told of task {row.subject}")

    def do_traceback(self) -> None:
        """Open the task at its traceback."""
        self.do_open("traceback")

    def do_culprit(self) -> None:
        """Go to the task that decides: the one that failed, or that all wait for."""
        decisive = next((found.task_id for found in self._found if found.task_id), None)
        at = self.rows.index_of(decisive) if decisive is not None else None
        if decisive is None:
            self.say("nothing holds this flow up")
        elif at is None:
            self.console.open_task(decisive)
        else:
            self.table.select(at)

    def do_fold_flow(self) -> None:
        """Fold parts that are alike, or show them all."""
        self.folding = not self.folding
        self.unfolded = frozenset()
        self._relay()
        self.say("folded" if self.folding else "all parts are shown; f folds them", "muted")

    def _relay(self) -> None:
        self._due = 0.0
        self._laid = None
        self._lay_out()
        self.tick()

    def do_pause(self) -> None:
        """Freeze the view, or let it go on."""
        self.console.paused = not self.console.paused
        self.tick()

    def do_copy(self) -> None:
        """Copy the id under the cursor."""
        row = self.row()
        if row is not None and row.subject:
            self.console.copy_text(row.subject, f"{row.kind} id")

    def do_back(self) -> None:
        """Go back."""
        self.dismiss()

    def do_leave(self) -> None:
        """Go back."""
        self.dismiss()

    def do_refresh(self) -> None:
        """Read results again now."""
        self._asked_at = -1.0
        self.console.source.refresh()
        self.tick()

    def rows_to_export(self) -> Sequence[object]:
        """Return the tasks of the flow."""
        flow, tasks = self.flow(), self.console.source.state.tasks
        ids = flow.tasks() if flow is not None else ()
        return [tasks[task_id] for task_id in ids if task_id in tasks]
