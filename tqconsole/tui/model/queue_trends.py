"""Where queues are heading: how fast they fill and empty, and how old their oldest message is."""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from tq.monitor import ClusterState, TaskInfo
from tqconsole.tui.model.facts import QueueFacts, WorkerFacts

__all__ = ["Oldest", "QueueTrend", "QueueTrends"]

_TREND_OVER = 300.0  # seconds of counts that are kept of a queue
_SLOPE_OVER = 60.0  # seconds over which a queue's growth is measured
_SLOPE_LEAST = 10.0  # seconds of counts without which growth is unknown
_MANY_LOST = 20  # messages that vanish between two counts without being taken
_SHARE_LOST = 0.1
_FORGET = 0.5  # what is left of a name's share of a queue when shares are brought up to date
_MOST_LOST = 1_000  # tasks forgotten by the state while they waited, before all are looked at anew
_MANY = 10_000  # sightings of a name after which older ones count less

Facts = Callable[[str], WorkerFacts | None]


class Oldest(NamedTuple):
    """The age of a queue's oldest message.

    Attributes:
        since: Wall timestamp.
        mark: Empty when it is known; `>` when it is at least that old; `~` when it is estimated.
    """

    since: float
    mark: str = ""


class QueueTrend:
    """The counts of one queue over the last minutes."""

    def __init__(self) -> None:
        """Start without a count."""
        self._counts: deque[tuple[float, int, float | None]] = deque()
        self.heads: dict[str, float] = {}

    def add(self, at: float, ready: int, taken: float | None = None) -> None:
        """Note a count, and how many tasks were ever taken; the same count twice is noted once."""
        if self._counts and at <= self._counts[-1][0]:
            return
        if self._counts and taken is not None and (before := self._counts[-1][2]) is not None:
            lost = before + self._counts[-1][1] - taken - ready
            if lost > max(_MANY_LOST, _SHARE_LOST * self._counts[-1][1]):
                self._counts.clear()  # purged: what was before tells nothing of what comes now
        self._counts.append((at, ready, taken))
        while self._counts[0][0] < at - _TREND_OVER:
            self._counts.popleft()

    def see_heads(self, heads: Sequence[str], at: float) -> None:
        """Note which messages come next; one that stays is at least so old."""
        self.heads = {head: self.heads.get(head, at) for head in heads}

    @property
    def counted_at(self) -> float:
        """Wall timestamp of the last count; 0 before the first."""
        return self._counts[-1][0] if self._counts else 0.0

    def growth(self) -> float | None:
        """Return the change per second over the last minute; None while too little is known."""
        span = self._span()
        return None if span is None else (span[1][1] - span[0][1]) / (span[1][0] - span[0][0])

    def outflow(self) -> float | None:
        """Return the tasks taken per second over the last minute; None while that is unknown."""
        flows = self._flows()
        return None if flows is None else flows[1]

    def inflow(self) -> float | None:
        """Return the messages that came per second: what was taken, and what the queue grew by."""
        flows = self._flows()
        return None if flows is None else flows[0]

    def _flows(self) -> tuple[float, float] | None:
        """Return what came and what was taken per second, since that is known."""
        if not self._counts:
            return None
        at, ready, taken = self._counts[-1]
        for begin, first, base in self._counts:
            if base is not None and taken is not None and begin >= at - _SLOPE_OVER:
                span = at - begin
                if span < _SLOPE_LEAST:
                    return None
                out = max(0.0, taken - base)
                return max(0.0, out + ready - first) / span, out / span
        return None

    def _span(
        self,
    ) -> tuple[tuple[float, int, float | None], tuple[float, int, float | None]] | None:
        """Return the counts at both ends of the last minute."""
        if not self._counts:
            return None
        newest = self._counts[-1]
        begin = next(item for item in self._counts if item[0] >= newest[0] - _SLOPE_OVER)
        return (begin, newest) if newest[0] - begin[0] >= _SLOPE_LEAST else None

    def first_in_line(self) -> tuple[float, bool] | None:
        """Return when the message that is next arrived, if they leave as they came.

        As many have come as were taken and wait; the next one came when that number passed what
        has been taken by now. False says that it came before the counts begin.
        """
        if not self._counts or (gone := self._counts[-1][2]) is None:
            return None
        known = [(at, ready + taken) for at, ready, taken in self._counts if taken is not None]
        for number, (at, come) in enumerate(known):
            if come > gone:
                return (at, number > 0)
        return None

    def series(self, points: int) -> list[int]:
        """Return that many counts spread over what is known, oldest first."""
        counts = self._counts
        if not counts:
            return []
        begin, end = counts[0][0], counts[-1][0]
        step = (end - begin) / max(1, points - 1)
        found: list[int] = []
        items = iter(counts)
        current = following = next(items)
        for number in range(points):
            moment = begin + number * step
            while following is not None and following[0] <= moment + 1e-6:
                current, following = following, next(items, None)  # type: ignore[assignment]  # ends the loop
            found.append(current[1])
        return found


