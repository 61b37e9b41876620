"""Time as an argument: the wall clock, the monotonic clock, and the Lamport clock of a cluster."""

import time
from typing import Protocol

__all__ = ["Clock", "LamportClock", "SystemClock"]


class Clock(Protocol):
    """Where a service reads the time; tests pass their own."""

    def time(self) -> float:
        """Return the wall-clock timestamp in seconds since the epoch."""
        ...

    def monotonic(self) -> float:
        """Return a monotonic reading in seconds, for deadlines and durations."""
        ...


class SystemClock:
    """The machine's clocks."""

    def time(self) -> float:
        """Return `time.time()`."""
        return time.time()

    def monotonic(self) -> float:
        """Return `time.monotonic()`."""
        return time.monotonic()


class LamportClock:
    """The logical clock that orders events and control messages of one process.

    Owned by the thread that sends; `adjust` may be called from the receiving thread, since both
    operations are single bytecode stores under the interpreter lock and a lost increment only
    makes two events look concurrent.

    Source: PROTOCOL 11; kombu/clocks.py, `LamportClock`.
    """

    __slots__ = ("value",)

    def __init__(self, value: int = 0) -> None:
        """Start at `value`."""
        self.value = value

    def forward(self) -> int:
        """Advance by one for something sent, and return the new value."""
        self.value += 1
        return self.value

    def adjust(self, other: int) -> int:
        """Advance past a value received from a peer, and return the new value."""
        self.value = max(self.value, other) + 1
        return self.value

    def __repr__(self) -> str:
        """Show the current value."""
        return f"LamportClock({self.value})"
