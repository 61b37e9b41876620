"""One call of a task, made into a message: identity, times, limits, relations, address.

Source: PROTOCOL 3; celery/app/base.py, `send_task`; celery/app/amqp.py, `as_task_v2`.
"""

import os
import time
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta, tzinfo
from typing import Any

import msgspec

from tq.app.router import Destination, Router
from tq.config import Settings
from tq.errors import ConfigError
from tq.execution.context import Context, current_context
from tq.nodename import anon_name
from tq.saferepr import saferepr
from tq.wire.envelope import Message
from tq.wire.message import TaskBody, TaskHeaders, encode_task, format_time, new_id, parse_time

__all__ = ["REPR_CHARS", "Call", "SendPlan", "prepare", "set_links"]

REPR_CHARS = 1024
_NO_OPTIONS: Mapping[str, Any] = {}
_EMPTY_KWARGS: dict[str, Any] = {}


class SendPlan(msgspec.Struct, kw_only=True):
    """What all calls of one task share while the settings stay as they are.

    Attributes:
        settings: The record this was computed from; another one makes the plan stale.
        router: For the same settings.
        task: The task, or None for a name that is not registered here.
        options: The task's own options, under those of a call.
        ignore_result: None for an unknown task: the worker decides.
        shadow: `task.shadow_name` where a class overrides it, else None.
        reply_to: Where `rpc://` results go.
        timezone: For times given without an offset.
        insecure: Pickle is allowed.
    """

    settings: Settings
    router: Router
    task: Any
    options: dict[str, Any]
    ignore_result: bool | None
    shadow: Any
    reply_to: str
    timezone: tzinfo
    insecure: bool
    serializer: str
    compression: str | None
    default_priority: int | None
    timelimit: tuple[float | None, float | None] = (None, None)


class Call(msgspec.Struct, gc=False):
    """A message about to be published, with what signals, events and results need beside it."""

    message: Message
    headers: TaskHeaders
    body: TaskBody
    destination: Destination


# Formatting it costs 3 us, and asking for the process's id 1 us: known until a fork.
_origin: str | None = None


def origin() -> str:
    """Return `gen<pid>@<host>` of this process."""
    global _origin  # a cache of one
    if _origin is None:
        _origin = anon_name()
    return _origin


def _forget_origin() -> None:
    global _origin  # as above
    _origin = None


os.register_at_fork(after_in_child=_forget_origin)


def prepare(
    name: str,
    args: Sequence[Any] | None,
    kwargs: Mapping[str, Any] | None,
    options: Mapping[str, Any],
    plan: SendPlan,
) -> Call:
    """Build the message of a call.

    Args:
        name: The task's name.
        args: Positional arguments; None means none.
        kwargs: Keyword arguments; None means none.
        options: The call's own options; those of the task are added here.
        plan: The task's.

    Raises:
        EncodeError: The arguments have no form in the serializer.
        ConfigError: An option makes no sense.
        QueueNotFound: The queue is not declared and must not be created.
    """
    positional: Any = () if args is None else args
    named: Any = kwargs or _EMPTY_KWARGS
    if not isinstance(positional, list | tuple):
        raise TypeError(f"args must be a list or tuple, not {type(positional).__name__}")
    if not isinstance(named, Mapping):
        raise TypeError(f"kwargs must be a mapping, not {type(named).__name__}")
    if options and plan.options:
        options = {**plan.options, **options}
    elif not options:
        options = plan.options
    destination = plan.router.route(options, name, positional, named, plan.task)
    headers = _headers(name, positional, named, options, plan)
    body = TaskBody(args=positional, kwargs=named)  # type: ignore[arg-type] # any mapping encodes
    return (
        _plain(headers, body, destination, plan)
        if not options
        else _full(headers, body, destination, options, plan)
    )


def _headers(
    name: str, args: Any, kwargs: Any, options: Mapping[str, Any], plan: SendPlan
) -> TaskHeaders:
    task_id = (options.get("task_id") if options else None) or new_id()
    context = current_context()
    root_id, parent_id = task_id, None
    if context is not None and context.id:
        root_id, parent_id = context.root_id or context.id, context.id
    levels = plan.settings.task_repr_maxlevels
    return TaskHeaders(
        task=name,
        id=task_id,
        timelimit=plan.timelimit,
        root_id=root_id,
        parent_id=parent_id,
        argsrepr=saferepr(args, REPR_CHARS, levels),
        kwargsrepr=saferepr(kwargs, REPR_CHARS, levels) if kwargs else "{}",
        origin=origin(),
        ignore_result=plan.ignore_result,
        shadow=plan.shadow(args, kwargs, options) if plan.shadow is not None else None,
    )


def _plain(headers: TaskHeaders, body: TaskBody, destination: Destination, plan: SendPlan) -> Call:
    """Encode a call without options: the common one, kept short."""
    message = encode_task(
        headers,
        body,
        serializer=plan.serializer,
        compression=plan.compression,
        protocol=plan.settings.task_protocol,
        insecure=plan.insecure,
        exchange=destination.exchange,
        exchange_type=destination.exchange_type,
        routing_key=destination.routing_key,
        priority=_priority(_NO_OPTIONS, destination, plan),
        reply_to=plan.reply_to,
        delivery_mode=destination.delivery_mode,
    )
    return Call(message, headers, body, destination)


