"""The result of one task.

Source: API.md, AsyncResult; PROTOCOL 9; celery/result.py.
"""

from collections import deque
from collections.abc import Callable, Generator, Iterator
from typing import Any, ClassVar

from tq.errors import DecodeError, IncompleteStream, ResultTimeout
from tq.results.graph import ResultGraph
from tq.results.guard import AppLike, assert_will_not_block, default_app
from tq.results.reading import (
    leaves_of,
    meta_as_dict,
    parents_as_tuple,
    raisable,
    raise_parent_error,
    settled,
    value_of,
    watch_all,
)
from tq.saferepr import saferepr
from tq.states import FAILURE, PENDING, PROPAGATE_STATES, READY_STATES, SUCCESS
from tq.wire.result import ResultMeta

__all__ = ["AsyncResult", "result_from_tuple"]

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
    # What a stored group becomes: `GroupResult`, which builds on this module and sets it.
    group_type: ClassVar[Any] = None

    def __init__(
        self,
        id: str,  # noqa: A002 - Celery's name for it
        backend: Any = None,
        task_name: str | None = None,
        app: AppLike | None = None,
        parent: Any = None,
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
            self._value = value_of(meta)
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
        return self._value if meta is self.final else value_of(meta)

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
            raise_parent_error(self)
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
                on_message(meta_as_dict(meta))
            self.absorb(meta)

        def tick() -> None:
            if follow:
                raise_parent_error(self)
            if on_interval is not None:
                on_interval()

        self.backend.wait(
            [self.id],
            arrived,
            timeout=timeout,
            until=lambda: self.final is not None,
            on_interval=tick if follow or on_interval else None,
        )
        if follow and self.state in PROPAGATE_STATES:
            # A chord fails because a part of its header did: that part's error says more.
            raise_parent_error(self)

    def maybe_throw(self, propagate: bool = True, callback: Callback | None = None) -> Any:
        """Raise the task's exception if it failed; else return what is known of its value."""
        meta = self._meta()
        value = self._value if meta is self.final else value_of(meta)
        if propagate and meta.status in PROPAGATE_STATES:
            raise raisable(value)
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
        watch_all([self], lambda: callback(self), on_error)
        return self

    def __await__(self) -> Generator[Any, None, Any]:
        """Wait without blocking the event loop; returns or raises as `get` does."""
        return self._await().__await__()

    async def _await(self) -> Any:
        if self.ignored:
            return None
        await settled(self)
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
            ids.extend(leaf.id for leaf in leaves_of(node))
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
        return (self.id, parents_as_tuple(self)), None

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


def result_from_tuple(data: Any, app: AppLike | None = None, _depth: int = 0) -> Any:
    """Rebuild a result from its tuple form, as stored in `children` and saved groups.

    Args:
        data: `[[id, parent], members or None]`, `[id, members or None]`, or a result.
        app: The results' application.

    Raises:
        DecodeError: It is no tuple form.
    """
    if hasattr(data, "as_tuple"):
        return data
    levels = []
    # Parents are walked in a loop: a chain of thousands of steps nests as deep.
    while data:
        try:
            head, nodes = data
            id_, parent = head if isinstance(head, list | tuple) else (head, None)
        except (TypeError, ValueError):
            raise DecodeError(f"not the tuple form of a result: {saferepr(data, 80)}") from None
        if not isinstance(id_, str) or _depth > MAX_DEPTH:
            raise DecodeError(f"not the tuple form of a result: {saferepr(data, 80)}")
        levels.append((id_, nodes))
        data = parent
    result: Any = None
    for id_, nodes in reversed(levels):
        if nodes is None:
            result = AsyncResult(id_, app=app, parent=result)
        else:
            members = [result_from_tuple(node, app, _depth + 1) for node in nodes]
            result = AsyncResult.group_type(id_, members, parent=result, app=app)
    return result
