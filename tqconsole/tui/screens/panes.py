"""Several lists on one screen, of which one has the cursor."""

from tqconsole.tui.screens.base import ListScreen
from tqconsole.tui.widgets.live_table import LiveTable

__all__ = ["Panes"]


class Panes(ListScreen):
    """A screen of lists; `table` is the one that keys move.

    Attributes:
        panes: The lists by name, from top to bottom.
    """

    panes: dict[str, LiveTable]

    def activate(self, name: str) -> None:
        """Have keys move a list; the cursor leaves the one before."""
        pane = self.panes[name]
        if pane is not self.table:
            self.table.choose(None)
            self.table.tick()
            self.table = pane
        pane.focus()

    def on_live_table_moved(self, event: LiveTable.Moved) -> None:
        """Make the list that was clicked the one that keys move."""
        event.stop()
        if event.key is None or event.table is self.table:
            return
        for name, pane in self.panes.items():
            if pane is event.table:
                self.activate(name)
