"""What a Redis server is and how it is set up, for whoever asks whether it can be trusted."""

import time
from typing import Any

import msgspec

from tq.brokers.redis.connection import Argument, Pool
from tq.brokers.redis.keys import Keys

__all__ = ["Facts", "examine"]

_SCAN_ROUNDS = 200
_SCAN_COUNT = 1000


class Facts(msgspec.Struct, kw_only=True):
    """A server as it describes itself.

    Attributes:
        engine: `redis` or `valkey`.
        version: Of the protocol it speaks: what `redis_version` says.
        release: Its own, where that is another: what `valkey_version` says.
        maxmemory: Bytes; 0 is no limit.
        policy: What it does when memory is full; `noeviction` deletes nothing.
        aof: It keeps an append-only file.
        rdb_failed: Its last snapshot failed.
        drift: Seconds by which its clock is ahead of ours.
        unacked: Deliveries that somebody holds.
        consumers: tq consumers with a lease.
        orphans: Keys of consumers that are gone, which nobody took over; at most 100.
    """

    engine: str
    version: str
    maxmemory: int
    policy: str
    aof: bool
    rdb_failed: bool
    drift: float
    unacked: int
    consumers: int
    orphans: list[str]
    release: str = ""


def examine(pool: Pool, keys: Keys) -> Facts:
    """Ask a server about itself.

    Raises:
        BrokerConnectionError: It does not answer.
    """
    before = time.time()
    reply = pool.call("TIME")
    after = time.time()
    commands: list[tuple[Argument, ...]] = [
        ("INFO",),
        ("HLEN", keys.unacked()),
        ("ZRANGE", keys.consumers(), 0, -1),
    ]
    text, unacked, members = pool.pipeline(commands)
    info = _parsed(text)
    consumers = {member.decode("utf-8", "replace") for member in members}
    return Facts(
        engine=info.get("server_name", "redis"),
        version=info.get("redis_version", "0"),
        release=info.get("valkey_version", ""),
        maxmemory=int(info.get("maxmemory", 0)),
        policy=info.get("maxmemory_policy", "noeviction"),
        aof=info.get("aof_enabled") == "1",
        rdb_failed=info.get("rdb_last_bgsave_status", "ok") != "ok",
        drift=int(reply[0]) + int(reply[1]) / 1e6 - (before + after) / 2,
        unacked=int(unacked),
        consumers=len(consumers),
        orphans=_orphans(pool, keys, consumers),
    )


def _parsed(text: Any) -> dict[str, str]:
    lines = (line.partition(":") for line in bytes(text).decode("utf-8", "replace").splitlines())
    return {name: value for name, separator, value in lines if separator}


def _orphans(pool: Pool, keys: Keys, consumers: set[str]) -> list[str]:
    """Find keys of consumers without a lease, in a bounded walk through the key space."""
    start = keys.tags("\0").partition("\0")[0]
    # An id has colons of its own, so only whole ones can be compared.
    alive = tuple(f"{start}{consumer}:" for consumer in consumers)
    cursor, found = b"0", []
    for _ in range(_SCAN_ROUNDS):
        cursor, page = pool.call("SCAN", cursor, "MATCH", f"{start}*", "COUNT", _SCAN_COUNT)
        for key in page:
            name = key.decode("utf-8", "replace")
            # What a reaper needs is kept with the lease; `info` goes by itself.
            if not (name.startswith(alive) or name.endswith(":info")):
                found.append(name)
        if bytes(cursor) == b"0" or len(found) >= 100:
            break
    return sorted(found)[:100]
