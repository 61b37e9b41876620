"""A group, and a task that gets its results.

Source: PROTOCOL 4 and 10; celery/canvas.py, `_chord`; celery/backends/redis.py,
`on_chord_part_return`; celery/backends/base.py, `chord_error_from_stack`.
"""

from collections.abc import Mapping
from typing import Any

from tq.canvas.group import count_parts, group
from tq.canvas.options import as_list
from tq.canvas.plan import Plan
from tq.canvas.signature import Signature, as_signature, as_signatures, maybe_signature
from tq.canvas.stamping import stamp_chord
from tq.errors import ChordError
from tq.results import GroupResult, allow_join_result, leaves_of
from tq.states import IGNORED, REJECTED
from tq.wire.ids import new_id

__all__ = ["chord"]


@Signature.register_type("chord")
class chord(Signature):
    """A header of tasks, and a body that runs with the list of their results."""

    @property
    def tasks(self) -> Any:
        """Return the header: a list of its parts, or a group of them once it is frozen.

        It is a group also where the group that was given has options.
        """
        return self["kwargs"]["header"]

    @tasks.setter
    def tasks(self, header: Any) -> None:
        self["kwargs"]["header"] = header

    @property
    def parts(self) -> list[Any]:
        """Return the parts of the header."""
        found: list[Any] = self.tasks.tasks if isinstance(self.tasks, group) else self.tasks
        return found

    @property
    def header(self) -> group:
        """Return the header as a group."""
        return self.tasks if isinstance(self.tasks, group) else group(self.tasks, app=self._app)

    @property
    def body(self) -> Any:
        """Return the body, or None until it is given."""
        return self["kwargs"].get("body")

    @body.setter
    def body(self, body: Any) -> None:
        self["kwargs"]["body"] = body

    def __init__(
        self,
        header: Any,
        body: Any = None,
        task: str = "celery.chord",
        args: Any = None,
        kwargs: Mapping[str, Any] | None = None,
        app: Any = None,
        **options: Any,
    ) -> None:
        """Hold header and body; `kwargs` go to the header's tasks."""
        super().__init__(
            task,
            args,
            {
                "kwargs": dict(kwargs or {}),
                "header": _as_header(header, app),
                "body": maybe_signature(body, app=app),
            },
            subtask_type="chord",
            app=app,
            **options,
        )

    @classmethod
    def from_dict(cls, d: Mapping[str, Any], app: Any = None) -> "Signature":
        """Make a chord from its dictionary."""
        named = dict(d["kwargs"])
        made = cls(
            named.get("header") or [],
            named.get("body"),
            args=d.get("args"),
            kwargs=named.get("kwargs"),
            app=app,
            **(d.get("options") or {}),
        )
        made.immutable = bool(d.get("immutable", False))
        return made

    @property
    def app(self) -> Any:
        """Return the application: the given one, the header's, or the body's."""
        if self._app is not None:
            return self._app
        if self.parts:
            return self.parts[0].app
        return self.body.app if self.body is not None else super().app

    def clone(self, args: Any = None, kwargs: Any = None, **opts: Any) -> "chord":
        """Copy, header and body included."""
        front, named, _ = self.merge(args, kwargs, opts)
        copy = Signature.clone(self, **opts)
        copy.args = tuple(front)
        body = named.get("body")
        copy["kwargs"] = {
            "kwargs": {**named.get("kwargs", {}), **(kwargs or {})},
            "header": self.tasks.clone()
            if isinstance(self.tasks, group)
            else [part.clone() for part in self.tasks],
            "body": body.clone() if body is not None else None,
        }
        return copy  # type: ignore[return-value]  # from_dict gives the same type

    def __call__(self, body: Any = None, **options: Any) -> Any:
        """Send it; a body given here replaces the chord's."""
        return self.apply_async((), {"body": body} if body is not None else {}, **options)

    def __or__(self, other: Any) -> Any:
        """Let `other` run with the body's result."""
        if not isinstance(other, Signature):
            return NotImplemented
        if isinstance(other, group) and not other.tasks:
            return self
        return self.TYPES["chain"].join(self, other)  # type: ignore[attr-defined]  # chain's own

    # -- running -------------------------------------------------------------------------------

    def apply_async(self, args: Any = None, kwargs: Any = None, **options: Any) -> Any:
        """Send the header in bulk, its size before its last part; returns the body's result."""
        app = self.app
        if app.conf.task_always_eager:
            with allow_join_result():
                return self.apply(args, kwargs, **options)
        plan = Plan(app)
        result = self.plan(plan, args, kwargs, options)
        plan.run()
        return result

    def plan(self, plan: Plan, args: Any, kwargs: Any, options: dict[str, Any]) -> Any:
        """Add the header to `plan`, or the body where the header is empty."""
        named = dict(kwargs or {})
        given = named.pop("body", None)
        front = tuple(args) + tuple(self.args) if args and not self.immutable else self.args
        merged = {**self.options, **{k: v for k, v in options.items() if v is not None}}
        add_to_parent = merged.pop("add_to_parent", True)
        header = self.header
        body = as_signature(given if given is not None else self.body, self._app).clone()
        frozen_id = merged.pop("task_id", None)
        group_id = header.options.get("task_id") or new_id()
        delay = {key: merged.pop(key) for key in ("countdown", "eta") if key in merged}
        link = as_list(merged.pop("link", None))
        errbacks = as_list(merged.pop("link_error", None))
        for callback in link:
            body.link(callback)
        for errback in errbacks:
            body.link_error(errback)
        body.options.update(
            {
                k: v
                for k, v in merged.items()
                if k != "parent_id" and (k != "group_id" or k not in body.options)
            }
        )
        body_result = body.freeze(
            frozen_id if frozen_id != group_id else None,
            group_id=group_id,
            root_id=body.options.get("root_id"),
        )
        self.TYPES["chain"].strip(body)  # type: ignore[attr-defined]  # chain's own
        header_options = {k: v for k, v in merged.items() if k not in ("chain", "chord")}
        header_options.pop("group_id", None)
        header_options.pop("group_index", None)
        header_result: Any = GroupResult(group_id, [], app=self.app)
        if header.tasks:
            header_options.update(delay, task_id=group_id, chord=body, add_to_parent=add_to_parent)
            header_result = header.plan(
                plan, front, {**self["kwargs"]["kwargs"], **named}, header_options, as_header=True
            )
        if not plan.sizes.get(group_id):
            # No part will end: there is none, or only empty groups.
            plan.sizes.pop(group_id, None)
            values: list[Any] = [[] for _ in header_result.results]
            body.plan(plan, (values,), {}, {**delay, "add_to_parent": add_to_parent})
        _set_first_parent(body_result, header_result)
        return body_result

    def apply(
        self,
        args: Any = None,
        kwargs: Any = None,
        propagate: bool = True,
        body: Any = None,
        **options: Any,
    ) -> Any:
        """Run header and body eagerly; returns the body's result."""
        named = dict(kwargs or {})
        given = named.pop("body", None) or body
        target = as_signature(given if given is not None else self.body, self._app).clone()
        merged = {**self.options, **options}
        for callback in as_list(merged.get("link")):
            target.link(callback)
        for errback in as_list(merged.get("link_error")):
            target.link_error(errback)
        front = tuple(args) + tuple(self.args) if args and not self.immutable else self.args
        header_result = self.header.apply(front, {**self["kwargs"]["kwargs"], **named})
        for part in leaves_of(header_result):
            if part.state in (IGNORED, REJECTED):
                raise ChordError(f"Dependency {part.id} raised {part.result!r}")
        values = header_result.get(propagate=propagate, disable_sync_subtasks=False)
        result = target.apply((values,))
        _set_first_parent(result, header_result)
        return result

    # -- preparing -----------------------------------------------------------------------------

    def freeze(
        self,
        _id: str | None = None,
        group_id: str | None = None,
        chord: Any = None,
        root_id: str | None = None,
        parent_id: str | None = None,
        group_index: int | None = None,
    ) -> Any:
        """Give header and body ids; a place in an outer group goes to the body."""
        header = self.tasks = self.header
        header_result = header.freeze(parent_id=parent_id, root_id=root_id, chord=self.body)
        self.options["task_id"] = header.options["task_id"]
        if self.body is None:
            return header_result
        result = self.body.freeze(
            _id, root_id=root_id, chord=chord, group_id=group_id, group_index=group_index
        )
        _set_first_parent(result, header_result)
        return result

    # -- changing ------------------------------------------------------------------------------

    def link(self, callback: Any) -> Any:
        """Run `callback` with the body's result."""
        return self.body.link(callback)

    def link_error(self, errback: Any) -> Any:
        """Run `errback` when the body or the header fails.

        With `task_allow_error_cb_on_chord_header` each failing part of the header calls it too.
        """
        errback = as_signature(errback, self._app)
        on_header = self.app.conf.task_allow_error_cb_on_chord_header
        for member in self.parts:
            if isinstance(member, type(self)):
                member.link_error(errback)
            elif on_header:
                member.link_error(errback.clone().set(immutable=True))
        if self.body is not None:
            self.body.link_error(errback)
        return errback

    def set_immutable(self, immutable: bool) -> None:
        """Say whether the header's tasks ignore arguments of a previous step."""
        for part in self.parts:
            part.set_immutable(immutable)

    def stamp(self, visitor: Any = None, append_stamps: bool = False, **headers: Any) -> Any:
        """Put stamps on header and body."""
        return stamp_chord(self, self.parts, visitor, append_stamps, headers)

    def __length_hint__(self) -> int:
        """Count the parts of the header."""
        return sum(count_parts(part) for part in self.parts)

    def __repr__(self) -> str:
        """Show header and body."""
        if self.body is None:
            return f"<chord without body: {self.header!r}>"
        return f"%{self.body!r}<-{self.header!r}"


def _as_header(header: Any, app: Any) -> Any:
    """Return what a chord keeps of a header.

    A chain as header is its steps, side by side; signatures in a list are copied, so that what is
    linked to a part leaves the caller's alone. Source: celery/canvas.py, `_maybe_group`.
    """
    if isinstance(header, Mapping):
        found = as_signature(header, app)
        if isinstance(found, group):
            return found if found.options else found.tasks
        return as_signatures(found, app)
    parts = as_signatures(header, app)
    if not isinstance(header, list | tuple):
        return parts
    return [
        part.clone() if part is given else part for part, given in zip(parts, header, strict=True)
    ]


def _set_first_parent(result: Any, parent: Any) -> None:
    node = result
    while node.parent is not None and node.parent is not parent:
        node = node.parent
    node.parent = parent
