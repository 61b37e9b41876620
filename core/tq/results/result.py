"""AsyncResult, ResultSet and GroupResult.

One module, because they contain each other: a result has children that are groups, a group has
members that are results.

Source: API.md, Results; PROTOCOL 9 and 10; celery/result.py.
"""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from typing import Any, ClassVar, Self

from tq.errors import DecodeError, IncompleteStream, RemoteError, ResultTimeout
from tq.results.graph import ResultGraph
from tq.results.guard import AppLike, assert_will_not_block, default_app
from tq.states import (
    EXCEPTION_STATES,
    FAILURE,
    PENDING,
    PROPAGATE_STATES,
    READY_STATES,
    SUCCESS,
)
from tq.wire.result import ResultMeta, rebuild_exception

__all__ = ["AsyncResult", "GroupResult", "ResultSet", "result_from_tuple"]

# A stored tree is somebody else's bytes: deeper than this is no result, and would end the stack.
MAX_DEPTH = 200

Callback = Callable[[str, Any], None]


class AsyncResult:
    """One task's outcome, by id. Reads the backend until the state is final, then remembers it.

    Attributes:
        id: The task's id.
        parent: The result of the step before in a chain, or the header of a chord.
        ignored: The task stores no result, so waiting for one would never end; `get` returns None.
        final: The record, once it is final.
    """

    TimeoutError: ClassVar[type[ResultTimeout]] = ResultTimeout

    def __init__(
        self,
        id: str,  # noqa: A002 - Celery's name for it
        backend: Any = None,
        task_name: str | None = None,
        app: AppLike | None = None,
        parent: "AsyncResult | GroupResult | None" = None,
    ) -> None:
        """Name a task; nothing is read yet. `task_name` is kept for Celery's call shape only."""
        if id is None:
            raise ValueError(f"AsyncResult needs an id, not {id!r}")
        self.id = id
        self.parent = parent
        self.ignored = False
        self._app = app
        self._backend = backend
        self.final: ResultMeta | None = None
        self._value: Any = None
        self._children: list[Any] | None = None

    @property
    def app(self) -> AppLike:
        """Return the application: the given one, or the current."""
        return self._app if self._app is not None else default_app()

    @property
    def backend(self) -> Any:
        """Return the backend the record is read from."""
        return self._backend if self._backend is not None else self.app.backend

    @property
    def task_id(self) -> str:
        """Return the id, by its older name."""
        return self.id

    @property
    def supports_native_join(self) -> bool:
        """Tell whether the backend awaits many results at once."""
        return bool(self.backend.supports_native_join)

    # -- reading -------------------------------------------------------------------------------

    def absorb(self, meta: ResultMeta) -> ResultMeta:
        """Remember a record once it is final."""
        if self.final is None and meta.status in READY_STATES:
            self._value = _value_of(meta)
            self._children = [result_from_tuple(child, self._app) for child in meta.children or []]
            self.final = meta
        return meta

    def _meta(self) -> ResultMeta:
        if self.final is not None:
            return self.final
        found = self.backend.fetch([self.id]).get(self.id)
        return self.absorb(found) if found else ResultMeta(task_id=self.id, status=PENDING)

    @property
    def state(self) -> str:
        """Return the task's state; PENDING also when nothing is known of it."""
        return self._meta().status

    status = state

    @property
    def result(self) -> Any:
        """Return the value, the exception, or what `update_state` was given last."""
        meta = self._meta()
        return self._value if meta is self.final else _value_of(meta)

    info = result

    @property
    def traceback(self) -> str | None:
        """Return the traceback of a failed task as text."""
        return self._meta().traceback

    @property
    def children(self) -> list[Any] | None:
        """Return what the task started, or None while nothing is known of it."""
        meta = self._meta()
        if meta is self.final:
            return self._children
        if meta.children is None:
            return None
        return [result_from_tuple(child, self._app) for child in meta.children]

    @property
    def date_done(self) -> str | None:
        """Return when it ended as ISO 8601 text, or None."""
        return self._meta().date_done

    def _extended(self, key: str) -> Any:
        return (self._meta().extended or {}).get(key)

    @property
    def name(self) -> Any:
        """Return the task's name, with `result_extended`."""
        return self._extended("name")

    @property
    def args(self) -> Any:
        """Return the task's arguments, with `result_extended`."""
        return self._extended("args")

    @property
    def kwargs(self) -> Any:
        """Return the task's keyword arguments, with `result_extended`."""
        return self._extended("kwargs")

    @property
    def worker(self) -> Any:
        """Return the node that ran it, with `result_extended`."""
        return self._extended("worker")

    @property
    def retries(self) -> Any:
        """Return how often it was retried, with `result_extended`."""
        return self._extended("retries")

    @property
    def queue(self) -> Any:
        """Return the queue it came from, with `result_extended`."""
        return self._extended("queue")

    def exists(self) -> bool:
        """Tell whether a record is stored; False for unknown, expired and forgotten ids."""
        return self.final is not None or self.id in self.backend.fetch([self.id])

    def ready(self) -> bool:
        """Tell whether the task has ended."""
        return self.state in READY_STATES

    def successful(self) -> bool:
        """Tell whether the task returned."""
        return self.state == SUCCESS

    def failed(self) -> bool:
        """Tell whether the task raised."""
        return self.state == FAILURE

    # -- waiting -------------------------------------------------------------------------------

    def get(
        self,
        timeout: float | None = None,
        propagate: bool = True,
        interval: float = 0.5,
        no_ack: bool = True,
        follow_parents: bool = True,
        callback: Callback | None = None,
        on_message: Callable[[dict[str, Any]], None] | None = None,
        on_interval: Callable[[], None] | None = None,
        disable_sync_subtasks: bool = True,
        EXCEPTION_STATES: Any = None,
        PROPAGATE_STATES: Any = None,
    ) -> Any:
        """Wait for the task to end, and return its value or raise its exception.

        Args:
            timeout: Seconds; None waits for ever.
            propagate: False returns the exception instead of raising it.
            interval: Kept for Celery's call shape; results are pushed, nothing is polled.
            no_ack: As `interval`.
            follow_parents: Raise also when a parent in the chain failed.
            callback: Called with (id, value) when it is there.
            on_message: Called with each stored record as a dictionary, also non-final ones.
            on_interval: Called about twice a second while waiting.
            disable_sync_subtasks: False allows waiting inside a task.
            EXCEPTION_STATES: As `interval`.
            PROPAGATE_STATES: As `interval`.

        Raises:
            ResultTimeout: `timeout` passed first.
            RuntimeError: Called inside a task.
        """
        if self.ignored:
            return None
        if disable_sync_subtasks:
            assert_will_not_block()
        follow = follow_parents and propagate and self.parent is not None
        if follow:
            self._raise_parent_error()
        if self.final is None:
            self._wait(timeout, on_message, on_interval, follow)
        return self.maybe_throw(propagate, callback)

    wait = get

    def _wait(
        self,
        timeout: float | None,
        on_message: Callable[[dict[str, Any]], None] | None,
        on_interval: Callable[[], None] | None,
        follow: bool,
    ) -> None:
        def arrived(meta: ResultMeta) -> None:
            if on_message is not None:
                on_message(_meta_as_dict(meta))
            self.absorb(meta)

        def tick() -> None:
            if follow:
                self._raise_parent_error()
            if on_interval is not None:
                on_interval()

        self.backend.wait(
            [self.id],
            arrived,
            timeout=timeout,
            until=lambda: self.final is not None,
            on_interval=tick if follow or on_interval else None,
        )

    def _raise_parent_error(self) -> None:
        parents = []
        node = self.parent
        while node is not None:
            parents.append(node)
            node = node.parent
        for node in reversed(parents):
            node.maybe_throw()

    def maybe_throw(self, propagate: bool = True, callback: Callback | None = None) -> Any:
        """Raise the task's exception if it failed; else return what is known of its value."""
        meta = self._meta()
        value = self._value if meta is self.final else _value_of(meta)
        if propagate and meta.status in PROPAGATE_STATES:
            raise _raisable(value)
        if callback is not None:
            callback(self.id, value)
        return value

    maybe_reraise = maybe_throw

    def throw(self, exc: BaseException, *args: Any) -> None:
        """Raise `exc`; kept for Celery's call shape."""
        raise exc

    def then(
        self,
        callback: Callable[[Any], Any],
        on_error: Callable[[BaseException], Any] | None = None,
        weak: bool = False,
    ) -> "AsyncResult":
        """Call `callback(self)` once the task has ended, in the backend's own thread.

        Args:
            callback: Gets this result.
            on_error: Gets the backend's error when waiting became impossible.
            weak: Kept for Celery's call shape.
        """
        _watch([self], lambda: callback(self), on_error)
        return self

    def __await__(self) -> Generator[Any, None, Any]:
        """Wait without blocking the event loop; returns or raises as `get` does."""
        return self._await().__await__()

    async def _await(self) -> Any:
        if self.ignored:
            return None
        await _settled([self])
        return self.maybe_throw()

    # -- the tree ------------------------------------------------------------------------------

    def iterdeps(self, intermediate: bool = False) -> Iterator[tuple[Any, Any]]:
        """Yield (parent, result) for everything this task set off, breadth first.

        Args:
            intermediate: Skip what has not ended instead of raising.

        Raises:
            IncompleteStream: A result in the tree has not ended.
        """
        stack: deque[tuple[Any, Any]] = deque([(None, self)])
        while stack:
            parent, node = stack.popleft()
            yield parent, node
            if node.ready():
                stack.extend((node, child) for child in node.children or [])
            elif not intermediate:
                raise IncompleteStream(f"task {node.id} has not ended")

    def collect(self, intermediate: bool = False, **options: Any) -> Iterator[tuple[Any, Any]]:
        """Yield (result, value) for everything this task set off; `options` go to `get`."""
        for _, node in self.iterdeps(intermediate=intermediate):
            yield node, node.get(**options)

    def get_leaf(self) -> Any:
        """Return the value of the last result in the tree."""
        value = None
        for _, node in self.iterdeps():
            value = node.get()
        return value

    def build_graph(self, intermediate: bool = False, formatter: Any = None) -> ResultGraph:
        """Return the tree as a graph."""
        graph = ResultGraph()
        for parent, node in self.iterdeps(intermediate=intermediate):
            graph.add_arc(node)
            if parent is not None:
                graph.add_edge(parent, node)
        return graph

    @property
    def graph(self) -> ResultGraph:
        """Return the tree as a graph."""
        return self.build_graph()

    # -- acting --------------------------------------------------------------------------------

    def forget(self) -> None:
        """Delete the record, and those of its parents."""
        ids, node = [self.id], self.parent
        while node is not None:
            ids.extend(leaf.id for leaf in _leaves(node))
            node = node.parent
        self.backend.forget(ids)
        self.reset()

    def reset(self) -> None:
        """Drop what is remembered, so that the next look reads the backend again."""
        self.final = self._value = self._children = None

    def revoke(
        self,
        connection: Any = None,
        terminate: bool = False,
        signal: str | None = None,
        wait: bool = False,
        timeout: float | None = None,
    ) -> Any:
        """Tell all workers to skip the task; `terminate` also kills it where it runs."""
        return self.app.control.revoke(
            self.id, terminate=terminate, signal=signal, reply=wait, timeout=timeout
        )

    def revoke_by_stamped_headers(
        self,
        headers: dict[str, Any],
        connection: Any = None,
        terminate: bool = False,
        signal: str | None = None,
        wait: bool = False,
        timeout: float | None = None,
    ) -> Any:
        """Tell all workers to skip the tasks whose stamps match `headers`."""
        return self.app.control.revoke_by_stamped_headers(
            headers, terminate=terminate, signal=signal, reply=wait, timeout=timeout
        )

    def as_tuple(self) -> tuple[Any, Any]:
        """Return `((id, parent), None)`, the form results are stored in."""
        return (self.id, _parents_as_tuple(self)), None

    def as_list(self) -> list[str]:
        """Return the ids of this result and its parents."""
        ids, node = [self.id], self.parent
        while node is not None:
            ids.append(str(node.id))
            node = node.parent
        return ids

    def __str__(self) -> str:
        """Return the id."""
        return str(self.id)

    def __repr__(self) -> str:
        """Show the id."""
        return f"<{type(self).__name__}: {self.id}>"

    def __hash__(self) -> int:
        """Hash the id."""
        return hash(self.id)

    def __eq__(self, other: object) -> bool:
        """Compare ids, also with text."""
        if isinstance(other, AsyncResult):
            return other.id == self.id
        if isinstance(other, str):
            return other == self.id
        return NotImplemented

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the id and the parent; the application is the reader's own."""
        return type(self), (self.id, None, None, None, self.parent)


