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
    from tq.beat.program import run as run
    from tq.beat.scheduler import Due as Due
    from tq.beat.scheduler import Scheduler as Scheduler
    from tq.beat.service import Service as Service
    from tq.beat.store import open_store as open_store

_HOMES = {
    "BeatLazyFunc": "entry",
    "Due": "scheduler",
    "Entry": "entry",
    "Progress": "entry",
    "Scheduler": "scheduler",
    "Service": "service",
    "open_store": "store",
    "read_entries": "entry",
    "run": "program",
}

__all__ = [
    "BeatLazyFunc",
    "Due",
    "Entry",
    "Progress",
    "Scheduler",
    "Service",
    "open_store",
    "read_entries",
    "run",
]


def __getattr__(name: str) -> Any:
    """Import a public name on first use."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"tq.beat.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
