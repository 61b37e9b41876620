"""Result records of a run.

Source: PROTOCOL 9.1; celery/backends/base.py, `_get_result_meta`.
"""

import os
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from tq.execution.context import Context
from tq.execution.host import Host
from tq.states import EXCEPTION_STATES, READY_STATES, STARTED
from tq.wire.result import ResultMeta, encode_exception, encode_result

__all__ = ["check_encodes", "started_record", "state_record"]


def state_record(
    app: Host,
    context: Context,
    task_id: str,
    state: str,
    result: Any,
    traceback: str | None = None,
) -> ResultMeta:
    """Build a record.

    Args:
        app: The application.
        context: The run's; gives relations and, with `result_extended`, the call.
        task_id: Whose record it is.
        state: Its state.
        result: The value; for states that stand for exceptions, the exception.
        traceback: As text.
    """
    record = ResultMeta(
        task_id=task_id,
        status=state,
        result=_stored_form(state, result),
        traceback=traceback,
        children=_children(context),
        group_id=context.group,
        parent_id=context.parent_id,
    )
    if state in READY_STATES:
        record.date_done = datetime.now(UTC).isoformat()
    if app.conf.settings.result_extended:
        _extend(record, context)
    return record


def started_record(app: Host, context: Context) -> ResultMeta:
    """Build the record that says where a run takes place."""
    where = {"pid": os.getpid(), "hostname": context.hostname}
    return state_record(app, context, context.id or "", STARTED, where)


def check_encodes(app: Host, record: ResultMeta) -> None:
    """Make sure that a record can be written.

    Raises:
        EncodeError: Its value has no form in the result serializer.
    """
    settings = app.conf.settings
    encode_result(record, settings.result_serializer, insecure=settings.allow_insecure_serializers)


def _stored_form(state: str, result: Any) -> Any:
    if isinstance(result, BaseException):
        return encode_exception(result) if state in EXCEPTION_STATES else repr(result)
    # A result that is itself a result is stored as its structure.
    as_tuple = getattr(result, "as_tuple", None)
    return as_tuple() if as_tuple is not None and hasattr(result, "task_id") else result


def _children(context: Context) -> list[Any]:
    if not context.started_any:
        return []
    return [child.as_tuple() for child in context.children]


def _extend(record: ResultMeta, context: Context) -> None:
    info: Mapping[str, Any] = context.delivery_info or {}
    record.extended = {
        "name": context.task,
        "args": context.args,
        "kwargs": context.kwargs,
        "worker": context.hostname,
        "retries": context.retries,
        "queue": info.get("routing_key"),
    }
    if context.stamped_headers:
        record.stamped_headers = list(context.stamped_headers)
        record.stamps = dict(context.stamps or {})
