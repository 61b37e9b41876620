"""The dead letters, for whoever looks after them: read, put back, delete."""

import hashlib
import itertools
from collections.abc import Iterator, Sequence

import msgspec

from tq.brokers.base import Dead
from tq.brokers.redis.connection import Argument, Pool
from tq.brokers.redis.deliveries import forget_losses, read_dead_letter
from tq.brokers.redis.keys import Keys
from tq.brokers.redis.scripts import call_script, load
from tq.errors import DecodeError
from tq.wire.limits import Limits

__all__ = ["DeadLetter", "DeadLetters"]

_PAGE = 200
_BATCH = 50  # one LREM walks the list: this many keep the server busy for a few milliseconds


class DeadLetter(msgspec.Struct, frozen=True):
    """One entry of the dead letters.

    Attributes:
        id: Twelve hexadecimal digits made from the entry, the same each time it is read.
        dead: What it tells.
        entry: Its bytes as they lie in Redis.
    """

    id: str
    dead: Dead
    entry: bytes

    @property
    def readable(self) -> bool:
        """Whether the message in it could be delivered again."""
        return self.dead.delivery is not None and bool(self.dead.queue)


class DeadLetters:
    """The dead letters of one Redis database. Safe to share between threads."""

    def __init__(self, pool: Pool, keys: Keys, limits: Limits) -> None:
        """Built by `Broker.dead_letters`."""
        self._pool = pool
        self._keys = keys
        self._limits = limits

    def count(self) -> int:
        """Return how many there are."""
        return int(self._pool.call("LLEN", self._keys.dead()))

    def read(self) -> Iterator[DeadLetter]:
        """Read all, newest first, in pages; what is added meanwhile is left out.

        An entry that somebody else wrote has the reason `unknown_entry`.
        """
        # Counted from the end: new ones are added at the front and would move the pages.
        total = self.count()
        for start in range(0, total, _PAGE):
            last = min(start + _PAGE, total) - total - 1
            page = self._pool.call("LRANGE", self._keys.dead(), start - total, last)
            yield from (self._letter(bytes(entry)) for entry in page)

    def _letter(self, entry: bytes) -> DeadLetter:
        digest = hashlib.sha1(entry, usedforsecurity=False).hexdigest()[:12]
        try:
            dead = read_dead_letter(entry, self._limits)
        except DecodeError:
            dead = Dead(delivery=None, queue="", reason="unknown_entry", raw=entry)
        return DeadLetter(digest, dead, entry)

    def drop(self, letters: Sequence[DeadLetter]) -> int:
        """Delete entries; returns how many still lay there."""
        return self._move([(letter.entry, "", b"") for letter in letters])

    def requeue(self, letters: Sequence[DeadLetter]) -> int:
        """Put messages back, last in line of their queues, as if they had never been lost.

        Args:
            letters: Entries that are `readable`; others are left where they are.

        Returns:
            How many still lay there and were put back.
        """
        items = []
        for letter in letters:
            delivery = letter.dead.delivery
            if delivery is None or not letter.readable:
                continue
            place = self._keys.queue(letter.dead.queue, delivery.message.priority)
            items.append((letter.entry, place, forget_losses(letter.dead.raw)))
        return self._move(items)

    def _move(self, items: Sequence[tuple[bytes, str, bytes]]) -> int:
        script, keys = load("revive"), [self._keys.dead(), self._keys.dead_bytes()]
        moved = 0
        for start in range(0, len(items), _BATCH):
            chunk = items[start : start + _BATCH]
            arguments: list[Argument] = list(itertools.chain.from_iterable(chunk))
            with self._pool.lease() as connection:
                moved += sum(call_script(connection, script, keys, arguments))
        return moved
