"""A descriptor that turns readable when a program says so."""

import contextlib
import os

__all__ = ["Doorbell"]


class Doorbell:
    """A pipe used as a flag that a selector can wait for.

    Ringing twice is ringing once. `ring` may be called from any thread; a ring that races with
    `clear` is either kept or was for something the caller of `clear` goes on to look at.
    """

    def __init__(self) -> None:
        """Open the pipe."""
        self._read, self._write = os.pipe()
        os.set_blocking(self._read, False)
        os.set_blocking(self._write, False)
        self._rung = False

    def fileno(self) -> int:
        """Return the end that turns readable."""
        return self._read

    def ring(self) -> None:
        """Make it readable."""
        if not self._rung and self._write >= 0:
            self._rung = True
            with contextlib.suppress(BlockingIOError):  # full: readable already
                os.write(self._write, b"\0")

    def clear(self) -> None:
        """Make it quiet again."""
        # Always read, and before the flag falls: a ring between the two would else leave the flag
        # up over an empty pipe (no ring would ever be heard again), or a byte nobody takes out.
        with contextlib.suppress(BlockingIOError):
            os.read(self._read, 4096)
        self._rung = False

    def close(self) -> None:
        """Close both ends."""
        if self._write >= 0:
            os.close(self._read)
            os.close(self._write)
            self._read = self._write = -1
