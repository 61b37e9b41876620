"""The rows of the Queues screen."""

from collections.abc import Callable, Hashable, Sequence
from typing import Any

from tqconsole.tui.model.columns import Column, Placed, header_cells, layout_of, line_cells, place
from tqconsole.tui.model.facts import QueueFacts
from tqconsole.tui.model.format import UNKNOWN, Cell, Glyphs, age, count

__all__ = ["QueueRows"]

_STALE = 6.0  # seconds, three times the interval of counting, after which a figure is dimmed


class QueueRows:
    """Queues of the broker, by name or by how much waits. Owned by the console's event loop."""

    def __init__(self, queues: Callable[[], Sequence[QueueFacts]], symbols: Glyphs) -> None:
        """Show what `queues` returns."""
        self.symbols = symbols
        self.now = 0.0
        self.sort = "name"
        self.reverse = False
        self.marked: set[str] = set()
        self.hints: Sequence[Sequence[Cell]] = ()
        self._queues = queues
        self._rows: list[QueueFacts] = []
        self._columns = self._make_columns()
        self._placed: tuple[tuple[int, int], list[Placed[QueueFacts]]] | None = None

    def update(self, now: float) -> None:
        """Take in the figures of the moment."""
        self.now = now
        keys: dict[str, Callable[[QueueFacts], Any]] = {
            "ready": lambda queue: (-(queue.ready or 0), queue.name),
            "workers": lambda queue: (queue.consumers or 0, queue.name),
        }
        key = keys.get(self.sort, lambda queue: queue.name)
        self._rows = sorted(self._queues(), key=key, reverse=self.reverse)

    def sort_by(self, column: str) -> None:
        """Sort by a column; the same column again turns the order round."""
        self.reverse = not self.reverse if column == self.sort else False
        self.sort = column
        self.update(self.now)

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self._rows)

    def item(self, index: int) -> QueueFacts:
        """Return the queue of a row."""
        return self._rows[index]

    def get(self, key: str | None) -> QueueFacts | None:
        """Return a queue by its name."""
        return next((queue for queue in self._rows if queue.name == key), None)

    def key(self, index: int) -> str:
        """Return the name of a row's queue."""
        return self._rows[index].name

    def index_of(self, key: str) -> int | None:
        """Return the row of a queue."""
        return next((at for at, queue in enumerate(self._rows) if queue.name == key), None)

    def stamp(self, index: int) -> Hashable:
        """Return what a row's look depends on."""
        return tuple(self.cells(index, 200))

    def cells(self, index: int, width: int) -> Sequence[Cell]:
        """Return a row."""
        return line_cells(self._rows[index], self.placed(width), self.symbols.ellipsis)

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

    def placed(self, width: int) -> list[Placed[QueueFacts]]:
        """Return the columns with their widths."""
        longest = max([12, *(len(queue.name) for queue in self._rows)])
        key = (width, longest)
        if self._placed is None or self._placed[0] != key:
            self._placed = (key, place(self._columns, width, {"name": longest}))
        return self._placed[1]

    def _ready(self, queue: QueueFacts) -> Cell:
        if queue.ready is None:
            return Cell(UNKNOWN, "muted")
        old = self.now - queue.as_of > _STALE
        return Cell(count(queue.ready), "muted" if old or not queue.ready else "bold")

    def _workers(self, queue: QueueFacts) -> Cell:
        if queue.consumers is None:
            return Cell(UNKNOWN, "muted")
        return Cell(str(queue.consumers), "" if queue.consumers else "error")

    def _note(self, queue: QueueFacts) -> Cell:
        if queue.consumers == 0 and queue.ready:
            return Cell("NO WORKER takes from it", "error")
        return Cell("")

    def _as_of(self, queue: QueueFacts) -> Cell:
        return Cell(age(self.now - queue.as_of) if queue.as_of else UNKNOWN, "muted")

    def _make_columns(self) -> list[Column[QueueFacts]]:
        def name(queue: QueueFacts) -> Cell:
            return Cell(queue.name, "name")

        return [
            Column("name", "NAME", name, 12, 60, rank=0),
            Column("ready", "READY", self._ready, 10, rank=1, right=True),
            Column("workers", "WORKERS", self._workers, 8, rank=2, right=True),
            Column("as_of", "COUNTED", self._as_of, 8, rank=4, right=True),
            Column("note", "", self._note, 24, rank=3),
        ]
