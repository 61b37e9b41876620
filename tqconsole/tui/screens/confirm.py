"""The window that asks before something that cannot be undone."""

from dataclasses import dataclass
from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input

from tqconsole.tui.model.detail import wrapped
from tqconsole.tui.model.format import Cell, Glyphs, clip
from tqconsole.tui.model.lines import Line
from tqconsole.tui.widgets.line_bar import LineBar
from tqconsole.tui.widgets.paint import Palette

__all__ = ["ConfirmScreen", "Confirmation"]

_WIDTH = 77
_LABEL = 12


@dataclass(frozen=True, slots=True)
class Confirmation:
    """What is asked.

    Attributes:
        lines: Labels and values: what will be touched.
        effect: What it does, and what it does not.
        equivalent: The command line that does the same.
        word: What must be typed.
    """

    title: str
    context: str
    lines: tuple[tuple[str, str], ...]
    effect: tuple[str, ...]
    equivalent: str
    word: str


class ConfirmScreen(ModalScreen[bool]):
    """Answers True when the word was typed; Esc, or anything else, answers False."""

    BINDINGS: ClassVar = []

    def __init__(self, confirmation: Confirmation, palette: Palette, symbols: Glyphs) -> None:
        """Ask `confirmation`."""
        super().__init__()
        self.confirmation = confirmation
        self._palette = palette
        self._symbols = symbols
        self._text = LineBar(palette, id="confirm-text")
        self._label = LineBar(palette, id="confirm-label")
        self._input = Input(id="confirm-input", compact=True)
        self._input.cursor_blink = False
        self._hint = LineBar(palette, id="confirm-hint")

    def compose(self) -> ComposeResult:
        """Show what will be touched, then ask for the word."""
        with Vertical(id="confirm-window") as window:
            window.border_title = f" {self.confirmation.title} "
            window.border_subtitle = f" {self.confirmation.context} "
            yield self._text
            yield self._label
            yield self._input
            yield self._hint

    def on_mount(self) -> None:
        """Fill the window."""
        self._fill()
        self._input.focus()

    def on_resize(self) -> None:
        """Fit the text to the new size."""
        self._fill()

    def _fill(self) -> None:
        width = min(_WIDTH, max(20, self.app.size.width - 4)) - 4
        asked = self.confirmation
        lines: list[Line] = [Line(())]
        for label, value in asked.lines:
            text = clip(value, width - _LABEL - 2, self._symbols.ellipsis)
            lines.append(Line((Cell(f"  {label:<{_LABEL}}", "muted"), Cell(text))))
        lines.append(Line(()))
        for number, cells in enumerate(wrapped(" ".join(asked.effect), width - _LABEL - 2)):
            label = "effect" if number == 0 else ""
            lines.append(Line((Cell(f"  {label:<{_LABEL}}", "muted"), *cells)))
        lines.append(Line(()))
        for number, cells in enumerate(wrapped(asked.equivalent, width - _LABEL - 2)):
            label = "same as" if number == 0 else ""
            lines.append(
                Line(
                    (
                        Cell(f"  {label:<{_LABEL}}", "muted"),
                        *(Cell(c.text, "accent") for c in cells),
                    )
                )
            )
        room = max(3, self.app.size.height - 6)
        if len(lines) > room:
            lines = lines[:room]
        lines.append(Line(()))
        self._text.styles.height = len(lines)
        self._text.show(*lines)
        self._label.show(
            Line((Cell("  type "), Cell(asked.word, "warning-bold"), Cell(" to confirm:", "")))
        )
        self._hint.show(
            Line(
                (
                    Cell("  nothing has been sent", "muted"),
                    Cell("      esc", "key"),
                    Cell(" cancel", "muted"),
                )
            )
        )

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Accept the right word only."""
        event.stop()
        if event.value.strip() == self.confirmation.word:
            self.dismiss(True)
            return
        wrong = f"  that is not {self.confirmation.word}; nothing has been sent"
        self._hint.show(
            Line((Cell(wrong, "error"), Cell("      esc", "key"), Cell(" cancel", "muted")))
        )

    def on_key(self, event: events.Key) -> None:
        """Cancel on Esc."""
        if event.key == "escape":
            event.stop()
            self.dismiss(False)
