"""A console on a real cluster: frames pass until something is so."""

import asyncio
import time
from collections.abc import Callable

from tqconsole.tui.app import ConsoleApp

__all__ = ["until"]


async def until(app: ConsoleApp, condition: Callable[[], object], within: float = 60.0) -> None:
    """Let frames pass until something is so."""
    deadline = time.monotonic() + within
    while True:
        app.frame()
        if condition():
            return
        assert time.monotonic() < deadline, app.source.link
        await asyncio.sleep(0.02)
