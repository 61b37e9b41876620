"""Failures grouped by what went wrong: task name, exception class, innermost frame of its own.

Pure: every time is an argument, in wall-clock seconds.

Source: CONSOLE 5 (Failures).
"""

import re
from collections import deque
from collections.abc import Iterable, Iterator
from functools import lru_cache

import msgspec

from tq import states
from tq.monitor.cluster import ClusterState
from tq.monitor.rates import Rings
from tq.monitor.task import TaskInfo

__all__ = ["FailureGroup", "FailureGroups", "Frame", "exception_class", "is_library", "own_frame"]

_FRAME = re.compile(r'^\s*File "([^"\n]*)", line (\d+)(?:, in (.*))?$', re.MULTILINE)
_CLASS = re.compile(r"[A-Za-z_][\w.]*")
_LIBRARIES = (
    "site-packages/", "dist-packages/", "/lib/python", "celery/app/", "celery/utils/", "kombu/",
    "billiard/", "/tq/", "importlib/", "<frozen ",
)  # fmt: skip
_SHAPE = ((10, 60), (60, 60))
_SAMPLES = 8
_WORKERS = 50
_LONGEST_MESSAGE = 500
_WARM_UP = 120.0  # seconds of listening before anything can be called new
_NEW_FOR = 600.0


class Frame(msgspec.Struct, frozen=True):
    """A place in a traceback."""

    path: str
    line: int
    function: str

    @property
    def short(self) -> str:
        """The file's name and the line: `gateway.py:118`."""
        return f"{self.path.replace(chr(92), '/').rpartition('/')[2]}:{self.line}"


def is_library(path: str) -> bool:
    """Tell whether a file belongs to a library rather than to the user's program."""
    return any(mark in path for mark in _LIBRARIES)


@lru_cache(maxsize=1024)
def own_frame(traceback: str | None) -> Frame | None:
    """Return the innermost frame of the user's program, else the innermost of all, else None."""
    innermost = own = None
    for found in _FRAME.finditer(traceback or ""):
        innermost = found
        if not is_library(found[1]):
            own = found
    chosen = own or innermost
    if chosen is None:
        return None
    return Frame(chosen[1], int(chosen[2][:9]), (chosen[3] or "").strip())


def exception_class(text: str | None) -> str:
    """Return the class of an exception's text, such as `CardDeclined('...')`; `?` if none."""
    found = _CLASS.match(text or "")
    return found[0].rpartition(".")[2] if found else "?"


