"""Outcomes that a child has not reported yet, kept where its death cannot take them."""

import contextlib
import mmap
import struct

import msgspec

from tq.pools.base import Outcome
from tq.pools.prefork.marks import shared_file

__all__ = ["Journal"]

_SIZE = 65_536  # several hundred usual outcomes; when it is full, the child reports early
_FIRST = 8  # after the word that holds the end of the last entry
_HEADER = struct.Struct("<I")


class Journal:
    """Memory shared by one child, which writes, and the parent, which reads after its death.

    A child reports outcomes in batches. Without the journal, a job that kills the process would
    take with it the jobs that had ended before it, and they would all run again. Writing an entry
    takes 0.5 us and no system call.
    """

    def __init__(self, fd: int | None = None) -> None:
        """Map the memory.

        Args:
            fd: A file from `open_shared`, for a child that is not a fork.
        """
        self._memory = mmap.mmap(-1 if fd is None else fd, _SIZE)
        self._bytes = memoryview(self._memory)
        self._ends = self._bytes[:8].cast("Q")
        self._encode = msgspec.msgpack.Encoder().encode
        self._end = _FIRST

    @staticmethod
    def open_shared() -> int:
        """Return the descriptor of a file to map."""
        return shared_file("tq-journal", _SIZE)

    def add(self, outcome: Outcome) -> bool:
        """Note an outcome; False when there is no room, so that it must be reported at once."""
        data = self._encode(outcome)
        start, end = self._end, self._end + 4 + len(data)
        if end > _SIZE:
            return False
        self._bytes[start:end] = _HEADER.pack(len(data)) + data
        self._ends[0] = self._end = end  # last: a half-written entry is never read
        return True

    def clear(self) -> None:
        """Forget what has been reported."""
        if self._end != _FIRST:
            self._ends[0] = self._end = _FIRST

    def read(self) -> list[Outcome]:
        """Return the entries; some may have been reported already."""
        found: list[Outcome] = []
        at, end = _FIRST, self._ends[0]
        while at < end:
            start = at + 4
            at = start + _HEADER.unpack_from(self._bytes, at)[0]
            found.append(msgspec.msgpack.decode(self._bytes[start:at], type=Outcome))
        return found

    def close(self) -> None:
        """Unmap the memory."""
        self._ends.release()
        self._bytes.release()
        # Something still holds a view: the memory goes when that does.
        with contextlib.suppress(BufferError):
            self._memory.close()
