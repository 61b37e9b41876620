"""Task calls to messages, protocols 2 and 1.

Source: PROTOCOL 3; celery/app/amqp.py (`as_task_v2`, `as_task_v1`).
"""

from typing import Any

from tq.wire.compression import compress
from tq.wire.envelope import Message
from tq.wire.serialization import dumps, dumps_json, is_flat
from tq.wire.task import TaskBody, TaskHeaders

__all__ = ["encode_json_body", "encode_task"]

_TEXT = frozenset({str})


def encode_task(
    headers: TaskHeaders,
    body: TaskBody,
    *,
    serializer: str = "json",
    compression: str | None = None,
    protocol: int = 2,
    insecure: bool = False,
    exchange: str = "",
    exchange_type: str = "direct",
    routing_key: str = "",
    priority: int = 0,
    reply_to: str | None = None,
    delivery_mode: int = 2,
    expiration: str | None = None,
    properties: dict[str, Any] | None = None,
) -> Message:
    """Build the message for one call of a task.

    Args:
        headers: `root_id` None stands for the task's own id.
        body: Arguments and what follows.
        serializer: As in `serialization.dumps`.
        compression: A name or alias of `compression.compress`, or None.
        protocol: 2, or 1 for peers older than Celery 4.
        insecure: Allow the pickle serializer.
        exchange: Where to publish; empty for a plain queue.
        exchange_type: Its type.
        routing_key: The key, or the queue's name with the default exchange.
        priority: 0..9.
        reply_to: Where `rpc://` results go.
        delivery_mode: 2 persistent, 1 transient.
        expiration: Milliseconds as text.
        properties: More message properties.

    Raises:
        EncodeError: The arguments have no form in the serializer.
    """
    if protocol == 1:
        content = dumps(_protocol1(headers, body), serializer, insecure=insecure)
        wire_headers = dict(headers.custom)
    elif serializer == "json":
        content = "application/json", "utf-8", encode_json_body(body)
        wire_headers = _wire_headers(headers)
    else:
        content = dumps(_sequence(body), serializer, insecure=insecure)
        wire_headers = _wire_headers(headers)
    content_type, content_encoding, data = content
    if compression:
        wire_headers["compression"], data = compress(data, compression)
    return Message(
        body=data,
        headers=wire_headers,
        content_type=content_type,
        content_encoding=content_encoding,
        exchange=exchange,
        exchange_type=exchange_type,
        routing_key=routing_key,
        priority=priority,
        correlation_id=headers.id,
        reply_to=reply_to or "",
        delivery_mode=delivery_mode,
        expiration=expiration,
        properties=properties,
    )


def _wire_headers(headers: TaskHeaders) -> dict[str, Any]:
    """Return the headers in Celery's order, nulls included."""
    wire: dict[str, Any] = {
        "lang": headers.lang,
        "task": headers.task,
        "id": headers.id,
        "shadow": headers.shadow,
        "eta": headers.eta,
        "expires": headers.expires,
        "group": headers.group,
        "group_index": headers.group_index,
        "retries": headers.retries,
        "timelimit": list(headers.timelimit),
        "root_id": headers.root_id or headers.id,
        "parent_id": headers.parent_id,
        "argsrepr": headers.argsrepr,
        "kwargsrepr": headers.kwargsrepr,
        "origin": headers.origin,
        "ignore_result": headers.ignore_result,
        "replaced_task_nesting": headers.replaced_task_nesting,
        "stamped_headers": headers.stamped_headers,
        "stamps": headers.stamps,
    }
    if headers.argsrepr is None:
        del wire["argsrepr"]
    if headers.kwargsrepr is None:
        del wire["kwargsrepr"]
    if headers.origin is None:
        del wire["origin"]
    if headers.redelivered:
        wire["redelivered"] = True
    if headers.custom:
        wire.update(headers.custom)
    return wire


def _sequence(body: TaskBody) -> tuple[Any, ...]:
    return (
        body.args,
        body.kwargs,
        {
            "callbacks": body.callbacks,
            "errbacks": body.errbacks,
            "chain": body.chain,
            "chord": body.chord,
        },
    )


def encode_json_body(body: TaskBody) -> bytes:
    """Write a body of protocol 2 as JSON, with type markers where values need them.

    Raises:
        EncodeError: A value has no form in JSON.
    """
    args, kwargs = body.args, body.kwargs
    plain_end = not (body.callbacks or body.errbacks or body.chain or body.chord)
    flat = (
        plain_end
        and is_flat(args)
        and (not kwargs or (is_flat(kwargs.values()) and _TEXT.issuperset(map(type, kwargs))))
    )
    return dumps_json(_sequence(body), flat=flat)


def _protocol1(headers: TaskHeaders, body: TaskBody) -> dict[str, Any]:
    return {
        "task": headers.task,
        "id": headers.id,
        "args": body.args,
        "kwargs": body.kwargs,
        "group": headers.group,
        "group_index": headers.group_index,
        "retries": headers.retries,
        "eta": headers.eta,
        "expires": headers.expires,
        "utc": True,
        "callbacks": body.callbacks,
        "errbacks": body.errbacks,
        "timelimit": list(headers.timelimit),
        "taskset": headers.group,
        "chord": body.chord,
    }
