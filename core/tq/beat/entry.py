"""Entries of `beat_schedule`, checked, and how far each has come.

Source: celery/beat.py, `ScheduleEntry`; SETTINGS (beat); RELIABILITY 6.7.
"""

import difflib
import hashlib
import uuid
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec

from tq.errors import ConfigError
from tq.schedules import BaseSchedule, maybe_schedule

__all__ = [
    "BeatLazyFunc",
    "Entry",
    "Progress",
    "call_arguments",
    "call_options",
    "read_entries",
    "read_entry",
    "schedule_text",
    "slot_id",
]

_KEYS = ("task", "schedule", "args", "kwargs", "options", "relative")
_SPACE = uuid.UUID("5f7a8d2e-0a5b-5c0e-9d53-6b1b6f3c9a41")  # of our ids only; any constant would do


class Progress(msgspec.Struct, kw_only=True):
    """How far an entry has come; this is what stores keep.

    Attributes:
        slot: Timestamp of the slot that was run last, or from which the first one is counted.
        last_run_at: Timestamp at which it was run, or None for never.
        total_run_count: How often it was run.
        schedule: The schedule as text: with another one counting starts anew.
    """

    slot: float
    last_run_at: float | None = None
    total_run_count: int = 0
    schedule: str = ""


class BeatLazyFunc:
    """An argument that is made when the entry is sent, by calling a function."""

    def __init__(self, func: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        """Keep the function and its arguments."""
        self._call = (func, args, kwargs)

    def __call__(self) -> Any:
        """Return the argument."""
        func, args, kwargs = self._call
        return func(*args, **kwargs)


class Entry(msgspec.Struct, kw_only=True):
    """What is called, and when.

    Attributes:
        name: Unique among the entries.
        task: The task's name.
        schedule: When.
        args: Positional arguments; `BeatLazyFunc`s are called when the entry is sent.
        kwargs: Keyword arguments, likewise.
        options: Of the call, as for `apply_async`.
    """

    name: str
    task: str
    schedule: BaseSchedule
    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    options: dict[str, Any] = {}

    def arguments(self) -> tuple[list[Any], dict[str, Any]]:
        """Return the arguments of a call made now."""
        return call_arguments(self.args, self.kwargs)


def call_arguments(
    args: Iterable[Any], kwargs: Mapping[str, Any]
) -> tuple[list[Any], dict[str, Any]]:
    """Return the arguments of a call made now: `BeatLazyFunc`s make theirs."""
    return [_value(item) for item in args], {name: _value(kwargs[name]) for name in kwargs}


def call_options(options: Mapping[str, Any], task_id: str) -> dict[str, Any]:
    """Return the options of a call, with its id and beat's header.

    Args:
        options: The entry's; a `task_id` of the user's own stays.
        task_id: The slot's.
    """
    headers = {**(options.get("headers") or {}), "celery_beat_task": True}
    return {"task_id": task_id, **options, "headers": headers}


def _value(item: Any) -> Any:
    return item() if isinstance(item, BeatLazyFunc) else item


def read_entries(table: Any, app: Any = None) -> dict[str, Entry]:
    """Check `beat_schedule`.

    Args:
        table: Name to entry.
        app: The application, whose time zone the schedules get.

    Raises:
        ConfigError: An entry makes no sense; names the entry and the field.
    """
    if not isinstance(table, Mapping):
        raise ConfigError(f"beat_schedule must be a dictionary, not {type(table).__name__}")
    return {name: read_entry(name, given, app) for name, given in table.items()}


def read_entry(name: Any, given: Any, app: Any = None) -> Entry:
    """Check one entry; see `read_entries`."""
    if not isinstance(name, str) or not name:
        raise ConfigError(f"beat_schedule: the name of an entry must be text, not {name!r}")
    if not isinstance(given, Mapping):
        raise _misfit(name, "entry", f"must be a dictionary, not {given!r}")
    for key in given:
        if key not in _KEYS:
            near = difflib.get_close_matches(str(key), _KEYS, n=1)
            raise _misfit(name, str(key), "is unknown" + (f"; {near[0]!r}?" if near else ""))
    return Entry(
        name=name,
        task=_task(name, given),
        schedule=_schedule(name, given, app),
        args=_args(name, given),
        kwargs=_mapping(name, "kwargs", given),
        options=_mapping(name, "options", given),
    )


def slot_id(scope: str, entry: str, slot: float) -> str:
    """Return the id of the task of one slot: every beat comes to the same.

    Args:
        scope: Which application's beats.
        entry: The entry's name.
        slot: The slot's timestamp.
    """
    return str(uuid.uuid5(_SPACE, f"{scope}\0{entry}\0{round(slot * 1000)}"))


def schedule_text(schedule: BaseSchedule) -> str:
    """Return a text that changes when the schedule does."""
    text = f"{schedule!r} {getattr(schedule, 'relative', '')} {getattr(schedule, 'seconds', '')}"
    own_zone = getattr(schedule, "_tz", None)
    if own_zone is not None:
        text += f" {own_zone}"
    return text if len(text) < 200 else hashlib.sha256(text.encode()).hexdigest()


def _misfit(name: str, field: str, problem: str) -> ConfigError:
    return ConfigError(f"beat_schedule[{name!r}]: {field} {problem}", entry=name, field=field)


def _task(name: str, given: Mapping[str, Any]) -> str:
    task = given.get("task")
    task = getattr(task, "name", task)
    if task is None:
        raise _misfit(name, "task", "is missing")
    if not isinstance(task, str) or not task:
        raise _misfit(name, "task", f"must be a task's name, not {task!r}")
    return task


def _schedule(name: str, given: Mapping[str, Any], app: Any) -> BaseSchedule:
    if given.get("schedule") is None:
        raise _misfit(name, "schedule", "is missing")
    try:
        found: BaseSchedule = maybe_schedule(
            given["schedule"], bool(given.get("relative", False)), app
        )
    except ConfigError as exc:
        raise _misfit(name, "schedule", f"is wrong: {exc}") from exc
    return found


def _args(name: str, given: Mapping[str, Any]) -> list[Any]:
    args = given.get("args")
    if args is None:
        return []
    if not isinstance(args, list | tuple):
        raise _misfit(name, "args", f"must be a list or tuple, not {args!r}")
    return list(args)


def _mapping(name: str, field: str, given: Mapping[str, Any]) -> dict[str, Any]:
    value = given.get(field)
    if value is None:
        return {}
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise _misfit(name, field, f"must be a dictionary with text as keys, not {value!r}")
    return dict(value)
