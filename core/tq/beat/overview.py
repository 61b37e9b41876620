"""Entries as an operator wants to see them: what, when next, when last, and who leads.

Source: CONSOLE 4 (schedules).
"""

from typing import TYPE_CHECKING

import msgspec

from tq.app.sending import zone_of
from tq.beat.entry import Progress, read_entries
from tq.beat.lease import RedisLeader
from tq.beat.scheduler import Scheduler
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


def overview(app: "TQ", now: float, schedule_filename: str | None = None) -> Overview:
    """Look at the schedule of an application, and at how far its beats have come.

    Args:
        app: The application.
        now: Wall-clock timestamp.
        schedule_filename: The store, where the broker does not keep the progress.

    Raises:
        ConfigError: An entry makes no sense, or the store cannot be read.
        BrokerConnectionError: The broker does not answer.
    """
    app.finalize(auto=True)
    settings = app.conf.settings
    progress, leader = _progress(app, schedule_filename or settings.beat_schedule_filename)
    scheduler = Scheduler(zone_of(settings))
    scheduler.update(read_entries(settings.beat_schedule, app), now)
    scheduler.restore(progress, now)
    rows = [
        Row(
            name=name,
            task=entry.task,
            schedule=entry.schedule.human(),
            next_due=scheduler.next_due(name),
            last_run_at=scheduler.progress[name].last_run_at,
            total_run_count=scheduler.progress[name].total_run_count,
        )
        for name, entry in scheduler.entries.items()
    ]
    rows.sort(key=lambda row: (row.next_due is None, row.next_due or 0.0, row.name))
    return Overview(rows=rows, leader=leader)


def _progress(app: "TQ", filename: str) -> tuple[dict[str, Progress], str | None]:
    broker = app.broker
    if broker.driver != "redis":
        return peek(filename), ""
    looking = RedisLeader(broker, scope=app.main or "", lease=app.conf.settings.broker_lease)
    return looking.recall(), looking.holder()
