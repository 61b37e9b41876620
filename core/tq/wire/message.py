"""Task messages, protocols 2 and 1.

Source: PROTOCOL 3; celery/app/amqp.py (`as_task_v2`, `as_task_v1`), celery/worker/strategy.py.
"""

import os
from collections.abc import Mapping
from math import isfinite
from typing import Any, NoReturn

import msgspec

from tq.errors import DecodeError, EncodeError
from tq.saferepr import saferepr
from tq.wire.compression import compress, decompress
from tq.wire.envelope import Message
from tq.wire.limits import LIMITS, Limits
from tq.wire.serialization import JSON_ONLY, dumps, dumps_json, is_flat, loads
from tq.wire.times import format_time, parse_time

__all__ = [
    "TaskBody",
    "TaskHeaders",
    "encode_task",
    "format_time",
    "new_id",
    "parse_time",
    "read_body",
    "read_headers",
]

# No task name of a program is longer; a longer one only fills logs and screens.
MAX_NAME_CHARS = 1024


class TaskHeaders(msgspec.Struct, kw_only=True):
    """A task message's headers: all that is known without reading the body.

    Attributes:
        task: Registered name.
        eta: ISO 8601 text, or None.
        expires: ISO 8601 text, or None.
        timelimit: (hard, soft) in seconds.
        ignore_result: None means the worker's task decides.
        custom: Headers that are not Celery's, and stamps' values.
        defaulted: Names of optional fields that were unreadable and got their default.
    """

    task: str
    id: str
    lang: str = "py"
    shadow: str | None = None
    eta: str | None = None
    expires: str | None = None
    group: str | None = None
    group_index: int | None = None
    retries: int = 0
    timelimit: tuple[float | None, float | None] = (None, None)
    root_id: str | None = None
    parent_id: str | None = None
    argsrepr: str | None = None
    kwargsrepr: str | None = None
    origin: str | None = None
    ignore_result: bool | None = False
    replaced_task_nesting: int = 0
    stamped_headers: list[str] | None = None
    stamps: dict[str, Any] = {}
    compression: str | None = None
    redelivered: bool = False
    custom: dict[str, Any] = {}
    defaulted: tuple[str, ...] = ()


class TaskBody(msgspec.Struct, kw_only=True):
    """A task message's body: arguments, and what the task's end sets off.

    Attributes:
        callbacks: Signatures as dictionaries, run on success.
        errbacks: Signatures run on failure.
        chain: Remaining steps in reverse order: the last one runs next.
        chord: The body of the chord whose header this task is a part of.
    """

    args: list[Any] | tuple[Any, ...] = ()
    kwargs: dict[str, Any] = {}
    callbacks: list[dict[str, Any]] | None = None
    errbacks: list[dict[str, Any]] | None = None
    chain: list[dict[str, Any]] | None = None
    chord: dict[str, Any] | None = None


# What the Struct knows, and what transports add on a message's way.
_FIELDS = frozenset(TaskHeaders.__struct_fields__) - {"custom", "defaulted"}
_KNOWN = _FIELDS | {"x-tq-deliveries"}
_RESERVED = ("custom", "defaulted")
_TRUE_STEPS = ("callbacks", "errbacks", "chain")
_EMPTY_EMBED = b'{"callbacks":null,"errbacks":null,"chain":null,"chord":null}]'
_HEX = [f"{byte:02x}" for byte in range(256)]

_ID_BATCH = 64
_spare_bytes: list[bytes] = []


def new_id() -> str:
    """Return a random UUID (version 4) as text.

    Random bytes are fetched from the system for many ids at once: a call costs 1 us.
    """
    try:
        raw = _spare_bytes.pop()
    except IndexError:
        block = os.urandom(16 * _ID_BATCH)
        _spare_bytes.extend(block[i : i + 16] for i in range(16, 16 * _ID_BATCH, 16))
        raw = block[:16]
    digits = raw.hex()
    variant = "89ab"[raw[8] & 3]
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:]}"


# A forked child must not hand out the parent's ids.
os.register_at_fork(after_in_child=_spare_bytes.clear)


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
        content = "application/json", "utf-8", _json_body(body)
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


def _json_body(body: TaskBody) -> bytes:
    args, kwargs = body.args, body.kwargs
    plain_end = not (body.callbacks or body.errbacks or body.chain or body.chord)
    flat = (
        plain_end
        and is_flat(args)
        and (not kwargs or (is_flat(kwargs.values()) and is_text(kwargs)))
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
