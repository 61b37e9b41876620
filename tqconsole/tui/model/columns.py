"""Columns of a table and how they share the width they are given."""

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from tqconsole.tui.model.format import Cell, fit, width_of

__all__ = ["Column", "Placed", "fitted", "header_cells", "layout_of", "line_cells", "place"]

Row = TypeVar("Row")

_READABLE = 28  # cells a name gets before other columns grow


@dataclass(frozen=True, slots=True)
class Column(Generic[Row]):
    """One column of a table.

    Attributes:
        name: What `s` sorts by and `o` hides.
        title: The heading.
        cell: Makes the cell of a row.
        width: Least cells it takes while it is shown.
        most: Most cells it takes when there is room; equal to `width` for a fixed column.
        rank: Columns with the highest rank are dropped first when the width does not suffice.
        right: Aligned to the right.
        sort: Sort key of a row, or None where sorting makes no sense.
        extra: Shown only when all others have the width their content wants.
    """

    name: str
    title: str
    cell: Callable[[Row], Cell]
    width: int
    most: int = 0
    rank: int = 0
    right: bool = False
    sort: Callable[[Row], Any] | None = None
    extra: bool = False


@dataclass(frozen=True, slots=True)
class Placed(Generic[Row]):
    """A column with the cells it was given."""

    column: Column[Row]
    width: int


def place(
    columns: Sequence[Column[Row]],
    width: int,
    wanted: Mapping[str, int] | None = None,
    drop: bool = True,
) -> list[Placed[Row]]:
    """Share a width between columns: drop what does not fit, then let the flexible ones grow.

    Args:
        columns: In the order in which they are shown.
        width: Cells for all columns and the single blanks between them.
        wanted: Widest content by column name; a column never grows beyond it.
        drop: Whether columns may be left out; a wide table scrolls instead.
    """
    shown = list(columns)
    while drop and len(shown) > 1 and _least(shown) > width:
        shown.remove(max(shown, key=_rank))
    limits = {column.name: _limit(column, wanted or {}) for column in shown}
    while drop and (extra := max((c for c in shown if c.extra), key=_rank, default=None)):
        content = sum(limits[c.name] + 1 for c in shown if not c.extra)
        if content + sum(c.width + 1 for c in shown if c.extra) - 1 <= width:
            break
        shown.remove(extra)
    widths = {column.name: column.width for column in shown}
    spare = width - _least(shown)
    for column in shown:  # what a row is called matters more than all else
        if column.rank == 0 and spare > 0:
            step = min(spare, max(0, min(limits[column.name], _READABLE) - widths[column.name]))
            widths[column.name] += step
            spare -= step
    # Growing evenly and in the order of importance keeps names readable before hosts.
    order = sorted(shown, key=_rank)
    while spare > 0:
        growing = [column for column in order if widths[column.name] < limits[column.name]]
        if not growing:
            break
        for column in growing:
            if spare <= 0:
                break
            step = 2 if column.rank == 0 else 1
            step = min(step, spare, limits[column.name] - widths[column.name])
            widths[column.name] += step
            spare -= step
    return [Placed(column, widths[column.name]) for column in shown]


def _rank(column: Column[Row]) -> int:
    return column.rank


def _limit(column: Column[Row], wanted: Mapping[str, int]) -> int:
    most = max(column.most, column.width)
    if column.name in wanted:
        return max(column.width, min(most, wanted[column.name]))
    return most


def _least(columns: Sequence[Column[Row]]) -> int:
    return sum(column.width for column in columns) + max(0, len(columns) - 1)


def layout_of(placed: Sequence[Placed[Row]]) -> Hashable:
    """Return what tells two layouts apart."""
    return tuple((item.column.name, item.width) for item in placed)


def line_cells(row: Row, placed: Sequence[Placed[Row]], ellipsis: str) -> list[Cell]:
    """Make the cells of a row, each fitted to its column, with blanks between."""
    return fitted(((item.column.cell(row), item) for item in placed), ellipsis)


def fitted(made: Iterable[tuple[Cell, Placed[Row]]], ellipsis: str) -> list[Cell]:
    """Fit cells to their columns, with blanks between."""
    cells: list[Cell] = []
    for (text, style), item in made:
        cells.append(Cell(fit(text, item.width, item.column.right, ellipsis), style))
        cells.append(_BLANK)
    return cells


def header_cells(
    placed: Sequence[Placed[Row]], sorted_by: str, arrow: str, ellipsis: str
) -> list[Cell]:
    """Make the headings; the column sorted by carries the arrow."""
    cells: list[Cell] = []
    for item in placed:
        title = item.column.title
        marked = item.column.name == sorted_by
        if marked and width_of(title) + 1 <= item.width:
            title = title + arrow
        style = "heading-sorted" if marked else "heading"
        cells.append(Cell(fit(title, item.width, item.column.right, ellipsis), style))
        cells.append(_BLANK)
    return cells


_BLANK = Cell(" ")
