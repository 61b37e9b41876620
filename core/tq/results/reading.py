"""Records as callers see them, and waiting for several at once."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from tq.errors import RemoteError
from tq.states import EXCEPTION_STATES, PENDING, PROPAGATE_STATES, READY_STATES
from tq.wire.result import ResultMeta, rebuild_exception

__all__ = [
    "leaves_of",
    "meta_as_dict",
    "parents_as_tuple",
    "raisable",
    "raise_parent_error",
    "settled",
    "states_of",
    "value_of",
    "watch_all",
]


def parents_as_tuple(result: Any) -> Any:
    """Return the tuple form of a result's parents, or None."""
    parents = []
    node = result.parent
    while node is not None:
        parents.append(node)
        node = node.parent
    form: Any = None
    for node in reversed(parents):
        members = [m.as_tuple() for m in node.results] if hasattr(node, "results") else None
        form = ((node.id, form), members)
    return form


def leaves_of(result: Any) -> Iterator[Any]:
    """Yield the single results below and including `result`, left to right."""
    stack = [result]
    while stack:
        node = stack.pop()
        if hasattr(node, "results"):
            stack.extend(reversed(node.results))
        else:
            yield node


def states_of(backend: Any, leaves: Sequence[Any]) -> list[str]:
    """Read every unfinished result in one round trip; returns the states in order."""
    open_ids = [leaf.id for leaf in leaves if leaf.final is None]
    found = backend.fetch(open_ids) if open_ids else {}
    return [
        leaf.final.status
        if leaf.final is not None
        else leaf.absorb(found[leaf.id]).status
        if leaf.id in found
        else PENDING
        for leaf in leaves
    ]


def raise_parent_error(result: Any) -> None:
    """Raise what the earliest failed step before `result` failed with; read in one round trip."""
    parents = []
    node = result.parent
    while node is not None:
        parents.append(node)
        node = node.parent
    leaves = [leaf for node in reversed(parents) for leaf in leaves_of(node)]
    states_of(result.backend, leaves)
    for leaf in leaves:
        if leaf.final is not None:
            leaf.maybe_throw()


def value_of(meta: ResultMeta) -> Any:
    """Return a record's value, its exception rebuilt."""
    if meta.status in EXCEPTION_STATES and isinstance(meta.result, dict):
        return rebuild_exception(meta.result)
    return meta.result


def raisable(value: Any) -> BaseException:
    """Return what to raise for a failure whose record held no exception."""
    return value if isinstance(value, BaseException) else RemoteError(str(value))


def meta_as_dict(meta: ResultMeta) -> dict[str, Any]:
    """Show a record as Celery's `on_message` callbacks expect it."""
    record = {
        "task_id": meta.task_id,
        "status": meta.status,
        "result": value_of(meta),
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


def watch_all(
    leaves: Sequence[Any],
    done: Callable[[], Any],
    on_error: Callable[[BaseException], Any] | None,
) -> Callable[[], None]:
    """Call `done` once when every leaf has its final record; returns what stops waiting."""
    pending = {leaf.id for leaf in leaves if leaf.final is None and not leaf.ignored}
    by_id: dict[str, list[Any]] = {}
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


async def settled(result: Any) -> None:
    """Wait for the final records of a result, or all in it, without blocking the loop.

    Raises:
        Exception: What a step before it failed with, where it failed too.
    """
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

    leaves = list(leaves_of(result))
    cancel = watch_all(leaves, post, post)
    try:
        await future
    finally:
        cancel()
    if result.parent is not None and any(leaf.state in PROPAGATE_STATES for leaf in leaves):
        await asyncio.to_thread(raise_parent_error, result)
