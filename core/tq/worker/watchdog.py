"""Ends a worker that makes no progress although the broker answers others.

Source: RELIABILITY 2 (9), 4.2: exit code 75 within three leases, so that supervisors restart it.
"""

import logging
import os
import threading
import time
from collections.abc import Callable
from typing import Any

from tq.errors import BrokerError
from tq.worker.stackdump import dump_stacks

__all__ = ["EXIT_NO_PROGRESS", "Watchdog"]

logger = logging.getLogger(__name__)

EXIT_NO_PROGRESS = 75
_PROBE_SECONDS = 2.0
_RECONNECT_SECONDS = 20.0  # the fetcher's longest pause, and an attempt


class Watchdog:
    """Looks from a thread of its own, since what it watches may be stuck.

    The process is ended at once and not in order: whoever hangs cannot be asked to stop. Nothing is
    lost by that, as what the worker held comes back when its lease lapses.
    """

    name = "watchdog"

    def __init__(
        self,
        progress: Callable[[], float],
        probe: Callable[[float], Any],
        lease: float,
        *,
        end: Callable[[int], Any] = os._exit,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Prepare.

        Args:
            progress: Returns the monotonic time of the broker's last answer to the worker.
            probe: Asks the broker on a connection of its own, within the seconds it is given.
            lease: Seconds; three of them without progress are too many.
            end: Ends the process with a code.
            monotonic: A clock.
        """
        self._progress = progress
        self._probe = probe
        self._limit = 3.0 * lease
        self._interval = lease / 4
        self._end = end
        self._monotonic = monotonic
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._looked = 0.0
        self._stale = 0
        self._away_at: float | None = None

    def start(self) -> None:
        """Begin to look."""
        self._looked = self._monotonic()
        self._thread = threading.Thread(target=self._watch, name=self.name, daemon=True)
        self._thread.start()

    def stop(self, deadline: float) -> None:
        """Cease to look."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._stopping.set()
            thread.join(max(0.0, deadline - self._monotonic()))

    def look(self) -> None:
        """Look once; ends the process when that is due."""
        now = self._monotonic()
        frozen = now - self._looked > 3 * self._interval
        self._looked = now
        if now - self._progress() <= self._limit or frozen:
            # Frozen: we stood still ourselves (SIGSTOP, a suspended machine), so the worker may
            # just be about to go on.
            self._stale = 0
            return
        self._stale += 1
        if self._stale < 2:
            return
        try:
            self._probe(_PROBE_SECONDS)
        except BrokerError:
            self._away_at = now
            return  # it answers nobody: the fetcher tries again as long as it takes
        if self._away_at is not None and now - self._away_at <= _RECONNECT_SECONDS:
            return  # it has just come back: the fetcher may be about to try again
        if self._stopping.is_set() or self._monotonic() - self._progress() <= self._limit:
            return
        logger.critical(
            "no progress for %.0f s although the broker answers: the worker ends with code %d",
            self._monotonic() - self._progress(),
            EXIT_NO_PROGRESS,
        )
        dump_stacks()
        self._end(EXIT_NO_PROGRESS)

    def _watch(self) -> None:
        while not self._stopping.wait(self._interval):
            self.look()
