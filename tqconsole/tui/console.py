"""What a screen needs of the application."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from tqconsole.tui.config import ConsoleConfig
from tqconsole.tui.model.format import Glyphs
from tqconsole.tui.model.insight import Insight
from tqconsole.tui.model.sent import SentCommand
from tqconsole.tui.source import Source
from tqconsole.tui.widgets.paint import Palette

__all__ = ["Console"]


class Console(Protocol):
    """What a screen needs of the application."""

    config: ConsoleConfig
    source: Source
    symbols: Glyphs
    palette: Palette
    insight: Insight
    paused: bool
    times: str
    now: float

    @property
    def protected(self) -> bool:
        """Whether what is hard to undo needs the context's name here."""
        ...

    @property
    def locked(self) -> bool:
        """Whether a protected context has not been unlocked."""
        ...

    def perform(self, name: str) -> bool:
        """Perform an action by name on the screen of the moment, else on the application."""
        ...

    def show_screen(self, name: str) -> None:
        """Go to one of the numbered screens."""
        ...

    def open_number(self, number: str) -> bool:
        """Go to the screen with a number; returns whether there is one."""
        ...

    def open_task(self, task_id: str, section: str = "summary") -> None:
        """Open a task."""
        ...

    def open_replies(self, sent: SentCommand) -> None:
        """Open the reply panel of a command."""
        ...

    def open_worker(self, hostname: str) -> None:
        """Open a worker."""
        ...

    def open_queue(self, name: str) -> None:
        """Open a queue."""
        ...

    def show_row(self, screen: str, key: str) -> None:
        """Go to a numbered screen with the cursor on a row."""
        ...

    def show_tasks(self, filter_text: str) -> None:
        """Go to the tasks that match a filter."""
        ...

    def act(
        self, method: str, arguments: Mapping[str, Any], destination: Sequence[str] | None
    ) -> None:
        """Send a command and show who answers."""
        ...

    def begin(self, start: Callable[[], SentCommand], equivalent: str) -> None:
        """Start what the source then works at, and show what comes of it."""
        ...

    def refuse(self, equivalent: str, reason: str) -> None:
        """Say, and write to the audit file, that something was not sent."""
        ...

    def copy_text(self, text: str, what: str) -> None:
        """Give a text to the terminal's clipboard."""
        ...
