"""Settles deliveries: the ack and all that is recorded with it, in one call."""

import logging
import os
import secrets
from collections.abc import Sequence
from typing import Any

from tq.brokers.base import ChordPart, Settled, Settlement
from tq.brokers.redis.connection import Argument, Connection
from tq.brokers.redis.keys import Keys
from tq.brokers.redis.publication import publication_arguments
from tq.brokers.redis.scripts import call_script, load

__all__ = ["DeadCaps", "Settler"]

_log = logging.getLogger(__name__)
_STARTED, _RESULT, _CHORD = 1, 2, 4

# Settlements per script call: bounds how long the server serves nobody else to a few ms.
_MAX_ITEMS = 500

DeadCaps = tuple[int, int]


class Settler:
    """Settles deliveries of one consumer; owned by one thread."""

    def __init__(
        self, connection: Connection, keys: Keys, consumer_id: str, dead_caps: DeadCaps
    ) -> None:
        """Take over a connection.

        Args:
            connection: Used by this object's owner only.
            keys: The key names.
            consumer_id: Whose deliveries.
            dead_caps: Most entries and bytes of the dead letters.
        """
        self._connection = connection
        self._script = load("settle")
        self._keys = (
            keys.unacked(),
            keys.unacked_index(),
            keys.tags(consumer_id),
            keys.started(consumer_id),
            keys.dead(),
            keys.dead_bytes(),
            keys.binding_deadlines(),
        )
        self._names = keys
        self._head: tuple[Argument, ...] = (*dead_caps, keys.prefix, keys.sep)

    def settle(self, items: Sequence[Settlement]) -> list[Settled]:
        """Ack and record each item; see `tq.brokers.base.Settler`."""
        answers: list[Settled] = []
        for start in range(0, len(items), _MAX_ITEMS):
            part = items[start : start + _MAX_ITEMS]
            arguments = [*self._head]
            for item in part:
                self._describe(item, arguments)
            replies = call_script(self._connection, self._script, self._keys, arguments)
            answers += [_settled(item, reply) for item, reply in zip(part, replies, strict=True)]
        return answers

    def _describe(self, item: Settlement, arguments: list[Argument]) -> None:
        """Append one item as `lua/settle.lua` reads it."""
        result, chord = item.result, item.chord
        kind = 0
        if item.started:
            kind = _STARTED
        if result is not None:
            kind += _RESULT
        if chord is not None:
            kind += _CHORD
        arguments += (item.tag, kind, len(item.messages))
        if result is not None:
            arguments += (result.key, result.value, result.ttl)
        if item.messages:
            arguments += publication_arguments(item.messages, self._names)
        if chord is not None:
            arguments += _chord_arguments(chord)

    def close(self) -> None:
        """Give up the connection."""
        self._connection.close()


def _chord_arguments(chord: ChordPart) -> tuple[Argument, ...]:
    """Write a part in the order of `count_chord_part`."""
    return (
        chord.group_key,
        chord.member,
        chord.mark,
        "+inf" if chord.score is None else chord.score,
        "1" if chord.ordered else "0",
        chord.chord_ttl,
        chord.result_ttl,
        chord.claim_ttl,
        f"{os.getpid()}-{secrets.token_hex(8)}",
    )


def _settled(item: Settlement, reply: Any) -> Settled:
    """Read one answer."""
    if isinstance(reply, int):
        return Settled(done=bool(reply))
    text: str = reply.decode("utf-8", "replace")
    if text.startswith("!"):
        # The delivery is gone from the queue; what was to be recorded with it is not all there.
        _log.error("settled %s, but Redis refused one of its effects: %s", item.tag, text[1:])
        return Settled(done=True)
    return Settled(done=True, claim=text)
