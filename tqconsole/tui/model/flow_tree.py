"""One flow as a tree: who sent whom, which parts form a group, and what is folded away.

Source: PROTOCOL 4, 5 (a chord's body has the parent that finished last and its header's group).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from tq.monitor import TaskInfo
from tqconsole.tui.model.flow_index import Flow, group_key, group_of, kind_of
from tqconsole.tui.model.lineage import LineageBook

__all__ = ["FlowTree", "Group", "TreeRow", "build_tree"]

_FEW = 12  # children that are listed one by one without asking
_SHOWN = 3  # of many alike, this many are listed
_SHOWN_FAILED = 20
_DEEPEST = 8  # levels that indent


@dataclass(slots=True)
class Group:
    """Tasks that were sent together; with a body it is a chord's header.

    Attributes:
        parts: Ids of the parts seen, oldest first.
        body: Id of the body, once it was sent.
        size: How many parts there are, as far as anything tells; None when nothing does.
        exact: Whether `size` was told; else there are at least so many.
        is_chord: Whether a body is known to wait for it.
        told: Whether events tell of it; results tell of a part only when it has ended.
    """

    group_id: str
    parts: list[str] = field(default_factory=list)
    body: str | None = None
    size: int | None = None
    exact: bool = False
    is_chord: bool = False
    told: bool = False


@dataclass(frozen=True, slots=True)
class TreeRow:
    """One line of the tree.

    Attributes:
        key: Stays the same while the tree grows.
        kind: `task`, `group`, `unseen` (a task that no event told of) or `fold`.
        lead: For the nearest levels above, whether more follow there; the last is the row's own.
        depth: How many levels it stands below the top.
        subject: A task's or a group's id; for a fold, the ids folded.
        role: `body` for a chord's body.
    """

    key: str
    kind: str
    lead: tuple[bool, ...]
    depth: int
    subject: str = ""
    folded: tuple[str, ...] = ()
    role: str = ""


@dataclass(slots=True)
class FlowTree:
    """A flow laid out.

    Attributes:
        rows: From the top down.
        groups: By id.
        dropped: Tasks of the flow that the console saw and no longer keeps.
    """

    rows: list[TreeRow]
    groups: dict[str, Group]
    dropped: int = 0


def build_tree(
    flow: Flow,
    tasks: Mapping[str, TaskInfo],
    book: LineageBook,
    unfolded: frozenset[str] = frozenset(),
    fold: bool = True,
) -> FlowTree:
    """Lay out a flow; any relations will do, also those that lead in a circle.

    Args:
        flow: The tasks that belong together.
        tasks: What is known of them.
        book: What results told.
        unfolded: Keys of the folds that are open.
        fold: Whether parts that are alike are folded at all.
    """
    ids = list(flow.tasks())
    members = {task_id: tasks[task_id] for task_id in ids if task_id in tasks}
    ordered = sorted(members.values(), key=_began)
    group_ids = {task.uuid: group_of(task, book) for task in ordered}
    groups = _groups(ordered, group_ids, book)
    above: dict[str, str | None] = {task.uuid: _sender(task) for task in ordered}
    for group in groups.values():
        _hang(group, members, above)
    _break_circles(above)
    below: dict[str | None, list[str]] = {}
    for some_id, container in above.items():
        below.setdefault(container, []).append(some_id)
    unseen = [c for c in below if c is not None and c not in above]
    below.setdefault(None, []).extend(unseen)
    rows = _Layout(members, groups, below, unfolded, fold).rows()
    return FlowTree(rows, groups, len(ids) - len(members))


def _began(task: TaskInfo) -> tuple[float, str]:
    for moment in (task.sent, task.received, task.started, task.timestamp):
        if moment is not None:
            return moment, task.uuid
    return task.local_received, task.uuid


def _groups(
    ordered: Sequence[TaskInfo], group_ids: Mapping[str, str | None], book: LineageBook
) -> dict[str, Group]:
    """Find the groups with their parts, bodies and sizes."""
    groups: dict[str, Group] = {}
    for task in ordered:
        group_id = group_ids[task.uuid]
        if group_id is None:
            continue
        group = groups.setdefault(group_id, Group(group_id))
        group.told = group.told or "group_id" in task.extra
        parent = task.parent_id
        # a body has its header's group, and was sent by the part that came back last
        if parent and parent != task.uuid and group_ids.get(parent) == group_id:
            group.body, group.is_chord = task.uuid, True
        else:
            group.parts.append(task.uuid)
    for task in ordered:
        _find_body(task, group_ids, groups, book)
    by_id = {task.uuid: task for task in ordered}
    for group in groups.values():
        _measure(group, by_id, book)
    return groups


def _find_body(
    task: TaskInfo,
    group_ids: Mapping[str, str | None],
    groups: Mapping[str, Group],
    book: LineageBook,
) -> None:
    """Recognise a body whose own group is not known: its sender's result does not name it."""
    parent = task.parent_id
    if group_ids[task.uuid] is not None or not parent or parent == task.uuid:
        return
    group_id, lineage = group_ids.get(parent), book.tasks.get(parent)
    if group_id is None or lineage is None or task.uuid in lineage.children:
        return
    group = groups[group_id]
    if group.body is None:
        group.body, group.is_chord = task.uuid, True


