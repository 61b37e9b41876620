"""What a Redis user must be allowed, by what it is for: the rules of `ACL SETUSER`.

Redis 7 and Valkey: a console's user has a second set of rights (a selector) for its own queues of
replies and events, so that it can pop its replies, and no task.

Source: RELIABILITY 7.11, 7.12.
"""

from collections.abc import Sequence
from enum import StrEnum

from tq.brokers.redis.keys import Keys

__all__ = ["Role", "acl_rules"]


class Role(StrEnum):
    """What a user is for."""

    VIEWER = "viewer"  # a console that only looks
    CONSOLE = "console"  # one that acts: purges, resends, revokes
    WORKER = "worker"
    PRODUCER = "producer"


_CONNECT = (
    "auth", "hello", "ping", "select", "client|setname", "multi", "exec",
    "discard", "time", "evalsha", "script|load",
)  # fmt: skip
_LISTEN = ("subscribe", "unsubscribe", "psubscribe", "punsubscribe", "publish")
# What making, reading and removing a queue of its own takes, and no more.
_REPLIES = ("sadd", "srem", "zadd", "brpop", "rpop", "del", "unlink", "pexpireat")
_ACT = (
    "lpush", "rpush", "lrem", "lset", "ltrim", "del", "unlink", "zadd", "zrem", "zremrangebyrank",
    "zremrangebyscore", "hset", "hdel", "srem", "sadd", "incrby", "decrby", "set", "expire",
    "expireat", "pexpire", "pexpireat",
)  # fmt: skip
_SEND = (
    "lpush", "smembers", "sadd", "zadd", "zscore", "exists", "pexpireat", "expire",
    "get", "mget", "set", "setex", "del", "zrange", "lrange",
)  # fmt: skip
_WORK = (
    *_SEND, "blmove", "brpop", "client|id", "client|unblock", "decrby", "expireat", "getrange",
    "hdel", "hexists", "hget", "hgetall", "hkeys", "hlen", "hmget", "hset", "hsetnx", "hstrlen",
    "incr", "incrby", "info", "lindex", "llen", "lmove", "lrem", "pexpire", "pttl", "rpop", "rpush",
    "scard", "spop", "srem", "type", "unlink", "zcard", "zrangebyscore", "zrem", "zremrangebyrank",
    "zremrangebyscore", "zrevrangebyscore",
)  # fmt: skip


def acl_rules(
    keys: Keys,
    role: Role,
    *,
    queues: Sequence[str] = (),
    control: str = "celery",
    events: str = "celeryev",
    event_queues: str = "celeryev",
    results: str = "",
) -> list[str]:
    """Return the rules of a user, without its password.

    Args:
        keys: The broker's names.
        role: What the user is for.
        queues: Names of the queues that a worker or producer uses.
        control: The setting `control_exchange`.
        events: The setting `event_exchange`.
        event_queues: The setting `event_queue_prefix`.
        results: Prefix of the keys of results, as the setting `global_keyprefix` makes it.
    """
    replies = f"reply.{control}.pidbox"
    channels = [
        keys.channel(f"{control}.pidbox"),
        *(keys.channel_pattern(events, key) for key in ("", "#", "task.#", "worker.#", "*")),
        f"{results}celery-task-meta-*",
    ]
    pipes = ["resetchannels", *(f"&{name}" for name in dict.fromkeys(channels))]
    own = [
        f"~{keys.queue(f'*.{replies}')}*",
        f"~{keys.queue(event_queues)}.*",
        *(f"~{keys.binding(name)}" for name in (replies, events)),
        *(f"~{keys.binding_permanent(name)}" for name in (replies, events)),
        f"~{keys.binding_deadlines()}",
    ]
    start = ["reset", "on", *pipes, "-@all", *_plus(_CONNECT)]
    if role in (Role.VIEWER, Role.CONSOLE):
        look = ["+@read", "-@dangerous", "+info", *_plus(_LISTEN), f"~{keys.prefix}*"]
        act = _plus(_ACT) if role is Role.CONSOLE else []
        look += [f"~{results}celery-task*"] if results != keys.prefix else []
        return [*start, *look, *act, f"({' '.join((*_plus(_REPLIES), *own))})"]
    places = [
        *(f"~{keys.queue(name)}*" for name in queues),
        f"~{keys.prefix}_kombu.binding*",
        f"~{results}celery-task*",
    ]
    if role is Role.PRODUCER:
        places += [f"~{keys.unacked()}*", f"~{keys.prefix}tq:delayed", f"~{keys.sequence()}", *own]
        more = (*_SEND, "brpop", "rpop", "srem", "unlink", "hset", "incrby", *_LISTEN)
        return [*start, *_plus(dict.fromkeys(more)), *places]
    places += [f"~{keys.unacked()}*", f"~{keys.prefix}tq:*", f"~{keys.queue('*.pidbox')}*"]
    return [*start, *_plus(dict.fromkeys((*_WORK, *_LISTEN))), *places]


def _plus(commands: Sequence[str] | dict[str, None]) -> list[str]:
    return [f"+{name}" for name in commands]
