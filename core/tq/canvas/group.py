"""Tasks at once.

Source: PROTOCOL 4; celery/canvas.py, `group`.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NoReturn

from tq.canvas.options import FIXED_OPTIONS, copy_options
from tq.canvas.plan import Plan
from tq.canvas.signature import Signature, as_signature, as_signatures
from tq.canvas.stamping import stamp_members
from tq.results import GroupResult
from tq.wire.ids import new_id

__all__ = ["count_parts", "group", "is_empty_group", "unroll_single"]


@Signature.register_type("group")
class group(Signature):
    """Tasks that run side by side; one iterable is taken as the members."""

    @property
    def tasks(self) -> list[Any]:
        """Return the members."""
        members: list[Any] = self["kwargs"]["tasks"]
        return members

    @tasks.setter
    def tasks(self, members: list[Any]) -> None:
        self["kwargs"]["tasks"] = members

    def __init__(self, *tasks: Any, **options: Any) -> None:
        """Hold `tasks`; `options` apply to every member when it is sent."""
        app = options.pop("app", None)
        given: Any = tasks[0] if len(tasks) == 1 else tasks
        if isinstance(given, Mapping) and given["subtask_type"] == "chain":
            given = (given,)
        found = as_signatures(given, app)
        super().__init__(
            "celery.group", (), {"tasks": found}, subtask_type="group", app=app, **options
        )

    @classmethod
    def from_dict(cls, d: Mapping[str, Any], app: Any = None) -> "Signature":
        """Make a group from its dictionary."""
        made = cls(d["kwargs"].get("tasks") or [], app=app, **(d.get("options") or {}))
        made.immutable = bool(d.get("immutable", False))
        return made

    @property
    def app(self) -> Any:
        """Return the application: the given one, or the first member's."""
        if self._app is None and self.tasks:
            return self.tasks[0].app
        return super().app

    def clone(self, args: Any = None, kwargs: Any = None, **opts: Any) -> "group":
        """Copy, members included; arguments go to each member."""
        _, _, options = self.merge(None, None, opts)
        members = [member.clone(args, kwargs) for member in self.tasks]
        copy = type(self)(members, app=self._app, **copy_options(options))
        copy.immutable = self.immutable
        return copy

    def __call__(self, *partial_args: Any, **options: Any) -> Any:
        """Send it."""
        return self.apply_async(partial_args, **options)

    def __or__(self, other: Any) -> Any:
        """Run `other` with the list of results: a chord."""
        if not isinstance(other, Signature):
            return NotImplemented
        if is_empty_group(other):
            return self
        return self.TYPES["chord"](self, body=other, app=self._app)

    def skew(self, start: float = 1.0, stop: float | None = None, step: float = 1.0) -> "group":
        """Let the members start one after another, `step` seconds apart, from `start` to `stop`."""
        delay = start
        for member in self.tasks:
            member.set(countdown=delay)
            if stop is None or delay + step <= stop:
                delay += step
        return self

    # -- running -------------------------------------------------------------------------------

    def apply_async(
        self,
        args: Any = None,
        kwargs: Any = None,
        add_to_parent: bool = True,
        producer: Any = None,
        link: Any = None,
        link_error: Any = None,
        **options: Any,
    ) -> Any:
        """Send every member in bulk; returns a `GroupResult`."""
        if link is not None or link_error is not None:
            _refuse_links()
        app = self.app
        if app.conf.task_always_eager:
            return self.apply(args, kwargs, **options)
        plan = Plan(app)
        result = self.plan(plan, args, kwargs, {**options, "add_to_parent": add_to_parent})
        plan.run()
        return result

    def plan(
        self,
        plan: Plan,
        args: Any,
        kwargs: Any,
        options: dict[str, Any],
        as_header: bool = False,
    ) -> Any:
        """Add every member to `plan`, and the size of the chord they are parts of.

        Args:
            plan: Publishes its batches meanwhile.
            args: Go to each member.
            kwargs: Go to each member.
            options: Go to each member; `chord` is the body that waits for them.
            as_header: Whether they are the parts of a chord, and in the order of its header.
        """
        if not self.tasks:
            return self.freeze()
        merged, group_id = self._own_options(options)
        add_to_parent = merged.pop("add_to_parent", True)
        body = merged.pop("chord", None)
        merged.pop("group_index", None)
        results: list[Any] = []
        parts = 0
        app = self.app
        chord = None
        passed = {**merged, "add_to_parent": False}
        for index, member in enumerate(self.flattened()) if as_header else self.unrolled():
            chord = body if body is not None else member.options.get("chord")
            if chord is not None:
                passed["chord"] = chord
            if type(member) is Signature:
                call = member.as_member(args, kwargs, passed, index)
                plan.calls.append(call)
                results.append(call.result_of(app))
                parts += 1
            else:
                copy = member.clone()
                place = {"root_id": merged.get("root_id"), "group_index": index}
                results.append(copy.freeze(group_id=group_id, chord=body, **place))
                parts += count_parts(copy)
                copy.plan(plan, args, kwargs, passed)
            if body is None:
                passed.pop("chord", None)
            plan.make_room()
        result = GroupResult(group_id, results, app=app)
        if chord is not None:
            plan.sizes[group_id] = parts
        if as_header and any(isinstance(found, GroupResult) for found in results):
            plan.groups[group_id] = {"result": result.as_tuple()}
        if add_to_parent:
            plan.trail.append(result)
        return result

    def apply(self, args: Any = None, kwargs: Any = None, **options: Any) -> Any:
        """Run every member eagerly."""
        if not self.tasks:
            return self.freeze()
        merged, group_id = self._own_options(options)
        merged.pop("add_to_parent", None)
        results = [member.clone().apply(args, kwargs, **merged) for _, member in self.unrolled()]
        return GroupResult(group_id, results, app=self.app)

    def _own_options(self, options: dict[str, Any]) -> tuple[dict[str, Any], str]:
        """Combine options; the group's task id becomes its members' group id."""
        merged = {
            **self.options,
            **{
                k: v
                for k, v in options.items()
                if v is not None and (k not in FIXED_OPTIONS or k not in self.options)
            },
        }
        group_id = merged.pop("task_id", None) or new_id()
        merged["group_id"] = group_id
        return merged, group_id

    def unrolled(self) -> Iterator[tuple[int, Any]]:
        """Yield (index, member); nested groups give theirs, with their own indexes."""
        for index, member in enumerate(self.tasks):
            if isinstance(member, group):
                yield from member.unrolled()
            elif not _is_empty_chain(member):
                yield index, member

    def flattened(self) -> Iterator[Any]:
        """Yield the members as a header has them, nested groups flattened.

        The members of a nested group come out in reverse: `[group(a, b), c]` is b, a, c. It is
        Celery's order (`_freeze_unroll`), and a chord's body depends on it.
        """
        for member in self.tasks:
            pending = deque((member,))
            while pending:
                part = as_signature(pending.popleft(), self._app)
                if isinstance(part, group):
                    pending.extendleft(part.tasks)
                elif not _is_empty_chain(part):
                    yield part

    # -- preparing -----------------------------------------------------------------------------

    def freeze(
        self,
        _id: str | None = None,
        group_id: str | None = None,
        chord: Any = None,
        root_id: str | None = None,
        parent_id: str | None = None,
        group_index: int | None = None,
    ) -> GroupResult:
        """Give the group and its members ids; returns their result."""
        options = self.options
        own_id = options.setdefault("task_id", new_id())
        if group_id:
            options["group_id"] = group_id
        if chord:
            options["chord"] = chord
        if group_index is not None:
            options["group_index"] = group_index
        root_id = options.setdefault("root_id", root_id)
        parent_id = options.setdefault("parent_id", parent_id)
        results = self.freeze_members(group_id, chord, root_id, parent_id)
        return GroupResult(own_id, results, app=self.app)

    def freeze_members(
        self,
        group_id: str | None,
        chord: Any,
        root_id: str | None,
        parent_id: str | None = None,
    ) -> list[Any]:
        """Flatten nested groups in place, and freeze the members; returns their results."""
        members = [part.clone() for part in self.flattened()]
        self.tasks = members
        return [
            member.freeze(
                group_id=group_id,
                chord=chord,
                root_id=root_id,
                parent_id=parent_id,
                group_index=index,
            )
            for index, member in enumerate(members)
        ]

    # -- changing all members ------------------------------------------------------------------

    def link(self, callback: Any) -> Any:
        """Run `callback` when the first member succeeds, without its result (as Celery does)."""
        if not self.tasks:
            return self.append_to_list_option("link", callback)
        return self.tasks[0].link(as_signature(callback).clone().set(immutable=True))

    def link_error(self, errback: Any) -> Any:
        """Run `errback` for every member that fails."""
        return tuple(member.link_error(as_signature(errback).clone()) for member in self.tasks)

    def set_immutable(self, immutable: bool) -> None:
        """Say whether the members ignore arguments of a previous step."""
        for member in self.tasks:
            member.set_immutable(immutable)

    def stamp(self, visitor: Any = None, append_stamps: bool = False, **headers: Any) -> Any:
        """Put stamps on every member."""
        return stamp_members(self, "group", self.tasks, visitor, append_stamps, headers)

    def __len__(self) -> int:
        """Count the members."""
        return len(self.tasks)

    def __bool__(self) -> bool:
        """Say True also for an empty group, which is a signature like any other."""
        return True

    def __repr__(self) -> str:
        """Show the members."""
        return f"group({', '.join(repr(member) for member in self.tasks)})"


def _refuse_links() -> NoReturn:
    raise TypeError("a group takes no link: use a chord, or link its members")


def _is_empty_chain(task: Any) -> bool:
    return task["subtask_type"] == "chain" and not task.tasks


def is_empty_group(task: Any) -> bool:
    """Tell whether `task` is a group without members."""
    return isinstance(task, group) and not task.tasks


def unroll_single(task: Any) -> Any:
    """Return the member of a group of one, else `task`."""
    while isinstance(task, group) and len(task.tasks[:2]) == 1:
        task = task.tasks[0]
    return task


def count_parts(task: Any) -> int:
    """Count how many finished tasks a member of a header comes to.

    A chain counts by its last step, a chord by its body, a group by its members.

    Source: celery/canvas.py, `_chord._descend`.
    """
    if isinstance(task, group):
        return sum(count_parts(member) for member in task.tasks)
    kind = task["subtask_type"]
    if kind == "chain":
        return _first_count(reversed(task.tasks))
    if kind == "chord":
        return count_parts(task.body)
    return 1


def _first_count(tasks: Iterable[Any]) -> int:
    for task in tasks:
        count = count_parts(task)
        if count:
            return count
    return 0