def _full(
    headers: TaskHeaders,
    body: TaskBody,
    destination: Destination,
    options: Mapping[str, Any],
    plan: SendPlan,
) -> Call:
    now = time.time()
    expiration = _set_times(headers, options, plan, now)
    _set_relations(headers, body, options)
    _set_details(headers, options, plan)
    if body.chain and plan.settings.task_protocol == 1:
        from tq.canvas import linked  # 15 ms that a client of single calls does not need

        body.callbacks = [*(body.callbacks or ()), dict(linked(body.chain))]
        body.chain = None
    if options.get("expiration") is not None:
        expiration = str(int(float(options["expiration"]) * 1000))
    message = encode_task(
        headers,
        body,
        serializer=options.get("serializer") or plan.serializer,
        compression=options.get("compression") or plan.compression,
        protocol=plan.settings.task_protocol,
        insecure=plan.insecure,
        exchange=destination.exchange,
        exchange_type=destination.exchange_type,
        routing_key=destination.routing_key,
        priority=_priority(options, destination, plan),
        reply_to=options.get("reply_to") or plan.reply_to,
        delivery_mode=destination.delivery_mode,
        expiration=expiration,
    )
    return Call(message, headers, body, destination)


def _priority(options: Mapping[str, Any], destination: Destination, plan: SendPlan) -> int:
    given = options.get("priority")
    if given is None and destination.extra:
        given = destination.extra.get("priority")
    if given is None and plan.settings.task_inherit_parent_priority:
        given = _parents_priority(current_context())
    if given is None:
        given = plan.default_priority
    if given is None:
        return 0
    if isinstance(given, bool) or not isinstance(given, int):
        raise ConfigError(f"priority must be a whole number, not {given!r}", option="priority")
    return given


def _parents_priority(context: Context | None) -> Any:
    if context is None or not context.delivery_info:
        return None
    return context.delivery_info.get("priority")


def _set_times(
    headers: TaskHeaders, options: Mapping[str, Any], plan: SendPlan, now: float
) -> str | None:
    """Set `eta` and `expires`; return the message's expiration in milliseconds, or None."""
    countdown, eta = options.get("countdown"), options.get("eta")
    if countdown is not None and eta is None:
        headers.eta = format_time(now + _seconds(countdown, "countdown"))
    elif eta is not None:
        headers.eta = _moment_text(eta, "eta")
    expires = options.get("expires")
    if expires is None:
        return None
    if isinstance(expires, int | float | timedelta) and not isinstance(expires, bool):
        due = now + _seconds(expires, "expires")
        headers.expires = format_time(due)
    else:
        headers.expires = _moment_text(expires, "expires")
        due = parse_time(headers.expires, plan.timezone)
    return str(max(0, round((due - now) * 1000)))


def _seconds(given: Any, option: str) -> float:
    if isinstance(given, timedelta):
        return given.total_seconds()
    if isinstance(given, bool) or not isinstance(given, int | float) or given != given:
        raise ConfigError(f"{option} must be seconds, not {given!r}", option=option)
    return float(given)


def _moment_text(given: Any, option: str) -> str:
    """Write a time as it was given: without an offset the worker reads it in its own zone."""
    if isinstance(given, datetime):
        return given.isoformat()
    if isinstance(given, str):
        parse_time(given)
        return given
    raise ConfigError(f"{option} must be a datetime or ISO 8601 text, not {given!r}", option=option)


def _set_relations(headers: TaskHeaders, body: TaskBody, options: Mapping[str, Any]) -> None:
    headers.root_id = options.get("root_id") or headers.root_id
    headers.parent_id = options.get("parent_id") or headers.parent_id
    headers.group = options.get("group_id")
    headers.group_index = options.get("group_index")
    set_links(body, options)


def set_links(body: TaskBody, options: Mapping[str, Any]) -> None:
    """Put into a body what the options `link`, `link_error`, `chain` and `chord` name."""
    body.callbacks = _signatures(options.get("link"))
    body.errbacks = _signatures(options.get("link_error"))
    body.chain = _signatures(options.get("chain"))
    chord = options.get("chord")
    body.chord = dict(chord) if chord else None


def _signatures(given: Any) -> list[Any] | None:
    """Return a list of signatures as dictionaries, or None for none."""
    if not given:
        return None
    parts = list(given) if isinstance(given, list | tuple) else [given]
    return [dict(part) for part in parts]


def _set_details(headers: TaskHeaders, options: Mapping[str, Any], plan: SendPlan) -> None:
    hard, soft = options.get("time_limit"), options.get("soft_time_limit")
    if hard is not None or soft is not None:
        own_hard, own_soft = plan.timelimit
        headers.timelimit = (
            own_hard if hard is None else hard,
            own_soft if soft is None else soft,
        )
    headers.retries = options.get("retries") or 0
    headers.shadow = options.get("shadow") or headers.shadow
    # What logs and events show in the arguments' place, which may be secret.
    headers.argsrepr = options.get("argsrepr") or headers.argsrepr
    headers.kwargsrepr = options.get("kwargsrepr") or headers.kwargsrepr
    headers.origin = options.get("origin") or headers.origin
    headers.replaced_task_nesting = options.get("replaced_task_nesting") or 0
    if options.get("ignore_result") is not None:
        headers.ignore_result = bool(options["ignore_result"])
    if options.get("headers"):
        headers.custom = dict(options["headers"])
    names = options.get("stamped_headers")
    if names:
        headers.stamped_headers = list(names)
        given = options.get("stamps") or {}
        headers.stamps = {stamp: options.get(stamp, given.get(stamp)) for stamp in names}
