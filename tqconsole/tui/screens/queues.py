"""The Queues screen: how much waits where, and who takes from it."""

from collections.abc import Callable
from typing import ClassVar

from textual.app import ComposeResult

from tqconsole.tui.model.format import Cell, count
from tqconsole.tui.model.lines import Piece, two_sided
from tqconsole.tui.model.queues import QueueRows
from tqconsole.tui.screens.base import Console, ListScreen
from tqconsole.tui.widgets.line_bar import LineBar
from tqconsole.tui.widgets.live_table import LiveTable
from tqconsole.tui.widgets.prompt import Question

__all__ = ["QueuesScreen"]

_SORT_KEYS = {"n": "name", "r": "ready", "w": "workers"}


class QueuesScreen(ListScreen):
    """The queues that workers take from, with their waiting messages."""

    key: ClassVar[str] = "queues"

    def __init__(self, console: Console) -> None:
        """Belong to `console`."""
        super().__init__(console)
        self.rows = QueueRows(lambda: console.source.queues, console.symbols)
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
        if not self.console.paused:
            self.rows.update(self.console.now)
        if len(self.rows) and self.table.cursor is None:
            self.table.choose(self.rows.key(0))
        ready = [queue.ready for queue in self.console.source.queues if queue.ready is not None]
        left: list[Piece] = [
            (
                Cell(
                    f" {count(len(self.rows))} queues   {count(sum(ready))} messages wait", "muted"
                ),
                None,
            )
        ]
        right: list[Piece] = [
            (Cell("ready = counted in the broker, by queue length ", "muted"), None)
        ]
        self.bar.show(two_sided(left, right, self.size.width))
        self.table.tick()

    def do_open(self) -> None:
        """Show the tasks of the queue under the cursor."""
        queue = self.rows.get(self.table.cursor)
        if queue is not None:
            self.console.show_tasks(f'queue="{queue.name}"')

    def do_sort(self) -> None:
        """Ask which column to sort by."""
        cells = [Cell(" sort by ", "bold")]
        for letter, name in _SORT_KEYS.items():
            style = "heading-sorted" if name == self.rows.sort else "muted"
            cells += [Cell(f" {letter}", "key"), Cell(f" {name}", style)]
        answers = {letter: self._sorter(name) for letter, name in _SORT_KEYS.items()}
        self.prompt.ask(Question(tuple(cells), answers, self._focus_table))

    def _sorter(self, name: str) -> Callable[[], None]:
        def sort() -> None:
            self.rows.sort_by(name)
            self._focus_table()
            self.tick()

        return sort

    def _focus_table(self) -> None:
        self.table.focus()

    def do_copy(self) -> None:
        """Copy the queue's name."""
        queue = self.rows.get(self.table.cursor)
        if queue is not None:
            self.console.copy_text(queue.name, "queue name")
