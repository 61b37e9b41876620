"""What the result backend tells of how tasks belong together, where events do not tell."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["ChordFacts", "Lineage", "LineageBook", "read_children"]

_MOST_CHILDREN = 10_000


@dataclass(frozen=True, slots=True)
class Lineage:
    """A finished task's relations.

    Attributes:
        group_id: The group it is a part of, or whose body it is.
        parent_id: Who sent it.
        children: Ids of what it sent.
        groups: The groups it sent, with the ids of their parts.
    """

    group_id: str | None = None
    parent_id: str | None = None
    children: tuple[str, ...] = ()
    groups: tuple[tuple[str, tuple[str, ...]], ...] = ()


@dataclass(frozen=True, slots=True)
class ChordFacts:
    """How far a chord's header has come.

    Attributes:
        size: Number of its parts; None when nobody counts them (any more).
        returned: How many have come back.
        as_of: Wall timestamp.
    """

    size: int | None
    returned: int
    as_of: float


class LineageBook:
    """Everything read so far. Owned by the event loop.

    Attributes:
        tasks: By task id; None was asked for and not found.
        chords: By group id.
        groups: Ids of the parts of the groups that finished tasks sent, by group id.
        member_of: The other way round.
        where: The backend's URL without password, or why there is none.
        available: Whether there is a backend to ask.
        error: Why the last question failed, or None.
        fresh: Ids of tasks noted since somebody last looked.
    """

    def __init__(self, most: int = 50_000) -> None:
        """Start empty; `most` bounds the tasks kept."""
        self.tasks: dict[str, Lineage | None] = {}
        self.chords: dict[str, ChordFacts] = {}
        self.groups: dict[str, tuple[str, ...]] = {}
        self.member_of: dict[str, str] = {}
        self.where = "no result backend is known: give --result-backend URL, or -A"
        self.available = False
        self.error: str | None = None
        self.fresh: list[str] = []
        self._most = most

    def note(self, task_id: str, lineage: Lineage | None) -> None:
        """Take in what was read of a task."""
        if len(self.tasks) >= self._most:
            self._forget_oldest()
        self.tasks[task_id] = lineage
        if lineage is None:
            return
        self.fresh.append(task_id)
        for group_id, parts in lineage.groups:
            self.groups[group_id] = parts
            self.member_of.update(dict.fromkeys(parts, group_id))

    def _forget_oldest(self) -> None:
        for old in list(self.tasks)[: self._most // 10]:
            lineage = self.tasks.pop(old)
            for group_id, parts in lineage.groups if lineage is not None else ():
                self.groups.pop(group_id, None)
                for part in parts:
                    self.member_of.pop(part, None)

    def note_chord(self, group_id: str, facts: ChordFacts) -> None:
        """Take in how far a chord is; a size once known stays known."""
        before = self.chords.get(group_id)
        if facts.size is None and before is not None:
            facts = ChordFacts(before.size, max(before.returned, facts.returned), facts.as_of)
        if len(self.chords) >= self._most:
            del self.chords[next(iter(self.chords))]
        self.chords[group_id] = facts

    def size_of(self, group_id: str) -> int | None:
        """Return how many parts a group has, where anything tells."""
        chord = self.chords.get(group_id)
        if chord is not None and chord.size is not None:
            return chord.size
        parts = self.groups.get(group_id)
        return None if parts is None else len(parts)

    def unsettled(self, group_id: str) -> bool:
        """Tell whether asking how far a chord is may bring news."""
        chord = self.chords.get(group_id)
        return chord is None or (chord.size is not None and chord.returned < chord.size)

    def taken(self) -> list[str]:
        """Return the ids noted since the last call."""
        fresh, self.fresh = self.fresh, []
        return fresh


def read_children(
    forms: Sequence[Any] | None,
) -> tuple[tuple[str, ...], tuple[tuple[str, tuple[str, ...]], ...]]:
    """Read the tuple forms of what a task sent: ids of tasks, and groups with their parts' ids.

    Nothing is trusted to have the right shape; what has not is left out.

    Source: celery/result.py, `AsyncResult.as_tuple`, `GroupResult.as_tuple`.
    """
    ids: list[str] = []
    groups: list[tuple[str, tuple[str, ...]]] = []
    for form in forms or ():
        own, parts = _form(form)
        if own is None or len(ids) >= _MOST_CHILDREN:
            continue
        if parts is None:
            ids.append(own)
            continue
        members = tuple(_ids(parts))[:_MOST_CHILDREN]
        groups.append((own, members))
        ids.extend(members)
    return tuple(ids), tuple(groups)


def _ids(forms: Iterable[Any]) -> Iterable[str]:
    for form in forms:
        own, _ = _form(form)
        if own is not None:
            yield own


def _form(form: Any) -> tuple[str | None, list[Any] | None]:
    """Read `[[id, parent], parts]`; parts are None for a single task."""
    if not isinstance(form, list | tuple) or len(form) != 2:
        return None, None
    head, parts = form
    if not isinstance(head, list | tuple) or not head or not isinstance(head[0], str):
        return None, None
    return head[0], list(parts) if isinstance(parts, list | tuple) else None
