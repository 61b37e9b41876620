"""The full-screen console: what happens in a cluster, live, and what can be done about it."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tq import TQ

__all__ = ["run"]


def run(
    app: "TQ",
    *,
    read_only: bool = False,
    screen: str = "overview",
    theme: str | None = None,
    ascii: bool = False,  # noqa: A002 - the option's name on the command line
    context: str | None = None,
) -> int:
    """Open the console on an application's broker; returns the exit code.

    Args:
        app: Gives the broker; its tasks are not needed.
        read_only: Offer, and send, nothing that changes the cluster.
        screen: Name of the first screen, such as `overview` or `tasks`.
        theme: Name of a theme; None for the default.
        ascii: Use no symbols outside ASCII.
        context: Short name of the cluster for the header; the broker's host by default.
    """
    # textual takes 0.3 s to import, which only the console itself is worth
    from tqconsole.tui.config import ConsoleConfig
    from tqconsole.tui.live import LiveSource
    from tqconsole.tui.terminal import run_console

    config = ConsoleConfig(read_only=read_only, screen=screen, theme=theme, ascii_only=ascii)
    return run_console(LiveSource(app, read_only=read_only, context=context), config)
