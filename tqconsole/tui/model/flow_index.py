"""Which tasks belong together: flows, found by root, parent and group, in whatever order they come.

Source: PROTOCOL 4 (`root_id`, `parent_id`, `group`).
"""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from math import inf
from time import perf_counter

from tq.monitor import ClusterState, TaskInfo
from tqconsole.tui.model.lineage import Lineage, LineageBook

__all__ = ["KINDS", "Flow", "FlowIndex", "group_key", "group_of", "kind_of"]

KINDS = ("waiting", "running", "done", "failed", "called off")
_UNSEEN = -1
_KIND_OF = {
    "PENDING": 0, "RECEIVED": 0, "RETRY": 0, "STARTED": 1, "SUCCESS": 2, "FAILURE": 3,
    "REVOKED": 4, "REJECTED": 4,
}  # fmt: skip
_GROUP = "\0group:"  # no task's id holds a control character
_MOST_UNLINKED = 2_000
_AT_ONCE = 200
_PRUNED_AFTER = 5_000  # tasks that the state forgot
_MOST_IDS = 50_000  # ids of one flow from which those of forgotten tasks are forgotten too


def kind_of(task: TaskInfo) -> int:
    """Return the place of a task's state in `KINDS`; custom states are progress."""
    return _KIND_OF.get(task.state, 1)


def group_key(group_id: str) -> str:
    """Return what stands for a group among the ids of tasks."""
    return _GROUP + group_id


def group_of(task: TaskInfo, book: LineageBook) -> str | None:
    """Return the group a task is a part or the body of, from its events or its result."""
    found = task.extra.get("group_id")
    if isinstance(found, str) and found:
        return found
    lineage = book.tasks.get(task.uuid)
    told = lineage.group_id if lineage is not None else None
    return told or book.member_of.get(task.uuid)


class Flow:
    """Tasks that belong together.

    Attributes:
        key: Names the flow while it grows; one of two when they join.
        ids: Every id that leads here: of tasks seen, with their place in `KINDS`, and of tasks
            unseen and groups (`group_key`), with -1.
        counts: Tasks seen, by place in `KINDS`.
        roots: Root ids that its tasks name.
        groups: Ids of the groups among them.
        first: Wall timestamp of the first sign of it.
        last: And of the last one.
        version: Grows with every change.
    """

    __slots__ = ("counts", "first", "groups", "ids", "key", "last", "roots", "version")

    def __init__(self, key: str) -> None:
        """Start with one id."""
        self.key = key
        self.ids: dict[str, int] = {key: _UNSEEN}
        self.counts = [0] * len(KINDS)
        self.roots: set[str] = set()
        self.groups: set[str] = set()
        self.first = 0.0
        self.last = 0.0
        self.version = 0

    @property
    def total(self) -> int:
        """How many tasks were seen."""
        return sum(self.counts)

    @property
    def ended(self) -> int:
        """How many of them ended, however."""
        return self.counts[2] + self.counts[3] + self.counts[4]

    @property
    def over(self) -> bool:
        """Whether all that were seen ended."""
        return self.ended == self.total

    def missing(self, book: LineageBook) -> int:
        """Return how many parts of its groups no event was linked to, as far as that is known."""
        sizes = (book.size_of(group_id) or 0 for group_id in self.groups)
        return max(0, sum(sizes) - self.total)

    def tasks(self) -> Iterator[str]:
        """Return the ids of the tasks seen."""
        return (task_id for task_id, kind in self.ids.items() if kind != _UNSEEN)

    def root(self) -> str | None:
        """Return the id of the one root, or None when there are several: a group from outside."""
        return next(iter(self.roots)) if len(self.roots) == 1 else None


