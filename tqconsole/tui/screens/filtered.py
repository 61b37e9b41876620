"""A list whose rows the user chooses with a filter."""

from tqconsole.tui.model.filters import Filter, FilterError, parse
from tqconsole.tui.model.format import Cell
from tqconsole.tui.screens.base import Console, ListScreen
from tqconsole.tui.widgets.prompt import Typing

__all__ = ["FilteredList"]


class FilteredList(ListScreen):
    """A list with a filter, which is applied at every change while it is typed."""

    def __init__(self, console: Console) -> None:
        """Belong to `console`."""
        super().__init__(console)
        self._history: list[str] = []
        self._before = ""

    def filter_now(self) -> Filter:
        """Return the filter that is in use."""
        raise NotImplementedError

    def use_filter(self, chosen: Filter) -> None:
        """Choose the rows anew."""
        raise NotImplementedError

    def do_filter(self) -> None:
        """Let the user type a filter, applied at every change."""
        self._before = self.filter_now().source
        self.prompt.type_line(
            Typing(
                mark="/",
                # What is typed is a term of its own.
                text=f"{self._before} " if self._before else "",
                changed=self._filter_changed,
                done=self._filter_done,
                cancelled=self._filter_cancelled,
                history=tuple(self._history),
            )
        )

    def _filter_changed(self, text: str) -> None:
        self.try_filter(text)

    def try_filter(self, text: str) -> bool:
        """Apply a filter if it can be read; else say where it cannot and keep the one before."""
        try:
            chosen = parse(text, self.console.config.saved_filters)
        except FilterError as error:
            place = min(error.column, self.size.width // 2)
            caret = " " * max(0, self.prompt.mark_width - 1 + place)
            self.note = Cell(f"{caret}^ {error.reason}", "error")
            self.draw_frame()
            return False
        self.use_filter(chosen)
        self.unsay()
        self.tick()
        return True

    def _filter_done(self, text: str) -> None:
        text = text.strip()
        if not self.try_filter(text):
            self.try_filter(self._before)
            self.say("that filter cannot be read; the one before stays", "error")
        elif text and self._history[-1:] != [text]:
            self._history.append(text)
        self.refocus()

    def _filter_cancelled(self) -> None:
        self.try_filter(self._before)
        self.refocus()
