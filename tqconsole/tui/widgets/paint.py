"""From cells to strips: the only place where text meets terminal styles."""

from collections.abc import Iterable, Mapping
from functools import lru_cache

from rich.segment import Segment
from rich.style import Style
from textual.color import Color
from textual.strip import Strip
from textual.widget import Widget

from tqconsole.tui.model.format import Cell, width_of

__all__ = ["Palette", "backdrop", "paint"]

Palette = Mapping[str, Style]

_NOTHING = Style()


def backdrop(widget: Widget) -> Style:
    """Return the background of a widget; what is drawn line by line has to bring its own."""
    return _backdrop(widget.background_colors[1])


@lru_cache(maxsize=64)
def _backdrop(colour: Color) -> Style:
    return Style(bgcolor=colour.rich_color)


def paint(
    cells: Iterable[Cell], width: int, palette: Palette, under: Style, offset: int = 0
) -> Strip:
    """Draw cells on one line of exactly `width` cells.

    Args:
        cells: Text with style names; text is never read as markup.
        width: Cells of the line.
        palette: Style of each name.
        under: A style below all others: the background, or the cursor's.
        offset: Cells cut off at the left, for horizontal scrolling.
    """
    segments: list[Segment] = []
    taken = 0
    for text, name in cells:
        if not text:
            continue
        style = palette.get(name, _NOTHING)
        segments.append(Segment(text, under + style))
        taken += width_of(text)
    if offset:
        strip = Strip(segments, taken).crop(offset, offset + width)
        return strip.adjust_cell_length(width, under)
    if taken < width:
        segments.append(Segment(" " * (width - taken), under))
        return Strip(segments, width)
    strip = Strip(segments, taken)
    return strip if taken == width else strip.adjust_cell_length(width, under)
