"""Periodic tasks: which entry is due, who sends it, and what is remembered.

Source: celery/beat.py; RELIABILITY 2 row 27 and 6.7.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tq.beat.entry import BeatLazyFunc as BeatLazyFunc
    from tq.beat.entry import Entry as Entry
    from tq.beat.entry import Progress as Progress
    from tq.beat.entry import read_entries as read_entries
    from tq.beat.program import Beat as Beat
    from tq.beat.schedule_entry import ScheduleEntry as ScheduleEntry
    from tq.beat.scheduler import PersistentScheduler as PersistentScheduler
    from tq.beat.scheduler import Scheduler as Scheduler
    from tq.beat.service import Service as Service
    from tq.beat.slots import Due as Due
    from tq.beat.slots import SlotHeap as SlotHeap
    from tq.beat.store import open_store as open_store

_HOMES = {
    "Beat": "program",
    "BeatLazyFunc": "entry",
    "Due": "slots",
    "Entry": "entry",
    "PersistentScheduler": "scheduler",
    "Progress": "entry",
    "ScheduleEntry": "schedule_entry",
    "Scheduler": "scheduler",
    "Service": "service",
    "SlotHeap": "slots",
    "open_store": "store",
    "read_entries": "entry",
}

__all__ = [
    "Beat",
    "BeatLazyFunc",
    "Due",
    "Entry",
    "PersistentScheduler",
    "Progress",
    "ScheduleEntry",
    "Scheduler",
    "Service",
    "SlotHeap",
    "open_store",
    "read_entries",
]


def __getattr__(name: str) -> Any:
    """Import a public name on first use."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"tq.beat.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
