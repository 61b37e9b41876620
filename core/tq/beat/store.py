"""Where progress rests between two runs of beat: a JSON file, or SQLite. Never pickle.

Source: RELIABILITY 6.7 and 7, rule 17.
"""

import contextlib
import json
import logging
import os
import sqlite3
import time
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Protocol

import msgspec

from tq.beat.entry import Progress
from tq.errors import ConfigError

__all__ = ["JsonStore", "MemoryStore", "SqliteStore", "Store", "open_store", "peek"]

_log = logging.getLogger(__name__)

_FORMAT = 1
_SQLITE_SUFFIXES = (".db", ".sqlite", ".sqlite3")
_MOST_BYTES = 256 * 1024 * 1024  # a million entries; what is larger is none of ours


class _Unreadable(Exception):
    """A file that holds no state of ours; the text says why."""


class _File(msgspec.Struct, kw_only=True):
    format: int
    entries: dict[str, Progress]


class Store(Protocol):
    """Keeps the progress of entries. Owned by one thread."""

    def load(self) -> dict[str, Progress]:
        """Return what was kept; nothing when there is nothing, or nothing that can be read."""
        ...

    def save(self, progress: Mapping[str, Progress], changed: Collection[str]) -> None:
        """Keep `progress`, of which the entries `changed` are new, other or gone.

        Raises:
            OSError: It cannot be written; what was kept before is still there.
        """
        ...

    def close(self) -> None:
        """Release the file."""
        ...


class MemoryStore:
    """Keeps nothing beyond the process."""

    def load(self) -> dict[str, Progress]:
        """Return nothing."""
        return {}

    def save(self, progress: Mapping[str, Progress], changed: Collection[str]) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""


class JsonStore:
    """One JSON file, replaced as a whole: a reader sees the old or the new, never a part."""

    def __init__(self, path: Path) -> None:
        """Name the file; a symbolic link is followed, so that it stays one."""
        self.path = path.resolve()

    def load(self) -> dict[str, Progress]:
        """Read the file; one that cannot be read is put aside."""
        try:
            return self.peek()
        except _Unreadable as exc:
            _put_aside(self.path, str(exc))
            return {}

    def peek(self) -> dict[str, Progress]:
        """Read the file; see the function `peek`."""
        raw = _read(self.path)
        return {} if raw is None else _decode(raw)

    def save(self, progress: Mapping[str, Progress], changed: Collection[str]) -> None:
        """Write beside the file, flush to the disk, rename over it."""
        text = msgspec.json.encode(_File(format=_FORMAT, entries=dict(progress)))
        beside = self.path.with_name(f".{self.path.name}.{os.getpid()}.tmp")
        with contextlib.suppress(FileNotFoundError):
            beside.unlink()
        fd = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        try:
            with os.fdopen(fd, "wb") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            os.replace(beside, self.path)
        except BaseException:
            with contextlib.suppress(OSError):
                beside.unlink()
            raise
        _sync_folder(self.path.parent)

    def close(self) -> None:
        """Do nothing: the file is open only while it is written."""


class SqliteStore:
    """A table in SQLite: only what changed is written, for very many entries."""

    def __init__(self, path: Path) -> None:
        """Name the file."""
        self.path = path.resolve()
        self._db: sqlite3.Connection | None = None

    def load(self) -> dict[str, Progress]:
        """Read the table; a file that cannot be read is put aside."""
        try:
            return self.peek()
        except (sqlite3.DatabaseError, _Unreadable, msgspec.ValidationError) as exc:
            if isinstance(exc, sqlite3.OperationalError):
                raise _config_error(self.path, exc) from exc
            self.close()
            _put_aside(self.path, str(exc))
            return {}

    def peek(self) -> dict[str, Progress]:
        """Read the table; see the function `peek`."""
        db = self._open()
        (version,) = db.execute("PRAGMA user_version").fetchone()
        if version not in (0, _FORMAT):
            raise _Unreadable(f"it has format {version}, this version of tq writes {_FORMAT}")
        if version == 0:
            return {}
        rows = db.execute("SELECT name, slot, last_run_at, total_run_count, schedule FROM progress")
        return {
            name: msgspec.convert(
                {"slot": slot, "last_run_at": at, "total_run_count": count, "schedule": text},
                Progress,
            )
            for name, slot, at, count, text in rows
        }

    def _open(self) -> sqlite3.Connection:
        if self._db is None:
            if not self.path.exists():
                os.close(os.open(self.path, os.O_WRONLY | os.O_CREAT, 0o600))
            # Made by one thread, used by the beat's own.
            self._db = sqlite3.connect(self.path, timeout=5.0, check_same_thread=False)
        return self._db

    def _prepare(self, db: sqlite3.Connection) -> None:
        with db:
            db.execute(
                "CREATE TABLE IF NOT EXISTS progress (name TEXT PRIMARY KEY, slot REAL NOT NULL, "
                "last_run_at REAL, total_run_count INTEGER NOT NULL, schedule TEXT NOT NULL)"
            )
            db.execute(f"PRAGMA user_version = {_FORMAT}")

    def save(self, progress: Mapping[str, Progress], changed: Collection[str]) -> None:
        """Write the rows that changed, in one transaction."""
        try:
            db = self._open()
            self._prepare(db)
            gone = [(name,) for name in changed if name not in progress]
            rows = [
                (name, known.slot, known.last_run_at, known.total_run_count, known.schedule)
                for name in changed
                if (known := progress.get(name)) is not None
            ]
            with db:
                db.executemany("DELETE FROM progress WHERE name = ?", gone)
                db.executemany("INSERT OR REPLACE INTO progress VALUES (?, ?, ?, ?, ?)", rows)
        except sqlite3.Error as exc:
            raise OSError(f"{self.path}: {exc}") from exc

    def close(self) -> None:
        """Close the file."""
        if self._db is not None:
            self._db.close()
            self._db = None


