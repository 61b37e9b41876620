"""One task after another.

Source: PROTOCOL 4; celery/canvas.py, `_chain` (`prepare_steps`, `run`).
"""

from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import Any

from tq.canvas.chord import chord as chord_type
from tq.canvas.group import group as group_type
from tq.canvas.group import is_empty_group, unroll_single
from tq.canvas.options import as_list
from tq.canvas.plan import Plan
from tq.canvas.signature import Signature, as_signature
from tq.canvas.stamping import stamp_members
from tq.results import allow_join_result
from tq.states import IGNORED, REJECTED

__all__ = ["_chain", "chain"]

# What a chain uses itself; the rest of its options goes to its first task.
_OWN_OPTIONS = frozenset(
    {
        "chord",
        "group_id",
        "group_index",
        "link",
        "link_error",
        "parent_id",
        "root_id",
        "task_id",
    }
)


def root_of(result: Any) -> Any:
    """Return the first result of the line that ends in `result`."""
    while result.parent is not None:
        result = result.parent
    return result


class _chain(Signature):
    """Tasks that each get the result of the one before."""

    @property
    def tasks(self) -> list[Any]:
        """Return the steps."""
        steps: list[Any] = self["kwargs"]["tasks"]
        return steps

    @tasks.setter
    def tasks(self, steps: list[Any]) -> None:
        self["kwargs"]["tasks"] = steps

    def __init__(self, *tasks: Any, **options: Any) -> None:
        """Chain `tasks`, or the one iterable given, as they are."""
        steps: Iterable[Any] = tasks
        if len(tasks) == 1 and not isinstance(tasks[0], Mapping):
            steps = tasks[0]
        app = options.pop("app", None)
        super().__init__(
            "celery.chain",
            (),
            {"tasks": [as_signature(step, app) for step in steps]},
            subtask_type="chain",
            app=app,
            **options,
        )

    @classmethod
    def from_dict(cls, d: Mapping[str, Any], app: Any = None) -> "Signature":
        """Make a chain from its dictionary."""
        made = _chain(d["kwargs"].get("tasks") or [], app=app, **(d.get("options") or {}))
        made.args = d.get("args") or ()
        made.immutable = bool(d.get("immutable", False))
        return made

    @property
    def app(self) -> Any:
        """Return the application: the given one, or the first step's."""
        if self._app is None and self.tasks:
            return self.tasks[0].app
        return super().app

    def clone(self, args: Any = None, kwargs: Any = None, **opts: Any) -> "_chain":
        """Copy, steps included."""
        args, kwargs, _ = self.merge(args, kwargs, opts)
        copy = Signature.clone(self, **opts)
        copy.args = tuple(args)
        copy["kwargs"] = {**kwargs, "tasks": [step.clone() for step in self.tasks]}
        return copy  # type: ignore[return-value]  # from_dict gives the same type

    def unchain_tasks(self) -> list[Signature]:
        """Return copies of the steps that carry the chain's own links."""
        steps = [step.clone() for step in self.tasks]
        if steps:
            for callback in as_list(self.options.get("link")):
                steps[-1].link(callback)
            for errback in as_list(self.options.get("link_error")):
                for step in steps:
                    step.link_error(errback)
        return steps

    # -- building ------------------------------------------------------------------------------

    @classmethod
    def join(cls, left: Signature, right: Signature) -> Signature:
        """Return what `left | right` means."""
        if is_empty_group(right) and not isinstance(left, chord_type):
            return left
        if isinstance(left, _chain):
            return fold(left.unchain_tasks(), [right], left.own_app)
        return fold([left], [right], left.own_app)

    def __or__(self, other: Any) -> Any:
        """Add a step; a group followed by a task becomes a chord."""
        if not isinstance(other, Signature):
            return NotImplemented
        return self.join(self, other)

    @staticmethod
    def strip(sig: Any) -> None:
        """See `strip_header_links`; reached through `TYPES` by chords, which chains build on."""
        strip_header_links(sig)

    # -- running -------------------------------------------------------------------------------

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Send it."""
        return self.apply_async(args, kwargs) if self.tasks else None

    def apply_async(self, args: Any = None, kwargs: Any = None, **options: Any) -> Any:
        """Send the first step, which carries the rest; returns the last step's result."""
        app = self.app
        if app.conf.task_always_eager:
            with allow_join_result():
                return self.apply(args, kwargs, **options)
        plan = Plan(app)
        result = self.plan(plan, args, kwargs, options)
        plan.run()
        return result

    def plan(self, plan: Plan, args: Any, kwargs: Any, options: dict[str, Any]) -> Any:
        """Add the first step to `plan`."""
        merged = {**self.options, **options}
        own = {key: merged.pop(key) for key in _OWN_OPTIONS if key in merged}
        front = tuple(args) + tuple(self.args) if args and not self.immutable else self.args
        steps, results = self.prepare_steps(
            front,
            kwargs,
            self.tasks,
            own.get("root_id"),
            own.get("parent_id"),
            own.get("link_error"),
            last_task_id=own.get("task_id"),
            group_id=own.get("group_id"),
            chord_body=own.get("chord"),
            group_index=own.get("group_index"),
        )
        if not steps:
            return None
        if own.get("link"):
            for callback in as_list(own["link"]):
                steps[0].link(callback)
        first = steps.pop()
        if steps and not self._uses_links():
            merged["chain"] = as_list(merged.get("chain")) + steps
        result = first.plan(plan, (), {}, merged)
        return results[0] if steps else result

    def _uses_links(self) -> bool:
        """Tell whether steps are linked as callbacks: protocol 1 has no field for the rest."""
        return getattr(self.app.conf, "task_protocol", 2) == 1

    def apply(self, args: Any = None, kwargs: Any = None, **options: Any) -> Any:
        """Run the steps eagerly, one after another; returns the last one's result."""
        steps = [step for step in self.tasks if not is_empty_group(step)] or self.tasks[-1:]
        merged = {**self.options, **options}
        callbacks = as_list(merged.pop("link", None))
        last: Any = None
        for index, step in enumerate(steps):
            copy = step.clone()
            if index == len(steps) - 1:
                for callback in callbacks:
                    copy.link(callback)
            front, named = ((last.get(),), None) if last is not None else (args, kwargs)
            result = copy.apply(front, named, **merged)
            if last is not None:
                root_of(result).parent = last
            last = result
            if getattr(result, "state", None) in (IGNORED, REJECTED):
                break
        return last

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
        """Give every step its id; the group's place goes to the last one. Returns its result."""
        # Without the chain's arguments: they are put in front when it is sent.
        _, results = self.prepare_steps(
            (),
            None,
            self.tasks,
            root_id,
            parent_id,
            last_task_id=_id,
            group_id=group_id,
            chord_body=chord,
            clone=False,
            group_index=group_index,
        )
        return results[0]

    def prepare_steps(
        self,
        args: Any,
        kwargs: Any,
        tasks: Iterable[Any],
        root_id: str | None = None,
        parent_id: str | None = None,
        link_error: Any = None,
        app: Any = None,
        last_task_id: str | None = None,
        group_id: str | None = None,
        chord_body: Any = None,
        clone: bool = True,
        from_dict: Any = None,
        group_index: int | None = None,
    ) -> tuple[list[Any], list[Any]]:
        """Flatten, upgrade groups to chords, and freeze.

        Args:
            args: Go to the first step.
            kwargs: Go to the first step.
            tasks: The steps.
            root_id: The workflow's first task.
            parent_id: The sending task.
            link_error: Errbacks for every step.
            app: Kept for Celery's call shape, as `from_dict`.
            last_task_id: The last step's id, if it has none.
            group_id: The group the chain is a member of; only its last step counts in it.
            chord_body: The body of the chord the chain is a part of.
            clone: Leave the given steps alone; False freezes them in place.
            from_dict: As `app`.
            group_index: The chain's place in its group.

        Returns:
            The steps and their results in reverse, the last step first, as `embed.chain` has them;
            each result's parent is the step before it.
        """
        steps = flatten(tasks, clone, self._app)
        if steps:
            steps[0] = _with_arguments(steps[0], args, kwargs, clone)
        frozen: list[Any] = []
        results: list[Any] = []
        for step in reversed(steps):
            if isinstance(step, group_type) and frozen:
                body = frozen.pop()
                results.pop()
                # A group body has no id before it runs.
                options = {} if isinstance(body, group_type) else {"task_id": body.id}
                step = chord_type(step, body=body, app=self._app, **options)
            place: dict[str, Any] = {"root_id": root_id}
            if not frozen:
                place.update(
                    _id=last_task_id,
                    group_id=group_id,
                    chord=chord_body,
                    group_index=group_index,
                )
            results.append(step.freeze(**place))
            if frozen and self._uses_links():
                step.link(frozen[-1])
            for errback in as_list(link_error):
                step.link_error(errback)
            frozen.append(step)
        for later, earlier in pairwise(results):
            root_of(later).parent = earlier
        if results:
            self.options["task_id"] = results[0].id
        if parent_id and frozen:
            frozen[-1].options["parent_id"] = parent_id
        if clone:
            for step in frozen:
                strip_header_links(step)
        return frozen, results

    # -- the rest ------------------------------------------------------------------------------

    def stamp(self, visitor: Any = None, append_stamps: bool = False, **headers: Any) -> Any:
        """Put stamps on every step."""
        return stamp_members(self, "chain", self.tasks, visitor, append_stamps, headers)

    def __repr__(self) -> str:
        """Show the steps with bars between them."""
        return " | ".join(repr(step) for step in self.tasks) or "chain(<empty>)"


