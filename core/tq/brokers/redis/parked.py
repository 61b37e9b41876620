"""Looking at the messages that wait for their time, without taking any."""

from tq.brokers.base import Glimpse
from tq.brokers.redis.connection import Pool
from tq.brokers.redis.deliveries import read_dead
from tq.brokers.redis.keys import Keys
from tq.wire.limits import Limits

__all__ = ["parked"]


def parked(
    pool: Pool, keys: Keys, limits: Limits, limit: int
) -> tuple[int, list[tuple[float, Glimpse]]]:
    """Read the parked messages that are due first.

    Args:
        pool: The connections.
        keys: Names of keys.
        limits: What a message may be like.
        limit: Most messages to read.

    Returns:
        How many are parked, and of those read the time they are due and what they are.

    Raises:
        BrokerConnectionError: No answer.
    """
    commands = [
        ("ZCARD", keys.delayed()),
        ("ZRANGE", keys.delayed(), 0, limit - 1, "WITHSCORES"),
    ]
    total, entries = pool.pipeline(commands)
    members = [bytes(member) for member in entries[::2]]
    if not members:
        return int(total), []
    tags = [member.partition(b" ")[0] for member in members]
    values = pool.call("HMGET", keys.unacked(), *tags)
    found: list[tuple[float, Glimpse]] = []
    for member, score, value in zip(members, entries[1::2], values, strict=True):
        if value is None:  # its time came between the two calls
            continue
        dead = read_dead("", bytes(value), "unreadable", limits, 0.0)
        message = dead.delivery.message if dead.delivery is not None else None
        place = member.partition(b" ")[2].decode("utf-8", "replace")
        queue = place.removeprefix(keys.prefix).partition(keys.sep)[0]
        reason = None if message is not None else "unreadable"
        glimpse = Glimpse(queue=queue, raw=dead.raw, message=message, reason=reason)
        found.append((float(score), glimpse))
    return int(total), found