class FlowIndex:
    """All flows of a cluster. Owned by the event loop; brought up to date while it is looked at.

    Single tasks that nothing refers to are in no flow, so that they cost nothing.

    Attributes:
        flows: By key.
        unlinked: Ids of tasks that ended, and whose result was not looked at; newest last.
    """

    def __init__(self) -> None:
        """Start empty."""
        self.flows: dict[str, Flow] = {}
        self.unlinked: dict[str, None] = {}
        self._flow_of: dict[str, Flow] = {}
        self._todo: deque[str] = deque()
        self._most_todo = 0
        self._version = -1
        self._evicted = 0

    def update(self, state: ClusterState, book: LineageBook, seconds: float | None = None) -> None:
        """Take in what changed since the last update.

        Args:
            state: The cluster.
            book: What results told.
            seconds: Time after which the rest is left for the next call; None takes in all.
        """
        changed: Iterable[TaskInfo] | None = None
        if self._version >= 0:
            changed = state.changes(self._version)
        if changed is None:
            self._todo.clear()
            changed = state.tasks.values()
        self._version = state.version
        if not 0 <= state.evicted - self._evicted <= _PRUNED_AFTER:
            self._evicted = state.evicted
            self._prune(state.tasks)
        self._todo.extend(task.uuid for task in changed)
        self._todo.extend(book.taken())
        self._most_todo = max(self._most_todo, len(self._todo))
        until = inf if seconds is None else perf_counter() + seconds
        while self._todo:
            for _ in range(min(_AT_ONCE, len(self._todo))):
                known = state.tasks.get(self._todo.popleft())
                if known is not None:
                    self._take(known, state.tasks, book)
            if perf_counter() >= until:
                return
        self._most_todo = 0

    @property
    def taken(self) -> float:
        """Share of what changed that was taken in, 0..1."""
        return 1.0 - len(self._todo) / self._most_todo if self._most_todo else 1.0

    def _prune(self, tasks: Mapping[str, TaskInfo]) -> None:
        """Forget flows of which no task is kept any more, and the ids of what endless ones lost."""
        for flow in list(self.flows.values()):
            gone = [task_id for task_id in flow.tasks() if task_id not in tasks]
            if len(gone) == flow.total:
                gone = list(flow.ids)
                del self.flows[flow.key]
            elif len(flow.ids) < _MOST_IDS:
                continue
            else:
                gone = [task_id for task_id in gone if task_id != flow.key]
            for task_id in gone:
                del flow.ids[task_id]
                del self._flow_of[task_id]

    def of(self, some_id: str) -> Flow | None:
        """Return the flow of a task's id or of a group's `group_key`."""
        return self._flow_of.get(some_id)

    def _take(self, task: TaskInfo, tasks: Mapping[str, TaskInfo], book: LineageBook) -> None:
        """Put a task where it belongs, joining flows that turn out to be one."""
        lineage = book.tasks.get(task.uuid)
        if task.ready and task.uuid not in book.tasks:
            self.unlinked[task.uuid] = None
            while len(self.unlinked) > _MOST_UNLINKED:
                del self.unlinked[next(iter(self.unlinked))]
        links = _links(task, group_of(task, book), lineage)
        if not links and task.uuid not in self._flow_of:
            return
        flow = self._flow(task.uuid)
        for link in links:
            flow = self._join(flow, self._flow(link))
        _count(flow, task)
        for link in links:
            if link.startswith(_GROUP):
                flow.groups.add(link[len(_GROUP) :])
            elif flow.ids[link] == _UNSEEN and (known := tasks.get(link)) is not None:
                _count(flow, known)
        flow.version += 1

    def _flow(self, some_id: str) -> Flow:
        flow = self._flow_of.get(some_id)
        if flow is None:
            flow = self._flow_of[some_id] = self.flows[some_id] = Flow(some_id)
        return flow

    def _join(self, one: Flow, other: Flow) -> Flow:
        """Join two flows; the smaller one is moved, so that each id moves seldom."""
        if one is other:
            return one
        if len(one.ids) < len(other.ids):
            one, other = other, one
        for some_id in other.ids:
            self._flow_of[some_id] = one
        one.ids |= other.ids
        one.counts = [a + b for a, b in zip(one.counts, other.counts, strict=True)]
        one.roots |= other.roots
        one.groups |= other.groups
        moments = [moment for moment in (one.first, other.first) if moment]
        one.first = min(moments, default=0.0)
        one.last = max(one.last, other.last)
        one.version += other.version
        del self.flows[other.key]
        return one


def _links(task: TaskInfo, group_id: str | None, lineage: Lineage | None) -> list[str]:
    """Return the other ids that a task's events and result name."""
    found = [task.root_id, task.parent_id]
    if group_id:
        found.append(group_key(group_id))
    if lineage is not None:
        found.append(lineage.parent_id)
        found += lineage.children
        found += [group_key(started) for started, _ in lineage.groups]
    return [some_id for some_id in found if some_id and some_id != task.uuid]


def _count(flow: Flow, task: TaskInfo) -> None:
    """Count a task under its state of the moment."""
    before, now = flow.ids.get(task.uuid, _UNSEEN), kind_of(task)
    if before != _UNSEEN:
        flow.counts[before] -= 1
    flow.counts[now] += 1
    flow.ids[task.uuid] = now
    flow.roots.add(task.root_id or task.uuid)
    begin = next((m for m in (task.sent, task.received, task.started) if m is not None), None)
    if begin is not None:
        flow.first = min(flow.first, begin) if flow.first else begin
    flow.last = max(flow.last, task.timestamp or 0.0, begin or 0.0)
