"""Signals of the operating system to the worker.

Source: CLI 3.
"""

import os
import signal
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

from tq.worker.debugging import Handler, debug_handlers
from tq.worker.loop import Loop
from tq.worker.stackdump import dump_stacks

__all__ = ["handle_signals"]

_MEANINGS: dict[int, str] = {signal.SIGINT: "interrupt", signal.SIGHUP: "restart"}


def handle_signals(
    loop: Loop, on_signal: Callable[[str, str], Any], *, runs_tasks: bool = False
) -> Callable[[], None]:
    """Install the worker's handlers, where this is the main thread.

    Args:
        loop: Woken by each signal.
        on_signal: Called in the loop's thread with `warm`, `cold`, `interrupt` or `restart`, and
            the signal's name.
        runs_tasks: Whether this thread runs tasks, and not the loop.

    Returns:
        A function that puts back what was there before.
    """
    cold = {signal.SIGQUIT}
    if os.environ.get("REMAP_SIGTERM") == "SIGQUIT":
        cold.add(signal.SIGTERM)

    def receive(number: int, _frame: FrameType | None) -> None:
        how = _MEANINGS.get(number) or ("cold" if number in cold else "warm")
        loop.call_threadsafe(lambda: on_signal(how, signal.Signals(number).name))

    def dump(_number: int, _frame: FrameType | None) -> None:
        dump_stacks()

    numbers = [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT]
    if not _on_terminal():  # there, HUP says that the terminal is gone
        numbers.append(signal.SIGHUP)
    handlers: dict[int, Handler] = {
        signal.SIGUSR1: dump,
        **dict.fromkeys(numbers, receive),
        **debug_handlers(runs_tasks=runs_tasks),
    }
    try:
        before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    except ValueError:  # not the main thread: the first of them is refused
        return lambda: None
    loop.set_signal_wakeup()

    def restore() -> None:
        signal.set_wakeup_fd(-1)
        for number, handler in before.items():
            signal.signal(number, handler)

    return restore


def _on_terminal() -> bool:
    """Tell whether the real stdout is a terminal, whatever it is redirected to."""
    stream = sys.__stdout__
    try:
        return stream is not None and stream.isatty()
    except ValueError:  # closed
        return False
