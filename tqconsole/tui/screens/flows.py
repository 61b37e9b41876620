"""The Flows screen: what belongs together, and how far it has come."""

from collections.abc import Sequence
from time import perf_counter
from typing import ClassVar

from textual.app import ComposeResult

from tqconsole.tui.model.advice import no_match_hints, searching_hints
from tqconsole.tui.model.filters import EVERYTHING, Filter
from tqconsole.tui.model.flow_index import Flow
from tqconsole.tui.model.flow_tree import build_tree
from tqconsole.tui.model.flows import (
    FLOW_SORTS,
    flow_record,
    flow_rows,
    name_of_flow,
    no_flow_hints,
    order_flows,
    verdict_lines,
)
from tqconsole.tui.model.format import Cell, clip, count
from tqconsole.tui.model.lines import Line, Piece, two_sided
from tqconsole.tui.model.task_fields import Context
from tqconsole.tui.model.verdicts import verdicts
from tqconsole.tui.screens.base import LOW, Console
from tqconsole.tui.screens.filtered import FilteredList
from tqconsole.tui.screens.flow_detail import FlowScreen
from tqconsole.tui.widgets.line_bar import LineBar
from tqconsole.tui.widgets.live_table import LiveTable
from tqconsole.tui.widgets.text_pager import TextPager

__all__ = ["FlowsScreen"]

_SORT_KEYS = {"a": "age", "n": "name", "f": "failed", "o": "open", "s": "size"}
_ORDER_EVERY = 1.0
_ASK_EVERY = 1.0
_MOST_ASKED = 200
_SHARE = 20.0  # of the time between two orders, one part goes to ordering
_SLICE = 0.02  # seconds of a frame for taking in what changed
_MOST_PREVIEWED = 2_000  # tasks of a flow from which its preview waits until it is opened


