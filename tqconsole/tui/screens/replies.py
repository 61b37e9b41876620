"""The reply panel: who answered a command, who did not, and why."""

from typing import ClassVar

from textual.app import ComposeResult

from tqconsole.tui.model.advice import explain_silence
from tqconsole.tui.model.sent import SentCommand, reply_lines
from tqconsole.tui.screens.base import Console
from tqconsole.tui.screens.pager import PagerScreen

__all__ = ["RepliesScreen"]

_LONGER = 4  # how much longer the missing are waited for when asked again


class RepliesScreen(PagerScreen):
    """One row for each expected worker, filled in as the replies come."""

    key: ClassVar[str] = "replies"

    def __init__(self, console: Console, sent: SentCommand) -> None:
        """Show `sent`."""
        super().__init__(console)
        self.sent = sent
        self.asked_again = False

    def body(self) -> ComposeResult:
        """Give the page."""
        yield self.pager

    def tab_of(self) -> str:
        """Belong to the control log."""
        return "log"

    def crumbs(self) -> tuple[str, ...]:
        """Name the command."""
        return ("control log", f"#{self.sent.number} {self.sent.method}")

    def draw_body(self) -> None:
        """Write the panel as the replies stand."""
        console = self.console
        state, now = console.source.state, console.now
        width = max(20, self.pager.size.width - 1)
        lines = reply_lines(
            self.sent, now, width, console.symbols, lambda node: explain_silence(node, state, now)
        )
        self.pager.show(lines)

    def do_back(self) -> None:
        """Stop an errand that runs; else clear the search, then go back."""
        if self.sent.running and not self.sent.stopping and self.sent.total > 1:
            self.sent.stopping = True
            self.say("stopping; what is done stays done. esc again goes back")
            return
        super().do_back()

    def do_ask_again(self) -> None:
        """Ask those who did not answer again, and wait longer."""
        missing = self.sent.missing
        if not missing or self.sent.total:
            self.say("everybody answered" if not self.sent.running else "it goes on", "muted")
            return
        sent = self.sent
        again = self.console.source.send(
            sent.method, sent.arguments, list(missing), max(4.0, sent.timeout * _LONGER)
        )
        self.sent = again
        self.tick()

    def do_copy(self) -> None:
        """Copy the equivalent command line."""
        self.console.copy_text(self.sent.equivalent, "command")