class chain(_chain):
    """Chain tasks: `chain(a, b, c)` is `a | b | c`; one iterable is taken as the steps."""

    def __new__(cls, *tasks: Any, **kwargs: Any) -> Any:
        """Combine as `|` does, so that the outcome may be another canvas."""
        if kwargs or not tasks:
            return super().__new__(cls)
        if len(tasks) == 1:
            if isinstance(tasks[0], Mapping):
                return super().__new__(cls)
            tasks = tuple(tasks[0])
        return fold([], [as_signature(task) for task in tasks], None)


def fold(steps: list[Signature], more: Iterable[Signature], app: Any) -> Signature:
    """Add `more` to `steps` by the rules of `|`, in one pass.

    A group is followed by nothing: the next step makes both a chord. What follows a chord joins
    its body.

    Source: celery/canvas.py, `_chain.__or__`.
    """
    pending = [*reversed(list(more))]
    while pending:
        other = unroll_single(pending.pop())
        if is_empty_group(other):
            continue
        if isinstance(other, _chain):
            pending.extend(reversed(other.unchain_tasks()))
            continue
        last = steps[-1] if steps else None
        if isinstance(last, group_type):
            joined = chord_type(last, body=other, app=app)
            if len(steps) > 1 and isinstance(steps[-2], chord_type):
                steps.pop()
                steps[-1] = _with_body(steps[-1], joined)
            else:
                steps[-1] = joined
        elif isinstance(last, chord_type):
            steps[-1] = _with_body(last, other)
        else:
            steps.append(other)
    if len(steps) == 1 and isinstance(steps[0], chord_type | group_type):
        return steps[0]
    return _chain(steps, app=app)


