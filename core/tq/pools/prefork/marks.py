"""What each child runs, in memory shared with the parent: written without a system call."""

import contextlib
import mmap
import os
import sys
import tempfile
import time

__all__ = ["MAX_CHILDREN", "Marks", "Row", "shared_file"]

MAX_CHILDREN = 4096  # rows; pages that no child touches cost nothing
_WORDS = 8  # 64-bit words per row: a cache line each, so that children do not slow one another
_STARTED, _STARTED_AT, _DONE, _SOFT = range(4)


class Marks:
    """The rows of all children.

    Aligned 64-bit stores are single instructions, so a reader in another process sees the old or
    the new value, never a mixture.
    """

    def __init__(self, fd: int | None = None) -> None:
        """Map the memory.

        Args:
            fd: A file from `open_shared`, for children that are not forks; None maps memory that
                forks inherit.
        """
        size = MAX_CHILDREN * _WORDS * 8
        self._memory = mmap.mmap(-1 if fd is None else fd, size)
        self._bytes = memoryview(self._memory)
        self.integers = self._bytes.cast("Q")
        self.floats = self._bytes.cast("d")

    @staticmethod
    def open_shared() -> int:
        """Return the descriptor of a file to map."""
        return shared_file("tq-marks", MAX_CHILDREN * _WORDS * 8)

    def row(self, index: int) -> "Row":
        """Return a child's row."""
        return Row(self, index)

    def close(self) -> None:
        """Unmap the memory."""
        for view in (self.integers, self.floats, self._bytes):
            view.release()
        # A row that is still held keeps the memory until it goes.
        with contextlib.suppress(BufferError):
            self._memory.close()


class Row:
    """One child's marks. Sequence numbers count the jobs handed to that child from 1.

    Attributes:
        integers: All words as integers; `started` and `done` are this row's places in it. The
            child's loop writes through these.
        floats: The same words as floats; `started_at` is a place in it.
    """

    __slots__ = ("done", "floats", "index", "integers", "soft", "started", "started_at")

    def __init__(self, marks: Marks, index: int) -> None:
        """Find the row's places."""
        self.index = index
        self.integers = marks.integers
        self.floats = marks.floats
        first = index * _WORDS
        self.started = first + _STARTED
        self.started_at = first + _STARTED_AT
        self.done = first + _DONE
        self.soft = first + _SOFT

    def clear(self) -> None:
        """Make the row ready for a new child."""
        for place in (self.started, self.started_at, self.done, self.soft):
            self.integers[place] = 0

    @property
    def last_started(self) -> int:
        """Sequence number of the job started last; 0 when none was."""
        return self.integers[self.started]

    @property
    def last_start(self) -> float:
        """Wall-clock time of that start."""
        return self.floats[self.started_at]

    @property
    def last_done(self) -> int:
        """Sequence number of the job whose run ended last; its outcome may not be sent yet."""
        return self.integers[self.done]

    def running(self) -> int:
        """Return the sequence number of the job being run, or 0."""
        started = self.integers[self.started]
        return started if started > self.integers[self.done] else 0

    def running_for(self) -> float:
        """Return how many seconds the present job has run; 0.0 when none does."""
        if not self.running():
            return 0.0
        return max(0.0, time.time() - self.floats[self.started_at])

    def mark_soft(self, sequence: int) -> None:
        """Name the job that the soft limit's signal is for."""
        self.integers[self.soft] = sequence


def shared_file(name: str, size: int) -> int:
    """Return the descriptor of a nameless file of `size` zero bytes."""
    if sys.platform == "linux":
        fd = os.memfd_create(name)
    else:
        with tempfile.TemporaryFile() as file:
            fd = os.dup(file.fileno())
    os.ftruncate(fd, size)
    return fd
