"""A pager over lines of cells: scrolls, finds, and draws only the visible lines."""

from collections.abc import Sequence

from rich.segment import Segment
from textual import events
from textual.strip import Strip

from tqconsole.tui.model.format import Cell
from tqconsole.tui.widgets.paint import Backed, Palette, paint, regions

__all__ = ["TextPager"]


class TextPager(Backed, can_focus=True, inherit_bindings=False):
    """Shows a list of lines of which only the visible ones are drawn.

    Attributes:
        top: Index of the first visible line.
        scrolled: Cells scrolled to the right.
        needle: Text looked for, in lower case; matching lines are underlaid.
    """

    DEFAULT_CSS = "TextPager { height: 1fr; width: 1fr; }"

    def __init__(self, palette: Palette, bar: str = "█", **kwargs: str | None) -> None:
        """Draw with `palette`; `bar` is the scroll bar's symbol."""
        super().__init__(**kwargs)  # type: ignore[arg-type]  # id, name and classes only
        self.palette = palette
        self.top = 0
        self.scrolled = 0
        self.needle = ""
        self._bar = bar
        self._lines: Sequence[Sequence[Cell]] = ()

    @property
    def lines(self) -> Sequence[Sequence[Cell]]:
        """All lines."""
        return self._lines

    def show(self, lines: Sequence[Sequence[Cell]], *, home: bool = False) -> None:
        """Show these lines, from the first one on if `home`."""
        if home:
            self.top = 0
            self.scrolled = 0
        before, self._lines = self._lines, lines
        top, self.top = self.top, self._clamped(self.top)
        if len(lines) != len(before) or self.top != top or home:
            self.refresh()
            return
        shown = range(self.top, min(len(lines), self.top + self.size.height))
        changed = [index - self.top for index in shown if lines[index] != before[index]]
        if changed:
            self.refresh(*regions(changed, self.size.width))

    def scroll_lines(self, lines: int) -> None:
        """Move the view by lines."""
        self._go(self.top + lines)

    def scroll_pages(self, pages: float) -> None:
        """Move the view by pages."""
        self._go(self.top + int(pages * max(1, self.size.height - 1)))

    def scroll_ends(self, end: bool) -> None:
        """Go to the first or last line."""
        self._go(len(self._lines) if end else 0)

    def scroll_cells(self, cells: int) -> None:
        """Move the view sideways."""
        self.scrolled = max(0, min(self.scrolled + cells, 4000))
        self.refresh()

    def find(self, needle: str, *, after: bool = False, backwards: bool = False) -> int | None:
        """Go to the next line that contains a text; returns its index, or None.

        Args:
            needle: The text; case does not matter.
            after: Whether to start behind the first visible line.
            backwards: Whether to look towards the first line.
        """
        self.needle = needle.lower()
        self.refresh()
        if not needle or not self._lines:
            return None
        count = len(self._lines)
        step = -1 if backwards else 1
        start = self.top + (step if after else 0)
        for distance in range(count):
            index = (start + step * distance) % count
            if self._matches(index):
                self._go(index)
                return index
        return None

    def _matches(self, index: int) -> bool:
        return self.needle in "".join(cell.text for cell in self._lines[index]).lower()

    def _clamped(self, top: int) -> int:
        return max(0, min(top, len(self._lines) - max(1, self.size.height)))

    def _go(self, top: int) -> None:
        self.top = self._clamped(top)
        self.refresh()

    def render_line(self, y: int) -> Strip:
        """Draw one visible line and its piece of the scroll bar."""
        width = max(1, self.size.width - 1)
        index = self.top + y
        cells: Sequence[Cell] = self._lines[index] if index < len(self._lines) else ()
        found = bool(self.needle) and index < len(self._lines) and self._matches(index)
        base = self.backdrop
        under = self.palette["cursor"] if found else base
        bar = Segment(self._bar if self._on_bar(y) else " ", base + self.palette["bar"])
        return paint(cells, width, self.palette, under, self.scrolled, ((), (bar,)))

    def _on_bar(self, y: int) -> bool:
        count, page = len(self._lines), self.size.height
        if count <= page or page == 0:
            return False
        length = max(1, page * page // count)
        start = round((page - length) * self.top / max(1, count - page))
        return start <= y < start + length

    def on_resize(self) -> None:
        """Keep the view inside the text."""
        self.top = self._clamped(self.top)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """Scroll three lines down."""
        event.stop()
        self.scroll_lines(3)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """Scroll three lines up."""
        event.stop()
        self.scroll_lines(-3)