def _with_arguments(step: Any, args: Any, kwargs: Any, clone: bool) -> Any:
    if clone:
        return step.clone(args, kwargs or None)
    if args:
        step.args = tuple(args) + tuple(step.args)
    return step


def _with_body(step: Any, other: Signature) -> Any:
    copy = step.clone()
    copy.body = copy.body | other if copy.body is not None else other
    return copy


def flatten(tasks: Iterable[Any], clone: bool, app: Any) -> list[Any]:
    """Return the steps without nested chains, single groups and empty groups.

    An empty group is kept where nothing else is left, so that the chain has a result.
    """
    pending = [*reversed([as_signature(task, app) for task in tasks])]
    steps: list[Any] = []
    empty: list[Any] = []
    while pending:
        step = unroll_single(pending.pop())
        if is_empty_group(step):
            empty.append(step)
        elif isinstance(step, _chain):
            pending.extend(reversed(step.unchain_tasks() if clone else step.tasks))
        elif clone and isinstance(step, chord_type) and _led_by_task(step.body):
            pending.extend(reversed(_split_body(step)))
        else:
            steps.append(step.clone() if clone else step)
    return steps or empty[-1:]


def _led_by_task(body: Any) -> bool:
    return (
        isinstance(body, _chain) and bool(body.tasks) and not isinstance(body.tasks[0], group_type)
    )


def _split_body(step: Any) -> list[Any]:
    """Take the steps after the first out of a chord's body.

    Every part of the header carries the body: with the rest of a long chain in it, each message
    would hold all that follows, and nested chords would double it at each level.
    """
    copy = step.clone()
    rest = copy.body.unchain_tasks()
    passed = {k: v for k, v in copy.body.options.items() if k not in _OWN_OPTIONS}
    copy.body = rest[0].clone(**passed)
    return [copy, *rest[1:]]


def linked(rest: Iterable[Mapping[str, Any]]) -> Signature:
    """Return the remaining steps of a chain linked together: protocol 1 has no field for them.

    Args:
        rest: The steps, one at least and the last first, as `embed.chain` has them.
    """
    following, *before = [as_signature(step).clone() for step in rest]
    for step in before:
        step.link(following)
        following = step
    return following


def strip_header_links(sig: Any) -> None:
    """Take the body off the parts of chords that are still to be started.

    Such a chord carries its body itself, and puts it on its parts when it starts.
    """
    if isinstance(sig, chord_type):
        _clear_chord([sig.tasks] if isinstance(sig.tasks, group_type) else sig.tasks)
        for part in sig.parts:
            strip_header_links(part)
        if sig.body is not None:
            strip_header_links(sig.body)
    elif isinstance(sig, group_type | _chain):
        for task in sig.tasks:
            strip_header_links(task)


def _clear_chord(tasks: Iterable[Any]) -> None:
    for task in tasks:
        task.options.pop("chord", None)
        if isinstance(task, group_type):
            _clear_chord(task.tasks)
        elif isinstance(task, _chain) and task.tasks:
            _clear_chord(task.tasks[-1:])
        elif isinstance(task, chord_type) and task.body is not None:
            _clear_chord([task.body])


Signature.TYPES["chain"] = _chain