class QueueTrends:
    """The trends of all queues, and which tasks wait in each. Owned by the event loop.

    How many tasks were taken from a queue is counted by the names that are sent to it: events tell
    exactly how many of a name were received, and its queue is known from `task-sent`, or from a
    worker that takes from one queue only. A name found in several queues is shared out as it was
    seen.
    """

    def __init__(self) -> None:
        """Start with nothing seen."""
        self._trends: dict[str, QueueTrend] = {}
        self._shares: dict[str, dict[str, float]] = {}  # task name -> queue -> sightings
        self._received: dict[str, int] = {}  # task name -> receptions shared out so far
        self._taken: dict[str, float] = {}
        self._waiting: dict[str, dict[str, float]] = {}  # queue -> task id -> when it was sent
        self._place: dict[str, str] = {}  # task id -> the queue it waits in
        self._version = -1

    def trend(self, queue: str) -> QueueTrend:
        """Return the trend of a queue."""
        return self._trends.setdefault(queue, QueueTrend())

    def update(self, state: ClusterState, queues: Sequence[QueueFacts], facts: Facts) -> None:
        """Take in what changed in the cluster, and the counts of the moment."""
        changed = state.changes(self._version) if self._version >= 0 else None
        self._version = state.version
        if changed is None or len(self._place) > len(state.tasks) + _MOST_LOST:
            self._waiting, self._place = {}, {}
            changed = list(state.tasks.values())
        served: dict[str, str | None] = {}
        for task in changed:
            worker = task.worker
            if task.queue is None and worker is not None and worker not in served:
                served[worker] = _only_queue(facts(worker))
            self._place_task(task, task.queue or served.get(worker or ""), state)
        if any(queue.as_of > self.trend(queue.name).counted_at for queue in queues):
            self._share_out(state)
        for queue in queues:
            trend = self.trend(queue.name)
            if queue.ready is not None:
                trend.add(queue.as_of, queue.ready, self._taken_from(queue))
            trend.see_heads(queue.heads, queue.as_of)

    def forget_others(self, queues: Sequence[QueueFacts]) -> None:
        """Forget the queues that are gone."""
        known = {queue.name for queue in queues}
        self._trends = {name: trend for name, trend in self._trends.items() if name in known}

    def _place_task(self, task: TaskInfo, queue: str | None, state: ClusterState) -> None:
        """Note the queue of a task, and whether it still waits in it."""
        if queue is not None and task.name is not None:
            shares = self._shares.setdefault(task.name, {})
            shares[queue] = shares.get(queue, 0.0) + 1.0
            if shares[queue] > _MANY:
                for name in shares:
                    shares[name] *= _FORGET
        waits = task.state == "PENDING" and task.uuid in state.tasks
        if waits and task.queue is not None and task.sent is not None:
            if task.uuid not in self._place:
                self._place[task.uuid] = task.queue
                self._waiting.setdefault(task.queue, {})[task.uuid] = task.sent
        elif (place := self._place.pop(task.uuid, None)) is not None:
            del self._waiting[place][task.uuid]

    def _share_out(self, state: ClusterState) -> None:
        """Add what was received of each name to the queues of that name."""
        for name, stats in state.names.items():
            new = stats.received - self._received.get(name, 0)
            shares = self._shares.get(name)
            if not new or not shares:
                continue
            self._received[name] = stats.received
            if new < 0:  # the statistics were cleared
                continue
            total = sum(shares.values())
            for queue, share in shares.items():
                self._taken[queue] = self._taken.get(queue, 0.0) + new * share / total

    def _taken_from(self, queue: QueueFacts) -> float | None:
        """Return how many tasks were taken from a queue, if anything is known of that."""
        taken = self._taken.get(queue.name)
        # nobody takes anything from a queue without workers
        return 0.0 if taken is None and queue.consumers == 0 else taken

    def waiting(self, queue: str) -> Mapping[str, float]:
        """Return the tasks known to wait in a queue, with the time they were sent."""
        return self._waiting.get(queue, {})

    def oldest(self, queue: QueueFacts, state: ClusterState) -> Oldest | None:
        """Return since when the oldest message waits; None when nothing tells."""
        if not queue.ready:
            return None
        trend = self.trend(queue.name)
        known = [
            Oldest(sent)
            for head in trend.heads
            if (task := state.tasks.get(head)) is not None and (sent := task.sent) is not None
        ]
        if known:
            return min(known)
        first = trend.first_in_line()
        if first is not None and first[1]:
            return Oldest(first[0], "~")
        waiting = self.waiting(queue.name)
        sent = next(iter(waiting.values()), None)
        if sent is not None and len(waiting) >= queue.ready:
            return Oldest(sent, "~")
        # it waited when it was first seen, and before the first count, and before what came later
        least = [*trend.heads.values(), *([first[0]] if first else []), *([sent] if sent else [])]
        return Oldest(min(least), ">") if least else None


def _only_queue(worker: WorkerFacts | None) -> str | None:
    """Return the queue of a worker that takes from one only."""
    queues = worker.queues if worker is not None else None
    return queues[0] if queues is not None and len(queues) == 1 else None
