"""Start child processes, and learn of their end."""

import contextlib
import logging
import os
import pickle
import signal
import socket
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterable

from tq.errors import ConfigError
from tq.pools.base import Runner
from tq.pools.prefork.child import ChildOptions
from tq.pools.prefork.pipes import raw_frame

__all__ = ["Process", "fork", "spawn"]

logger = logging.getLogger(__name__)


class Process:
    """A child process.

    Attributes:
        pid: Its id.
        sentinel: A descriptor that turns readable when it ends, or -1 where there is none; then
            somebody must call `poll` now and then.
    """

    __slots__ = ("_exitcode", "_popen", "pid", "sentinel")

    def __init__(self, pid: int, popen: "subprocess.Popen[bytes] | None" = None) -> None:
        """Watch a process just started."""
        self.pid = pid
        self.sentinel = -1
        self._popen = popen
        self._exitcode: int | None = None
        if sys.platform == "linux":
            with contextlib.suppress(OSError):  # an old kernel, or no descriptor left
                self.sentinel = os.pidfd_open(pid)

    def poll(self) -> int | None:
        """Return the exit code, negative for a signal, or None while the process lives."""
        if self._exitcode is None:
            self._exitcode = self._reap()
        return self._exitcode

    def kill(self, number: int) -> bool:
        """Send a signal; False when the process has ended."""
        # Not reaped yet, so the id cannot belong to another process.
        if self.poll() is not None:
            return False
        os.kill(self.pid, number)
        return True

    def close(self) -> None:
        """Close the sentinel."""
        if self.sentinel >= 0:
            os.close(self.sentinel)
            self.sentinel = -1

    def _reap(self) -> int | None:
        """Ask the system."""
        if self._popen is not None:
            return self._popen.poll()
        try:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
        except ChildProcessError:  # reaped by somebody else, who knows the code; we never will
            return 255
        return os.waitstatus_to_exitcode(status) if pid else None


def fork(serve: Callable[[], int], inherited: Iterable[int]) -> Process:
    """Fork a child that calls `serve` and exits with what it returns.

    Args:
        serve: Called in the child with all signals blocked.
        inherited: Descriptors of the parent that the child must not keep.

    Raises:
        OSError: The system refuses another process.
    """
    # Blocked until the child has its own handlers: the parent's must not run there.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        with warnings.catch_warnings():
            # From 3.12 on a fork beside threads warns. The child takes no lock that another thread
            # of the parent could hold: logging re-creates its own.
            warnings.simplefilter("ignore", DeprecationWarning)
            pid = os.fork()
        if pid == 0:
            _be_child(serve, inherited)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return Process(pid)


def _be_child(serve: Callable[[], int], inherited: Iterable[int]) -> None:
    """Run the child and end it; never returns, never runs the parent's exit handlers."""
    code = 1
    try:
        for fd in inherited:
            with contextlib.suppress(OSError):
                os.close(fd)
        code = serve()
    except BaseException:
        logger.exception("child %d failed", os.getpid())
    finally:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(Exception):
                stream.flush()
        os._exit(code)


def spawn(
    runner: Runner,
    options: ChildOptions,
    parent_end: socket.socket,
    connection: socket.socket,
    control: int,
    marks_fd: int,
    journal_fd: int,
) -> Process:
    """Start a child in a fresh interpreter.

    Raises:
        ConfigError: The runner cannot be pickled.
        OSError: The system refuses another process.
    """
    try:
        parcel = pickle.dumps((runner, options))
    except Exception as error:
        message = f"start method 'spawn' needs a runner that can be pickled: {error}"
        raise ConfigError(message) from error
    fds = (connection.fileno(), control, marks_fd, journal_fd)
    program = (
        f"import sys; sys.path[:] = {sys.path!r}; from tq.pools.prefork.child import spawned; "
        f"import os; os._exit(spawned(*{fds!r}))"
    )
    popen = subprocess.Popen([sys.executable, "-c", program], pass_fds=fds)
    # Blocking, once per child: the new interpreter reads it before anything else.
    parent_end.sendall(raw_frame(parcel))
    return Process(popen.pid, popen)
