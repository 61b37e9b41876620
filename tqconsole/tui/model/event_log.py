"""The newest events as they arrived, and how many of each type there were."""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from tqconsole.tui.model.facts import Gap
from tqconsole.tui.model.format import clock, count

__all__ = ["Entry", "Event", "EventLog", "TypeCounts"]

Event = Mapping[str, Any]

_OWN_BYTES = 900  # an event without its texts, by measure
_RATE_OVER = 5.0


@dataclass(frozen=True, slots=True)
class Entry:
    """One event, or a note of what is missing between two.

    Attributes:
        number: Counts from 0 over everything that was ever in the log.
        arrived: Wall timestamp.
        event: As it was decoded; empty for a note.
        note: What is missing here, or why.
    """

    number: int
    arrived: float
    event: Event = field(default_factory=dict)
    note: str = ""

    @property
    def type(self) -> str:
        """The event's type; empty for a note."""
        return str(self.event.get("type", ""))


class EventLog:
    """Events in the order of their arrival, bounded by number and size. Owned by the event loop.

    Attributes:
        most: Most events kept.
        next: The number that the next entry gets.
        bytes: What the entries take, by estimate.
        lost: Events that were counted only, because too many arrived at once.
    """

    def __init__(self, most: int = 10_000, most_bytes: int = 24 * 1024 * 1024) -> None:
        """Start empty."""
        self.most = most
        self.most_bytes = most_bytes
        self.next = 0
        self.bytes = 0
        self.lost = 0
        self._entries: deque[tuple[Entry, int]] = deque()
        self._gaps_until = 0.0

    def __len__(self) -> int:
        """Return the number of entries kept."""
        return len(self._entries)

    @property
    def first(self) -> int:
        """The number of the oldest entry kept."""
        return self.next - len(self._entries)

    def take(
        self, events: Sequence[Event], arrived: float, skipped: Mapping[str, int] | None = None
    ) -> None:
        """Take in a batch.

        Args:
            events: As `wire.event.decode_events` gives them.
            arrived: Wall timestamp, for events without `local_received`.
            skipped: Events by type that were dropped before this batch.
        """
        if skipped:
            lost = sum(skipped.values())
            self.lost += lost
            self.note(f"{count(lost)} events counted and not kept: too many at once", arrived)
        # of more than can be kept only the end is looked at
        left_out = max(0, len(events) - self.most)
        if left_out:
            self._clear()
            self.next += left_out
        for event in islice(events, left_out, None):
            came = event.get("local_received")
            at = float(came) if isinstance(came, int | float) else arrived
            self._add(Entry(self.next, at, event), _size(event))

    def note(self, text: str, at: float) -> None:
        """Add a note; `at` is a wall timestamp."""
        self._add(Entry(self.next, at, note=text), _OWN_BYTES)

    def note_gaps(self, gaps: Iterable[Gap]) -> None:
        """Add a note for each gap that is over and has none yet."""
        for gap in gaps:
            if gap.end > self._gaps_until:
                self._gaps_until = gap.end
                self.note(f"{clock(gap.begin)}-{clock(gap.end)}Z not observed", gap.end)

    def _add(self, entry: Entry, size: int) -> None:
        entries = self._entries
        entries.append((entry, size))
        self.next += 1
        self.bytes += size
        while len(entries) > self.most or (self.bytes > self.most_bytes and len(entries) > 1):
            self.bytes -= entries.popleft()[1]

    def _clear(self) -> None:
        self._entries.clear()
        self.bytes = 0

    def get(self, number: int) -> Entry | None:
        """Return an entry by its number, or None when it is no longer kept."""
        at = number - self.first
        return self._entries[at][0] if 0 <= at < len(self._entries) else None

    def since(self, number: int) -> list[Entry]:
        """Return the entries from a number on, oldest first."""
        wanted = min(len(self._entries), max(0, self.next - number))
        newest = [entry for entry, _ in islice(reversed(self._entries), wanted)]
        newest.reverse()
        return newest

    def before(self, number: int) -> Iterator[Entry]:
        """Walk back from the entry before a number."""
        skip = max(0, self.next - number)
        for entry, _ in islice(reversed(self._entries), skip, None):
            yield entry


def _size(event: Event) -> int:
    return _OWN_BYTES + sum(len(value) for value in event.values() if type(value) is str)


class TypeCounts:
    """How many events of each type came, in all and per second of the last few."""

    def __init__(self) -> None:
        """Start without a count."""
        self._seen: deque[tuple[float, dict[str, int]]] = deque()

    def update(self, totals: Mapping[str, int], now: float) -> None:
        """Look at the totals; once a second is enough."""
        seen = self._seen
        if seen and 0.0 <= now - seen[-1][0] < 0.5:
            return
        if seen and now < seen[-1][0]:
            seen.clear()
        seen.append((now, dict(totals)))
        while now - seen[0][0] > _RATE_OVER and len(seen) > 2:
            seen.popleft()

    def most(self) -> list[tuple[str, int, float | None]]:
        """Return type, number and rate per second, the most frequent first."""
        if not self._seen:
            return []
        begin, before = self._seen[0]
        end, now = self._seen[-1]
        span = end - begin
        rows = [
            (kind, number, (number - before.get(kind, 0)) / span if span >= 1.0 else None)
            for kind, number in now.items()
        ]
        return sorted(rows, key=lambda row: (-row[1], row[0]))
