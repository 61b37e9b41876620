"""The cluster as its events tell of it: tasks, workers, task names, counts and rates.

Source: PROTOCOL 7.4, CONSOLE 5.4; celery/events/state.py, `State` (same states, same fields).
"""

import math
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from tq import states
from tq.monitor.merging import kind_of, merge, merge_request, text_size
from tq.monitor.rates import Histogram, Rings, bucket_of
from tq.monitor.task import TaskDetail, TaskInfo
from tq.monitor.worker import WorkerInfo, WorkerStatus

__all__ = ["ClusterState", "NameStats", "TaskDetail", "TaskInfo", "WorkerInfo", "WorkerStatus"]

Event = Mapping[str, Any]

# A task record with its id, times and places in the tables, without its long texts; measured.
_TASK_BYTES = 600
_CHANGES_KEPT = 100_000
_MOST_STRINGS = 20_000
_MOST_TYPES = 256
# Seconds in which answers may still come from a worker that has said good-bye.
_GOODBYE = 2.0
_RATED = ("sent", "received", "started", "succeeded", "failed", "retried", "revoked", "rejected")


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
        tasks: By id, in the order in which they were first seen.
        workers: By node name.
        names: By task name; beyond `max_names` all further names share the entry `"(other)"`.
        counts: Tasks kept, by state.
        totals: Events applied, by type.
        rates: Events per time: `events` for all, and `sent`, `received`, `started`, `succeeded`,
            `failed`, `retried`, `revoked`, `rejected`; 1 s x 600, 10 s x 720, 1 min x 1440.
        runtimes: Distribution of the run times of all succeeded tasks.
        version: Grows with every change.
        bytes: What the tasks kept take, by estimate.
        skipped: Events counted but not applied, because the receiver had to drop them.
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
        self.rates: dict[str, Rings] = {name: Rings() for name in ("events", *_RATED)}
        self.runtimes = Histogram()
        self.version = 0
        self.bytes = 0
        self.evicted = 0
        self.skipped = 0
        self.invalid: dict[str, int] = {}
        self.max_tasks = max_tasks
        self.max_workers = max_workers
        self.max_names = max_names
        self.max_bytes = max_bytes
        self.orphan_after = orphan_after
        self.stale_after = stale_after
        self._strings: dict[str, str] = {}
        self._order: deque[tuple[str, int]] = deque()
        self._changes: deque[tuple[int, list[TaskInfo]]] = deque()
        self._changes_from = 0
        self._logged = 0
        self._second = 0

    def apply(self, event: Event, now: float) -> None:
        """Take in one event.

        Args:
            event: As `wire.event.decode_events` gives it.
            now: Wall-clock time of its arrival, used when it has no `local_received`.
        """
        self.apply_many((event,), now)

    def apply_many(self, events: Sequence[Event], now: float) -> int:
        """Take in a batch of events, which may be ill-formed; returns how many could be applied."""
        self.version += 1
        tallies: dict[str, int] = {}
        touched: list[TaskInfo] = []
        for event in events:
            try:
                kind = event["type"]
                if kind.startswith("task-"):
                    touched.append(self._apply_task(event, kind, now))
                elif kind.startswith("worker-"):
                    self._apply_worker(event, kind, now)
            except (KeyError, TypeError, ValueError, AttributeError) as error:
                # Only events that did not come from `decode_events` get here.
                reason = type(error).__name__
                self.invalid[reason] = self.invalid.get(reason, 0) + 1
            else:
                tallies[kind] = tallies.get(kind, 0) + 1
        if touched:
            self._log_changes(touched)
            self._evict()
        self._count(tallies, now)
        return sum(tallies.values())

    def count_skipped(self, tallies: Mapping[str, int], now: float) -> None:
        """Count events that were dropped unread, so that totals and rates stay right."""
        self._count(tallies, now)
        self.skipped += sum(tallies.values())

    def _apply_task(self, event: Event, event_type: str, now: float) -> TaskInfo:
        """Take in one `task-` event."""
        uuid, hostname = event["uuid"], event["hostname"]
        kind = kind_of(event_type)
        arrived = event.get("local_received") or now
        task = self.tasks.get(uuid)
        if task is None:
            task = self._new_task(uuid)
        before, ran_on = task.state, task.worker
        worker = None
        if kind.subject == "sent":
            task.client = self._string(hostname)
        else:
            # A worker in a warm shutdown says good-bye and then ends its tasks: only what a new one
            # receives tells that it is back, should its `worker-online` be lost.
            is_new = kind.subject == "received"
            worker = self._heard(
                hostname, arrived, _sent_at(event, arrived) - _GOODBYE if is_new else -math.inf
            )
            worker.events += 1
            task.worker = worker.hostname
        self.bytes += merge(task, event, kind, self._strings)
        task.local_received = arrived
        task.version = self.version
        if task.state != before or (ran_on != task.worker and before == states.STARTED):
            self._moved(task, before, ran_on)
        if kind.known:
            self._count_outcome(task, worker, kind.subject, arrived)
        return task

    def adopt(self, hostname: str, requests: Sequence[Any], now: float) -> None:
        """Take in what a worker answered to `active`: tasks that began before anybody listened.

        Only tasks that no event told more of are changed, and nothing is counted. An answer that
        is not what it should be is left out.
        """
        if hostname not in self.workers:
            return
        adopted: list[TaskInfo] = []
        self.version += 1
        for found in requests:
            request = found if isinstance(found, dict) else {}
            uuid, begun = request.get("id"), request.get("time_start")
            if not isinstance(uuid, str) or not isinstance(begun, int | float) or not begun:
                continue
            task = self.tasks.get(uuid)
            if task is not None and task.state not in (states.PENDING, states.RECEIVED):
                continue
            task = task or self._new_task(uuid)
            before, ran_on = task.state, task.worker
            self.bytes += merge_request(task, request, self._strings)
            task.worker, task.state = self._string(hostname), states.STARTED
            task.started = task.timestamp = float(begun)
            task.local_received, task.version = now, self.version
            self._moved(task, before, ran_on)
            adopted.append(task)
        if adopted:
            self._log_changes(adopted)
            self._evict()

    def _new_task(self, uuid: str) -> TaskInfo:
        """Begin to keep a task."""
        task = self.tasks[uuid] = TaskInfo(uuid, version=self.version)
        self.counts[states.PENDING] = self.counts.get(states.PENDING, 0) + 1
        self.bytes += _TASK_BYTES
        self._order.append((uuid, self.version))
        return task

    def _moved(self, task: TaskInfo, before: str, ran_on: str | None) -> None:
        """Keep the counts per state and the running tasks per worker."""
        counts = self.counts
        counts[before] -= 1
        if not counts[before]:
            del counts[before]
        counts[task.state] = counts.get(task.state, 0) + 1
        if before == states.STARTED:
            self._run(ran_on, -1)
        if task.state == states.STARTED:
            self._run(task.worker, 1)

    def _run(self, hostname: str | None, change: int) -> None:
        """Change the count of tasks that run on a worker."""
        worker = self.workers.get(hostname or "")
        if worker is not None:
            worker.running = max(0, worker.running + change)

    def _count_outcome(
        self, task: TaskInfo, worker: WorkerInfo | None, subject: str, arrived: float
    ) -> None:
        """Count an event for the task's name and for its worker."""
        stats = self._stats_of(task.name) if task.name is not None else None
        if stats is not None:
            setattr(stats, subject, getattr(stats, subject) + 1)
            stats.last_seen = arrived
        if worker is None:
            return
        if subject == "started":
            worker.started += 1
        elif subject == "succeeded":
            worker.succeeded += 1
            runtime = task.runtime
            if runtime is not None and 0.0 <= runtime < math.inf:
                bucket = bucket_of(runtime)
                self.runtimes.add_to(bucket, runtime)
                worker.runtimes.add_to(bucket, runtime)
                if stats is not None:
                    stats.runtimes.add_to(bucket, runtime)
        elif subject == "failed":
            worker.failed += 1
        elif subject == "retried":
            worker.retried += 1

    def _stats_of(self, name: str) -> NameStats:
        """Return the statistics of a task name."""
        stats = self.names.get(name)
        if stats is None:
            if len(self.names) >= self.max_names:
                name = self.OTHER
            stats = self.names.setdefault(name, NameStats(name))
        return stats

    def _apply_worker(self, event: Event, event_type: str, now: float) -> None:
        """Take in one `worker-` event."""
        hostname = event["hostname"]
        arrived = event.get("local_received") or now
        if event_type == "worker-offline":
            worker = self._worker(hostname, arrived)
            worker.describe(event)
            worker.heartbeats.clear()
            worker.offline_at, worker.goodbye = arrived, _sent_at(event, arrived)
        else:
            worker = self._heard(hostname, arrived, _sent_at(event, arrived))
            worker.describe(event)
            if event_type == "worker-online":
                worker.online_at = event["timestamp"]
        worker.version = self.version

    def _worker(self, hostname: str, arrived: float) -> WorkerInfo:
        """Return a worker, beginning to keep it when it is new."""
        worker = self.workers.get(hostname)
        if worker is None:
            if len(self.workers) >= self.max_workers:
                self._evict_worker()
            name = self._string(hostname)
            worker = self.workers[name] = WorkerInfo(name, first_seen=arrived, version=self.version)
        if arrived > worker.last_seen:
            worker.last_seen = arrived
        return worker

    def _heard(self, hostname: str, arrived: float, back_at: float) -> WorkerInfo:
        """Return a worker that has just shown that it lives.

        Args:
            hostname: Its name.
            arrived: Wall time of the event's arrival.
            back_at: The worker's time of the event, if that can end its good-bye.
        """
        worker = self._worker(hostname, arrived)
        if worker.offline_at is not None and not back_at > worker.goodbye:
            return worker
        beats = worker.heartbeats
        # All events of a batch arrive at one time, so this is mostly a comparison.
        if not beats or beats[-1] != arrived:
            worker.beat(arrived)
            worker.offline_at = None
            worker.version = self.version
        return worker

    def _evict_worker(self) -> None:
        """Forget the worker that was silent for longest, one that said good-bye first."""
        oldest = min(
            self.workers.values(), key=lambda worker: (worker.offline_at is None, worker.last_seen)
        )
        del self.workers[oldest.hostname]

    def _evict(self) -> None:
        """Forget tasks until the bounds are kept; one touched since its last turn gets another."""
        order = self._order
        while len(self.tasks) > self.max_tasks or self.bytes > self.max_bytes:
            uuid, version = order.popleft()
            task = self.tasks.get(uuid)
            if task is None:
                continue
            if task.version != version and len(self.tasks) > 1:
                order.append((uuid, task.version))
                continue
            self._forget(task)
            self.evicted += 1

    def _forget(self, task: TaskInfo) -> None:
        """Drop one task and what is counted for it."""
        del self.tasks[task.uuid]
        self.bytes -= _TASK_BYTES + text_size(task)
        self.counts[task.state] -= 1
        if not self.counts[task.state]:
            del self.counts[task.state]
        if task.state == states.STARTED:
            self._run(task.worker, -1)

    def _string(self, text: str) -> str:
        """Return the one kept copy of a name."""
        if len(self._strings) > _MOST_STRINGS:
            self._strings.clear()
        return self._strings.setdefault(text, text)

    def _log_changes(self, touched: list[TaskInfo]) -> None:
        """Remember which tasks a version changed, for `changes`."""
        self._changes.append((self.version, touched))
        self._logged += len(touched)
        while self._logged > _CHANGES_KEPT and len(self._changes) > 1:
            version, oldest = self._changes.popleft()
            self._logged -= len(oldest)
            self._changes_from = version

    def changes(self, since: int) -> list[TaskInfo] | None:
        """Return the tasks changed after version `since`, or None when that is too long ago.

        After None the caller repaints everything. Each task comes once, in the order of its first
        change; it may have been evicted meanwhile.
        """
        if since < self._changes_from:
            return None
        found: list[list[TaskInfo]] = []
        for version, touched in reversed(self._changes):
            if version <= since:
                break
            found.append(touched)
        return list(dict.fromkeys(task for touched in reversed(found) for task in touched))

    def _count(self, tallies: Mapping[str, int], now: float) -> None:
        """Count events by type, for totals and rates."""
        total = 0
        for kind, count in tallies.items():
            total += count
            known = kind if kind in self.totals or len(self.totals) < _MOST_TYPES else self.OTHER
            self.totals[known] = self.totals.get(known, 0) + count
            rings = self.rates.get(kind[5:]) if kind.startswith("task-") else None
            if rings is not None:
                rings.add(now, count)
        if total:
            self.rates["events"].add(now, total)
        if int(now) != self._second:
            self.tick(now)

    def tick(self, now: float) -> None:
        """Let time pass: bring the rates per name and per worker up to date.

        Called with each batch; the owner calls it once a second when no events come.
        """
        self._second = int(now)
        for stats in self.names.values():
            if stats.finished > stats.rates.total:
                stats.rates.add(now, stats.finished - stats.rates.total)
            if stats.failed > stats.failures.total:
                stats.failures.add(now, stats.failed - stats.failures.total)
        for worker in self.workers.values():
            finished = worker.succeeded + worker.failed
            if finished > worker.rates.total:
                worker.rates.add(now, finished - worker.rates.total)

    def status(self, task: TaskInfo, now: float) -> str:
        """Return the state to show: never PENDING, and `ORPHAN` or `STALE` where that is derived.

        A task is an orphan when its worker is lost or gone for longer than `orphan_after`, and
        stale when it was sent longer ago than `stale_after` and nobody received it.
        """
        state = task.state
        if state == states.STARTED:
            worker = self.workers.get(task.worker or "")
            if worker is not None and self.is_lost(worker, now - self.orphan_after):
                return "ORPHAN"
        elif state == states.PENDING:
            sent = task.sent if task.sent is not None else task.local_received
            return "STALE" if now - sent > self.stale_after else "SENT"
        return state

    def is_lost(self, worker: WorkerInfo, now: float) -> bool:
        """Tell whether a worker was lost or gone at `now` already."""
        if worker.offline_at is not None:
            return worker.offline_at <= now
        return worker.status(now) in (WorkerStatus.LOST, WorkerStatus.GONE)

    def worker_status(self, worker: WorkerInfo, now: float) -> WorkerStatus:
        """Tell whether a worker is up, busy-silent, lost, gone, or up without task events."""
        return worker.status(now)

    def live_workers(self, now: float) -> list[str]:
        """Return the names of the workers that can be expected to answer."""
        dead = (WorkerStatus.LOST, WorkerStatus.GONE)
        return [name for name, worker in self.workers.items() if worker.status(now) not in dead]

    def answered(self, hostname: str, now: float) -> WorkerInfo:
        """Note that a worker replied to a command, which proves that it lives."""
        worker = self._worker(hostname, now)
        worker.answered_at = now
        # An answer given before the good-bye may be taken in after it.
        if worker.offline_at is not None and now > worker.offline_at + _GOODBYE:
            worker.offline_at = None
        self.version += 1
        worker.version = self.version
        return worker

    def coverage(self) -> float | None:
        """Return the share of run tasks whose events were seen, 0..1; None before any ran."""
        expected = sum(worker.expected for worker in self.workers.values())
        covered = sum(min(worker.covered, worker.expected) for worker in self.workers.values())
        return covered / expected if expected else None

    def clear(self, *, ready: bool = True) -> None:
        """Forget tasks: those that ended, or all with `ready=False`, and the statistics."""
        for task in list(self.tasks.values()):
            if task.ready or not ready:
                self._forget(task)
        self.names.clear()
        self.runtimes = Histogram()
        self._changes.clear()
        self._logged = 0
        self.version += 1
        self._changes_from = self.version
        self._order = deque((uuid, task.version) for uuid, task in self.tasks.items())


def _sent_at(event: Event, arrived: float) -> float:
    """Return the sender's time of an event."""
    stamp = event.get("timestamp")
    return stamp if isinstance(stamp, int | float) else arrived
