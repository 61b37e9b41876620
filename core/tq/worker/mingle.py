"""Greets the other workers at the start: logical clocks and revoked ids are exchanged.

Replies are taken in as they come, for a second at most; nothing waits for them.

Source: PROTOCOL 11 (mingle); RELIABILITY 2 (26); celery/worker/consumer/mingle.py.
"""

import logging
from typing import Any

from tq.clock import Clock, LamportClock
from tq.control.mailbox import Call, Mailbox
from tq.errors import BrokerError
from tq.worker.limits import RevokedIds
from tq.worker.loop import Loop, Timer

__all__ = ["Mingle"]

logger = logging.getLogger(__name__)

_LISTEN_SECONDS = 1.0


class Mingle:
    """One `hello` and its replies. Owned by the loop thread."""

    name = "mingle"

    def __init__(
        self,
        loop: Loop,
        mailbox: Mailbox,
        hostname: str,
        *,
        revoked: RevokedIds,
        lamport: LamportClock,
        clock: Clock,
    ) -> None:
        """Keep what is exchanged.

        Args:
            loop: Watches the mailbox.
            mailbox: One of this service's own; it is closed afterwards.
            hostname: This node.
            revoked: Sent, and added to.
            lamport: Brought forward.
            clock: For the age of revoked ids.
        """
        self._loop = loop
        self._mailbox = mailbox
        self._hostname = hostname
        self._revoked = revoked
        self._lamport = lamport
        self._clock = clock
        self._call: Call | None = None
        self._fd = -1
        self._timer: Timer | None = None
        self._met = 0

    def start(self) -> None:
        """Say hello."""
        arguments = {"from_node": self._hostname, "revoked": list(self._revoked)}
        try:
            self._call = self._mailbox.start("hello", arguments, timeout=_LISTEN_SECONDS)
            self._fd = self._mailbox.fileno()
        except BrokerError as exc:
            logger.info("no other worker could be greeted: %s", exc)
            self._end()
            return
        self._loop.add_reader(self._fd, self._listen)
        self._timer = self._loop.call_later(_LISTEN_SECONDS, self._last_look)

    def stop(self, deadline: float) -> None:
        """Listen no more."""
        self._end()

    def _listen(self) -> None:
        call = self._call
        if call is None:
            return
        try:
            replies = call.poll()
        except BrokerError as exc:
            logger.info("the other workers cannot be heard: %s", exc)
            self._end()
            return
        for reply in replies:
            self._take(reply.node, reply.value)

    def _last_look(self) -> None:
        self._listen()
        if self._met:
            logger.info("mingle: met %d other worker(s)", self._met)
        self._end()

    def _take(self, node: str, value: Any) -> None:
        """Take in one reply, whatever it holds: it came off the wire."""
        if node == self._hostname or not isinstance(value, dict):
            return
        self._met += 1
        stamp = value.get("clock")
        if isinstance(stamp, int) and 0 <= stamp < 1 << 62:
            self._lamport.adjust(stamp)
        revoked = value.get("revoked")
        if isinstance(revoked, dict | list):  # a mapping up to Celery 5.6
            fresh = [one for one in revoked if isinstance(one, str) and one not in self._revoked]
            self._revoked.add(fresh, self._clock.time())

    def _end(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._fd >= 0:
            self._loop.remove_reader(self._fd)
            self._fd = -1
        self._call = None
        self._mailbox.close()
