"""Runs the application in the terminal, and gives the terminal back whatever happens."""

import contextlib
import os
import select
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any, TextIO

from textual.drivers.linux_driver import LinuxDriver

from tqconsole.tui.app import ConsoleApp
from tqconsole.tui.config import ConsoleConfig
from tqconsole.tui.source import Source

__all__ = ["run_console"]

_SIGNALS = tuple(
    number
    for name in ("SIGTERM", "SIGHUP", "SIGINT")
    if (number := getattr(signal, name, None)) is not None
)  # fmt: skip

_WRITE_WITHIN = 5.0  # seconds in which the last frames must be written
_LOOK = 1.0  # seconds until the watching thread notices that the console has ended


class Driver(LinuxDriver):
    """Textual's driver, which goes on when the terminal is gone.

    Its thread that writes ends with the first write that fails; from the thirtieth frame on whoever
    draws then waits for it without end, and so does leaving.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Write to the terminal as long as there is one; arguments are textual's."""
        super().__init__(*args, **kwargs)
        self._file: Any = _Screen(self._file)

    def close(self) -> None:
        """End the thread that writes, without waiting for it for ever."""
        writer, self._writer_thread = self._writer_thread, None
        if writer is not None:
            stopping = threading.Thread(target=writer.stop, name="terminal end", daemon=True)
            stopping.start()
            stopping.join(_WRITE_WITHIN)
        super().close()


class _Screen:
    """A terminal's file; what is written after the terminal went away is lost in silence."""

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def write(self, text: str) -> None:
        with contextlib.suppress(OSError):
            self._file.write(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError):
            self._file.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def run_console(source: Source, config: ConsoleConfig) -> int:
    """Show the console until the user leaves; returns the exit code.

    A crash is written to a file and named in one line; the terminal is restored first. TERM, HUP
    and INT leave with 128 plus their number; so does a terminal that is gone, as if by HUP.
    """
    app = ConsoleApp(source, config)
    app.driver_class = Driver
    caught: list[int] = []

    def leave(number: int, frame: FrameType | None) -> None:
        caught.append(number)
        app.call_from_signal(128 + number)

    def hung_up() -> None:
        caught[:] = caught or [signal.SIGHUP]
        app.call_from_signal(128 + signal.SIGHUP)

    before = {number: signal.signal(number, leave) for number in _SIGNALS}
    ended = threading.Event()
    threading.Thread(target=_watch, args=(ended, hung_up), name="terminal", daemon=True).start()
    try:
        code = app.run(mouse=True)
    finally:
        ended.set()
        app.audit.update(time.time(), last=True)
        source.stop()
        for number, handler in before.items():
            signal.signal(number, handler)
    if app.crash is not None:
        path = _write_crash(app.crash)
        print(f"tq: the console failed: {app.crash!r}; details in {path}", file=sys.stderr)  # noqa: T201 - the terminal is ours
        return 1
    if caught:
        return 128 + caught[0]
    return code or app.return_code or 0


def _watch(ended: threading.Event, hung_up: Callable[[], None]) -> None:
    """Call `hung_up` when the terminal goes away without a signal, as with `docker exec`."""
    poll = select.poll()
    poll.register(0, 0)  # nothing but errors, which are always told
    while not ended.is_set():
        if poll.poll(_LOOK * 1000):
            hung_up()
            ended.wait(_LOOK)


def _write_crash(error: BaseException) -> Path | str:
    """Write an exception to a file of its own; returns its path."""
    base = os.environ.get("XDG_STATE_HOME") or "~/.local/state"
    path = Path(base).expanduser() / "tq" / time.strftime("crash-%Y%m%d-%H%M%S.txt", time.gmtime())
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.write_text("".join(traceback.format_exception(error)), encoding="utf-8")
    except OSError as failure:
        return f"no file ({failure})"
    return path
