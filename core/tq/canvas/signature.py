"""A call that can be sent later.

A signature is a dictionary with exactly the keys Celery writes, so that it may travel as it is.

Source: PROTOCOL 4; API.md, Signature; celery/canvas.py, `Signature`.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar, Self, cast

from tq.canvas.members import members_of
from tq.canvas.options import (
    FIXED_OPTIONS,
    as_list,
    copy_options,
    given_options,
    ignores_result,
    item_property,
    option_property,
)
from tq.canvas.plan import Plan
from tq.canvas.sender import default_sender
from tq.canvas.stamping import stamp_links, stamp_signature
from tq.results import AsyncResult
from tq.wire.ids import new_id

__all__ = [
    "Signature",
    "as_signature",
    "as_signatures",
    "maybe_signature",
    "signature",
    "subtask",
]

_TYPE_OF_TASK = {"celery.map": "xmap", "celery.starmap": "xstarmap", "celery.chunks": "chunks"}


class Signature(dict[str, Any]):
    """One task with arguments and options; what arrives later goes in front of its arguments.

    Args:
        task: A task, its name, or a dictionary to take over.
        args: Positional arguments.
        kwargs: Keyword arguments.
        options: Call options, as for `apply_async`; more may follow as keywords.
        type: The task object, where `task` is its name.
        subtask_type: Which canvas it is, None for a plain task.
        immutable: Take no arguments from a previous step.
        app: The application; without one the current is used.
    """

    TYPES: ClassVar[dict[str, type["Signature"]]] = {}

    _app: Any = None
    _type: Any = None

    task = item_property("task", "The task's name.")
    args = item_property("args", "Positional arguments.")
    kwargs = item_property("kwargs", "Keyword arguments.")
    options = item_property("options", "Call options.")
    subtask_type = item_property("subtask_type", "Which canvas this is, or None.")
    immutable = item_property("immutable", "Whether arguments of a previous step are ignored.")
    id = option_property("task_id", "The task's id, once frozen.")
    parent_id = option_property("parent_id", "The id of the task that sends it.")
    root_id = option_property("root_id", "The id of the workflow's first task.")

    @classmethod
    def register_type(cls, name: str | None = None) -> Callable[[type[Self]], type[Self]]:
        """Return a class decorator that makes a subclass the type for `subtask_type` `name`."""

        def register(subclass: type[Self]) -> type[Self]:
            cls.TYPES[name or subclass.__name__] = subclass
            return subclass

        return register

    @classmethod
    def from_dict(cls, d: Mapping[str, Any], app: Any = None) -> "Signature":
        """Make a signature of the right type from a dictionary; `d` is left as it is."""
        # Celery leaves the type of maps and chunks out; their task's name tells it.
        kind = d.get("subtask_type") or _TYPE_OF_TASK.get(d["task"])
        if kind:
            target = cls.TYPES.get(kind)
            if target is not None and target is not cls:
                return target.from_dict(d, app=app)
        return Signature(d, app=app)

    def __init__(
        self,
        task: Any = None,
        args: Iterable[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        options: Mapping[str, Any] | None = None,
        type: Any = None,  # noqa: A002 - Celery's name for it
        subtask_type: str | None = None,
        immutable: bool = False,
        app: Any = None,
        **ex: Any,
    ) -> None:
        """Keep what the class describes."""
        if app is not None:
            self._app = app
        if isinstance(task, Mapping):
            super().__init__(
                task=task["task"],
                args=task.get("args") or (),
                kwargs=dict(task.get("kwargs") or {}),
                options=dict(task.get("options") or {}),
                subtask_type=task.get("subtask_type"),
                immutable=bool(task.get("immutable", False)),
            )
            return
        name = getattr(task, "name", None)
        if name is not None:
            type = task  # noqa: A001 - as above
        if type is not None:
            self._type = type
        super().__init__(
            task=name if name is not None else task,
            args=tuple(args or ()),
            kwargs=dict(kwargs or {}),
            options=dict(options or {}, **ex),
            subtask_type=subtask_type,
            immutable=immutable,
        )

    # -- the application -----------------------------------------------------------------------

    @property
    def app(self) -> Any:
        """Return the application: the given one, the task's, or the current."""
        if self._app is not None:
            return self._app
        found = getattr(self._type, "app", None)
        return found if found is not None else default_sender()

    @property
    def own_app(self) -> Any:
        """Return the application that was given, or None."""
        return self._app

    @property
    def name(self) -> str:
        """Return the task's name, as `Task.name` does."""
        return cast(str, self["task"])

    @property
    def type(self) -> Any:
        """Return the registered task.

        Raises:
            NotRegistered: It is not registered here.
        """
        return self._type if self._type is not None else self.app.tasks[self["task"]]

    # -- calling -------------------------------------------------------------------------------

    def __call__(self, *partial_args: Any, **partial_kwargs: Any) -> Any:
        """Run the task's function here and now."""
        args, kwargs, _ = self.merge(partial_args, partial_kwargs)
        return self.type(*args, **kwargs)

    def delay(self, *partial_args: Any, **partial_kwargs: Any) -> Any:
        """Send it, with more arguments in front."""
        return self.apply_async(partial_args, partial_kwargs)

    def apply(self, args: Any = None, kwargs: Any = None, **options: Any) -> Any:
        """Run it eagerly; returns an `EagerResult`."""
        args, kwargs, options = self.merge(args, kwargs, given_options(options))
        return self.type.apply(args, kwargs, **options)

    def apply_async(self, args: Any = None, kwargs: Any = None, **options: Any) -> Any:
        """Send it, with more arguments in front and more options; returns its result."""
        args, kwargs, options = self.merge(args, kwargs, given_options(options))
        if self._type is not None:
            return self._type.apply_async(args, kwargs, **options)
        app = self.app
        task = app.tasks.get(self["task"])
        if task is not None:
            return task.apply_async(args, kwargs, **options)
        return app.send_task(self["task"], args, kwargs, **options)

    def plan(self, plan: Plan, args: Any, kwargs: Any, options: dict[str, Any]) -> Any:
        """Add to `plan` what starting this takes; returns the result. Nothing is sent."""
        args, kwargs, merged = self.merge(args, kwargs, given_options(options))
        merged.setdefault("task_id", new_id())
        call = Signature(self["task"], args, kwargs, merged, type=self._type, app=self._app)
        plan.calls.append(call)
        return call.result_of()

    def as_member(
        self, args: Any, kwargs: Any, options: dict[str, Any], group_index: int
    ) -> "Signature":
        """Return the call that this is as a member of a group: frozen, and this left as it is."""
        args, kwargs, merged = self.merge(args, kwargs, options)
        merged["group_index"] = group_index
        merged.setdefault("task_id", new_id())
        if "reply_to" not in merged:
            merged["reply_to"] = self.app.thread_oid
        return self._plain(args, kwargs, merged)

    def _plain(self, args: Any, kwargs: Any, options: Any) -> "Signature":
        """Make a plain call of the same task: once per member of a group, 3 us instead of 9."""
        call = Signature.__new__(Signature)
        call.update(
            task=self["task"],
            args=args,
            kwargs=kwargs,
            options=options,
            subtask_type=self["subtask_type"],
            immutable=self["immutable"],
        )
        return call.bind(self._app, self._type)

    def merge(
        self,
        args: Any = None,
        kwargs: Mapping[str, Any] | None = None,
        options: Mapping[str, Any] | None = None,
        force: bool = False,
    ) -> tuple[Any, dict[str, Any], dict[str, Any]]:
        """Combine what arrives with what is here.

        Args:
            args: Go in front, unless immutable.
            kwargs: Override, unless immutable.
            options: Override, except the group's id and stamps that are here.
            force: Combine arguments although immutable.
        """
        own = self["options"]
        if options:
            fixed: Iterable[str] = FIXED_OPTIONS
            if "stamped_headers" in own:
                fixed = FIXED_OPTIONS.union(own["stamped_headers"] or ())
            merged = {
                **own,
                **{k: v for k, v in options.items() if k not in own or k not in fixed},
            }
        else:
            merged = dict(own)
        if self["immutable"] and not force:
            return self["args"], self["kwargs"], merged
        return (
            tuple(args) + tuple(self["args"]) if args else self["args"],
            {**self["kwargs"], **kwargs} if kwargs else self["kwargs"],
            merged,
        )

    # -- changing ------------------------------------------------------------------------------

    def clone(self, args: Any = None, kwargs: Any = None, **opts: Any) -> "Signature":
        """Copy, with more arguments and options; arguments themselves are not copied."""
        args, kwargs, options = self.merge(args, kwargs, opts)
        if type(self) is Signature:
            return self._plain(tuple(args), dict(kwargs), copy_options(options))
        copy = Signature.from_dict(
            {
                "task": self["task"],
                "args": tuple(args),
                "kwargs": dict(kwargs),
                "options": copy_options(options),
                "subtask_type": self["subtask_type"],
                "immutable": self["immutable"],
            },
            app=self._app,
        )
        return copy.bind(None, self._type)

    def bind(self, app: Any, task: Any = None) -> Self:
        """Set application and task where they are not set; returns this signature."""
        if self._app is None and app is not None:
            self._app = app
        if self._type is None and task is not None:
            self._type = task
        return self

    partial = clone

    def freeze(
        self,
        _id: str | None = None,
        group_id: str | None = None,
        chord: Any = None,
        root_id: str | None = None,
        parent_id: str | None = None,
        group_index: int | None = None,
    ) -> Any:
        """Give it an id, if it has none, and a place in a group; returns its result."""
        options = self["options"]
        if "task_id" not in options:
            options["task_id"] = _id or new_id()
        if root_id:
            options["root_id"] = root_id
        if parent_id:
            options["parent_id"] = parent_id
        if "reply_to" not in options:
            options["reply_to"] = self.app.thread_oid
        if group_id and "group_id" not in options:
            options["group_id"] = group_id
        if chord:
            options["chord"] = chord
        if group_index is not None:
            options["group_index"] = group_index
        return self.result_of()

    def result_of(self, app: Any = None) -> AsyncResult:
        """Return the result of this call, which has its id; `app` where it was looked up."""
        app = app if app is not None else self.app
        found = AsyncResult(self["options"]["task_id"], app=app)
        task = self._type if self._type is not None else app.tasks.get(self["task"])
        # Nothing will come: whoever waits for a canvas that it is in would wait for ever.
        found.ignored = ignores_result(self["options"], task)
        return found

    def replace(self, args: Any = None, kwargs: Any = None, options: Any = None) -> "Signature":
        """Copy, with whole parts replaced."""
        copy = self.clone()
        if args is not None:
            copy.args = args
        if kwargs is not None:
            copy.kwargs = kwargs
        if options is not None:
            copy.options = options
        return copy

    def set(self, immutable: bool | None = None, **options: Any) -> Self:
        """Set options in place; returns this signature."""
        if immutable is not None:
            self.set_immutable(immutable)
        self["options"].update(options)
        return self

    def set_immutable(self, immutable: bool) -> None:
        """Say whether arguments of a previous step are ignored."""
        self.immutable = immutable

    # -- links ---------------------------------------------------------------------------------

    def append_to_list_option(self, key: str, value: Any) -> Any:
        """Add to a list option unless it is there; returns the value."""
        items = self["options"][key] = as_list(self["options"].get(key))
        if value not in items:
            items.append(value)
        return value

    def extend_list_option(self, key: str, value: Any) -> None:
        """Add several values, or one, to a list option."""
        self["options"][key] = as_list(self["options"].get(key)) + as_list(value)

    def link(self, callback: Any) -> Any:
        """Run `callback` with the result on success; returns the callback."""
        return self.append_to_list_option("link", callback)

    def link_error(self, errback: Any) -> Any:
        """Run `errback` on failure; returns the errback."""
        return self.append_to_list_option("link_error", errback)

    def on_error(self, errback: Any) -> Self:
        """Run `errback` on failure; returns this signature."""
        self.link_error(errback)
        return self

    def links(self, key: str) -> list["Signature"]:
        """Return callbacks (`link`) or errbacks (`link_error`), made signatures in place."""
        if not self["options"].get(key):
            return []
        found = [as_signature(link, self._app) for link in as_list(self["options"][key])]
        self["options"][key] = found
        return found

    def flatten_links(self) -> list["Signature"]:
        """Return this signature and, recursively, its callbacks."""
        found: list[Signature] = [self]
        for link in as_list(self["options"].get("link")):
            found.extend(as_signature(link, self._app).flatten_links())
        return found

    # -- combining -----------------------------------------------------------------------------

    def __or__(self, other: Any) -> Any:
        """Chain: run `other` with the result."""
        if not isinstance(other, Signature):
            return NotImplemented
        return self.TYPES["chain"].join(self, other)  # type: ignore[attr-defined]  # chain's own

    def __ior__(self, other: Any) -> Any:
        """Chain, as `|` does."""
        return self.__or__(other)

    def __invert__(self) -> Any:
        """Send it, wait, and return the value."""
        return self.apply_async().get()

    # -- stamping ------------------------------------------------------------------------------

    def stamp(self, visitor: Any = None, append_stamps: bool = False, **headers: Any) -> Any:
        """Put stamps on it and its links: from `headers`, and from the visitor's answers.

        Args:
            visitor: A `StampingVisitor`, or None.
            append_stamps: Collect values of one stamp in a list instead of replacing.
            headers: Stamp name -> value.
        """
        return stamp_signature(self, visitor, append_stamps, headers)

    def stamp_links(self, visitor: Any, append_stamps: bool = False, **headers: Any) -> None:
        """Put stamps on its callbacks and errbacks."""
        stamp_links(self, visitor, append_stamps, headers)

    # -- the rest ------------------------------------------------------------------------------

    def election(self) -> Any:
        """Let exactly one worker of the cluster send it (needs gossip)."""
        app = self.app
        call = self.clone(task_id=self.id or new_id())
        app.control.election(call.id, "task", call)
        return call.result_of(app)

    def reprcall(self, *args: Any, **kwargs: Any) -> str:
        """Describe the call in one line, with more arguments in front."""
        positional, named, _ = self.merge(args, kwargs, force=True)
        shown = [repr(value) for value in positional]
        shown += [f"{key}={value!r}" for key, value in named.items()]
        return f"{self['task']}({', '.join(shown)})"

    def __repr__(self) -> str:
        """Describe the call."""
        return self.reprcall()

    def __json__(self) -> dict[str, Any]:
        """Return the dictionary that travels."""
        return dict(self)

    def __deepcopy__(self, memo: dict[int, Any]) -> dict[str, Any]:
        """Copy as a plain dictionary; arguments may be lazy and are shared."""
        copy = memo[id(self)] = {**self, "options": copy_options(self["options"])}
        return copy

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the dictionary; task and application are the reader's own."""
        return signature, (dict(self),)


