"""Several results as one, and the results of a group.

Source: API.md, ResultSet and GroupResult; PROTOCOL 10; celery/result.py.
"""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import Any, Self

from tq.errors import DecodeError
from tq.results.guard import AppLike, assert_will_not_block, default_app
from tq.results.reading import (
    leaves_of,
    meta_as_dict,
    parents_as_tuple,
    raise_parent_error,
    settled,
    states_of,
    watch_all,
)
from tq.results.single import AsyncResult, Callback, result_from_tuple
from tq.states import FAILURE, PROPAGATE_STATES, READY_STATES, SUCCESS
from tq.wire.result import ResultMeta

__all__ = ["GroupResult", "ResultSet"]


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
        return states_of(self.backend, list(leaves_of(self)))

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
        for leaf in leaves_of(self):
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
        for leaf in leaves_of(self):
            if leaf.final is not None:
                leaf.maybe_throw(propagate, callback)
            elif not leaf.ignored:
                pending.setdefault(leaf.id, []).append(leaf)

        def arrived(meta: ResultMeta) -> None:
            if on_message is not None:
                on_message(meta_as_dict(meta))
            if meta.status not in READY_STATES:
                return
            if propagate and self.parent is not None and meta.status in PROPAGATE_STATES:
                raise_parent_error(self)
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
        for leaf in leaves_of(self):
            if leaf.final is not None:
                arrived.append(leaf.final)
            elif not leaf.ignored:
                pending.add(leaf.id)

        def keep(meta: ResultMeta) -> None:
            if on_message is not None:
                on_message(meta_as_dict(meta))
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
            yield meta.task_id, meta_as_dict(meta)

    def then(
        self,
        callback: Callable[[Any], Any],
        on_error: Callable[[BaseException], Any] | None = None,
        weak: bool = False,
    ) -> Self:
        """Call `callback(self)` once every member has ended, in the backend's own thread."""
        watch_all(list(leaves_of(self)), lambda: callback(self), on_error)
        return self

    def __await__(self) -> Generator[Any, None, list[Any]]:
        """Wait for all without blocking the event loop."""
        return self._await().__await__()

    async def _await(self) -> list[Any]:
        await settled(self)
        return [_value_now(member, True) for member in self.results]

    # -- acting --------------------------------------------------------------------------------

    def forget(self) -> None:
        """Delete the members' records in one round trip."""
        leaves = list(leaves_of(self))
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
            [leaf.id for leaf in leaves_of(self)],
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
        return (self.id, parents_as_tuple(self)), [member.as_tuple() for member in self.results]

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

    def __hash__(self) -> int:  # type: ignore[override]  # a group has an id, a set has none
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


def _value_now(member: Any, propagate: bool) -> Any:
    """Return the value of a member that has ended, nested as the groups are."""
    if isinstance(member, ResultSet):
        return [_value_now(inner, propagate) for inner in member.results]
    if member.ignored:
        return None
    return member.maybe_throw(propagate)


AsyncResult.group_type = GroupResult
