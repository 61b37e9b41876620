"""From messages to the commands that publish them."""

import itertools
import os
import secrets
from collections.abc import Iterator, Mapping, Sequence

import msgspec

from tq.brokers.redis.connection import Argument
from tq.brokers.redis.keys import Keys
from tq.brokers.redis.scripts import load, script_command
from tq.wire.envelope import Message, encode_envelope
from tq.wire.template import ENDING

__all__ = [
    "DeliveryTags",
    "opening_commands",
    "publication_arguments",
    "publish_commands",
    "queue_json",
]

_json = msgspec.json.Encoder().encode

# One LPUSH of this many messages keeps the server busy for about a millisecond.
_MAX_PUSH = 1000


def queue_json(name: str) -> bytes:
    """Write a queue's name as JSON text, as the scripts splice it into `unacked`."""
    return _json(name)


class DeliveryTags:
    """Unique tags in the form of a uuid, as kombu's consumers expect in an envelope.

    Random per process and counted within it: a uuid4 each would cost as much as the envelope.
    """

    def __init__(self) -> None:
        """Start with a random prefix."""
        self.restart()

    def restart(self) -> None:
        """Choose a new prefix; a forked child must, or it would repeat its parent's tags."""
        text = secrets.token_hex(10)
        self._prefix = f"{text[:8]}-{text[8:12]}-4{text[13:16]}-a{text[17:20]}-"
        self._numbers = itertools.count()

    def next(self) -> str:
        """Return a tag that no other process and no other call returns; safe between threads."""
        return f"{self._prefix}{next(self._numbers) & 0xFFFFFFFFFFFF:012x}"

    def take(self, count: int) -> list[bytes]:
        """Return `count` tags, as `next` would."""
        prefix, last = self._prefix.encode(), 0xFFFFFFFFFFFF
        return [b"%b%012x" % (prefix, n & last) for n in itertools.islice(self._numbers, count)]


tags = DeliveryTags()
# Asking for the process's id at each tag instead would cost 1 us a message.
os.register_at_fork(after_in_child=tags.restart)


def publish_commands(messages: Sequence[Message], keys: Keys) -> list[tuple[Argument, ...]]:
    """Write the commands that publish messages, as few as possible, in order per queue.

    Source: PROTOCOL 1.4.
    """
    if len(messages) == 1 and not messages[0].exchange:
        # Most calls are single: this saves a tenth of what one costs.
        (message,) = messages
        place = keys.queue(message.routing_key, message.priority)
        return [("LPUSH", place, encode_envelope(message, tags.next()))]
    lists: dict[str, list[bytes]] = {}
    routed: list[Argument] = []
    commands: list[tuple[Argument, ...]] = []
    suffixes: dict[tuple[str, int], str] = {}
    for message in messages:
        raw = encode_envelope(message, tags.next())
        if not message.exchange:
            address = (message.routing_key, message.priority)
            key = suffixes.get(address)
            if key is None:
                key = suffixes[address] = keys.queue(*address)
            lists.setdefault(key, []).append(raw)
        elif message.exchange_type == "fanout":
            channel = keys.channel(message.exchange, message.routing_key)
            commands.append(("PUBLISH", channel, raw))
        else:
            routed += _routed(message, raw, keys)
    for key, raws in lists.items():
        commands += _pushes(key, raws)
    if routed:
        arguments = (keys.prefix, keys.sep, *routed)
        commands.append(script_command(load("publish"), [keys.binding_deadlines()], arguments))
    return commands


def opening_commands(
    lots: Mapping[tuple[str, int], Sequence[bytes]], keys: Keys
) -> list[tuple[Argument, ...]]:
    """Write the commands that publish envelopes once their delivery tags are in.

    Source: PROTOCOL 1.4.
    """
    commands: list[tuple[Argument, ...]] = []
    for (queue, priority), openings in lots.items():
        raws = [
            opening + tag + ENDING
            for opening, tag in zip(openings, tags.take(len(openings)), strict=True)
        ]
        commands += _pushes(keys.queue(queue, priority), raws)
    return commands


def _pushes(key: str, raws: Sequence[bytes]) -> Iterator[tuple[Argument, ...]]:
    # LPUSH takes its values from left to right, so the last one published is the leftmost.
    for start in range(0, len(raws), _MAX_PUSH):
        yield ("LPUSH", key, *raws[start : start + _MAX_PUSH])


def publication_arguments(messages: Sequence[Message], keys: Keys) -> list[Argument]:
    """Describe messages as `lua/publication.lua` reads them."""
    arguments: list[Argument] = []
    for message in messages:
        raw = encode_envelope(message, tags.next())
        if not message.exchange:
            key = keys.queue(message.routing_key, message.priority)
            arguments += ("l", key, queue_json(message.routing_key), raw)
        elif message.exchange_type == "fanout":
            arguments += ("f", keys.channel(message.exchange, message.routing_key), "", raw)
        else:
            arguments += _routed(message, raw, keys)
    return arguments


def _routed(message: Message, raw: bytes, keys: Keys) -> tuple[Argument, ...]:
    """Describe a message whose queues the bindings decide."""
    return (
        "t" if message.exchange_type == "topic" else "d",
        keys.binding(message.exchange),
        message.routing_key,
        keys.step_suffix(message.priority),
        raw,
    )
