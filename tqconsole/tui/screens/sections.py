"""Pages with sections that are reached by number or by a click on their names."""

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult

from tqconsole.tui.model.format import Cell
from tqconsole.tui.model.lines import Piece, joined
from tqconsole.tui.screens.base import Console
from tqconsole.tui.screens.pager import PagerScreen
from tqconsole.tui.widgets.line_bar import LineBar

__all__ = ["SectionsScreen"]


class SectionsScreen(PagerScreen):
    """A page below a row of section names."""

    sections: ClassVar[tuple[tuple[str, str, str], ...]] = ()  # number, name, title

    def __init__(self, console: Console, section: str) -> None:
        """Show `section` first."""
        super().__init__(console)
        self.section = section
        self.sections_bar = LineBar(console.palette, id="sections")

    def body(self) -> ComposeResult:
        """Give the row of sections and the page."""
        yield self.sections_bar
        yield self.pager

    def show_sections(
        self, news: Sequence[Cell], here: str = "", without: Sequence[str] = ()
    ) -> None:
        """Draw the row of names, and behind it how things stand.

        Args:
            news: How things stand.
            here: The section that is shown alone, if any is.
            without: Sections there is nothing in.
        """
        pieces: list[Piece] = []
        for number, name, title in self.sections:
            if name not in without:
                style = "tab-here" if name == here else "muted"
                pieces.append((Cell(f" {number}", "key"), f"section.{name}"))
                pieces.append((Cell(f" {title} ", style), f"section.{name}"))
        pieces += [(cell, None) for cell in news]
        self.sections_bar.show(joined(pieces))

    def open_number(self, number: str) -> bool:
        """Go to a section by its number."""
        for digit, name, _ in self.sections:
            if digit == number:
                self.do_section(name)
                return True
        return super().open_number(number)

    def do_section(self, name: str) -> None:
        """Go to a section."""
        raise NotImplementedError

    def on_line_bar_clicked(self, event: LineBar.Clicked) -> None:
        """Go to the section that was clicked."""
        if event.action.startswith("section."):
            event.stop()
            self.do_section(event.action.removeprefix("section."))
        else:
            super().on_line_bar_clicked(event)
