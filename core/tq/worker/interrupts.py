"""Signals of the operating system to the worker.

Source: CLI 3.
"""

import os
import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

from tq.worker.loop import Loop
from tq.worker.stackdump import dump_stacks

__all__ = ["handle_signals"]


def handle_signals(loop: Loop, on_signal: Callable[[str], Any]) -> Callable[[], None]:
    """Install the worker's handlers, where this is the main thread.

    Args:
        loop: Woken by each signal.
        on_signal: Called in the loop's thread with `warm`, `cold` or `interrupt`.

    Returns:
        A function that puts back what was there before.
    """
    if threading.current_thread() is not threading.main_thread():
        return lambda: None
    cold = {signal.SIGQUIT}
    if os.environ.get("REMAP_SIGTERM") == "SIGQUIT":
        cold.add(signal.SIGTERM)

    def receive(number: int, _frame: FrameType | None) -> None:
        how = "interrupt" if number == signal.SIGINT else "cold" if number in cold else "warm"
        loop.call_threadsafe(lambda: on_signal(how))

    def dump(_number: int, _frame: FrameType | None) -> None:
        dump_stacks()

    handlers = dict.fromkeys((signal.SIGTERM, signal.SIGINT, signal.SIGQUIT), receive)
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    before[signal.SIGUSR1] = signal.signal(signal.SIGUSR1, dump)
    loop.set_signal_wakeup()

    def restore() -> None:
        signal.set_wakeup_fd(-1)
        for number, handler in before.items():
            signal.signal(number, handler)

    return restore
