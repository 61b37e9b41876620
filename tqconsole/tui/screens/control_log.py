"""The Control log: every command sent from here, and how it was answered."""

from collections.abc import Hashable, Sequence
from typing import ClassVar

from textual.app import ComposeResult

from tqconsole.tui.model.format import Cell
from tqconsole.tui.model.sent import SentCommand, log_line, summary_text
from tqconsole.tui.screens.base import Console, ListScreen
from tqconsole.tui.widgets.live_table import LiveTable

__all__ = ["ControlLogScreen", "LogRows"]


class LogRows:
    """Commands, newest first."""

    def __init__(self, console: Console) -> None:
        """Show the commands of the console's source."""
        self.console = console
        self.marked: set[str] = set()

    def _commands(self) -> Sequence[SentCommand]:
        return self.console.source.commands

    def __len__(self) -> int:
        """Return the number of commands."""
        return len(self._commands())

    def item(self, index: int) -> SentCommand:
        """Return a command, the newest being 0."""
        return self._commands()[-1 - index]

    def key(self, index: int) -> str:
        """Return a command's number."""
        return str(self.item(index).number)

    def index_of(self, key: str) -> int | None:
        """Return where a command stands."""
        for index in range(len(self)):
            if self.key(index) == key:
                return index
        return None

    def get(self, key: str | None) -> SentCommand | None:
        """Return a command by its number."""
        index = None if key is None else self.index_of(key)
        return None if index is None else self.item(index)

    def stamp(self, index: int) -> Hashable:
        """Return what a row's look depends on."""
        return summary_text(self.item(index), self.console.now)

    def cells(self, index: int, width: int) -> Sequence[Cell]:
        """Return a row."""
        return log_line(self.item(index), self.console.now, width, self.console.symbols)

    def layout(self, width: int) -> Hashable:
        """Return how a width is shared; a line has no columns of its own."""
        return width

    def header(self, width: int) -> Sequence[Cell]:
        """Return the headings."""
        left = " #     SENT      COMMAND"
        return [Cell(left + "REPLIES".rjust(max(0, width - len(left) - 1)), "heading")]

    def empty(self, width: int) -> Sequence[Sequence[Cell]]:
        """Return the lines shown while nothing was sent."""
        return [
            [],
            [Cell(" Nothing sent yet", "bold")],
            [
                Cell(
                    " Commands sent from this console appear here, with the reply of each worker.",
                    "muted",
                )
            ],
            [
                Cell(" On Tasks ", "muted"),
                Cell("C", "key"),
                Cell(" revokes; on Workers ", "muted"),
                Cell("I", "key"),
                Cell(" pings.", "muted"),
            ],
        ]


class ControlLogScreen(ListScreen):
    """The commands sent from here."""

    key: ClassVar[str] = "log"

    def __init__(self, console: Console) -> None:
        """Belong to `console`."""
        super().__init__(console)
        self.rows = LogRows(console)
        self.table = LiveTable(self.rows, console.palette, console.symbols, id="log")

    def body(self) -> ComposeResult:
        """Give the list."""
        yield self.table

    def draw_body(self) -> None:
        """Draw what changed."""
        if len(self.rows) and self.table.cursor is None:
            self.table.choose(self.rows.key(0))
        self.table.tick()

    def _chosen(self) -> SentCommand | None:
        sent = self.rows.get(self.chosen())
        if sent is None:
            self.nothing_chosen("command")
        return sent

    def do_open(self) -> None:
        """Open the replies of the command under the cursor."""
        sent = self._chosen()
        if sent is not None:
            self.console.open_replies(sent)

    def do_copy(self) -> None:
        """Copy the command line."""
        sent = self._chosen()
        if sent is not None:
            self.console.copy_text(sent.equivalent, "command")