class FlowsScreen(FilteredList):
    """Flows, newest first, with their progress and what the one under the cursor waits for."""

    key: ClassVar[str] = "flows"

    def __init__(self, console: Console) -> None:
        """Belong to `console`."""
        super().__init__(console)
        state = console.source.state
        self.index = console.insight.flows
        self.rows = flow_rows(
            console.symbols, state, lambda: console.source.lineage, lambda: console.now
        )
        self.rows.sort = "age"
        self.filter = EVERYTHING
        self.hide_finished = False
        self.table = LiveTable(self.rows, console.palette, console.symbols, id="flows")
        self.table.follow = False
        self.filter_bar = LineBar(console.palette, id="filter")
        self.pane = TextPager(console.palette, console.symbols.thumb, id="flows-preview")
        self.pane.can_focus = False
        assert set(_SORT_KEYS.values()) == set(FLOW_SORTS)
        self._ordered_at = self._asked_at = -100.0
        self._order_every = _ORDER_EVERY
        self._known = self._broken = 0
        self._previewed: object = None

    def body(self) -> ComposeResult:
        """Give the filter, the list, and what is known of the flow under the cursor."""
        yield self.filter_bar
        yield self.table
        yield self.pane

    def draw_body(self) -> None:
        """Take in what changed and draw it."""
        console = self.console
        if not console.paused:
            source = console.source
            self.index.update(source.state, source.lineage, _SLICE)
            if abs(console.now - self._ordered_at) >= self._order_every:
                self._order()
            self._ask()
        if len(self.rows) and self.table.cursor is None:
            self.table.choose(self.rows.key(0))
        elif not len(self.rows):
            self._explain_emptiness()
        self.filter_bar.show(self._filter_line())
        self.pane.display = self.size.height >= LOW and len(self.rows) > 0
        self.table.tick()
        if self.pane.display:
            self._draw_preview()

    def _order(self) -> None:
        """Choose and sort the flows; once a second, so that they can be read."""
        began = perf_counter()
        self._ordered_at = self.console.now
        known = [flow for flow in self.index.flows.values() if flow.total]
        self._known = len(known)
        self._broken = sum(1 for flow in known if flow.counts[3])
        flows = [flow for flow in known if self._keeps(flow)]
        rows = self.rows
        source = self.console.source
        rows.show(order_flows(flows, rows.sort, rows.reverse, source.state, source.lineage))
        self._order_every = max(_ORDER_EVERY, (perf_counter() - began) * _SHARE)

    def _keeps(self, flow: Flow) -> bool:
        """Tell whether a flow is shown: any of its tasks matches the filter."""
        if self.hide_finished and flow.over and not flow.missing(self.console.source.lineage):
            return False
        if self.filter is EVERYTHING:
            return True
        state = self.console.source.state
        context = Context(self.console.now, state.status)
        test = self.filter.test
        return any(
            test(task, context)
            for task_id in flow.tasks()
            if (task := state.tasks.get(task_id)) is not None
        )

    def _ask(self) -> None:
        """Have results read of what ended: they tell of groups, which Celery's events do not."""
        now = self.console.now
        if abs(now - self._asked_at) < _ASK_EVERY:
            return
        self._asked_at = now
        book = self.console.source.lineage
        newest = list(self.index.unlinked)[-_MOST_ASKED:][::-1]
        for task_id in list(self.index.unlinked):
            if task_id in book.tasks:
                del self.index.unlinked[task_id]
        flows = self.index.flows.values()
        groups = [group for flow in flows for group in flow.groups if book.unsettled(group)]
        self.console.source.read_lineage(
            [task_id for task_id in newest if task_id not in book.tasks], groups[-_MOST_ASKED:]
        )

    def _filter_line(self) -> Line:
        rows, symbols = self.rows, self.console.symbols
        text = self.filter.source
        narrowed = text or self.hide_finished
        total = count(self._known)
        shown = f"{count(len(rows))} of {total}" if narrowed else f"{total} flows"
        arrow = symbols.descending if rows.reverse else symbols.ascending
        right = [(Cell(f"{shown}  sort {rows.sort.upper()} {arrow} ", "muted"), "sort")]
        left: list[Piece] = [(Cell(" /", "key"), "filter")]
        words = clip(text, 60, symbols.ellipsis) or "all flows"
        left.append((Cell(f" {words}", "bold" if text else "muted"), "filter"))
        if self.index.taken < 1.0:
            left.append((Cell(f"  sorting {self.index.taken * 100:.0f}%", "warning"), None))
        if self.hide_finished:
            left.append((Cell("  finished hidden", "warning"), "hide_finished"))
        if self._broken:
            left.append((Cell(f"   {count(self._broken)} with failures", "failure"), None))
        return two_sided(left, [*right], self.size.width)

    def _explain_emptiness(self) -> None:
        source = self.console.source
        if self.index.taken < 1.0:
            self.rows.hints = searching_hints(self.index.taken)
        elif self._known:
            self.rows.hints = no_match_hints(self.filter.source or None, self.hide_finished)
        else:
            self.rows.hints = no_flow_hints(source.state, source.link, source.lineage)

    def _draw_preview(self) -> None:
        flow = self.current()
        if flow is None:
            return
        console, width = self.console, max(20, self.size.width - 1)
        shown = (flow.key, flow.version, int(console.now), width)
        if shown == self._previewed:
            return
        self._previewed = shown
        source = console.source
        title = name_of_flow(flow, source.state, source.lineage)
        found = []
        if flow.total <= _MOST_PREVIEWED:
            tree = build_tree(flow, source.state.tasks, source.lineage)
            found = verdicts(flow, tree, source.state, source.lineage, console.now)
        self.pane.show(
            verdict_lines(title, found, flow, source.lineage, width, console.symbols), home=True
        )

    # Looks

    def current(self) -> Flow | None:
        """Return the flow under the cursor."""
        return self.rows.get(self.chosen())

    def do_open(self) -> None:
        """Open the flow under the cursor."""
        flow = self.current()
        if flow is not None:
            self.app.push_screen(FlowScreen(self.console, flow.key))

    def do_pause(self) -> None:
        """Freeze the view, or let it go on."""
        self.console.paused = not self.console.paused
        self.tick()

    def do_hide_finished(self) -> None:
        """Leave out flows that are over, or show them again."""
        self.hide_finished = not self.hide_finished
        self._order()
        self.tick()

    def do_sort(self) -> None:
        """Ask which column to sort by."""
        self.ask_sort(_SORT_KEYS, self.rows.sort, self._sort_by)

    def _sort_by(self, name: str) -> None:
        self.rows.reverse = not self.rows.reverse if name == self.rows.sort else False
        self.rows.sort = name
        self._order()
        self.tick()

    def do_copy(self) -> None:
        """Copy the flow's root, or the filter of its tasks."""
        flow = self.current()
        if flow is not None:
            self.console.copy_text(flow.root() or flow.key.lstrip("\0"), "root id")

    def do_refresh(self) -> None:
        """Read results again now."""
        self._asked_at = -1.0
        self.console.source.refresh()
        self.tick()
        self.say("reads results again", "muted")

    def rows_to_export(self) -> Sequence[object]:
        """Return the flows with their counts."""
        source = self.console.source
        flows = (self.rows.item(at) for at in range(len(self.rows)))
        return [flow_record(flow, source.state, source.lineage) for flow in flows]

    # Filter

    def filter_now(self) -> Filter:
        """Return the filter of the flows."""
        return self.filter

    def use_filter(self, chosen: Filter) -> None:
        """Choose the flows anew."""
        self.filter = chosen
        self._order()

    def do_back(self) -> None:
        """Clear the filter."""
        self.hide_finished = False
        self.try_filter("")
