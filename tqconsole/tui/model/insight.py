"""What is worth knowing beyond single tasks: what runs, which queues grow, what needs a look."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tq.monitor import ClusterState, FailureGroups, TaskInfo, WorkerInfo, WorkerStatus
from tqconsole.tui.model.facts import LinkState, QueueFacts, WorkerFacts
from tqconsole.tui.model.flow_index import FlowIndex
from tqconsole.tui.model.format import age, count, duration, heartbeat_age, rate
from tqconsole.tui.model.queue_trends import QueueTrend, QueueTrends
from tqconsole.tui.model.stages import Stages

__all__ = ["Attention", "Insight", "RunningTasks"]

_GAP_NEWS = 300.0  # seconds for which a gap is news
_GROWS_FROM = 0.5  # messages per second that are worth a warning
_MANY_WAIT = 100  # messages below which a queue that grows or stands is no news
_SLOW_DRAIN = 600.0  # seconds to drain a queue from which on that is worth a warning
_OFTEN = 5  # failures in five minutes from which a group is worth a warning
_TIMES_BASELINE = 2.0
_LOW_COVERAGE = 0.99
_LOST_NEWS = 3600.0  # seconds after which a lost worker is history
_ATTENTION_EVERY = 1.0


class RunningTasks:
    """The tasks that run now, kept up to date by what changes. Owned by the event loop."""

    def __init__(self) -> None:
        """Start empty."""
        self._tasks: dict[str, TaskInfo] = {}
        self._version = -1

    def update(self, state: ClusterState) -> None:
        """Take in what changed since the last update."""
        changed = state.changes(self._version) if self._version >= 0 else None
        self._version = state.version
        if changed is None:
            self._tasks = {
                uuid: task for uuid, task in state.tasks.items() if task.state == "STARTED"
            }
            return
        tasks = self._tasks
        for task in changed:
            if task.state == "STARTED" and task.uuid in state.tasks:
                tasks[task.uuid] = task
            else:
                tasks.pop(task.uuid, None)

    def __len__(self) -> int:
        """Return how many tasks run."""
        return len(self._tasks)

    def longest_first(self) -> list[TaskInfo]:
        """Return the running tasks, the one that began first at the top."""
        return sorted(self._tasks.values(), key=lambda task: (task.started or 0.0, task.uuid))

    def of_worker(self, hostname: str) -> list[TaskInfo]:
        """Return what runs on a worker."""
        return [task for task in self.longest_first() if task.worker == hostname]


@dataclass(frozen=True, slots=True)
class Attention:
    """Something that needs a look.

    Attributes:
        key: Names it from one second to the next.
        level: `failure` or `warning`.
        since: Wall timestamp at which it began, where that is known.
        text: What it is, in words.
        screen: Where it is looked into, with `target` chosen there.
        target: A worker's, a queue's or a failure group's key.
    """

    key: str
    level: str
    since: float | None
    text: str
    screen: str
    target: str


class Insight:
    """Looks at all that changes, whatever screen is shown. Owned by the event loop.

    Attributes:
        running: The tasks that run now.
        failures: Failures by fingerprint.
        flows: Which tasks belong together; the screens that show it keep it up to date.
        trends: Where the queues are heading.
        stages: Where the time of tasks goes.
        attention: What needs a look, the worst first; renewed once a second.
    """

    def __init__(self) -> None:
        """Start with nothing seen."""
        self.running = RunningTasks()
        self.failures = FailureGroups()
        self.flows = FlowIndex()
        self.attention: tuple[Attention, ...] = ()
        self.trends = QueueTrends()
        self.stages = Stages()
        self._due = 0.0

    def update(
        self,
        state: ClusterState,
        queues: Sequence[QueueFacts],
        link: LinkState,
        now: float,
        facts: Callable[[str], WorkerFacts | None] = lambda hostname: None,
    ) -> None:
        """Take in what changed; `now` is a wall timestamp, `facts` knows the workers."""
        self.running.update(state)
        self.failures.update(state, now)
        self.trends.update(state, queues, facts)
        self.stages.update(state, now)
        if now >= self._due or now < self._due - _ATTENTION_EVERY:
            self._due = now + _ATTENTION_EVERY
            self.trends.forget_others(queues)
            found = [
                *self._about_workers(state, now),
                *self._about_queues(queues),
                *self._about_failures(now),
                *_about_coverage(state),
                *_about_gaps(link, now),
            ]
            self.attention = tuple(sorted(found, key=lambda item: item.level != "failure"))

    def trend(self, queue: str) -> QueueTrend:
        """Return the counts of a queue."""
        return self.trends.trend(queue)

    def _about_workers(self, state: ClusterState, now: float) -> list[Attention]:
        found: list[Attention] = []
        for name in sorted(state.workers):
            worker = state.workers[name]
            status = state.worker_status(worker, now)
            describe = _WORKER_NEWS.get(status)
            if describe is None or (worker.silence(now) or 0.0) > _LOST_NEWS:
                continue
            if status is WorkerStatus.LOST and not worker.heartbeats and not worker.events:
                continue
            running = self.running.of_worker(name)
            level, text = describe(worker, running, now)
            since = worker.heartbeats[-1] if worker.heartbeats else None
            found.append(Attention(f"worker {name}", level, since, text, "workers", name))
        return found

    def _about_queues(self, queues: Sequence[QueueFacts]) -> list[Attention]:
        found: list[Attention] = []
        for queue in queues:
            key = f"queue {queue.name}"
            if queue.ready and queue.consumers == 0:
                text = f"queue {queue.name}: {count(queue.ready)} wait and NO WORKER takes from it"
                found.append(Attention(key, "failure", None, text, "queues", queue.name))
                continue
            course = _course(queue.ready or 0, self.trend(queue.name).growth())
            if course is None:
                continue
            text = f"queue {queue.name}: {count(queue.ready)} wait, {course}"
            if queue.consumers is not None:
                takers = (
                    "1 worker takes" if queue.consumers == 1 else f"{queue.consumers} workers take"
                )
                text += f"; {takers} from it"
            found.append(Attention(key, "warning", None, text, "queues", queue.name))
        return found

    def _about_failures(self, now: float) -> list[Attention]:
        found: list[Attention] = []
        since = self.failures.since or now
        for group in self.failures:
            recent = group.recent(now)
            if recent < _OFTEN:
                continue
            usual = group.baseline(now, since)
            new = group.is_new(now, since)
            if not new and usual is not None and recent < _TIMES_BASELINE * usual:
                continue
            if not new and usual is None and group.failed == 0:
                continue  # retries are common; without a baseline they are no news
            was = "new" if new else "no baseline yet" if usual is None else f"was {usual:.0f}"
            place = f" @ {group.frame.short}" if group.frame else ""
            text = f"{group.name}  {group.exception}{place}  x{count(recent)} in 5 min ({was})"
            level = "failure" if group.failed and (new or usual is not None) else "warning"
            key = f"failure {group.key}"
            found.append(Attention(key, level, group.first_seen, text, "failures", group.key))
        found.sort(key=lambda item: -(item.since or 0.0))
        return found


def _course(ready: int, growth: float | None) -> str | None:
    """Say where a long queue is heading; None when that is no news, or not known yet."""
    if growth is None or ready < _MANY_WAIT:
        return None
    if growth >= _GROWS_FROM:
        return f"grows {rate(growth)}/s"
    if growth >= 0.0:
        return "does not shrink"
    left = ready / -growth
    return f"drained in {age(left)} at this rate" if left > _SLOW_DRAIN else None


def _lost(worker: WorkerInfo, running: Sequence[TaskInfo], now: float) -> tuple[str, str]:
    orphans = f", {len(running)} {_plural('task', len(running))} orphaned" if running else ""
    silent = heartbeat_age(worker.silence(now))
    return "failure", f"worker {worker.hostname} LOST: heartbeat {silent} ago{orphans}"


def _busy(worker: WorkerInfo, running: Sequence[TaskInfo], now: float) -> tuple[str, str]:
    what = ""
    if running:
        spent = duration(max(0.0, now - (running[0].started or now)))
        what = f" in {running[0].name} for {spent}"
    return (
        "warning",
        f"worker {worker.hostname} is busy{what}; silent for {age(worker.silence(now))}",
    )


def _mute(worker: WorkerInfo, running: Sequence[TaskInfo], now: float) -> tuple[str, str]:
    return (
        "warning",
        f"worker {worker.hostname} is up but sends no task events; V there enables them",
    )


_WORKER_NEWS: dict[
    WorkerStatus, Callable[[WorkerInfo, Sequence[TaskInfo], float], tuple[str, str]]
] = {
    WorkerStatus.LOST: _lost,
    WorkerStatus.BUSY_SILENT: _busy,
    WorkerStatus.NO_EVENTS: _mute,
}


def _about_coverage(state: ClusterState) -> list[Attention]:
    coverage = state.coverage()
    if coverage is None or coverage >= _LOW_COVERAGE:
        return []
    covered = [worker for worker in state.workers.values() if worker.coverage is not None]
    worst = min(covered, key=lambda worker: worker.coverage or 0.0)
    text = (
        f"{coverage * 100:.1f}% of the tasks run were seen; "
        f"least of {worst.hostname} ({(worst.coverage or 0.0) * 100:.0f}%)"
    )
    return [Attention("coverage", "warning", None, text, "workers", worst.hostname)]


def _about_gaps(link: LinkState, now: float) -> list[Attention]:
    if not link.gaps or now - link.gaps[-1].end > _GAP_NEWS:
        return []
    gap = link.gaps[-1]
    text = f"nothing was observed for {age(gap.end - gap.begin)}, until {age(now - gap.end)} ago"
    return [Attention("gap", "warning", gap.begin, text, "tasks", "")]


def _plural(noun: str, number: int) -> str:
    return noun if number == 1 else f"{noun}s"
