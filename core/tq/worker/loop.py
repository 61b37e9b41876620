"""One selector, one heap of timers, one way in for other threads and signals."""

import heapq
import logging
import selectors
import signal
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from itertools import count
from typing import Any

__all__ = ["Loop", "Timer"]

logger = logging.getLogger(__name__)

_LONGEST_WAIT = 60.0  # a clock that is suspended with the machine is noticed after this


class Timer:
    """A call to come; `cancel` is enough to drop it."""

    __slots__ = ("callback", "deadline")

    def __init__(self, deadline: float, callback: Callable[[], Any]) -> None:
        """Remember the call and the monotonic time it is due."""
        self.deadline = deadline
        self.callback: Callable[[], Any] | None = callback

    def cancel(self) -> None:
        """Make sure that the call does not happen."""
        self.callback = None


class Loop:
    """Runs callbacks when descriptors are readable and when timers are due.

    Owned by the thread that calls `run`; only `call_threadsafe` and `stop` may be called from
    others. An exception of a callback is logged and ends nothing: a service that fails must not
    take the worker with it.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        """Make the selector and the wake-up pair."""
        self._monotonic = monotonic
        self._selector = selectors.DefaultSelector()
        self._timers: list[tuple[float, int, Timer]] = []
        self._order = count()
        self._calls: deque[Callable[[], Any]] = deque()
        self._running = False
        self._stopped = threading.Event()
        self._wake_in, self._wake_out = socket.socketpair()
        self._wake_in.setblocking(False)
        self._wake_out.setblocking(False)
        self._selector.register(self._wake_in, selectors.EVENT_READ, self._drain_wakeups)

    def add_reader(self, fd: int, callback: Callable[[], Any]) -> None:
        """Call `callback` whenever `fd` is readable; a second call replaces the first."""
        try:
            self._selector.register(fd, selectors.EVENT_READ, callback)
        except KeyError:
            self._selector.modify(fd, selectors.EVENT_READ, callback)

    def remove_reader(self, fd: int) -> None:
        """Stop to watch a descriptor; unknown and closed ones are ignored."""
        try:
            self._selector.unregister(fd)
        except (KeyError, ValueError, OSError):
            logger.debug("descriptor %d was not watched", fd)

    def call_later(self, delay: float, callback: Callable[[], Any]) -> Timer:
        """Call once after `delay` seconds."""
        timer = Timer(self._monotonic() + delay, callback)
        heapq.heappush(self._timers, (timer.deadline, next(self._order), timer))
        return timer

    def call_threadsafe(self, callback: Callable[[], Any]) -> None:
        """Call once in the loop's thread, soon; from any thread or signal handler."""
        self._calls.append(callback)
        self.wake()

    def wake(self) -> None:
        """End the current wait."""
        try:
            self._wake_out.send(b"\0")
        except BlockingIOError:
            return  # the pair is full, so the loop is about to wake anyway
        except OSError:
            if not self._stopped.is_set():
                raise

    def set_signal_wakeup(self) -> None:
        """Let each signal end the wait at once; main thread only.

        Python runs a handler only between bytecodes, so a signal that arrives just before the
        wait would otherwise be noticed when the wait ends.
        """
        signal.set_wakeup_fd(self._wake_out.fileno(), warn_on_full_buffer=False)

    def run(self) -> None:
        """Run until `stop`."""
        self._running = True
        self._stopped.clear()
        try:
            while self._running:
                self.turn()
        finally:
            self._stopped.set()

    def turn(self, longest: float = _LONGEST_WAIT) -> None:
        """Wait for something to do, at most `longest` seconds, and do all that is due."""
        for key, _ in self._selector.select(self._wait(longest)):
            self._guard(key.data)
        self._run_timers()
        for _ in range(len(self._calls)):
            self._guard(self._calls.popleft())

    def stop(self) -> None:
        """End `run` after its current turn; from any thread."""
        self._running = False
        self.wake()

    def close(self) -> None:
        """Give up the descriptors."""
        self._stopped.set()
        self._selector.close()
        self._wake_in.close()
        self._wake_out.close()

    def _wait(self, longest: float) -> float:
        if self._calls:
            return 0.0
        while self._timers and self._timers[0][2].callback is None:
            heapq.heappop(self._timers)
        if not self._timers:
            return longest
        return max(0.0, min(longest, self._timers[0][0] - self._monotonic()))

    def _run_timers(self) -> None:
        now = self._monotonic()
        while self._timers and self._timers[0][0] <= now:
            timer = heapq.heappop(self._timers)[2]
            if timer.callback is not None:
                callback, timer.callback = timer.callback, None
                self._guard(callback)

    def _drain_wakeups(self) -> None:
        try:
            while self._wake_in.recv(4096):
                pass
        except BlockingIOError:
            return

    @staticmethod
    def _guard(callback: Callable[[], Any]) -> None:
        try:
            callback()
        except Exception:
            logger.exception("unexpected error in the worker's loop; it goes on")