def open_store(path: str | Path) -> JsonStore | SqliteStore:
    """Return the store for a file: SQLite for `.db`, `.sqlite` and `.sqlite3`, else JSON.

    Raises:
        ConfigError: Its folder is missing, or it is no file.
    """
    chosen = Path(path).expanduser()
    if chosen.is_dir():
        raise ConfigError(f"the schedule store {chosen} is a folder, not a file")
    if not chosen.resolve().parent.is_dir():
        raise ConfigError(f"the folder of the schedule store {chosen} does not exist")
    return SqliteStore(chosen) if chosen.suffix in _SQLITE_SUFFIXES else JsonStore(chosen)


def peek(path: str | Path) -> dict[str, Progress]:
    """Return what a store keeps, changing nothing; nothing when there is none.

    Raises:
        ConfigError: The file cannot be read.
    """
    store = open_store(path)
    if not store.path.exists():
        return {}
    try:
        return store.peek()
    except (_Unreadable, sqlite3.Error, msgspec.ValidationError) as exc:
        raise _config_error(store.path, exc) from exc
    finally:
        store.close()


def _read(path: Path) -> bytes | None:
    """Return a file's bytes, or None when there is none or it is empty."""
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise _Unreadable(f"it is larger than {_MOST_BYTES} bytes")
        return path.read_bytes() or None
    except FileNotFoundError:
        return None
    except OSError as exc:
        raise _config_error(path, exc) from exc


def _decode(raw: bytes) -> dict[str, Progress]:
    try:
        head: Any = json.loads(raw)
    except (ValueError, RecursionError) as exc:
        raise _Unreadable("it is not JSON") from exc
    version = head.get("format") if isinstance(head, dict) else None
    if version != _FORMAT:
        raise _Unreadable(f"it has format {version!r}, this version of tq writes {_FORMAT}")
    try:
        return msgspec.convert(head, _File).entries
    except msgspec.ValidationError as exc:
        raise _Unreadable(str(exc)) from exc


def _put_aside(path: Path, reason: str) -> None:
    """Rename a file that cannot be read, so that somebody can look at it, and start anew."""
    aside = path.with_name(f"{path.name}.damaged-{time.strftime('%Y%m%dT%H%M%S')}")
    number = 0
    while aside.exists():
        number += 1
        aside = aside.with_name(f"{aside.name.partition('~')[0]}~{number}")
    try:
        path.rename(aside)
    except OSError as exc:
        raise _config_error(path, exc) from exc
    _log.warning(
        "the schedule store %s cannot be read (%s); it is now %s, and all entries count from now",
        path,
        reason,
        aside,
    )


def _config_error(path: Path, exc: Exception) -> ConfigError:
    text = getattr(exc, "strerror", None) or str(exc)
    return ConfigError(f"cannot use the schedule store {path}: {text}")


def _sync_folder(folder: Path) -> None:
    """Flush a rename to the disk, where the file system knows that."""
    try:
        fd = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(fd)
    except OSError as exc:
        _log.debug("%s cannot be flushed: %s", folder, exc)
    finally:
        os.close(fd)