class ResultSet:
    """Several results as one.

    Attributes:
        results: Members in order: `AsyncResult`, or a `GroupResult` nested in it.
        parent: The result of the step before, where a group follows another step.
    """

    parent: AsyncResult | Any = None

    def __init__(
        self,
        results: Iterable[Any],
        app: AppLike | None = None,
        ready_barrier: Any = None,
        **options: Any,
    ) -> None:
        """Hold `results`; the last two parameters are kept for Celery's call shape."""
        self._app = app
        self.results: list[Any] = list(results)

    @property
    def app(self) -> AppLike:
        """Return the application: the given one, that of the first member, or the current."""
        if self._app is None and self.results:
            self._app = self.results[0].app
        return self._app if self._app is not None else default_app()

    @property
    def backend(self) -> Any:
        """Return the backend of the first member."""
        return self.results[0].backend if self.results else self.app.backend

    @property
    def supports_native_join(self) -> bool:
        """Tell whether the backend awaits many results at once."""
        return bool(self.results) and bool(self.results[0].supports_native_join)

    # -- members -------------------------------------------------------------------------------

    def add(self, result: Any) -> None:
        """Add a member unless it is one."""
        if result not in self.results:
            self.results.append(result)

    def remove(self, result: Any) -> None:
        """Remove a member, given as a result or an id.

        Raises:
            KeyError: It is no member.
        """
        try:
            self.results.remove(result)
        except ValueError:
            raise KeyError(result) from None

    def discard(self, result: Any) -> None:
        """Remove a member if it is one."""
        if result in self.results:
            self.results.remove(result)

    def update(self, results: Iterable[Any]) -> None:
        """Add members that are new."""
        known = {str(member.id) for member in self.results}
        for result in results:
            if str(result.id) not in known:
                known.add(str(result.id))
                self.results.append(result)

    def clear(self) -> None:
        """Remove all members."""
        self.results.clear()

    def __iter__(self) -> Iterator[Any]:
        """Iterate over the members."""
        return iter(self.results)

    def __getitem__(self, index: Any) -> Any:
        """Return a member by position."""
        return self.results[index]

    def __len__(self) -> int:
        """Count the members."""
        return len(self.results)

    def __eq__(self, other: object) -> bool:
        """Compare the members."""
        if isinstance(other, ResultSet):
            return other.results == self.results
        return NotImplemented

    __hash__ = None  # type: ignore[assignment]  # members change, so it cannot be hashed

    def __repr__(self) -> str:
        """Show the members' ids."""
        return f"<{type(self).__name__}: [{', '.join(str(r.id) for r in self.results)}]>"

    # -- reading -------------------------------------------------------------------------------

    def _states(self) -> list[str]:
        """Read every unfinished member in one round trip; returns the states in order."""
        leaves = list(_leaves(self))
        open_ids = [leaf.id for leaf in leaves if leaf.final is None]
        found = self.backend.fetch(open_ids) if open_ids else {}
        return [
            leaf.final.status
            if leaf.final is not None
            else leaf.absorb(found[leaf.id]).status
            if leaf.id in found
            else PENDING
            for leaf in leaves
        ]

    def ready(self) -> bool:
        """Tell whether every member has ended."""
        return all(state in READY_STATES for state in self._states())

    def waiting(self) -> bool:
        """Tell whether a member has not ended."""
        return not self.ready()

    def successful(self) -> bool:
        """Tell whether every member returned."""
        return all(state == SUCCESS for state in self._states())

    def failed(self) -> bool:
        """Tell whether a member raised."""
        return FAILURE in self._states()

    def completed_count(self) -> int:
        """Count the members that returned; a nested group counts its own."""
        return self._states().count(SUCCESS)

    def maybe_throw(self, callback: Callback | None = None, propagate: bool = True) -> None:
        """Raise the exception of the first member that failed."""
        self._states()
        for leaf in _leaves(self):
            if leaf.final is not None:
                leaf.maybe_throw(propagate, callback)

    maybe_reraise = maybe_throw

    # -- waiting -------------------------------------------------------------------------------

    def get(
        self,
        timeout: float | None = None,
        propagate: bool = True,
        interval: float = 0.5,
        callback: Callback | None = None,
        no_ack: bool = True,
        on_message: Callable[[dict[str, Any]], None] | None = None,
        disable_sync_subtasks: bool = True,
        on_interval: Callable[[], None] | None = None,
    ) -> list[Any]:
        """Wait for all, and return their values in order; see `AsyncResult.get`."""
        if disable_sync_subtasks:
            assert_will_not_block()
        self._wait_for_all(timeout, propagate, on_message, on_interval, callback)
        if callback is not None:
            return []
        return [_value_now(member, propagate) for member in self.results]

    join = get
    join_native = get

    def _wait_for_all(
        self,
        timeout: float | None,
        propagate: bool,
        on_message: Callable[[dict[str, Any]], None] | None,
        on_interval: Callable[[], None] | None,
        callback: Callback | None,
    ) -> None:
        pending: dict[str, list[AsyncResult]] = {}
        for leaf in _leaves(self):
            if leaf.final is None:
                pending.setdefault(leaf.id, []).append(leaf)
            else:
                leaf.maybe_throw(propagate, callback)

        def arrived(meta: ResultMeta) -> None:
            if on_message is not None:
                on_message(_meta_as_dict(meta))
            if meta.status not in READY_STATES:
                return
            for leaf in pending.pop(meta.task_id, ()):
                leaf.absorb(meta)
                leaf.maybe_throw(propagate, callback)

        if pending:
            self.backend.wait(
                list(pending),
                arrived,
                timeout=timeout,
                until=lambda: not pending,
                on_interval=on_interval,
            )

    def iter_native(
        self,
        timeout: float | None = None,
        interval: float = 0.5,
        no_ack: bool = True,
        on_message: Callable[[dict[str, Any]], None] | None = None,
        on_interval: Callable[[], None] | None = None,
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield (id, record as a dictionary) in the order in which the members end."""
        arrived: deque[ResultMeta] = deque()
        pending = set()
        for leaf in _leaves(self):
            if leaf.final is not None:
                arrived.append(leaf.final)
            else:
                pending.add(leaf.id)

        def keep(meta: ResultMeta) -> None:
            if on_message is not None:
                on_message(_meta_as_dict(meta))
            if meta.status in READY_STATES and meta.task_id in pending:
                pending.discard(meta.task_id)
                arrived.append(meta)

        while pending or arrived:
            if not arrived:
                self.backend.wait(
                    list(pending),
                    keep,
                    timeout=timeout,
                    until=lambda: bool(arrived),
                    on_interval=on_interval,
                )
            meta = arrived.popleft()
            yield meta.task_id, _meta_as_dict(meta)

    def then(
        self,
        callback: Callable[[Any], Any],
        on_error: Callable[[BaseException], Any] | None = None,
        weak: bool = False,
    ) -> Self:
        """Call `callback(self)` once every member has ended, in the backend's own thread."""
        _watch(list(_leaves(self)), lambda: callback(self), on_error)
        return self

    def __await__(self) -> Generator[Any, None, list[Any]]:
        """Wait for all without blocking the event loop."""
        return self._await().__await__()

    async def _await(self) -> list[Any]:
        await _settled(list(_leaves(self)))
        return [_value_now(member, True) for member in self.results]

    # -- acting --------------------------------------------------------------------------------

    def forget(self) -> None:
        """Delete the members' records in one round trip."""
        leaves = list(_leaves(self))
        if leaves:
            self.backend.forget([leaf.id for leaf in leaves])
        for leaf in leaves:
            leaf.reset()

    def revoke(
        self,
        connection: Any = None,
        terminate: bool = False,
        signal: str | None = None,
        wait: bool = False,
        timeout: float | None = None,
    ) -> Any:
        """Tell all workers to skip every member, in one command."""
        return self.app.control.revoke(
            [leaf.id for leaf in _leaves(self)],
            terminate=terminate,
            signal=signal,
            reply=wait,
            timeout=timeout,
        )


class GroupResult(ResultSet):
    """The results of a group, with the group's id; may be saved and restored."""

    def __init__(
        self,
        id: str | None = None,  # noqa: A002 - Celery's name for it
        results: Iterable[Any] | None = None,
        parent: Any = None,
        app: AppLike | None = None,
        **options: Any,
    ) -> None:
        """Hold the group's `results` in the order of its members."""
        super().__init__(results or [], app=app, **options)
        self.id = id
        self.parent = parent

    @property
    def children(self) -> list[Any]:
        """Return the members; a group is its own tree's branch."""
        return self.results

    def save(self, backend: Any = None) -> None:
        """Store the group's structure, so that any process can `restore` it."""
        store = backend if backend is not None else self.backend
        store.save_group(str(self.id), {"result": self.as_tuple()})

    def delete(self, backend: Any = None) -> None:
        """Delete the stored structure."""
        (backend if backend is not None else self.backend).delete_group(str(self.id))

    @classmethod
    def restore(
        cls,
        id: str,  # noqa: A002 - Celery's name for it
        backend: Any = None,
        app: AppLike | None = None,
    ) -> "GroupResult | None":
        """Read a saved group, or None."""
        source = backend
        if source is None:
            source = (app if app is not None else default_app()).backend
        record = source.restore_group(id)
        if record is None:
            return None
        group = result_from_tuple(record["result"], app)
        if not isinstance(group, GroupResult):
            raise DecodeError(f"the record of group {id} describes no group", reason="not_a_group")
        return group

    def as_tuple(self) -> tuple[Any, Any]:
        """Return `((id, parent), [members])`, the form groups are stored in."""
        return (self.id, _parents_as_tuple(self)), [member.as_tuple() for member in self.results]

    def __bool__(self) -> bool:
        """Say True also for an empty group, which has an id."""
        return bool(self.id or self.results)

    def __eq__(self, other: object) -> bool:
        """Compare id and members; text compares with the id."""
        if isinstance(other, GroupResult):
            return other.id == self.id and other.results == self.results
        if isinstance(other, str):
            return other == self.id
        return NotImplemented

    def __hash__(self) -> int:
        """Hash the id."""
        return hash(self.id)

    def __str__(self) -> str:
        """Return the id."""
        return str(self.id)

    def __repr__(self) -> str:
        """Show the id and the members' ids."""
        return f"<GroupResult: {self.id} [{', '.join(str(r.id) for r in self.results)}]>"

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle id, members and parent."""
        return type(self), (self.id, self.results, self.parent)


def result_from_tuple(data: Any, app: AppLike | None = None, _depth: int = 0) -> Any:
    """Rebuild a result from its tuple form, as stored in `children` and saved groups.

    Args:
        data: `[[id, parent], members or None]`, `[id, members or None]`, or a result.
        app: The results' application.

    Raises:
        DecodeError: It is no tuple form.
    """
    if isinstance(data, AsyncResult | ResultSet):
        return data
    levels = []
    # Parents are walked in a loop: a chain of thousands of steps nests as deep.
    while data:
        try:
            head, nodes = data
            id_, parent = head if isinstance(head, list | tuple) else (head, None)
        except (TypeError, ValueError):
            raise DecodeError(f"not the tuple form of a result: {data!r:.80}") from None
        if not isinstance(id_, str) or _depth > MAX_DEPTH:
            raise DecodeError(f"not the tuple form of a result: {data!r:.80}")
        levels.append((id_, nodes))
        data = parent
    result: Any = None
    for id_, nodes in reversed(levels):
        if nodes is None:
            result = AsyncResult(id_, app=app, parent=result)
        else:
            members = [result_from_tuple(node, app, _depth + 1) for node in nodes]
            result = GroupResult(id_, members, parent=result, app=app)
    return result


def _parents_as_tuple(result: Any) -> Any:
    parents = []
    node = result.parent
    while node is not None:
        parents.append(node)
        node = node.parent
    form: Any = None
    for node in reversed(parents):
        members = [m.as_tuple() for m in node.results] if isinstance(node, ResultSet) else None
        form = ((node.id, form), members)
    return form


def _leaves(result: Any) -> Iterator[AsyncResult]:
    """Yield the single results below and including `result`, left to right."""
    stack = [result]
    while stack:
        node = stack.pop()
        if isinstance(node, ResultSet):
            stack.extend(reversed(node.results))
        else:
            yield node


def _value_now(member: Any, propagate: bool) -> Any:
    """Return the value of a member that has ended, nested as the groups are."""
    if isinstance(member, ResultSet):
        return [_value_now(inner, propagate) for inner in member.results]
    return member.maybe_throw(propagate)


def _value_of(meta: ResultMeta) -> Any:
    if meta.status in EXCEPTION_STATES and isinstance(meta.result, dict):
        return rebuild_exception(meta.result)
    return meta.result


def _raisable(value: Any) -> BaseException:
    """Return what to raise for a failure whose record held no exception."""
    return value if isinstance(value, BaseException) else RemoteError(str(value))


def _meta_as_dict(meta: ResultMeta) -> dict[str, Any]:
    """Show a record as Celery's `on_message` callbacks expect it."""
    record = {
        "task_id": meta.task_id,
        "status": meta.status,
        "result": _value_of(meta),
        "traceback": meta.traceback,
        "children": meta.children or [],
        "date_done": meta.date_done,
        **(meta.extended or {}),
    }
    if meta.group_id:
        record["group_id"] = meta.group_id
    if meta.parent_id:
        record["parent_id"] = meta.parent_id
    return record


def _watch(
    leaves: Sequence[AsyncResult],
    done: Callable[[], Any],
    on_error: Callable[[BaseException], Any] | None,
) -> Callable[[], None]:
    """Call `done` once when every leaf has its final record; returns what stops waiting."""
    pending = {leaf.id for leaf in leaves if leaf.final is None and not leaf.ignored}
    by_id: dict[str, list[AsyncResult]] = {}
    for leaf in leaves:
        by_id.setdefault(leaf.id, []).append(leaf)
    if not pending:
        done()
        return lambda: None

    def arrived(meta: ResultMeta) -> None:
        if meta.status not in READY_STATES or meta.task_id not in pending:
            return
        for leaf in by_id[meta.task_id]:
            leaf.absorb(meta)
        pending.discard(meta.task_id)
        if not pending:
            done()

    cancel: Callable[[], None] = leaves[0].backend.watch(list(pending), arrived, on_error)
    return cancel


async def _settled(leaves: Sequence[AsyncResult]) -> None:
    """Wait for the final records without blocking the loop."""
    import asyncio  # only callers that have a loop get here; `import tq` must not load it

    loop = asyncio.get_running_loop()
    future: asyncio.Future[None] = loop.create_future()

    def finish(error: BaseException | None) -> None:
        if future.done():
            return
        if error is None:
            future.set_result(None)
        else:
            future.set_exception(error)

    def post(error: BaseException | None = None) -> None:
        # The caller may have gone, and its loop with it, while the record was on its way.
        if not loop.is_closed():
            loop.call_soon_threadsafe(finish, error)

    cancel = _watch(leaves, post, post)
    try:
        await future
    finally:
        cancel()
