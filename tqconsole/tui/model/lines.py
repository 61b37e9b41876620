"""Lines of cells with places that can be clicked, and how to put them together."""

from collections.abc import Iterable
from dataclasses import dataclass

from tqconsole.tui.model.format import Cell, width_of

__all__ = ["Line", "Piece", "Spot", "joined", "two_sided"]

Piece = tuple[Cell, str | None]  # a cell and what clicking it does


@dataclass(frozen=True, slots=True)
class Spot:
    """A stretch of a line that does something when clicked."""

    start: int
    end: int
    action: str


@dataclass(frozen=True, slots=True)
class Line:
    """A line of cells and the spots on it."""

    cells: tuple[Cell, ...]
    spots: tuple[Spot, ...] = ()

    @property
    def width(self) -> int:
        """Cells that the text takes."""
        return sum(width_of(cell.text) for cell in self.cells)


def joined(pieces: Iterable[Piece], start: int = 0) -> Line:
    """Put pieces side by side; `start` is the cell they begin at."""
    cells: list[Cell] = []
    spots: list[Spot] = []
    at = start
    for cell, action in pieces:
        end = at + width_of(cell.text)
        if action is not None:
            spots.append(Spot(at, end, action))
        cells.append(cell)
        at = end
    return Line(tuple(cells), tuple(spots))


def two_sided(left: list[Piece], right: list[Piece], width: int) -> Line:
    """Put pieces at both ends of a line; the left ones give way from their end."""
    right_width = sum(width_of(cell.text) for cell, _ in right)
    room = max(0, width - right_width - 1)
    kept: list[Piece] = []
    used = 0
    for cell, action in left:
        size = width_of(cell.text)
        if used + size > room:
            break
        kept.append((cell, action))
        used += size
    gap = max(0, width - used - right_width)
    return joined([*kept, (Cell(" " * gap), None), *right])
