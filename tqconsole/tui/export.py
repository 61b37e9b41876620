"""Writes what a screen shows to a file, one JSON object a line."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any

import msgspec

from tq.monitor import FailureGroup, NameStats, TaskInfo, WorkerInfo
from tqconsole.tui.model.masking import masked
from tqconsole.tui.model.sent import SentCommand

__all__ = ["record_of", "write_rows"]

_TEXTS = ("args", "kwargs", "result", "exception", "traceback")


def write_rows(path: Path, rows: Sequence[object]) -> int:
    """Write the rows to a new file; returns how many.

    Raises:
        OSError: The file cannot be written, or exists already.
    """
    with path.open("x", encoding="utf-8") as out:
        out.writelines(_lines(rows))
    return len(rows)


def _lines(rows: Iterable[object]) -> Iterable[str]:
    for row in rows:
        yield json.dumps(record_of(row), default=str, ensure_ascii=False) + "\n"


def record_of(row: object) -> dict[str, Any]:
    """Return a row as plain data, without its secrets."""
    if isinstance(row, TaskInfo):
        record = _plain(row, leave=("more", "version", "clock"))
        more = row.more
        if more is not None:
            record.update({k: v for k, v in _plain(more).items() if v not in (None, (), {}, [])})
        for name in _TEXTS:
            if record.get(name):
                record[name] = masked(record[name])
        return record
    if isinstance(row, WorkerInfo):
        record = _plain(row, leave=("rates", "runtimes", "version"))
        return {**record, "p50": row.runtimes.percentile(0.5), "p95": row.runtimes.percentile(0.95)}
    if isinstance(row, NameStats):
        record = _plain(row, leave=("rates", "failures", "runtimes"))
        return {**record, "p50": row.runtimes.percentile(0.5), "p95": row.runtimes.percentile(0.95)}
    if isinstance(row, FailureGroup):
        record = _plain(row, leave=("rates", "frame", "samples", "workers"))
        place = None if row.frame is None else f"{row.frame.path}:{row.frame.line}"
        return {
            **record,
            "message": masked(row.message),
            "frame": place,
            "samples": list(row.samples),
            "workers": sorted(row.workers),
        }
    if isinstance(row, SentCommand):
        return {**asdict(row), "equivalent": masked(row.equivalent)}
    if isinstance(row, Mapping):
        return dict(row)
    if is_dataclass(row) and not isinstance(row, type):
        return asdict(row)
    raise TypeError(f"{type(row).__name__} cannot be exported")


def _plain(row: msgspec.Struct, leave: Sequence[str] = ()) -> dict[str, Any]:
    return {
        name: getattr(row, name)
        for name in row.__struct_fields__
        if name not in leave and getattr(row, name) is not None
    }
