"""The body of a chord: started when the header is complete, or failed with all that waits for it.

Source: PROTOCOL 10; celery/backends/redis.py, `on_chord_part_return`; celery/backends/base.py,
`chord_error_from_stack`.
"""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from tq.canvas.group import group
from tq.canvas.options import as_list
from tq.canvas.sender import Sender
from tq.canvas.signature import Signature, as_signature
from tq.errors import BackendError, BrokerConnectionError, ChordError, TQError
from tq.results import GroupResult, result_from_tuple
from tq.states import FAILURE, PROPAGATE_STATES
from tq.wire.ids import new_id
from tq.wire.result import ResultMeta, encode_exception, rebuild_exception

__all__ = ["CountedEnd", "counted_ends", "dispatch_body", "fail_body"]

log = logging.getLogger(__name__)

# How long the claim is held while the body is published: Celery's figure for its default retries.
PUBLISH_SECONDS = 21.0

ErrbackCaller = Callable[[str, Sequence[Signature], BaseException], None]

CountedEnd = tuple[str, str, Any, int | None]
"""Task id, group id, body and index of a part that a chord counts."""


def dispatch_body(
    sender: Sender,
    backend: Any,
    group_id: str,
    body_signature: Any,
    claim: str,
    *,
    root_id: str | None = None,
    parent_id: str | None = None,
    call_errbacks: ErrbackCaller | None = None,
) -> bool:
    """Start a chord's body after its last part was counted.

    Called by whoever got the claim token from the settle step, outside any capture of messages.
    When this raises, nothing is decided: call it again with the same claim.

    Args:
        sender: The application.
        backend: Where the parts lie.
        group_id: The header's group.
        body_signature: `embed.chord` of the part that came last.
        claim: The token that part was given.
        root_id: Of the part that came last.
        parent_id: That part's id.
        call_errbacks: Runs the body's errbacks `(failed id, errbacks, exception)` when a part
            failed; without it each is published with the failed id as argument.

    Returns:
        False when the claim had passed to somebody else, so nothing was done.

    Raises:
        BrokerConnectionError: The body could not be published.
        BackendError: The parts could not be read.
    """
    body = as_signature(body_signature, sender)
    try:
        values = _joined(backend, group_id)
    except ChordError as exc:
        if not backend.claim_chord(group_id, claim, PUBLISH_SECONDS):
            return False
        log.error("chord %s failed: %s", group_id, exc)
        fail_body(sender, backend, body, exc, call_errbacks)
        backend.finish_chord(group_id, claim)
        return True
    if not backend.claim_chord(group_id, claim, PUBLISH_SECONDS):
        log.warning("body of chord %s not sent: the claim passed to another worker", group_id)
        return False
    options = {"root_id": body.options.get("root_id") or root_id, "parent_id": parent_id}
    try:
        with sender.capture() as messages:
            body.apply_async((values,), **options, add_to_parent=False)
        sent: bool = backend.finish_chord(group_id, claim, messages, sender.broker)
        return sent
    except (BrokerConnectionError, BackendError):
        raise
    except (TQError, TypeError, ValueError) as exc:
        # It can never be sent: unserializable results, an unknown queue. Whoever waits must know.
        log.error("body of chord %s cannot be sent: %r", group_id, exc)
        fail_body(sender, backend, body, ChordError(f"Callback error: {exc!r}"), call_errbacks)
    backend.finish_chord(group_id, claim)
    return True


def _joined(backend: Any, group_id: str) -> list[Any]:
    """Return the values of the parts, nested as the saved group is.

    Raises:
        ChordError: A part failed or was revoked.
    """
    parts = backend.chord_parts(group_id)
    for task_id, state, result in parts:
        if state in PROPAGATE_STATES:
            cause = rebuild_exception(result) if isinstance(result, dict) else result
            error = ChordError(f"Dependency {task_id} raised {cause!r}")
            if isinstance(cause, BaseException):
                error.__cause__ = cause
            raise error
    record = backend.restore_group(group_id)
    if record is None:
        return [result for _, _, result in parts]
    values = {task_id: result for task_id, _, result in parts}
    try:
        nested: list[Any] = _nested(result_from_tuple(record["result"]), values)
        return nested
    except KeyError as exc:
        raise ChordError(f"Join error: no result of {exc.args[0]}") from None


def _nested(result: Any, values: Mapping[str, Any]) -> Any:
    if isinstance(result, GroupResult):
        return [_nested(member, values) for member in result.results]
    return values[result.id]


