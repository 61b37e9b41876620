"""Fixed rows of text: header, tabs, filter bar, footer; parts of them may be clicked."""

from collections.abc import Sequence

from textual import events
from textual.message import Message
from textual.strip import Strip

from tqconsole.tui.model.format import Cell
from tqconsole.tui.model.lines import Line
from tqconsole.tui.widgets.paint import Backed, Palette, paint, regions

__all__ = ["LineBar"]


class LineBar(Backed, inherit_bindings=False):
    """One or more rows, set as a whole and drawn again only when they differ."""

    DEFAULT_CSS = "LineBar { height: 1; width: 1fr; }"

    class Clicked(Message):
        """A spot was clicked; `action` is what it carries."""

        def __init__(self, action: str) -> None:
            """Keep the action's name."""
            super().__init__()
            self.action = action

    def __init__(self, palette: Palette, under: str = "", **kwargs: str | None) -> None:
        """Draw with `palette`, on the background of the style named `under`."""
        super().__init__(**kwargs)  # type: ignore[arg-type]  # id, name and classes only
        self.palette = palette
        self._under = under
        self._lines: tuple[Line, ...] = ()

    @property
    def lines(self) -> tuple[Line, ...]:
        """What is shown."""
        return self._lines

    def show(self, *lines: Line) -> None:
        """Show these lines."""
        before, self._lines = self._lines, lines
        if len(lines) != len(before):
            self.refresh()
        elif changed := [y for y, line in enumerate(lines) if line != before[y]]:
            self.refresh(*regions(changed, self.size.width))

    def render_line(self, y: int) -> Strip:
        """Draw one row."""
        width = self.size.width
        under = self.palette[self._under] if self._under else self.backdrop
        cells: Sequence[Cell] = self._lines[y].cells if y < len(self._lines) else ()
        return paint(cells, width, self.palette, under)

    def on_click(self, event: events.Click) -> None:
        """Say which spot was clicked."""
        event.stop()
        if event.y >= len(self._lines):
            return
        for spot in self._lines[event.y].spots:
            if spot.start <= event.x < spot.end:
                self.post_message(self.Clicked(spot.action))
                return
