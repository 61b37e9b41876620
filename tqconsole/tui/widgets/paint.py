"""From cells to strips: the only place where text meets terminal styles."""

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

from rich.segment import Segment
from rich.style import Style
from textual.color import Color
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

from tqconsole.tui.model.format import Cell, width_of

__all__ = ["Backed", "Palette", "paint", "regions"]

Palette = Mapping[str, Style]

_NOTHING = Style()


class Backed(Widget):
    """A widget that draws line by line, and so has to bring its own background."""

    _base: Style | None = None

    @property
    def backdrop(self) -> Style:
        """The background as a style; asking textual for it takes a tenth of a line's time."""
        base = self._base
        if base is None:
            base = self._base = _backdrop(self.background_colors[1])
        return base

    def notify_style_update(self) -> None:
        """Forget the background, which may be another now."""
        self._base = None
        super().notify_style_update()

    def redraw(self) -> None:
        """Draw everything again, after a change of theme."""
        self._base = None
        self.refresh()


@lru_cache(maxsize=64)
def _backdrop(colour: Color) -> Style:
    return Style(bgcolor=colour.rich_color)


@lru_cache(maxsize=512)
def _over(under: Style, style: Style) -> Style:
    return under + style


def paint(
    cells: Iterable[Cell],
    width: int,
    palette: Palette,
    under: Style,
    offset: int = 0,
    ends: tuple[Sequence[Segment], Sequence[Segment]] = ((), ()),
) -> Strip:
    """Draw cells on one line of exactly `width` cells.

    Args:
        cells: Text with style names; text is never read as markup.
        width: Cells of the line.
        palette: Style of each name.
        under: A style below all others: the background, or the cursor's.
        offset: Cells cut off at the left, for horizontal scrolling.
        ends: What stands before and behind the line, beyond its width.
    """
    segments, taken = _segments(cells, palette, under)
    if offset or taken > width:
        line = Strip(segments, taken).crop(offset, offset + width).adjust_cell_length(width, under)
        segments = list(line)
    elif taken < width:
        segments.append(Segment(" " * (width - taken), under))
    before, behind = ends
    if before or behind:
        segments = [*before, *segments, *behind]
        width += sum(part.cell_length for part in (*before, *behind))
    return Strip(segments, width)


def _segments(cells: Iterable[Cell], palette: Palette, under: Style) -> tuple[list[Segment], int]:
    """Join neighbours of one style: what follows takes its time by the piece."""
    segments: list[Segment] = []
    taken = 0
    texts: list[str] = []
    last: str | None = None
    for text, name in cells:
        if not text:
            continue
        taken += width_of(text)
        if name != last and texts:
            style = palette.get(last or "", _NOTHING)
            segments.append(Segment("".join(texts), _over(under, style)))
            texts = []
        last = name
        texts.append(text)
    if texts:
        segments.append(Segment("".join(texts), _over(under, palette.get(last or "", _NOTHING))))
    return segments, taken


def regions(lines: Sequence[int], width: int) -> list[Region]:
    """Join neighbouring lines to regions."""
    regions: list[Region] = []
    start = previous = lines[0]
    for line in lines[1:]:
        if line != previous + 1:
            regions.append(Region(0, start, width, previous - start + 1))
            start = line
        previous = line
    regions.append(Region(0, start, width, previous - start + 1))
    return regions