def fail_body(
    sender: Sender,
    backend: Any,
    body: Signature,
    exc: BaseException,
    call_errbacks: ErrbackCaller | None = None,
) -> None:
    """Record a body that will never run as failed, with all that would have followed it.

    Args:
        sender: The application.
        backend: Where the failures are stored.
        body: The body, frozen.
        exc: Why.
        call_errbacks: As in `dispatch_body`.
    """
    call = call_errbacks if call_errbacks is not None else _publisher(sender)
    # `link_error` of a chord puts the errback on the chords in its header too, since Celery fails
    # those alone. Here the outer one fails as well, and calls it: once is enough.
    around = _called_around(body)
    failed: list[str] = []
    for target, given in _ends(body):
        failed.append(target)
        errbacks = [errback for errback in given if _identity(errback) not in around]
        if errbacks:
            call(target, [as_signature(errback, sender) for errback in errbacks], exc)
    failed += _following(body)
    done = datetime.now(UTC).isoformat()
    encoded = encode_exception(exc)
    records = [
        ResultMeta(task_id=id_, status=FAILURE, result=encoded, date_done=done, children=[])
        for id_ in dict.fromkeys(failed)
    ]
    backend.store(records)
    _fail_around(sender, backend, body, records[0], call_errbacks)


def _ends(body: Signature) -> list[tuple[str, list[Any]]]:
    """Return (id, errbacks) of what callers wait for: the body, or each member of a group."""
    own = as_list(body.options.get("link_error"))
    if isinstance(body, group):
        return [
            (id_, own + [errback for errback in errbacks if errback not in own])
            for member in body.tasks
            for id_, errbacks in _ends(member)
        ]
    if body["subtask_type"] == "chord":
        found = _ends(body["kwargs"]["body"])
        return [(id_, errbacks + [e for e in own if e not in errbacks]) for id_, errbacks in found]
    if body["subtask_type"] == "chain" and body["kwargs"]["tasks"]:
        last = as_signature(body["kwargs"]["tasks"][-1])
        first = as_list(as_signature(body["kwargs"]["tasks"][0]).options.get("link_error"))
        ids = [id_ for id_, _ in _ends(last)]
        return [(id_, own + [e for e in first if e not in own]) for id_ in ids]
    return [(body.id or new_id(), own)]


def _following(body: Signature) -> list[str]:
    """Return the ids of the steps after the body, and inside it: they will not run either."""
    later = [as_signature(step) for step in as_list(body.options.get("chain"))]
    if isinstance(body, group):
        later += [as_signature(s) for m in body.tasks for s in as_list(m.options.get("chain"))]
    elif body["subtask_type"] == "chain":
        later += [as_signature(step) for step in body["kwargs"]["tasks"]]
    return [id_ for step in later for id_, _ in _ends(step)]


def _publisher(sender: Sender) -> ErrbackCaller:
    def publish(failed_id: str, errbacks: Sequence[Signature], exc: BaseException) -> None:
        group([errback.clone() for errback in errbacks], app=sender).apply_async(
            (failed_id,), parent_id=failed_id, add_to_parent=False
        )

    return publish


# -- chords around it -----------------------------------------------------------------------------


def counted_ends(step: Mapping[str, Any]) -> Iterator[CountedEnd]:
    """Yield the parts that a chord around `step` counts for it.

    A chain counts by its last step, a chord by its body, a group by its members; a step of a
    chain that protocol 1 linked together, by what is linked to it.

    Args:
        step: A frozen signature, or its dictionary.
    """
    kwargs, kind = step.get("kwargs") or {}, step.get("subtask_type")
    options = step.get("options") or {}
    if options.get("chain"):
        yield from counted_ends(as_list(options["chain"])[0])
    elif kind == "chord" and isinstance(kwargs.get("body"), Mapping):
        yield from counted_ends(kwargs["body"])
    elif kind == "chain" and kwargs.get("tasks"):
        yield from counted_ends(kwargs["tasks"][-1])
    elif kind == "group":
        for part in kwargs.get("tasks") or ():
            yield from counted_ends(part)
    elif options.get("chord") and options.get("group_id"):
        place = options.get("group_index")
        yield options.get("task_id") or "", options["group_id"], options["chord"], place
    else:
        for link in as_list(options.get("link")):
            yield from counted_ends(link)


def _fail_around(
    sender: Sender,
    backend: Any,
    body: Signature,
    record: ResultMeta,
    call_errbacks: ErrbackCaller | None,
) -> None:
    """Count a failed body in the chord that it is a part of, which would wait for ever.

    Celery leaves that chord waiting; counting is idempotent, so that this may be repeated.
    """
    for task_id, group_id, outer, index in counted_ends(body):
        part = ResultMeta(task_id=task_id, status=FAILURE, result=record.result)
        claim = backend.count_chord_part(backend.chord_part(group_id, part, index))
        if claim is not None:
            dispatch_body(
                sender,
                backend,
                group_id,
                outer,
                claim,
                root_id=body.options.get("root_id"),
                parent_id=task_id,
                call_errbacks=call_errbacks,
            )


def _called_around(body: Signature) -> list[tuple[Any, ...]]:
    """Return the errbacks that the chord around `body` calls itself, comparable."""
    found = next(counted_ends(body), None)
    if found is None:
        return []
    return [_identity(errback) for errback in _errbacks_of(as_signature(found[2]))]


def _errbacks_of(body: Signature) -> list[Any]:
    return [errback for _, errbacks in _ends(body) for errback in errbacks]


def _identity(errback: Mapping[str, Any]) -> tuple[Any, ...]:
    return errback["task"], list(errback["args"] or ()), dict(errback["kwargs"] or {})