def _measure(group: Group, tasks: Mapping[str, TaskInfo], book: LineageBook) -> None:
    """Tell how many parts there are."""
    chord = book.chords.get(group.group_id)
    listed = book.groups.get(group.group_id)
    if chord is not None and chord.size is not None:
        group.size, group.exact, group.is_chord = chord.size, True, True
    elif listed is not None:
        group.size, group.exact = len(listed), True
    elif group.body is not None:
        group.size, group.exact = len(group.parts), True  # it is sent when all came back
    else:
        indexes = [tasks[part].extra.get("group_index") for part in group.parts]
        known = [index + 1 for index in indexes if isinstance(index, int)]
        group.size = max([len(group.parts), *known])


def _sender(task: TaskInfo) -> str | None:
    """Return who sent a task; a retried one names itself, and only its root is left."""
    for other in (task.parent_id, task.root_id):
        if other and other != task.uuid:
            return other
    return None


def _hang(group: Group, members: Mapping[str, TaskInfo], above: dict[str, str | None]) -> None:
    """Hang a group below who sent it, its parts and its body below the group.

    Parts that are the ends of chains have different senders: they stay with them.
    """
    key = group_key(group.group_id)
    senders = {above[part] for part in group.parts if members[part].parent_id != part}
    if len(senders) > 1:
        above[key] = None
    else:
        above[key] = next(iter(senders), None)
        above.update(dict.fromkeys(group.parts, key))
    if group.body is not None:
        above[group.body] = key


def _break_circles(above: dict[str, str | None]) -> None:
    """Let everything that leads back to itself hang at the top."""
    sound: set[str] = set()
    for start in above:
        path: dict[str, None] = {}
        at: str | None = start
        while at is not None and at in above and at not in sound:
            if at in path:
                above[at] = None
                break
            path[at] = None
            at = above[at]
        sound.update(path)


class _Layout:
    """Writes the rows of a tree, without recursion: a chain may have thousands of steps."""

    def __init__(
        self,
        members: Mapping[str, TaskInfo],
        groups: Mapping[str, Group],
        below: Mapping[str | None, list[str]],
        unfolded: frozenset[str],
        fold: bool,
    ) -> None:
        self._members = members
        self._below = below
        self._unfolded = unfolded
        self._fold = fold
        self._groups = {group_key(group.group_id): group for group in groups.values()}
        self._bodies = {group.body for group in groups.values() if group.body}

    def rows(self) -> list[TreeRow]:
        """Return all rows from the top down."""
        rows: list[TreeRow] = []
        stack = list(reversed(self._level(None, (), 0)))
        while stack:
            row = stack.pop()
            rows.append(row)
            if row.kind != "fold":
                stack.extend(reversed(self._level(row.key, row.lead, row.depth + 1)))
        return rows

    def _level(self, container: str | None, lead: tuple[bool, ...], depth: int) -> list[TreeRow]:
        """Return the rows right below something, with those that are alike folded."""
        children = self._below.get(container, [])
        shown: list[tuple[str, tuple[str, ...]]] = [(child, ()) for child in children]
        if self._fold and len(children) > _FEW:
            shown = list(self._folded(container, children))
        shown.sort(key=lambda item: item[0] in self._bodies)  # a body comes after its parts
        rows = []
        for place, (child, folded) in enumerate(shown):
            own = (*lead, place + 1 < len(shown))[-_DEEPEST:]
            rows.append(self._row(child, folded, own, depth))
        return rows

    def _row(
        self, some_id: str, folded: tuple[str, ...], lead: tuple[bool, ...], depth: int
    ) -> TreeRow:
        if folded:
            return TreeRow(some_id, "fold", lead, depth, folded=folded)
        group = self._groups.get(some_id)
        if group is not None:
            return TreeRow(some_id, "group", lead, depth, group.group_id)
        kind = "task" if some_id in self._members else "unseen"
        role = "body" if some_id in self._bodies else ""
        return TreeRow(some_id, kind, lead, depth, some_id, role=role)

    def _folded(
        self, container: str | None, children: Iterable[str]
    ) -> Iterable[tuple[str, tuple[str, ...]]]:
        """Yield children, and for each many that are alike one fold in place of most of them."""
        alike: dict[tuple[str, int], list[str]] = {}
        for child in children:
            task = self._members.get(child)
            if task is None or self._below.get(child) or child in self._bodies:
                yield child, ()
            else:
                alike.setdefault((task.name or "?", kind_of(task)), []).append(child)
        for (name, kind), ids in sorted(alike.items(), key=lambda item: _URGENT[item[0][1]]):
            key = f"fold {container} {name} {kind}"
            most = _SHOWN_FAILED if kind == _FAILED else _SHOWN
            if len(ids) <= most + 2 or key in self._unfolded:
                yield from ((child, ()) for child in ids)
                continue
            yield from ((child, ()) for child in ids[:most])
            yield key, tuple(ids[most:])


_FAILED = 3
_URGENT = {3: 0, 1: 1, 0: 2, 4: 3, 2: 4}  # failed, running, waiting, called off, done
