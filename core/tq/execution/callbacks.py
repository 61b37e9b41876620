"""What a task's end sets off: callbacks, the next step of its chain, errbacks, failed steps.

Source: PROTOCOL 3.3, 4; celery/app/trace.py, celery/backends/base.py (`mark_as_failure`,
`_call_task_errbacks`).
"""

import inspect
import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from tq.canvas import counted_ends, dispatch_body, group, maybe_signature
from tq.execution.context import Context
from tq.execution.host import Host
from tq.execution.outcome import ExceptionInfo, PendingChord
from tq.wire.result import ResultMeta

__all__ = [
    "call_errbacks",
    "dispatch_chord",
    "following_ids",
    "pending_chord",
    "send_successors",
    "sent_under_own_id",
]

_log = logging.getLogger(__name__)


def send_successors(app: Any, context: Context, value: Any) -> None:
    """Send the callbacks, then the next step of the chain, each with the task's value.

    Args:
        app: The application.
        context: The run that ended.
        value: What it returned.
    """
    options: dict[str, Any] = {
        "parent_id": context.id,
        "root_id": context.root_id or context.id,
    }
    if app.conf.settings.task_inherit_parent_priority:
        options["priority"] = (context.delivery_info or {}).get("priority")
    if context.callbacks:
        _send_callbacks(app, context.callbacks, value, options)
    if context.chain:
        *rest, following = context.chain
        step = maybe_signature(following, app=app)
        step.apply_async((value,), chain=rest, **options)


def _send_callbacks(app: Any, callbacks: Sequence[Any], value: Any, options: Any) -> None:
    found = [maybe_signature(callback, app=app) for callback in callbacks]
    single = [callback for callback in found if not isinstance(callback, group)]
    for callback in found:
        if isinstance(callback, group):
            callback.apply_async((value,), **options)
    if len(single) == 1:
        single[0].apply_async((value,), **options)
    elif single:
        group(single, app=app).apply_async((value,), **options)


def call_errbacks(
    app: Any, context: Context, errbacks: Sequence[Any] | None, info: ExceptionInfo
) -> None:
    """Call errbacks of the new signature here, and send those of the old one.

    Args:
        app: The application.
        context: The run that failed; its id is the argument of old errbacks.
        errbacks: Signatures.
        info: What happened.
    """
    old: list[Any] = []
    for given in errbacks or ():
        errback = maybe_signature(given, app=app)
        task = app.tasks.get(errback["task"]) if errback["subtask_type"] is None else None
        if task is not None and _takes_request(task, len(errback["args"] or ())):
            _call_here(task, errback, context, info)
        else:
            old.append(errback)
    if not old:
        return
    options: dict[str, Any] = {"parent_id": context.id, "root_id": context.root_id or context.id}
    eager = context.is_eager or app.conf.settings.task_always_eager
    parts = group(old, app=app)
    (parts.apply if eager else parts.apply_async)((context.id,), **options)


def _call_here(task: Any, errback: Any, context: Context, info: ExceptionInfo) -> None:
    try:
        args = (context, info.exception, info.traceback, *(errback["args"] or ()))
        task(*args, **errback["kwargs"])
    except Exception:  # an errback must not change the outcome it is told of
        _log.exception("errback %s of %s[%s] raised", task.name, context.task, context.id)


def _takes_request(task: Any, stored: int) -> bool:
    """Tell whether an errback takes more than the failed id beside its stored arguments."""
    try:
        parameters = inspect.signature(task.run).parameters.values()
    except (TypeError, ValueError):
        return False
    positional = [
        item
        for item in parameters
        if item.kind in (item.POSITIONAL_ONLY, item.POSITIONAL_OR_KEYWORD)
    ]
    if any(item.kind is item.VAR_POSITIONAL for item in parameters):
        return True
    return len(positional) - stored > 1


def following_ids(chain: Sequence[Mapping[str, Any]] | None) -> list[str]:
    """Return the ids of the steps that will never run, bodies of chords included."""
    return [task_id for step in reversed(chain or ()) for task_id in _ids(step)]


def _ids(step: Mapping[str, Any]) -> Iterator[str]:
    own = (step.get("options") or {}).get("task_id")
    if own:
        yield own
    kwargs = step.get("kwargs") or {}
    if step.get("subtask_type") == "chord" and isinstance(kwargs.get("body"), Mapping):
        yield from _ids(kwargs["body"])
    elif step.get("subtask_type") in ("chain", "group"):
        for part in kwargs.get("tasks") or ():
            yield from _ids(part)


def pending_chord(backend: Any, context: Context, record: ResultMeta) -> PendingChord | None:
    """Return the chord that waits for a run, or for the end of the chain that it fails.

    A chain in a header counts by its last step, a chord there by its body, a group by its members:
    whatever was to come last is counted as failed, so that the header completes.

    Args:
        backend: Encodes the parts.
        context: The run.
        record: How it ended; for a chain that goes on, call this with its last step only.
    """
    if not backend.supports_chords:
        return None
    if context.chord and context.group:
        ends = [(record.task_id, context.group, context.chord, context.group_index)]
    elif context.chain:
        ends = list(counted_ends(context.chain[0]))
    else:
        ends = [end for callback in context.callbacks or () for end in counted_ends(callback)]
    if not ends:
        return None
    first, *rest = ends
    _, group_id, body, index = first
    return PendingChord(
        group_id=group_id,
        body=body,
        part=backend.chord_part(group_id, record, index),
        task_id=record.task_id,
        root_id=context.root_id,
        others=tuple(
            backend.chord_part(group, msgspec.structs.replace(record, task_id=id_), place)
            for id_, group, _, place in rest
        ),
    )


def sent_under_own_id(context: Context) -> bool:
    """Tell whether a run sent a call under its own id: that one's end counts, not the run's."""
    for child in context.children:
        node = child
        while node is not None:
            if node.id == context.id:
                return True
            node = node.parent
    return False


def dispatch_chord(app: Host, pending: PendingChord, claim: str) -> bool:
    """Start the body of a chord whose last part was counted; call it after settling.

    Args:
        app: The application.
        pending: `Execution.chord` of the part that came last.
        claim: The token that counting it gave.

    Returns:
        False when the claim had passed to somebody else.

    Raises:
        BrokerConnectionError: The body could not be published; call again with the same claim.
        BackendError: The parts could not be read; as above.
    """
    context = Context(id=pending.task_id, root_id=pending.root_id, called_directly=False)

    def on_error(failed_id: str, errbacks: Sequence[Any], exc: BaseException) -> None:
        failed = Context(id=failed_id, root_id=context.root_id, called_directly=False)
        call_errbacks(app, failed, errbacks, ExceptionInfo(exc))

    sender: Any = app
    return dispatch_body(
        sender,
        app.backend,
        pending.group_id,
        pending.body,
        claim,
        root_id=pending.root_id,
        parent_id=pending.task_id,
        call_errbacks=on_error,
    )
