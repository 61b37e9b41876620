"""A debugger for code that has no terminal: pdb over a TCP connection, in tasks above all.

    from tq.contrib import rdb

    @app.task
    def add(x, y):
        rdb.set_trace()
        return x + y

The task waits there, and the log says where to connect: `telnet 127.0.0.1 6899`, or `nc`. All of
pdb's commands work; `continue`, `quit` and a lost connection let the task go on. With
`CELERY_RDBSIG=1` in the worker's environment, SIGUSR2 to a process that runs a task does the same
wherever the task is. The lease of a task that waits is kept; its time limits go on counting.

Whoever can connect can run anything in the worker: `CELERY_RDB_HOST` is this machine alone unless
it is set, `CELERY_RDB_PORT` the first of a hundred ports tried.

Source: celery/contrib/rdb.py.
"""

import contextlib
import logging
import os
import pdb
import socket
import sys
import threading
from types import FrameType
from typing import Any

from tq.errors import ConfigError

__all__ = ["Rdb", "attach", "set_trace"]

logger = logging.getLogger(__name__)

_HOST, _PORT = "127.0.0.1", 6899
_PORTS = 100

_sessions = threading.local()


def set_trace() -> None:
    """Debug the caller from its next line on, when somebody has connected.

    Raises:
        ConfigError: There is no address to listen at.
    """
    _session().set_trace(sys._getframe().f_back)  # noqa: SLF001 - as pdb.set_trace does


def attach(frame: FrameType) -> None:
    """Debug a frame that is at work in this thread, from a signal handler.

    Args:
        frame: What the signal interrupted.

    Raises:
        ConfigError: There is no address to listen at.
    """
    _session().attach(frame)


def _session() -> "Rdb":
    """Return this thread's session, or begin one."""
    session: Rdb | None = getattr(_sessions, "current", None)
    if session is None or session.ended:
        session = _sessions.current = Rdb()
    return session


class Rdb(pdb.Pdb):
    """One session with one client. Owned by the thread that is debugged.

    Attributes:
        ended: The client has left, or was sent away by `continue`.
    """

    def __init__(self, host: str | None = None, port: int | None = None) -> None:
        """Listen, say so in the log, and wait for the client.

        Args:
            host: The address to listen at; `CELERY_RDB_HOST` by default.
            port: The first port to try; `CELERY_RDB_PORT` by default.

        Raises:
            ConfigError: `CELERY_RDB_PORT` is no number, or no port can be listened at.
        """
        with _listen(host or os.environ.get("CELERY_RDB_HOST") or _HOST, port) as server:
            place = server.getsockname()
            logger.warning("debugger waits: telnet %s %d", place[0], place[1])
            self._client, _ = server.accept()
        logger.warning("debugger is in use at %s %d", place[0], place[1])
        handle = self._client.makefile("rw", encoding="utf-8", errors="replace")
        super().__init__(stdin=handle, stdout=handle, nosigint=True, readrc=False)
        self.prompt = "(rdb) "
        self.ended = False

    def attach(self, frame: FrameType) -> None:
        """Take commands at once, not at the next line: a call that blocks would go on first.

        Before Python 3.13 a variable that is changed here, before the first step, stays as it was.
        """
        self.reset()
        above: FrameType | None = frame
        while above is not None:
            above.f_trace = self.trace_dispatch
            self.botframe = above
            above = above.f_back
        try:
            self.interaction(frame, None)
        except OSError as error:
            self._lost(error)
        if not self.ended:
            sys.settrace(self.trace_dispatch)

    def trace_dispatch(self, frame: FrameType, event: str, arg: Any) -> Any:
        """Look whether to stop here; what happens to the connection is no concern of the task."""
        try:
            return super().trace_dispatch(frame, event, arg)
        except OSError as error:
            self._lost(error)
            return None

    def do_continue(self, arg: str) -> bool | None:
        """Go on; the session ends unless there are breakpoints."""
        return super().do_continue(arg) if self.breaks else self.do_quit(arg)

    do_c = do_cont = do_continue

    def do_quit(self, arg: str) -> bool | None:
        """End the session; the program goes on."""
        self._leave()
        return True

    do_q = do_exit = do_EOF = do_quit

    def do_run(self, arg: str) -> bool | None:
        """Refuse: a task cannot be started anew from within."""
        self.error("a task cannot be started anew from within")
        return None

    do_restart = do_run

    def do_interact(self, arg: str) -> bool | None:
        """Refuse: it needs a terminal."""
        self.error("that needs a terminal")
        return None

    def _lost(self, error: OSError) -> None:
        if not self.ended:
            logger.warning("the debugger's connection is lost: %s", error)
            self._leave()

    def _leave(self) -> None:
        """Cease to trace, and close the connection."""
        self.ended = True
        self.clear_all_breaks()
        self.set_continue()
        with contextlib.suppress(OSError):  # the client may have gone first
            self.stdin.close()
            self._client.shutdown(socket.SHUT_RDWR)
        self._client.close()
        logger.warning("debugger has ended, the program goes on")


def _listen(host: str, port: int | None) -> socket.socket:
    first = _first_port() if port is None else port
    refused: OSError | None = None
    for number in range(first, min(first + _PORTS, 65536)):
        server = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            server.bind((host, number))
            server.listen(1)
        except OSError as error:
            server.close()
            refused = error
        else:
            return server
    raise ConfigError(
        f"the debugger cannot listen at {host}, ports from {first}: {refused}; "
        "set CELERY_RDB_HOST and CELERY_RDB_PORT"
    )


def _first_port() -> int:
    given = os.environ.get("CELERY_RDB_PORT") or str(_PORT)
    if given.isdecimal() and 0 < int(given) < 65536:
        return int(given)
    raise ConfigError(f"CELERY_RDB_PORT must be a port, not {given!r}")
