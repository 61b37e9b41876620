"""The window that asks before something that cannot be undone."""

from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.await_complete import AwaitComplete
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input

from tqconsole.tui.model.acts import Act
from tqconsole.tui.model.detail import wrapped
from tqconsole.tui.model.format import Cell, Glyphs, clip, count
from tqconsole.tui.model.lines import Line
from tqconsole.tui.widgets.line_bar import LineBar
from tqconsole.tui.widgets.paint import Palette

__all__ = ["ConfirmScreen"]

_WIDTH = 77
_LABEL = 12
_FRAME = 6  # lines of the window beside its text: border, label, input, hint and a blank


class ConfirmScreen(ModalScreen[bool], inherit_bindings=False):
    """Answers True when the word was typed; Esc, or anything else, answers False."""

    BINDINGS: ClassVar = []

    def __init__(self, act: Act, context: str, palette: Palette, symbols: Glyphs) -> None:
        """Ask for `act` in the cluster named `context`."""
        super().__init__()
        self.act = act
        self.context = context
        self._palette = palette
        self._symbols = symbols
        self._text = LineBar(palette, id="confirm-text")
        self._label = LineBar(palette, id="confirm-label")
        self._input = Input(id="confirm-input", compact=True)
        self._input.cursor_blink = False
        self._hint = LineBar(palette, id="confirm-hint")
        self._listed: int | None = None  # the first line of the dry run in sight, while it is

    def compose(self) -> ComposeResult:
        """Show what will be touched, then ask for the word."""
        with Vertical(id="confirm-window") as window:
            window.border_title = f" {self.act.title} "
            window.border_subtitle = f" {self.context} "
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
        room = max(3, self.app.size.height - _FRAME)
        lines = self._summary(width) if self._listed is None else self._dry_run(width, room)
        lines = lines[:room]
        lines.append(Line(()))
        self._text.styles.height = len(lines)
        self._text.show(*lines)
        self._label.show(
            Line((Cell("  type "), Cell(self.act.word, "warning-bold"), Cell(" to confirm:", "")))
        )
        self._say("nothing has been sent", "muted")

    def _summary(self, width: int) -> list[Line]:
        """Say what will be touched, what it means, and what does the same in a shell."""
        act = self.act
        lines: list[Line] = [Line(())]
        for label, value in act.lines:
            text = clip(value, width - _LABEL - 2, self._symbols.ellipsis)
            lines.append(Line((Cell(f"  {label:<{_LABEL}}", "muted"), Cell(text))))
        for label, text, style in (
            ("effect", " ".join(act.effect), ""),
            ("same as", act.equivalent, "accent"),
        ):
            lines.append(Line(()))
            for number, cells in enumerate(wrapped(text, width - _LABEL - 2)):
                begin = Cell(f"  {label if number == 0 else '':<{_LABEL}}", "muted")
                lines.append(Line((begin, *(Cell(c.text, style) for c in cells))))
        return lines

    def _dry_run(self, width: int, room: int) -> list[Line]:
        """List everything that will be touched, from the line scrolled to."""
        listed, total = self.act.listing, len(self.act.listing)
        page = max(1, room - 2)
        first = self._listed = max(0, min(self._listed or 0, total - page))
        last = min(total, first + page)
        head = f"  {count(first + 1)}-{count(last)} of {count(total)}   up and down scroll"
        ellipsis = self._symbols.ellipsis
        return [
            Line((Cell(head, "muted"),)),
            Line(()),
            *(Line((Cell(f"  {clip(text, width - 2, ellipsis)}"),)) for text in listed[first:last]),
        ]

    def _say(self, text: str, style: str) -> None:
        cells = [Cell(f"  {text}", style)]
        if self.act.listing:
            what = "dry run" if self._listed is None else "back"
            cells += [Cell("      tab", "key"), Cell(f" {what}", "muted")]
        cells += [Cell("      esc", "key"), Cell(" cancel", "muted")]
        self._hint.show(Line(tuple(cells)))

    def dismiss(self, result: bool | None = None) -> AwaitComplete:
        """Answer, but once: textual takes away whatever is on top."""
        return super().dismiss(result) if self.app.screen is self else AwaitComplete()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Accept the right word only."""
        event.stop()
        if event.value.strip() == self.act.word:
            self.dismiss(True)
            return
        self._say(f"that is not {self.act.word}; nothing has been sent", "error")

    def on_key(self, event: events.Key) -> None:
        """Cancel on Esc; Tab shows the dry run, which the arrows scroll."""
        if event.key == "escape":
            event.stop()
            self.dismiss(False)
        elif event.key == "tab" and self.act.listing:
            event.stop()
            self._listed = 0 if self._listed is None else None
            self._fill()
        elif event.key in _STEPS and self._listed is not None:
            event.stop()
            self._listed += _STEPS[event.key]
            self._fill()


_STEPS = {"up": -1, "down": 1, "pageup": -10, "pagedown": 10}
