"""A scheduler whose entries come from a JSON file that changes, as others' come from a database.

`ENTRIES_FILE` holds a list of rows: name, task, every (seconds), queue, and enabled. How far they
have come is kept beside it.
"""

import json
import os
from datetime import UTC, datetime
from pathlib import Path

from tq.beat import ScheduleEntry, Scheduler
from tq.schedules import schedstate, schedule


class RowEntry(ScheduleEntry):
    """An entry that is a row; it sets its fields itself, as those over database models do."""

    def __init__(self, row: dict, app=None) -> None:
        self.row = row
        self.app = app
        self.name = row["name"]
        self.task = row["task"]
        self.schedule = schedule(row["every"], app=app)
        self.args = row.get("args", [])
        self.kwargs = {}
        self.options = {"queue": row["queue"]}
        self.total_run_count = row.get("runs", 0)
        at = row.get("last_run_at")
        self.last_run_at = datetime.fromtimestamp(at, UTC) if at else self.default_now()

    def is_due(self):
        if not self.row.get("enabled", True):
            return schedstate(False, 3600.0)
        return super().is_due()

    def __next__(self):
        now = self.default_now().timestamp()
        return RowEntry(
            {**self.row, "last_run_at": now, "runs": self.total_run_count + 1}, self.app
        )


class FileScheduler(Scheduler):
    Entry = RowEntry
    max_interval = 0.1

    def __init__(self, *args, **kwargs) -> None:
        self.path = Path(os.environ["ENTRIES_FILE"])
        self._text = None
        self._entries: dict[str, RowEntry] = {}
        self._done: dict[str, dict] = {}
        super().__init__(*args, **kwargs)

    def setup_schedule(self) -> None:
        if not self.path.exists():
            raise RuntimeError(f"there is no {self.path}")

    @property
    def kept(self) -> Path:
        return self.path.with_suffix(".kept")

    @property
    def schedule(self):
        text = self.path.read_text()
        if text != self._text:
            self._text = text
            kept = json.loads(self.kept.read_text()) if self.kept.exists() else {}
            rows = [{**row, **kept.get(row["name"], {})} for row in json.loads(text)]
            self._entries = {row["name"]: RowEntry(row, self.app) for row in rows}
        return self._entries

    def reserve(self, entry):
        following = self._entries[entry.name] = next(entry)
        row = following.row
        self._done[entry.name] = {"last_run_at": row["last_run_at"], "runs": row["runs"]}
        return following

    def sync(self) -> None:
        if self._done:
            kept = json.loads(self.kept.read_text()) if self.kept.exists() else {}
            replace(self.kept, {**kept, **self._done})
            self._done.clear()


def replace(path: Path, content) -> None:
    """Replace a file as a whole, so that no reader sees a part."""
    beside = path.with_name(f"{path.name}.{os.getpid()}")
    beside.write_text(json.dumps(content))
    beside.replace(path)