def signature(varies: Any, *args: Any, **kwargs: Any) -> Signature:
    """Make a signature of a task, a name, a dictionary, or a copy of a signature."""
    if isinstance(varies, Signature):
        return varies.clone()
    if isinstance(varies, Mapping):
        return Signature.from_dict(varies, app=kwargs.get("app"))
    return Signature(varies, *args, **kwargs)


subtask = signature


def maybe_signature(d: Any, app: Any = None, clone: bool = False) -> Any:
    """Make a dictionary a signature; leave None alone.

    Args:
        d: A signature, a dictionary, or None.
        app: The application it gets, unless it has one.
        clone: Copy what is a signature already.
    """
    if d is None or not isinstance(d, Mapping):
        return d
    if isinstance(d, Signature):
        if clone:
            d = d.clone()
    else:
        d = Signature.from_dict(d, app=app)
    return d.bind(app)


def as_signature(value: Any, app: Any = None) -> Signature:
    """Make a dictionary or a task a signature.

    Raises:
        TypeError: It is none of these.
    """
    found = maybe_signature(value, app)
    if isinstance(found, Signature):
        return found
    make = getattr(value, "signature", None)
    if make is None:
        raise TypeError(f"expected a signature, got {value!r:.80}")
    return cast(Signature, make()).bind(app)


def as_signatures(values: Any, app: Any = None) -> list[Signature]:
    """Make a header or a list of steps signatures: any iterable, or a single signature."""
    if isinstance(values, Mapping):
        found = as_signature(values, app)
        tasks = found["kwargs"].get("tasks")
        is_many = found["subtask_type"] in ("group", "chain")
        return as_signatures(tasks, app) if is_many else [found]
    return members_of(values, lambda value: as_signature(value, app))
