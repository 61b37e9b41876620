"""Rows of any kind for a table: set as a whole, drawn by columns."""

from collections.abc import Callable, Hashable, Sequence
from typing import Generic, TypeVar

from tqconsole.tui.model.columns import (
    Column,
    Placed,
    fitted,
    header_cells,
    layout_of,
    line_cells,
    place,
)
from tqconsole.tui.model.format import Cell, Glyphs, clip, fit, width_of

__all__ = ["Rows", "titled"]

Row = TypeVar("Row")


class Rows(Generic[Row]):
    """A list of rows under columns; owned by the console's event loop.

    Attributes:
        marked: Keys the user marked.
        hints: Lines shown while there are no rows.
        title: Set into the line of headings, for a list that is a part of a screen.
        sort: Name of the column whose heading carries the arrow.
        reverse: Whether the order is turned round.
    """

    def __init__(
        self,
        columns: Sequence[Column[Row]],
        key: Callable[[Row], str],
        symbols: Glyphs,
        *,
        title: str = "",
    ) -> None:
        """Start empty; `key` names a row while it moves."""
        self.symbols = symbols
        self.marked: set[str] = set()
        self.hints: Sequence[Sequence[Cell]] = ()
        self.title = title
        self.sort = ""
        self.reverse = False
        self._columns = columns
        self._key = key
        self._rows: Sequence[Row] = ()
        self._places: dict[str, int] = {}
        self._named = next((column for column in columns if column.rank == 0), None)
        self._longest = 0
        self._made: dict[int, tuple[Cell, ...]] = {}  # cells of the rows in view
        self._placed: tuple[tuple[int, int], list[Placed[Row]]] | None = None

    def show(self, rows: Sequence[Row]) -> None:
        """Show these rows."""
        self._rows = rows
        self._made.clear()
        self._places = {self._key(row): place for place, row in enumerate(rows)}
        named = self._named
        if named is not None:
            self._longest = max((width_of(named.cell(row).text) for row in rows), default=0)

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self._rows)

    def item(self, index: int) -> Row:
        """Return a row by its place."""
        return self._rows[index]

    def get(self, key: str | None) -> Row | None:
        """Return a row by its key."""
        at = None if key is None else self._places.get(key)
        return None if at is None else self._rows[at]

    def key(self, index: int) -> str:
        """Return the key of a row."""
        return self._key(self._rows[index])

    def index_of(self, key: str) -> int | None:
        """Return the place of a row."""
        return self._places.get(key)

    def stamp(self, index: int) -> Hashable:
        """Return what a row's look depends on."""
        row = self._rows[index]
        made = tuple(column.cell(row) for column in self._columns)
        self._made[index] = made
        return made

    def cells(self, index: int, width: int) -> Sequence[Cell]:
        """Return a row, as it was when it was last stamped."""
        made = self._made.get(index)
        if made is None:
            return line_cells(self._rows[index], self.placed(width), self.symbols.ellipsis)
        by_name = dict(zip((column.name for column in self._columns), made, strict=True))
        return fitted(
            ((by_name[item.column.name], item) for item in self.placed(width)),
            self.symbols.ellipsis,
        )

    def layout(self, width: int) -> Hashable:
        """Return how a width is shared between the columns."""
        return layout_of(self.placed(width))

    def header(self, width: int) -> Sequence[Cell]:
        """Return the headings."""
        arrow = self.symbols.descending if self.reverse else self.symbols.ascending
        placed = self.placed(width)
        cells = header_cells(placed, self.sort, arrow, self.symbols.ellipsis) if self._rows else []
        return titled(self.title, cells, width, self.symbols) if self.title else cells

    def empty(self, width: int) -> Sequence[Sequence[Cell]]:
        """Return the lines shown while there are no rows."""
        return self.hints

    def placed(self, width: int) -> list[Placed[Row]]:
        """Return the columns with their widths."""
        key = (width, self._longest)
        if self._placed is None or self._placed[0] != key:
            wanted = {self._named.name: self._longest} if self._named is not None else {}
            self._placed = (key, place(self._columns, width, wanted))
        return self._placed[1]


def titled(title: str, headings: Sequence[Cell], width: int, symbols: Glyphs) -> list[Cell]:
    """Set a title into a line of headings, in place of the first of them; rules fill the blanks."""
    begin = f"{symbols.rule} {title} "
    taken = width_of(begin)
    cells = [Cell(symbols.rule + " ", "rule"), Cell(f"{title} ", "title")]
    at = 0
    for text, style in headings:
        size = width_of(text)
        start, at = at, at + size
        if at <= taken:
            continue
        if start < taken:
            text = fit("", at - taken) if not text.strip() else clip(text[taken - start :], size)
            # a heading half covered by the title would be no word any more
            text = fit("", width_of(text))
        cells.extend(_ruled(text, style, symbols))
    cells.append(Cell(symbols.rule * max(0, width - at), "rule"))
    return cells


def _ruled(text: str, style: str, symbols: Glyphs) -> list[Cell]:
    """Replace the blanks around a heading by a rule."""
    word = text.strip()
    if not word:
        return [Cell(symbols.rule * len(text), "rule")]
    before = len(text) - len(text.lstrip())
    after = len(text) - len(text.rstrip())
    left = symbols.rule * max(0, before - 1) + " " * min(1, before)
    right = " " * min(1, after) + symbols.rule * max(0, after - 1)
    return [Cell(left, "rule"), Cell(word, style), Cell(right, "rule")]
