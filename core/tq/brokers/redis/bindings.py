"""Bindings as kombu keeps them.

Source: PROTOCOL 1.6; kombu/transport/redis.py (`Channel._queue_bind`, `_refresh_bindings`,
`_delete`), kombu/transport/virtual/exchange.py (`TopicExchange.key_to_pattern`).
"""

from tq.brokers.base import Queue
from tq.brokers.redis.connection import Argument
from tq.brokers.redis.keys import Keys
from tq.brokers.redis.scripts import Script, load, script_command

__all__ = ["bind_commands", "binding_lifetime", "binding_scripts", "topic_regex", "unbind_commands"]

# kombu: a consumer that cannot run for a while keeps its routing for an hour at least.
_MIN_LIFETIME = 3600.0
_WORDS = {"*": r"[^\.]+", "#": r".*?"}

Command = tuple[Argument, ...]


def topic_regex(routing_key: str) -> str:
    """Write the regular expression that kombu stores beside a topic binding."""
    escaped = "".join(c if c.isalnum() or c in ".#*" else "\\" + c for c in routing_key)
    words = (_WORDS.get(word, word) for word in escaped.split("."))
    return "^" + r"\.".join(words) + "$"


def binding_lifetime(expires: float) -> float:
    """Return how many seconds the binding of a queue lives that expires after `expires`."""
    return max(expires * 2, _MIN_LIFETIME)


def binding_scripts() -> list[Script]:
    """Return the scripts that `bind_commands` may call."""
    return [load("bind")]


def bind_commands(queue: Queue, keys: Keys) -> list[Command]:
    """Write the commands that bind a queue to its exchange; none for the default exchange."""
    member = _member(queue, keys)
    if member is None or queue.exchange is None:
        return []
    exchange = queue.exchange.name
    if queue.expires is None:
        # Together, as kombu's sweep keeps a table only while the permanent set has members.
        return [
            ("MULTI",),
            ("SADD", keys.binding(exchange), member),
            ("SADD", keys.binding_permanent(exchange), member),
            ("EXEC",),
        ]
    lifetime_ms = int(binding_lifetime(queue.expires) * 1000)
    places = (keys.binding(exchange), keys.binding_deadlines())
    return [script_command(load("bind"), places, (member, exchange, lifetime_ms))]


def unbind_commands(queue: Queue, keys: Keys) -> list[Command]:
    """Write the commands that remove a queue with its binding and its messages."""
    commands: list[Command] = [("UNLINK", *keys.queue_steps(queue.name))]
    member = _member(queue, keys)
    if member is not None and queue.exchange is not None:
        commands += [
            ("SREM", keys.binding(queue.exchange.name), member),
            ("SREM", keys.binding_permanent(queue.exchange.name), member),
        ]
    return commands


def _member(queue: Queue, keys: Keys) -> str | None:
    """Return the queue's entry in the routing table, or None at the default exchange."""
    exchange = queue.exchange
    if exchange is None or not exchange.name:
        return None
    key = queue.routing_key
    if exchange.type == "direct":
        key = key or queue.name
    pattern = topic_regex(key) if exchange.type == "topic" else ""
    return keys.binding_member(key, pattern, queue.name)
