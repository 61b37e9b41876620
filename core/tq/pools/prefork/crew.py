"""The children of a pool: started, watched, replaced."""

import logging
import os
import selectors
import signal

from tq.pools.base import PoolOptions, Runner
from tq.pools.prefork.marks import MAX_CHILDREN, Marks
from tq.pools.prefork.member import Member, start_member
from tq.pools.waker import Waker

__all__ = ["Crew"]

_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 10.0  # before a child that could not start is tried again

logger = logging.getLogger(__name__)


class Crew:
    """Keeps as many children as wanted, and a selector over all of them.

    Owned by the loop's thread.

    Attributes:
        members: The children, until they have been removed.
        selector: Tells of a child's socket and of its end; the key's data is the member.
        waker: Makes the selector ready without a child; its key's data is None.
    """

    def __init__(self, runner: Runner, options: PoolOptions) -> None:
        """Make the crew without children."""
        self.members: list[Member] = []
        self.selector = selectors.DefaultSelector()
        self.waker = Waker()
        self.selector.register(self.waker, selectors.EVENT_READ, None)
        self._runner = runner
        self._options = options
        self._marks_fd = Marks.open_shared() if options.start_method == "spawn" else -1
        self._marks = Marks(None if self._marks_fd < 0 else self._marks_fd)
        self._failures = 0
        self._start_after = 0.0

    def fill(self, size: int, now: float) -> float | None:
        """Start children until `size` are there to stay.

        Args:
            size: How many there should be.
            now: A monotonic reading.

        Returns:
            The seconds until the next attempt, or None when nobody is missing.
        """
        missing = size - sum(1 for member in self.members if not member.leaving)
        if missing > 0 and now < self._start_after:
            return self._start_after - now
        for _ in range(missing):
            try:
                self._add(now)
            except OSError as error:
                logger.error(
                    "the system refuses another child (%s): %d of %d run",
                    error,
                    len(self.members),
                    size,
                )
                self.back_off(now)
                return self._start_after - now
        return None

    def shrink(self, size: int) -> None:
        """Ask children to leave until `size` stay; idle ones go first."""
        staying = [member for member in self.members if not member.leaving]
        staying.sort(key=lambda member: len(member.handed))
        for member in staying[: max(0, len(staying) - size)]:
            member.ask_to_leave()

    def welcome(self, member: Member) -> None:
        """Note that a child is ready."""
        member.ready = True
        member.open = not member.leaving
        self._failures = 0

    def check_start(self, member: Member, now: float) -> float:
        """Kill a child that is not ready in time; returns the seconds it has left."""
        if now > member.start_by and not member.leaving:
            logger.error(
                "child %d was not ready within %s s", member.pid, self._options.start_timeout
            )
            member.leaving = True
            member.process.kill(signal.SIGKILL)
        return max(0.0, member.start_by - now) + 0.01

    def watch_output(self, member: Member) -> None:
        """Watch a child's socket, for writing too while output waits."""
        mask = selectors.EVENT_READ
        if member.channel.blocked:
            mask |= selectors.EVENT_WRITE
        if member.watched:
            self.selector.modify(member.channel, mask, member)

    def hang_up(self, member: Member) -> None:
        """Stop watching a socket that has ended; the process follows."""
        member.open = False
        if member.watched:
            member.watched = False
            self.selector.unregister(member.channel)

    def remove(self, member: Member) -> None:
        """Forget a child that has ended, after everything it sent has been read."""
        self.hang_up(member)
        if member.process.sentinel >= 0:
            self.selector.unregister(member.process.sentinel)
        self.members.remove(member)

    def back_off(self, now: float) -> None:
        """Wait longer after each failure to start in a row."""
        pause = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2**self._failures)
        self._failures = min(self._failures + 1, 16)
        self._start_after = now + pause

    def close(self) -> None:
        """Close what is open; children that still run see the end of their pipes."""
        for member in self.members:
            member.close()
        self.selector.close()
        self.waker.close()
        if self._marks_fd >= 0:
            os.close(self._marks_fd)
            self._marks_fd = -1

    def _add(self, now: float) -> None:
        """Start one child in the lowest free slot."""
        taken = {member.row.index for member in self.members}
        index = next(number for number in range(MAX_CHILDREN) if number not in taken)
        row = self._marks.row(index)
        member = start_member(
            self._runner, self._options, row, self._marks_fd, self._descriptors(), now
        )
        self.members.append(member)
        self.selector.register(member.channel, selectors.EVENT_READ, member)
        if member.process.sentinel >= 0:
            self.selector.register(member.process.sentinel, selectors.EVENT_READ, member)
        if self._options.on_child is not None:
            self._options.on_child(member.pid)

    def _descriptors(self) -> list[int]:
        """List what a new child must not keep: siblings would never see their parent's end."""
        fds = [self.selector.fileno(), self.waker.fileno()]
        for member in self.members:
            fds += [member.channel.fileno(), member.control, member.process.sentinel]
        return [fd for fd in fds if fd >= 0]
