"""Leases: proving that a consumer lives, and noticing those that do not."""

import logging
import os
import time
from collections.abc import Collection, Mapping
from typing import Any

from tq.brokers.base import Dead
from tq.brokers.redis.connection import Argument, Connection
from tq.brokers.redis.deliveries import read_dead
from tq.brokers.redis.keys import Keys
from tq.brokers.redis.options import Options
from tq.brokers.redis.scripts import call_script, load
from tq.nodename import host_name

__all__ = ["Lease", "Taken"]

_log = logging.getLogger(__name__)
_REAP_LIMIT = 1000
_INBOXES_LIFE = 86400
_MEMORY_INTERVAL = 60.0

Taken = tuple[str, bytes]
"""A tag that was taken over, and what `unacked` holds under it (empty when nothing)."""


class Lease:
    """One consumer's lease; owned by the consumer's thread.

    Source: RELIABILITY 3.2, items 3, 4 and 9.
    """

    def __init__(
        self, connection: Connection, keys: Keys, consumer_id: str, options: Options
    ) -> None:
        """Prepare; the first `beat` begins the lease."""
        self._connection = connection
        self._keys = keys
        self._id = consumer_id
        self._options = options
        self._every = options.lease / 4
        self._beaten_at = -1e9
        self._server_time = 0.0  # at the last beat
        self._expired: dict[str, tuple[str, float]] = {}  # id -> end of lease, first seen so
        self._unknown: set[str] = set()
        self._dead: list[tuple[str, str]] = []
        self._run_id = b""
        self._opened = 0
        self._memory_at = 0.0
        self._policy = ""

    def beat_due(self, now: float) -> bool:
        """Tell whether a quarter of the lease has passed, or the connection is a new one."""
        return now - self._beaten_at >= self._every or self._opened != self._connection.opened

    def beat(self, boxes: Mapping[str, str]) -> tuple[set[str], list[Dead]]:
        """Renew the lease, and the age of everything held.

        Args:
            boxes: Inbox -> list of each queue, for whoever has to empty them one day.

        Returns:
            The tags that the server knows as ours, and nothing yet of what was lost.
        """
        keys = self._keys
        places = (
            keys.consumers(),
            keys.unacked_index(),
            keys.tags(self._id),
            keys.info(self._id),
            keys.inboxes(self._id),
        )
        pairs = [text for pair in boxes.items() for text in pair]
        arguments: list[Argument] = [self._id, self._options.lease, host_name(), os.getpid()]
        arguments += [_INBOXES_LIFE, *pairs]
        self._check_server()
        tags, expired, stamp = call_script(
            self._connection, load("beat"), places, arguments, self._options.upkeep_timeout
        )
        self._beaten_at = time.monotonic()
        self._server_time = float(stamp)
        self._suspect(expired)
        return {tag.decode() for tag in tags}, []

    def now(self) -> float:
        """Return the server's time; behind it by the way of an answer, and never ahead of it.

        Counted on from the last beat by the monotonic clock, so nobody who sets this machine's
        clock changes it.
        """
        return self._server_time + time.monotonic() - self._beaten_at

    def _check_server(self) -> None:
        """After a new connection, say so when the server is another one or was restarted."""
        self._connection.connect()
        now = time.monotonic()
        if self._opened == self._connection.opened:
            if now - self._memory_at >= _MEMORY_INTERVAL:
                self._check_memory(now)
            return
        info: bytes = self._connection.call("INFO", "server")
        self._opened = self._connection.opened
        self._check_memory(now)
        run_id = next((x for x in info.split(b"\r\n") if x.startswith(b"run_id:")), b"")
        if self._run_id and run_id != self._run_id:
            _log.warning(
                "Redis at %s was restarted or replaced; what it had not saved is lost",
                self._connection.address.url,
            )
        self._run_id = run_id

    def _check_memory(self, now: float) -> None:
        """Say so, loudly, when the server is set to evict what it was given to keep."""
        self._memory_at = now
        info: bytes = self._connection.call("INFO", "memory")
        lines = [line.partition(b":") for line in info.split(b"\r\n")]
        facts = {name.decode(): value.decode("ascii", "replace") for name, _, value in lines}
        policy = facts.get("maxmemory_policy", "")
        if facts.get("maxmemory", "0") == "0" or policy == "noeviction":
            policy = ""
        if policy.startswith("allkeys"):
            severity, what = logging.ERROR, "evicts any key when it is full: TASKS WILL BE LOST"
        else:
            severity, what = logging.WARNING, "evicts results and chord counters when it is full"
        if policy and policy != self._policy:
            text = "Redis at %s %s (maxmemory-policy %s); set it to noeviction"
            _log.log(severity, text, self._connection.address.url, what, policy)
        self._policy = policy

    def _suspect(self, expired: list[bytes]) -> None:
        """Compare the expired consumers with those of the beat before.

        Only one that looked expired a quarter of the lease ago, and has not beaten since, is dead:
        after a frozen server thaws, everybody looks expired once.
        """
        seen, self._expired = self._expired, {}
        self._dead = []
        now = time.monotonic()
        for at in range(0, len(expired), 2):
            consumer_id, end = expired[at].decode(), expired[at + 1].decode()
            if consumer_id == self._id:
                continue
            before = seen.get(consumer_id)
            if before is None or before[0] != end:
                before = (end, now)
            self._expired[consumer_id] = before
            if now - before[1] >= self._every * 0.9:
                self._dead.append((consumer_id, end))

    def dead_consumers(self) -> list[tuple[str, str]]:
        """Return `(id, end of lease)` of those that the last beat found dead."""
        return self._dead

    def reap(self, consumer_id: str, end: str) -> tuple[list[Taken], list[Dead]]:
        """Take over from a dead consumer, unless it has beaten meanwhile.

        Returns:
            What it held, now under our own lease and to be put back; and what it had acknowledged
            early and was running, which is in the dead letters.
        """
        keys = self._keys
        places = (
            keys.consumers(),
            keys.tags(self._id),
            keys.tags(consumer_id),
            keys.started(consumer_id),
            keys.inboxes(consumer_id),
            keys.unacked(),
            keys.unacked_index(),
            keys.dead(),
            keys.dead_bytes(),
            keys.info(consumer_id),
        )
        arguments = (consumer_id, end, _REAP_LIMIT, *self._options.dead_caps)
        reply: list[Any] = call_script(self._connection, load("reap"), places, arguments)
        if not reply:
            return [], []
        taken = [(tag.decode(), value) for tag, value in _pairs(reply[0])]
        now = time.time()
        lost = [
            read_dead(tag.decode(), value, "worker_lost", self._options.limits, now)
            for tag, value in _pairs(reply[1])
        ]
        if taken or lost:
            _log.warning(
                "consumer %s is dead: %d deliveries taken over, %d running ones lost",
                consumer_id,
                len(taken),
                len(lost),
            )
        return taken, lost

    def strangers(self, owned: set[str], held: Collection[str]) -> tuple[list[str], list[str]]:
        """Return tags that are ours for two beats but that nobody here has heard of.

        Returns:
            Those of our own fetches, whose answer got lost; and those we took over from a dead
            consumer without getting to put them back.
        """
        unknown = owned.difference(held)
        twice = unknown & self._unknown
        self._unknown = unknown - twice
        prefix = f"{self._id}/"
        own = [tag for tag in twice if tag.startswith(prefix)]
        return own, [tag for tag in twice if not tag.startswith(prefix)]

    def leave(self) -> None:
        """End the lease."""
        keys = self._keys
        places = (
            keys.consumers(),
            keys.tags(self._id),
            keys.started(self._id),
            keys.inboxes(self._id),
            keys.info(self._id),
        )
        call_script(self._connection, load("leave"), places, (self._id,))


def _pairs(flat: list[bytes]) -> list[tuple[bytes, bytes]]:
    """Read a flat list two by two."""
    return list(zip(flat[::2], flat[1::2], strict=True))
