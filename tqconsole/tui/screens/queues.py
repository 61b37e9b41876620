"""The Queues screen: how much waits where, how fast it moves, and who takes from it."""

from typing import ClassVar

from textual.app import ComposeResult

from tqconsole.tui.model.facts import QueueFacts
from tqconsole.tui.model.format import Cell, count
from tqconsole.tui.model.lines import Line, Piece, two_sided
from tqconsole.tui.model.queues import QueueCells, queue_columns, queue_rows, sorted_queues
from tqconsole.tui.screens.base import Console, ListScreen
from tqconsole.tui.screens.queue_acts import QueueActs
from tqconsole.tui.widgets.line_bar import LineBar
from tqconsole.tui.widgets.live_table import LiveTable

__all__ = ["QueuesScreen"]

_COLUMNS = (
    "name", "ready", "unacked", "parked", "dead", "oldest", "in", "out", "eta", "workers", "trend",
)  # fmt: skip
_SORT_KEYS = {
    "n": "name",
    "r": "ready",
    "o": "oldest",
    "g": "growth",
    "u": "unacked",
    "d": "dead",
    "w": "workers",
}


class QueuesScreen(QueueActs, ListScreen):
    """The queues that workers take from, or took from since the console started."""

    key: ClassVar[str] = "queues"

    def __init__(self, console: Console) -> None:
        """Belong to `console`."""
        super().__init__(console)
        cells = QueueCells(
            console.symbols, console.insight, console.source.state, lambda: console.now
        )
        columns = queue_columns(cells)
        self.rows = queue_rows(console.symbols, columns, _COLUMNS)
        self.rows.sort = "name"
        self.rows.hints = (
            (),
            (Cell(" No queues known yet", "bold"),),
            (Cell(" Queues are learnt from the workers that take from them.", "muted"),),
        )
        self.table = LiveTable(self.rows, console.palette, console.symbols, id="queues")
        self.table.follow = False
        self.bar = LineBar(console.palette, id="filter")

    def body(self) -> ComposeResult:
        """Give a summary and the list."""
        yield self.bar
        yield self.table

    def draw_body(self) -> None:
        """Take in the figures of the moment and draw what changed."""
        console, rows = self.console, self.rows
        source = console.source
        if not console.paused:
            rows.show(
                sorted_queues(
                    source.queues,
                    rows.sort,
                    rows.reverse,
                    console.insight,
                    source.state,
                    console.now,
                )
            )
        if len(rows) and self.table.cursor_row is None:
            self.table.choose(rows.key(0))
        self.bar.show(self._summary())
        self.table.tick()

    def _summary(self) -> Line:
        queues = self.console.source.queues
        ready = sum(queue.ready or 0 for queue in queues)
        dead = sum(queue.dead or 0 for queue in queues)
        held = sum(bool(queue.held and not queue.consumers) for queue in queues)
        left: list[Piece] = [
            (Cell(f" {count(len(queues))} queues   {count(ready)} messages wait", "muted"), None)
        ]
        if held:
            left.append((Cell(f"   {held} held", "warning-bold"), None))
        if dead:
            left.append((Cell(f"   {count(dead)} dead", "error"), None))
        symbols = self.console.symbols
        arrow = symbols.descending if self.rows.reverse else symbols.ascending
        right: list[Piece] = [(Cell(f"sort {self.rows.sort.upper()} {arrow} ", "muted"), "sort")]
        return two_sided(left, right, self.size.width)

    def queue(self) -> QueueFacts | None:
        """Return the queue under the cursor."""
        queue = self.rows.get(self.chosen())
        if queue is None:
            self.nothing_chosen("queue")
        return queue

    def do_open(self) -> None:
        """Open the queue under the cursor."""
        queue = self.queue()
        if queue is not None:
            self.console.open_queue(queue.name)

    def do_sort(self) -> None:
        """Ask which column to sort by."""
        self.ask_sort(_SORT_KEYS, self.rows.sort, self._sort_by)

    def _sort_by(self, name: str) -> None:
        self.rows.reverse = not self.rows.reverse if name == self.rows.sort else False
        self.rows.sort = name
