"""The set of revoked task ids that the server remembers for workers that are down.

Source: RELIABILITY 3.1 (`tq:revoked`).
"""

import time
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from tq.brokers.redis.connection import Argument

__all__ = ["read_revoked", "revoke_commands"]

_LIMIT = 50_000  # as many as a worker remembers
_CHUNK = 1_000


def revoke_commands(key: str, ids: Sequence[str], expires: float) -> list[tuple[Argument, ...]]:
    """Build the commands that add ids and keep the set bounded by age and count."""
    commands: list[tuple[Argument, ...]] = []
    kept = list(ids[-_LIMIT:])
    for start in range(0, len(kept), _CHUNK):
        pairs = [part for task_id in kept[start : start + _CHUNK] for part in (expires, task_id)]
        commands.append(("ZADD", key, "GT", *pairs))
    commands.append(("ZREMRANGEBYSCORE", key, "-inf", time.time()))
    commands.append(("ZREMRANGEBYRANK", key, 0, -_LIMIT - 1))
    commands.append(("EXPIREAT", key, int(expires) + 1))
    return commands


def read_revoked(reply: Any) -> list[tuple[str, float]]:
    """Read a reply with scores, newest first, as `(id, expiry)`, oldest first."""
    found = [
        (task_id.decode("utf-8", "replace"), float(score))
        for task_id, score in list(pairwise(reply))[::2]
    ]
    return found[::-1]
