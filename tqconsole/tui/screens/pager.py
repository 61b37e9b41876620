"""Screens that are one page of text: moved through and searched."""

from tqconsole.tui.model.format import Cell
from tqconsole.tui.screens.base import Console, ConsoleScreen
from tqconsole.tui.widgets.prompt import Typing
from tqconsole.tui.widgets.text_pager import TextPager

__all__ = ["PagerScreen"]


class PagerScreen(ConsoleScreen):
    """Moving and finding in a `TextPager`."""

    def __init__(self, console: Console) -> None:
        """Belong to `console`."""
        super().__init__(console)
        self.pager = TextPager(console.palette, console.symbols.thumb, id="pager")

    def main(self) -> TextPager:
        """Return the pager."""
        return self.pager

    def redraw(self) -> None:
        """Draw everything again, after a change of theme."""
        self.pager.palette = self.console.palette
        self.pager.redraw()
        super().redraw()

    def do_move_down(self) -> None:
        """Scroll one line down."""
        self.pager.scroll_lines(1)

    def do_move_up(self) -> None:
        """Scroll one line up."""
        self.pager.scroll_lines(-1)

    def do_page_down(self) -> None:
        """Scroll half a page down."""
        self.pager.scroll_pages(0.5)

    def do_page_up(self) -> None:
        """Scroll half a page up."""
        self.pager.scroll_pages(-0.5)

    def do_first(self) -> None:
        """Go to the first line."""
        self.pager.scroll_ends(end=False)

    def do_last(self) -> None:
        """Go to the last line."""
        self.pager.scroll_ends(end=True)

    def do_left(self) -> None:
        """Scroll to the left."""
        self.pager.scroll_cells(-8)

    def do_right(self) -> None:
        """Scroll to the right."""
        self.pager.scroll_cells(8)

    def do_find(self) -> None:
        """Let the user type what to look for."""
        self.prompt.type_line(Typing("/", done=self._find, cancelled=self._refocus))

    def _refocus(self) -> None:
        self.pager.focus()

    def _find(self, text: str) -> None:
        self.pager.focus()
        self._found(text, self.pager.find(text))

    def do_find_next(self) -> None:
        """Go to the next match."""
        self._found(self.pager.needle, self.pager.find(self.pager.needle, after=True))

    def do_find_previous(self) -> None:
        """Go to the match before."""
        needle = self.pager.needle
        self._found(needle, self.pager.find(needle, after=True, backwards=True))

    def _found(self, text: str, index: int | None) -> None:
        if text and index is None:
            self.note = Cell("")
            self.say(f"{text!r} is not on this page")

    def do_back(self) -> None:
        """Clear the search, then go back."""
        if self.pager.needle:
            self.pager.find("")
        else:
            self.dismiss()

    def do_leave(self) -> None:
        """Go back."""
        self.dismiss()
