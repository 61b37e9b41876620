"""The palette: textual's, without its ways to break when keys come faster than it draws."""

from typing import Any

from textual import work
from textual.await_complete import AwaitComplete
from textual.command import CommandList, CommandPalette
from textual.css.query import NoMatches

__all__ = ["ActionPalette"]


class ActionPalette(CommandPalette):
    """Finds an action by name."""

    def __init__(self) -> None:
        """Look like textual's own."""
        super().__init__(id="--command-palette")

    @work(exclusive=True, group=CommandPalette._GATHER_COMMANDS_GROUP)  # noqa: SLF001 - what its own cancelling names
    async def _gather_commands(self, search_value: str) -> None:
        gather: Any = CommandPalette._gather_commands  # noqa: SLF001 - it is what breaks
        try:
            await gather.__wrapped__(self, search_value)
        except NoMatches:
            # textual 8.2: it looks for the list of a palette that opens or closes meanwhile
            return

    def _action_command_list(self, action: str) -> None:
        try:
            super()._action_command_list(action)
        except KeyError:
            # textual 8.2: a list that was not drawn yet does not know its pages
            return

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Refuse what needs the list before it is there."""
        if not self.query(CommandList):
            return action == "escape"
        return super().check_action(action, parameters)

    def dismiss(self, result: Any = None) -> AwaitComplete:
        """Go, but once: textual takes away whatever is on top."""
        return super().dismiss(result) if self.app.screen is self else AwaitComplete()
