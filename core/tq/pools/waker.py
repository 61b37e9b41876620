"""A descriptor that one thread watches and others make readable, with few system calls."""

import contextlib
import os
import sys

__all__ = ["Waker"]


class Waker:
    """Wakes the thread that polls `fileno()`.

    `set` is called by any thread, after it has published what there is to see; `clear` by the
    watching thread, before it looks. `set` writes only when the watcher has not been told since
    its last `clear`, so a flood of events costs one write per look.
    """

    __slots__ = ("_read", "_told", "_write")

    def __init__(self) -> None:
        """Open an eventfd where there is one, else a pipe."""
        self._told = False
        if sys.platform == "linux":
            self._read = self._write = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        else:
            self._read, self._write = os.pipe()
            os.set_blocking(self._read, False)
            os.set_blocking(self._write, False)

    def fileno(self) -> int:
        """Return the descriptor to poll for reading."""
        return self._read

    def set(self) -> None:
        """Make the descriptor readable, unless it is."""
        # Whoever sees `_told` already true published before the watcher clears it, and the watcher
        # clears before it looks: nothing is overlooked.
        if self._told or self._write < 0:
            return
        self._told = True
        try:
            os.write(self._write, b"\1\0\0\0\0\0\0\0")
        except BlockingIOError:
            return  # full, therefore readable

    def clear(self) -> None:
        """Make the descriptor unreadable until the next `set`."""
        if self._read < 0:
            return
        # It blocks when a `set` is between its flag and its write; that write causes one idle look.
        with contextlib.suppress(BlockingIOError):
            os.read(self._read, 4096)
        self._told = False

    def close(self) -> None:
        """Close the descriptors; later calls do nothing."""
        ends = {self._read, self._write} - {-1}
        self._read = self._write = -1
        for fd in ends:
            os.close(fd)

    def __del__(self) -> None:
        """Close what was not closed."""
        self.close()
