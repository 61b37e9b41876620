"""The cluster as its events tell of it: tasks, workers, task names, counts and rates.

Source: PROTOCOL 7.4, CONSOLE 5.4; celery/events/state.py, `State` (same states for the same events).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from tq.monitor.rates import Histogram, Rings
from tq.monitor.task import TaskDetail, TaskInfo
from tq.monitor.worker import WorkerInfo, WorkerStatus

__all__ = ["ClusterState", "NameStats", "TaskDetail", "TaskInfo", "WorkerInfo", "WorkerStatus"]


class NameStats(msgspec.Struct, eq=False):
    """What is known of all tasks of one name since the start or the last `clear`.

    Attributes:
        received: `task-received` events seen; the other counts alike for their types.
        rates: Finished tasks per time, newest 60 s and 10 min.
        failures: Failed tasks per time, alike.
        runtimes: Distribution of the run times of succeeded tasks.
        last_seen: When the last event arrived here.
    """

    name: str
    sent: int = 0
    received: int = 0
    started: int = 0
    succeeded: int = 0
    failed: int = 0
    retried: int = 0
    revoked: int = 0
    rejected: int = 0
    rates: Rings = msgspec.field(default_factory=Rings.short)
    failures: Rings = msgspec.field(default_factory=Rings.short)
    runtimes: Histogram = msgspec.field(default_factory=Histogram)
    last_seen: float = 0.0

    @property
    def finished(self) -> int:
        """Tasks that succeeded or failed."""
        return self.succeeded + self.failed

    @property
    def failure_rate(self) -> float | None:
        """Share of finished tasks that failed, 0..1; None when none finished."""
        return self.failed / self.finished if self.finished else None


class ClusterState:
    """What can be known of a cluster by listening. Owned by one thread; does no I/O.

    Attributes:
        tasks: By id, in the order in which they were first seen (a task that is still touched
            when its turn to be evicted comes moves to the end).
        workers: By node name.
        names: By task name; beyond `max_names` all further names share the entry `"(other)"`.
        counts: Tasks kept, by state.
        totals: Events applied, by type.
        rates: Events per time: `events` for all, and `sent`, `received`, `started`, `succeeded`,
            `failed`, `retried`, `revoked`, `rejected`; 1 s x 600, 10 s x 720, 1 min x 1440.
        runtimes: Distribution of the run times of all succeeded tasks.
        version: Grows with every change.
        evicted: Tasks dropped to stay within the bounds.
        invalid: Events that could not be applied, by reason.
    """

    OTHER = "(other)"

    def __init__(
        self,
        *,
        max_tasks: int = 100_000,
        max_workers: int = 2_000,
        max_names: int = 2_000,
        max_bytes: int = 256 * 1024 * 1024,
        orphan_after: float = 10.0,
        stale_after: float = 300.0,
    ) -> None:
        """Start empty.

        Args:
            max_tasks: Most tasks kept; the ones untouched for longest go first.
            max_workers: Most workers kept.
            max_names: Most task names with statistics of their own.
            max_bytes: Most bytes of task records and texts kept, by estimate.
            orphan_after: Seconds after a worker is lost until its started tasks count as orphans.
            stale_after: Seconds after `task-sent` until a task never received counts as stale.
        """
        self.tasks: dict[str, TaskInfo] = {}
        self.workers: dict[str, WorkerInfo] = {}
        self.names: dict[str, NameStats] = {}
        self.counts: dict[str, int] = {}
        self.totals: dict[str, int] = {}
        self.rates: dict[str, Rings] = {"events": Rings()}
        self.runtimes = Histogram()
        self.version = 0
        self.evicted = 0
        self.invalid: dict[str, int] = {}
        self.max_tasks = max_tasks
        self.max_workers = max_workers
        self.max_names = max_names
        self.max_bytes = max_bytes
        self.orphan_after = orphan_after
        self.stale_after = stale_after

    def apply(self, event: Mapping[str, Any], now: float) -> None:
        """Take in one event.

        Args:
            event: As `wire.event.decode_events` gives it.
            now: Wall-clock time of its arrival, used when it has no `local_received`.
        """
        self.apply_many((event,), now)

    def apply_many(self, events: Sequence[Mapping[str, Any]], now: float) -> int:
        """Take in a batch of events; returns how many could be applied."""
        raise NotImplementedError

    def changes(self, since: int) -> list[TaskInfo] | None:
        """Return the tasks changed after version `since`, or None when that is too long ago.

        After None the caller repaints everything. A task may have been evicted meanwhile.
        """
        raise NotImplementedError

    def status(self, task: TaskInfo, now: float) -> str:
        """Return the state to show: never PENDING, and `ORPHAN` or `STALE` where that is derived."""
        raise NotImplementedError

    def worker_status(self, worker: WorkerInfo, now: float) -> WorkerStatus:
        """Tell whether a worker is up, busy-silent, lost, gone, or up without events."""
        raise NotImplementedError

    def answered(self, hostname: str, now: float) -> WorkerInfo:
        """Note that a worker replied to a command, which proves that it lives."""
        raise NotImplementedError

    def coverage(self) -> float | None:
        """Return the share of run tasks whose events were seen, 0..1; None before any ran."""
        raise NotImplementedError

    def tick(self, now: float) -> None:
        """Let time pass: close the second for the rates, drop workers gone for long."""
        raise NotImplementedError

    def clear(self, *, ready: bool = True) -> None:
        """Forget tasks: those that ended, or all with `ready=False`, and the statistics."""
        raise NotImplementedError
