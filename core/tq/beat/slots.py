"""Which entries are due. Pure: time comes in as an argument.

Source: celery/beat.py, `Scheduler.tick`; RELIABILITY 6.7.
"""

import heapq
import math
from collections.abc import Mapping
from datetime import UTC, datetime, tzinfo
from typing import NamedTuple

from tq.beat.entry import Entry, Progress, schedule_text
from tq.schedules import crontab

__all__ = ["ON_TIME", "Due", "SlotHeap"]

ON_TIME = 60.0
"""Seconds by which a slot may be late and still does not count as missed."""

# How far the clock may have been set back for wall-clock slots that were run to stay run.
_SET_BACK = 7200.0
_JUMP = 1.0  # seconds back that are no jump, but two clocks read one after the other


class Due(NamedTuple):
    """An entry whose slot has come."""

    entry: Entry
    slot: float


class SlotHeap:
    """A heap of entries by the time of their next slot. Owned by one thread.

    A slot that was missed is run once, late, unless `catchup` is off; of several missed slots only
    the last one is run.

    Attributes:
        entries: By name.
        progress: How far each entry has come.
        missed: Slots that were left out, since the start.
        changed: Names whose progress changed; emptied by who stores it.
    """

    def __init__(
        self, zone: tzinfo = UTC, *, catchup: bool = True, starting_deadline: float | None = None
    ) -> None:
        """Start without entries.

        Args:
            zone: In which crontabs are meant.
            catchup: Whether a slot that is later than `ON_TIME` is still run.
            starting_deadline: Seconds after which a crontab's slot is not run any more, or None.
        """
        self.zone = zone
        self.catchup = catchup
        self.starting_deadline = starting_deadline
        self.entries: dict[str, Entry] = {}
        self.progress: dict[str, Progress] = {}
        self.missed = 0
        self.changed: set[str] = set()
        self._heap: list[tuple[float, str]] = []
        self._next: dict[str, float] = {}
        self._seen = -math.inf

    def update(self, entries: Mapping[str, Entry], now: float) -> None:
        """Replace the entries; those that stay the same keep their progress.

        Args:
            entries: By name.
            now: Wall-clock timestamp.
        """
        self.entries = dict(entries)
        for name in set(self.progress) - set(entries):
            del self.progress[name]
            self.changed.add(name)
        self._plan_all(now)

    def restore(self, progress: Mapping[str, Progress], now: float) -> None:
        """Take over what a store knows, where it is ahead of us.

        Args:
            progress: By entry; names that are no entries are left out.
            now: Wall-clock timestamp.
        """
        for name, known in progress.items():
            own = self.progress.get(name)
            if name in self.entries and (
                own is None or own.last_run_at is None or known.slot > own.slot
            ):
                self.progress[name] = known
                self._check(name, now)
                self._push(name)

    def _plan_all(self, now: float) -> None:
        self._seen = now
        self._next.clear()
        for name in self.entries:
            self._check(name, now)
            self._plan(name)
        self._heap = [(at, name) for name, at in self._next.items()]
        heapq.heapify(self._heap)

    def _check(self, name: str, now: float) -> None:
        """See to it that an entry has progress, and that it is of the schedule it has now."""
        entry, known = self.entries[name], self.progress.get(name)
        text = schedule_text(entry.schedule)
        if known is None:
            self.progress[name] = Progress(slot=now, schedule=text)
            self.changed.add(name)
        elif known.schedule != text:
            known.slot, known.schedule = now, text
            self.changed.add(name)
        else:
            self._repair(entry, known, now)

    def _repair(self, entry: Entry, known: Progress, now: float) -> None:
        """Start anew from here when the slot that ran last lies ahead: the clock was set back.

        Wall-clock slots within two hours stay run, so that none runs twice.
        """
        keep = _SET_BACK if isinstance(entry.schedule, crontab) else 0.0
        if known.slot > now + keep:
            known.slot = now
            self.changed.add(entry.name)

    def _plan(self, name: str) -> float | None:
        """Find when an entry is due next; None for never."""
        slot = self.entries[name].schedule.next_after(_moment(self.progress[name].slot), self.zone)
        if slot is None:
            self._next.pop(name, None)
            return None
        at = self._next[name] = slot.timestamp()
        return at

    def _push(self, name: str) -> None:
        at = self._plan(name)
        if at is not None:
            heapq.heappush(self._heap, (at, name))

    def due(self, now: float) -> list[Due]:
        """Take out the entries that are due; each must be followed by `ran` or `put_back`.

        Args:
            now: Wall-clock timestamp.
        """
        if now < self._seen - _JUMP:
            self._plan_all(now)
        self._seen = now
        found = []
        heap = self._heap
        while heap and heap[0][0] <= now:
            at, name = heapq.heappop(heap)
            if self._next.get(name) != at:
                continue  # replaced since
            due = self._latest(name, now)
            if due is None:
                self._push(name)
            else:
                found.append(due)
        return found

    def _latest(self, name: str, now: float) -> Due | None:
        """Return the slot to run, or move past it and return None."""
        entry, known = self.entries[name], self.progress[name]
        slot = entry.schedule.latest(_moment(known.slot), _moment(now), self.zone)
        at = now if slot is None else slot.timestamp()
        if slot is not None and self._is_wanted(entry, now - at):
            return Due(entry, at)
        self.missed += 1
        known.slot = at
        self.changed.add(name)
        return None

    def _is_wanted(self, entry: Entry, late: float) -> bool:
        deadline = self.starting_deadline
        if deadline is not None and isinstance(entry.schedule, crontab) and late > deadline:
            return False
        return self.catchup or late <= ON_TIME

    def after(self, due: Due, now: float) -> Progress:
        """Return what an entry's progress will be once its slot was run."""
        known = self.progress[due.entry.name]
        return Progress(
            slot=due.slot,
            last_run_at=now,
            total_run_count=known.total_run_count + 1,
            schedule=known.schedule,
        )

    def ran(self, due: Due, now: float) -> None:
        """Record that a slot was run, and plan the next one."""
        name = due.entry.name
        self.progress[name] = self.after(due, now)
        self.changed.add(name)
        self._push(name)

    def skip(self, due: Due) -> None:
        """Record that somebody else ran the slot, and plan the next one."""
        self.progress[due.entry.name].slot = due.slot
        self.changed.add(due.entry.name)
        self._push(due.entry.name)

    def put_back(self, due: Due) -> None:
        """Leave a slot for the next try."""
        heapq.heappush(self._heap, (self._next[due.entry.name], due.entry.name))

    def next_due(self, name: str | None = None) -> float | None:
        """Return when an entry, or the first of all, is due next; None for never.

        Args:
            name: The entry, or None for the first of all.
        """
        if name is not None:
            return self._next.get(name)
        heap = self._heap
        while heap and self._next.get(heap[0][1]) != heap[0][0]:
            heapq.heappop(heap)
        return heap[0][0] if heap else None


def _moment(timestamp: float) -> datetime:
    return datetime.fromtimestamp(timestamp, UTC)
