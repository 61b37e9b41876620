"""The application's acting side: what is sent, asked first, refused, and written down."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from textual.app import App

from tq.errors import TQError
from tqconsole.tui.audit import Audit
from tqconsole.tui.config import ConsoleConfig
from tqconsole.tui.model.acts import control_act, is_protected
from tqconsole.tui.model.equivalents import control_line
from tqconsole.tui.model.format import duration
from tqconsole.tui.model.sent import SentCommand
from tqconsole.tui.screens.base import ConsoleScreen
from tqconsole.tui.source import READS, Source

__all__ = ["Acting"]


class Acting(App[int]):
    """Sends commands and begins errands. Owned by the event loop.

    Attributes:
        source: Who carries them out.
        config: Which contexts are protected.
        audit: The file of what was sent.
        now: Wall timestamp of the frame of the moment.
    """

    def __init__(self, source: Source, config: ConsoleConfig, clock: Callable[[], float]) -> None:
        """Act on `source`; `clock` tells the wall time."""
        super().__init__()
        self.source = source
        self.config = config
        self.audit = Audit()
        self.now = clock()
        self._unlocked_until = 0.0

    def open_replies(self, sent: SentCommand) -> None:
        """Open the reply panel of a command."""
        raise NotImplementedError

    def report(self, text: str, style: str = "warning") -> None:
        """Show news in the status row of the screen of the moment."""
        screen = self.screen
        if isinstance(screen, ConsoleScreen):
            screen.say(text, style)

    def command(
        self, method: str, arguments: Mapping[str, Any], destination: list[str] | None
    ) -> None:
        """Send a typed control command; one that changes anything asks in a window first."""
        if method in READS or self.source.read_only:  # the source refuses the rest by itself
            self.act(method, arguments, destination)
            return
        act = control_act(
            method,
            arguments,
            destination,
            self.source.expected(destination),
            self.source.expected(None),
            self.source.context,
        )
        screen = self.screen
        if isinstance(screen, ConsoleScreen):
            screen.ask_first(act, lambda: self.act(method, arguments, destination))

    @property
    def protected(self) -> bool:
        """Whether what is hard to undo needs the context's name here."""
        return is_protected(self.source.context, self.config.protected)

    @property
    def locked(self) -> bool:
        """Whether a protected context has not been unlocked."""
        return self.now >= self._unlocked_until

    def unlock(self, seconds: float, reason: str) -> None:
        """Allow acts in a protected context for some time."""
        if not self.protected:
            self.report(f"{self.source.context} is not protected: there is nothing to unlock")
            return
        self._unlocked_until = self.now + seconds
        self.audit.unlocked(self.source.context, seconds, reason, self.now)
        self.report(f"unlocked for {duration(seconds)}: {reason}", "warning")

    def refuse(self, equivalent: str, reason: str) -> None:
        """Say, and write to the audit file, that something was not sent."""
        self.audit.refused(self.source.context, equivalent, reason, self.now)
        self.report(f"{reason}   $ {equivalent}", "error")

    def act(
        self, method: str, arguments: Mapping[str, Any], destination: Sequence[str] | None
    ) -> None:
        """Send a command and show who answers."""
        line = control_line(method, arguments, destination)
        self.begin(lambda: self.source.send(method, arguments, destination), line)

    def begin(self, start: Callable[[], SentCommand], equivalent: str) -> None:
        """Start what the source then works at, and show what comes of it."""
        try:
            sent = start()
        except TQError as error:
            self.refuse(equivalent, str(error))
            return
        if sent.method not in READS:
            self.audit.sent(self.source.context, sent)
        self.open_replies(sent)
        if self.audit.error is not None:
            self.report(self.audit.error, "error")