class FailureGroup(msgspec.Struct, eq=False):
    """Failures with one fingerprint.

    Attributes:
        name: The task's name.
        exception: The exception's class.
        frame: Its innermost own frame, or None where no traceback came.
        failed: Failures seen.
        retried: Retries for the same reason.
        first_seen: Wall timestamp of the first.
        last_seen: Wall timestamp of the last.
        message: The exception's text of the last.
        samples: Ids of the newest tasks, newest last.
        workers: Node names, at most 50.
        rates: Failures and retries per time, newest 10 min and 1 h.
    """

    name: str
    exception: str
    frame: Frame | None
    failed: int = 0
    retried: int = 0
    first_seen: float = 0.0
    last_seen: float = 0.0
    message: str = ""
    samples: deque[str] = msgspec.field(default_factory=lambda: deque(maxlen=_SAMPLES))
    workers: set[str] = set()
    rates: Rings = msgspec.field(default_factory=lambda: Rings(_SHAPE))

    @property
    def key(self) -> str:
        """The fingerprint as text."""
        place = self.frame.short if self.frame is not None else ""
        return f"{self.name} {self.exception} {place}"

    @property
    def count(self) -> int:
        """Failures and retries."""
        return self.failed + self.retried

    def recent(self, now: float, minutes: int = 5) -> int:
        """Return how many there were in the last minutes."""
        return sum(self.rates.series(now, 60, minutes))

    def baseline(self, now: float, since: float, minutes: int = 5) -> float | None:
        """Return how many there were in as many minutes before, on average.

        Args:
            now: Wall timestamp.
            since: When listening began.
            minutes: Length of a window; the newest one is left out.

        Returns:
            None while nothing before the newest window was observed.
        """
        observed = min(60, int((now - since) // 60)) - minutes
        if observed < minutes:
            return None
        series = self.rates.series(now, 60, minutes + observed)[:observed]
        return sum(series) * minutes / observed

    def is_new(self, now: float, since: float) -> bool:
        """Tell whether it appeared lately, and not just because listening began then."""
        return self.first_seen - since > _WARM_UP and now - self.first_seen < _NEW_FOR


class FailureGroups:
    """All groups of a cluster's failures. Owned by the thread that owns the `ClusterState`.

    Attributes:
        groups: By fingerprint.
        since: Wall timestamp of the first update, before which nothing was observed.
        dropped: Groups forgotten because there were too many.
    """

    def __init__(self, *, max_groups: int = 1_000) -> None:
        """Start empty; of more than `max_groups` the ones silent for longest are forgotten."""
        self.groups: dict[str, FailureGroup] = {}
        self.since: float | None = None
        self.dropped = 0
        self._max = max_groups
        self._version = -1
        self._counted: dict[str, tuple[int, float | None]] = {}

    def __len__(self) -> int:
        """Return how many groups there are."""
        return len(self.groups)

    def __iter__(self) -> Iterator[FailureGroup]:
        """Return the groups, in the order in which they appeared."""
        return iter(self.groups.values())

    def update(self, state: ClusterState, now: float) -> int:
        """Take in what failed since the last update; returns how many failures that were."""
        if self.since is None:
            self.since = now
        changed = state.changes(self._version) if self._version >= 0 else None
        self._version = state.version
        found = self.take(state.tasks.values() if changed is None else changed, now)
        if len(self._counted) > 2 * state.max_tasks:
            known = state.tasks
            self._counted = {uuid: v for uuid, v in self._counted.items() if uuid in known}
        return found

    def take(self, tasks: Iterable[TaskInfo], now: float) -> int:
        """Count failures and retries of these tasks that were not counted before."""
        found = 0
        for task in tasks:
            if task.more is None:  # whatever failed or was retried has details
                continue
            tries, failed = len(task.tries), task.failed
            before = self._counted.get(task.uuid, (0, None))
            if task.exception is None or before == (tries, failed):
                continue
            new_tries = max(0, tries - before[0])
            new_failure = failed is not None and failed != before[1]
            if task.state != states.FAILURE and task.state != states.RETRY and not new_tries:
                continue
            self._counted[task.uuid] = (tries, failed)
            if new_tries or new_failure:
                self._count(task, new_tries, int(new_failure), now)
                found += new_tries + int(new_failure)
        return found

    def of(self, task: TaskInfo) -> FailureGroup | None:
        """Return the group that a task's failure belongs to."""
        return None if task.exception is None else self.groups.get(_fingerprint(task).key)

    def _count(self, task: TaskInfo, retried: int, failed: int, now: float) -> None:
        fresh = _fingerprint(task)
        group = self.groups.get(fresh.key)
        moment = min(now, task.failed or task.retried or task.timestamp or now)
        if group is None:
            if len(self.groups) >= self._max:
                oldest = min(self.groups.values(), key=lambda group: group.last_seen)
                del self.groups[oldest.key]
                self.dropped += 1
            group = self.groups[fresh.key] = fresh
            group.first_seen = moment
        group.failed += failed
        group.retried += retried
        group.first_seen = min(group.first_seen, moment)
        group.last_seen = max(group.last_seen, moment)
        group.message = (task.exception or "")[:_LONGEST_MESSAGE]
        if task.uuid not in group.samples:
            group.samples.append(task.uuid)
        if task.worker and len(group.workers) < _WORKERS:
            group.workers.add(task.worker)
        group.rates.add(moment, retried + failed)


def _fingerprint(task: TaskInfo) -> FailureGroup:
    """Make an empty group for a task's failure."""
    return FailureGroup(
        name=task.name or "?",
        exception=exception_class(task.exception),
        frame=own_frame(task.traceback),
    )
