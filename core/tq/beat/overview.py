"""Entries as an operator wants to see them: what, when next, when last, and who leads.

Source: CONSOLE 4 (schedules).
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from tq.app.sending import zone_of
from tq.beat.custom import blamed_on, find_scheduler
from tq.beat.entry import Progress, read_entries
from tq.beat.lease import RedisLeader
from tq.beat.schedule_entry import timestamp_of
from tq.beat.scheduler import Scheduler
from tq.beat.slots import SlotHeap
from tq.beat.store import peek

if TYPE_CHECKING:
    from tq import TQ

__all__ = ["Overview", "Row", "overview"]

LATE = 10.0
"""Seconds after which a slot that was not run is said to be late."""


class Row(msgspec.Struct, kw_only=True):
    """One entry.

    Attributes:
        schedule: In words.
        next_due: Timestamp, or None for never.
        last_run_at: Timestamp, or None for never.
    """

    name: str
    task: str
    schedule: str
    next_due: float | None
    last_run_at: float | None
    total_run_count: int


class Overview(msgspec.Struct, kw_only=True):
    """All entries, the next due first.

    Attributes:
        leader: The beat that sends, or None when none does; "" when the broker cannot tell.
    """

    rows: list[Row]
    leader: str | None


def overview(
    app: "TQ",
    now: float,
    schedule_filename: str | None = None,
    scheduler: str | type | None = None,
) -> Overview:
    """Look at the schedule of an application, and at how far its beats have come.

    Args:
        app: The application.
        now: Wall-clock timestamp.
        schedule_filename: The store, where the broker does not keep the progress.
        scheduler: Class of the user's own, or its name; the setting `beat_scheduler` by default.

    Raises:
        ConfigError: An entry makes no sense, or store or scheduler cannot be read.
        BrokerConnectionError: The broker does not answer.
    """
    app.finalize(auto=True)
    settings = app.conf.settings
    custom = find_scheduler(scheduler or settings.beat_scheduler)
    progress, leader = _progress(app, schedule_filename or settings.beat_schedule_filename)
    if custom is None:
        rows = _slot_rows(app, progress, now)
    else:
        with blamed_on(custom):
            rows = _custom_rows(custom(app, lazy=True), progress, now)
    rows.sort(key=lambda row: (row.next_due is None, row.next_due or 0.0, row.name))
    return Overview(rows=rows, leader=leader)


def _slot_rows(app: "TQ", progress: Mapping[str, Progress], now: float) -> list[Row]:
    settings = app.conf.settings
    heap = SlotHeap(zone_of(settings))
    heap.update(read_entries(settings.beat_schedule, app), now)
    heap.restore(progress, now)
    return [
        Row(
            name=name,
            task=entry.task,
            schedule=entry.schedule.human(),
            next_due=heap.next_due(name),
            last_run_at=heap.progress[name].last_run_at,
            total_run_count=heap.progress[name].total_run_count,
        )
        for name, entry in heap.entries.items()
    ]


def _custom_rows(scheduler: Scheduler, progress: Mapping[str, Progress], now: float) -> list[Row]:
    if not scheduler.schedule and type(scheduler).schedule is Scheduler.schedule:
        scheduler.merge_inplace(scheduler.app.conf.settings.beat_schedule)
        scheduler.restore(progress)
    return [
        _custom_row(entry, progress.get(name), now) for name, entry in scheduler.schedule.items()
    ]


def _custom_row(entry: Any, known: Progress | None, now: float) -> Row:
    is_due, wait = entry.is_due()
    last = timestamp_of(entry.last_run_at) if entry.total_run_count else None
    runs = entry.total_run_count
    if known is not None and known.total_run_count > runs:  # it was not synced yet
        last, runs = known.last_run_at, known.total_run_count
    human = getattr(entry.schedule, "human", entry.schedule.__repr__)
    return Row(
        name=entry.name,
        task=entry.task,
        schedule=human(),
        next_due=now if is_due else now + wait,
        last_run_at=last,
        total_run_count=runs,
    )


def _progress(app: "TQ", filename: str) -> tuple[dict[str, Progress], str | None]:
    broker = app.broker
    if broker.driver != "redis":
        return peek(filename), ""
    looking = RedisLeader(broker, scope=app.main or "", lease=app.conf.settings.broker_lease)
    return looking.recall(), looking.holder()
