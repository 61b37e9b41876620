"""What parent and child say to each other: length-prefixed msgpack frames, a batch in each."""

import os
import socket
import struct
from collections.abc import Iterator
from typing import Any

import msgspec

from tq.pools.base import Job, Outcome

__all__ = ["Batch", "Channel", "FrameReader", "Report", "frame", "raw_frame", "write_byte"]

_HEADER = struct.Struct("<I")
_READ_BYTES = 262_144
_encoder = msgspec.msgpack.Encoder()


class Batch(msgspec.Struct, array_like=True):
    """Jobs for a child.

    Attributes:
        first: Sequence number of the first; the others follow without a gap.
    """

    first: int
    jobs: list[Job]


class Report(msgspec.Struct, array_like=True):
    """News from a child.

    Attributes:
        outcomes: Of the jobs that ended.
        starts: Wall-clock times of their starts, one for one.
        seconds: What they took together.
        failed: Sequence numbers of jobs for which the runner raised.
        returned: Sequence numbers of jobs given back unstarted; None when none were asked for.
        ready: The child can take jobs.
        leaving: Why the child goes by itself after this, or empty.
    """

    outcomes: list[Outcome] = []
    starts: list[float] = []
    seconds: float = 0.0
    failed: list[int] = []
    returned: list[int] | None = None
    ready: bool = False
    leaving: str = ""


def frame(data: Batch | Report) -> bytearray:
    """Encode a frame."""
    buffer = bytearray(4)
    _encoder.encode_into(data, buffer, 4)
    _HEADER.pack_into(buffer, 0, len(buffer) - 4)
    return buffer


def raw_frame(data: bytes) -> bytes:
    """Put bytes into a frame as they are."""
    return _HEADER.pack(len(data)) + data


class FrameReader:
    """Cuts a stream of bytes into frames."""

    __slots__ = ("_buffer", "_wanted")

    def __init__(self) -> None:
        """Start with nothing read."""
        self._buffer = bytearray()
        self._wanted = 4

    def feed(self, data: bytes) -> Iterator[memoryview]:
        """Take in bytes; yields each frame that is complete now."""
        if self._buffer:
            self._buffer += data
            if len(self._buffer) < self._wanted:  # a big frame is looked at once, when complete
                return
            data = bytes(self._buffer)
            self._buffer.clear()
        view = memoryview(data)
        at, size = 0, len(data)
        self._wanted = 4
        while size - at >= 4:
            end = at + 4 + int.from_bytes(view[at : at + 4], "little")
            if end > size:
                self._wanted = end - at
                break
            yield view[at + 4 : end]
            at = end
        self._buffer += view[at:]


class Channel:
    """The parent's end of a child's socket: never blocks.

    Owned by the loop's thread.
    """

    __slots__ = ("_decoder", "_output", "_reader", "closed", "socket")

    def __init__(self, connection: socket.socket) -> None:
        """Take over a connected socket."""
        connection.setblocking(False)
        self.socket = connection
        self.closed = False
        self._reader = FrameReader()
        self._output = bytearray()
        self._decoder = msgspec.msgpack.Decoder(Report)

    def fileno(self) -> int:
        """Return the socket's descriptor."""
        return self.socket.fileno()

    @property
    def blocked(self) -> bool:
        """Whether there is output that the socket would not take yet."""
        return bool(self._output)

    def send(self, data: "bytes | bytearray") -> None:
        """Send what the socket takes; the rest waits for `flush`."""
        if self._output:
            self._output += data
            return
        sent = self._send(data)
        if sent < len(data):
            self._output += memoryview(data)[sent:]

    def flush(self) -> None:
        """Send more of what waits."""
        if self._output:
            sent = self._send(self._output)
            del self._output[:sent]

    def receive(self) -> list[Report]:
        """Read what has arrived, at most `_READ_BYTES`; `closed` tells the end of the stream."""
        try:
            data = self.socket.recv(_READ_BYTES)
        except (BlockingIOError, InterruptedError):
            return []
        except OSError:  # reset: the child ended with jobs unread; what it sent comes before this
            data = b""
        if not data:
            self.closed = True
            return []
        return [self._decoder.decode(part) for part in self._reader.feed(data)]

    def drain(self) -> list[Report]:
        """Read everything a child has left behind."""
        reports: list[Report] = []
        while not self.closed:
            size = _pending(self.socket)
            reports += self.receive()
            if not size:
                break
        return reports

    def close(self) -> None:
        """Close the socket."""
        self.closed = True
        self._output.clear()
        self.socket.close()

    def _send(self, data: Any) -> int:
        """Send without blocking; returns how many bytes went, all of them when nobody listens."""
        try:
            return self.socket.send(data)
        except (BlockingIOError, InterruptedError):
            return 0
        except OSError:  # the child is going: its unstarted jobs are handed out again when it has
            return len(data)


def _pending(connection: socket.socket) -> bool:
    """Tell whether a read would yield bytes."""
    try:
        return bool(connection.recv(1, socket.MSG_PEEK))
    except OSError:
        return False


def write_byte(fd: int, byte: bytes) -> None:
    """Write one byte to a non-blocking pipe; a full one already says all there is to say."""
    try:
        os.write(fd, byte)
    except (BlockingIOError, BrokenPipeError):
        return
