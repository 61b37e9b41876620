"""Keeps this worker's revoked ids in step with those that the broker's server remembers.

A revoke is a broadcast, which a worker that is down does not hear. So whoever hears it writes the
ids to the server as well, and every worker reads them when it connects, before it takes a task, and
every few seconds after. The accepting path then asks nothing but its own memory.

Source: RELIABILITY 2 (24), 3.1 (`tq:revoked`).
"""

import logging
from collections.abc import Callable, Sequence
from typing import Protocol

from tq.clock import Clock
from tq.errors import BrokerError
from tq.worker.limits import REVOKED_LIMIT, REVOKED_SECONDS, RevokedIds
from tq.worker.loop import Loop, Timer

__all__ = ["Revocations", "RevokedStore"]

logger = logging.getLogger(__name__)

_SYNC_SECONDS = 5.0
_FULL_SYNC_SECONDS = 300.0
_SLACK_SECONDS = 60.0  # how far the clocks of two workers may differ between full readings


class RevokedStore(Protocol):
    """A broker whose server remembers revoked ids (`brokers.redis`)."""

    def revoke(self, ids: Sequence[str], expires: float) -> None:
        """Remember ids until a wall timestamp."""
        ...

    def revoked(self, since: float, limit: int) -> list[tuple[str, float]]:
        """Return `(id, expiry)` of what expires at `since` or later, oldest first."""
        ...


class Revocations:
    """Reads and writes the server's set. Owned by the loop thread."""

    name = "revocations"

    def __init__(self, loop: Loop, store: RevokedStore, revoked: RevokedIds, clock: Clock) -> None:
        """Keep both sets.

        Args:
            loop: Runs the timer.
            store: The server's.
            revoked: The worker's own.
            clock: For expiry.
        """
        self._loop = loop
        self._store = store
        self._revoked = revoked
        self._clock = clock
        self._newest = 0.0  # the latest expiry read so far
        self._full_due = 0.0
        self._timer: Timer | None = None
        self._unwritten: list[str] = []
        self._complained = False

    def start(self) -> None:
        """Begin to look now and then."""
        self._timer = self._loop.call_later(_SYNC_SECONDS, self._sync_soon)

    def stop(self, deadline: float) -> None:
        """Cease to."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def share(self, ids: Sequence[str]) -> None:
        """Write ids that were revoked here; while the server is away they wait for it."""
        self._unwritten = [*self._unwritten, *ids][-REVOKED_LIMIT:]
        self._try(self._write)

    def read_all(self) -> None:
        """Read the whole set: after a connection was made."""
        self._full_due = 0.0
        self._try(self._sync)

    def _sync_soon(self) -> None:
        self._timer = self._loop.call_later(_SYNC_SECONDS, self._sync_soon)
        self._try(self._sync)

    def _sync(self) -> None:
        self._write()
        now = self._clock.time()
        since = max(now, self._newest - _SLACK_SECONDS)
        if self._clock.monotonic() >= self._full_due:
            since = now
        found = self._store.revoked(since, REVOKED_LIMIT)
        if since == now:
            self._full_due = self._clock.monotonic() + _FULL_SYNC_SECONDS
        if found:
            self._newest = max(self._newest, found[-1][1])
        # What is known must keep its age, or it would never be forgotten.
        self._revoked.add([task_id for task_id, _ in found if task_id not in self._revoked], now)

    def _write(self) -> None:
        if self._unwritten:
            self._store.revoke(self._unwritten, self._clock.time() + REVOKED_SECONDS)
            self._unwritten = []

    def _try(self, call: Callable[[], None]) -> None:
        try:
            call()
        except BrokerError as exc:
            if not self._complained:
                logger.warning("revoked ids cannot be shared with other workers: %s", exc)
            self._complained = True
        else:
            self._complained = False
