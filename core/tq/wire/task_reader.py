"""Messages to task calls: protocol 2, protocol 1, and the mixed form.

What a task cannot do without must be right, else `DecodeError`; what it can do without gets its
default and is named in `TaskHeaders.defaulted`.

Source: PROTOCOL 3, 6; celery/worker/strategy.py (`proto1_to_proto2`, `default`), RELIABILITY 6.1.
"""

from math import isfinite
from typing import Any, NoReturn

import msgspec

from tq.errors import DecodeError
from tq.saferepr import saferepr
from tq.wire.compression import decompress
from tq.wire.envelope import Message
from tq.wire.limits import LIMITS, Limits
from tq.wire.serialization import JSON_ONLY, loads
from tq.wire.task import TaskBody, TaskHeaders
from tq.wire.text import without_surrogates
from tq.wire.times import parse_time

__all__ = ["read_body", "read_headers"]

# No program has a longer task name or id; a longer one only fills logs and screens.
_MAX_NAME_CHARS = 1024
_MAX_COUNT = (1 << 31) - 1
_OURS = ("custom", "defaulted")
_FIELDS = {f.name: f for f in msgspec.structs.fields(TaskHeaders) if f.name not in _OURS}
# `x-tq-deliveries` counts deliveries of this message; a retry must not inherit it.
_KNOWN = frozenset(_FIELDS) | {"x-tq-deliveries"}
# A task started at a wrong time, or after it should have expired, is worse than one refused.
_REQUIRED = frozenset({"task", "id", "eta", "expires"})
_PROTOCOL1_NAMES = ("task", "id", "retries", "eta", "expires", "timelimit", "group", "group_index")
_SIGNATURE_LISTS = ("callbacks", "errbacks", "chain")

_convert = msgspec.convert


def read_headers(
    message: Message, accept: frozenset[str] = JSON_ONLY, limits: Limits = LIMITS
) -> TaskHeaders:
    """Read what a task message says about its task; only protocol 1 needs the body for it.

    Args:
        message: A message that should be a task.
        accept: Content types that may be decoded (protocol 1).
        limits: Bounds (protocol 1).

    Raises:
        DecodeError: It is no task message, or a field that cannot be guessed is wrong; `reason`
            is `no_task`, `bad_<field>`, or what reading a body can raise.
    """
    wire = message.headers
    if "task" not in wire:
        return _protocol1_headers(message, accept, limits)
    extra = None if _KNOWN.issuperset(wire) else wire.keys() - _KNOWN
    if extra and not extra.isdisjoint(_OURS):
        headers = _read_each(wire, message.body)
    else:
        try:
            headers = _convert(wire, TaskHeaders)
        except (msgspec.ValidationError, RecursionError):
            headers = _read_each(wire, message.body)
    if extra:
        headers.custom = {key: value for key, value in wire.items() if key in extra}
    _check(headers, message.body)
    return headers


def _read_each(wire: dict[str, Any], raw: bytes) -> TaskHeaders:
    """Read headers field by field, defaulting those that are wrong."""
    values: dict[str, Any] = {}
    defaulted = []
    for name, field in _FIELDS.items():
        if name not in wire:
            continue
        try:
            values[name] = _convert(wire[name], field.type)
        except (msgspec.ValidationError, RecursionError):
            if name in _REQUIRED:
                _bad(name, wire[name], raw)
            if wire[name] is not None:
                defaulted.append(name)
    for name in ("task", "id"):
        if name not in values:
            _bad(name, None, raw)
    headers = TaskHeaders(**values)
    headers.defaulted = tuple(defaulted)
    return headers


def _check(headers: TaskHeaders, raw: bytes) -> None:
    """Refuse or default values whose type is right but not their range."""
    if not 0 < len(headers.task) <= _MAX_NAME_CHARS:
        _bad("task", headers.task, raw)
    if not 0 < len(headers.id) <= _MAX_NAME_CHARS:
        _bad("id", headers.id, raw)
    if headers.eta is not None:
        _check_time("eta", headers.eta, raw)
    if headers.expires is not None:
        _check_time("expires", headers.expires, raw)
    if not 0 <= headers.retries <= _MAX_COUNT:
        headers.retries = 0
        headers.defaulted += ("retries",)
    if not 0 <= headers.replaced_task_nesting <= _MAX_COUNT:
        headers.replaced_task_nesting = 0
        headers.defaulted += ("replaced_task_nesting",)
    hard, soft = headers.timelimit
    if (hard is not None and not _is_limit(hard)) or (soft is not None and not _is_limit(soft)):
        headers.timelimit = (None, None)
        headers.defaulted += ("timelimit",)


def _check_time(name: str, text: str, raw: bytes) -> None:
    try:
        parse_time(text)
    except DecodeError:
        _bad(name, text, raw)


def _is_limit(seconds: float) -> bool:
    return seconds >= 0 and isfinite(seconds)


def _bad(name: str, value: Any, raw: bytes) -> NoReturn:
    """Refuse a message for one of its fields."""
    shown = saferepr(value, 100)
    raise DecodeError(f"{name} is {shown}", reason=f"bad_{name}", raw=raw) from None


def _load(message: Message, accept: frozenset[str], limits: Limits) -> Any:
    """Decompress and deserialize a message's body."""
    raw = message.body
    if len(raw) > limits.message:
        raise DecodeError(f"body of {len(raw)} bytes is too large", reason="too_large", raw=raw)
    compression = message.headers.get("compression")
    if compression is None:
        return loads(raw, message.content_type, message.content_encoding, accept, limits)
    # Before inflating, so that a refused type costs nothing.
    if message.content_type not in accept:
        return loads(raw, message.content_type, message.content_encoding, accept, limits)
    try:
        data = decompress(raw, compression, limits.inflated)
        return loads(data, message.content_type, message.content_encoding, accept, limits)
    except DecodeError as exc:
        exc.raw = raw
        raise


def _protocol1_headers(message: Message, accept: frozenset[str], limits: Limits) -> TaskHeaders:
    """Read headers from a protocol 1 body."""
    body = _load(message, accept, limits)
    if type(body) is not dict or "task" not in body:
        raise DecodeError(
            "neither headers nor body name a task", reason="no_task", raw=message.body
        )
    wire = {n: without_surrogates(body[n]) for n in _PROTOCOL1_NAMES if n in body}
    if wire.get("group") is None and body.get("taskset") is not None:
        wire["group"] = body["taskset"]
    if body.get("utc", True):
        for name in ("eta", "expires"):
            wire[name] = _utc(wire.get(name))
    headers = _read_each(wire, message.body)
    headers.root_id = headers.id
    headers.compression = message.headers.get("compression")
    headers.redelivered = message.headers.get("redelivered") is True
    headers.custom = {k: v for k, v in message.headers.items() if k not in _KNOWN}
    _check(headers, message.body)
    return headers


def _utc(text: Any) -> Any:
    """Add the offset that protocol 1 leaves out."""
    if type(text) is not str or "T" not in text:
        return text
    clock = text.partition("T")[2]
    return text if "+" in clock or "-" in clock or "Z" in clock else f"{text}+00:00"


def read_body(
    message: Message, accept: frozenset[str] = JSON_ONLY, limits: Limits = LIMITS
) -> TaskBody:
    """Read a task's arguments and what its end sets off.

    Args:
        message: A task message.
        accept: Content types that may be decoded; checked before anything is.
        limits: Bounds on size and nesting.

    Raises:
        ContentDisallowed: The content type is not in `accept`.
        DecodeError: The body is not what it says, or is no task's body.
    """
    data = _load(message, accept, limits)
    kind = type(data)
    if kind is list or kind is tuple:
        if len(data) != 3:
            _bad("body", data, message.body)
        args, kwargs, embed = data
        if embed is None:
            embed = {}
        elif type(embed) is not dict:
            _bad("embed", embed, message.body)
    elif kind is dict and ("args" in data or "task" in data):
        args, kwargs, embed = data.get("args"), data.get("kwargs"), data
        args = () if args is None else args
        kwargs = {} if kwargs is None else kwargs
    else:
        _bad("body", data, message.body)
    if type(args) is not list and type(args) is not tuple:
        _bad("args", args, message.body)
    if type(kwargs) is not dict or not _has_text_keys(kwargs):
        _bad("kwargs", kwargs, message.body)
    return _with_embed(args, kwargs, embed, message.body)


def _has_text_keys(kwargs: dict[Any, Any]) -> bool:
    # msgpack, yaml and pickle know keys of other types; a call does not.
    return not kwargs or all(type(key) is str for key in kwargs)


def _with_embed(args: Any, kwargs: Any, embed: dict[str, Any], raw: bytes) -> TaskBody:
    """Build the body, checking each signature's outline."""
    get = embed.get
    body = TaskBody(
        args=args,
        kwargs=kwargs,
        callbacks=get("callbacks"),
        errbacks=get("errbacks"),
        chain=get("chain"),
        chord=get("chord"),
    )
    for name in _SIGNATURE_LISTS:
        found = get(name)
        if found is not None and not _are_signatures(found):
            _bad(name, found, raw)
    if body.chord is not None and not _are_signatures([body.chord]):
        _bad("chord", body.chord, raw)
    return body


def _are_signatures(found: Any) -> bool:
    return isinstance(found, list | tuple) and all(
        isinstance(item, dict) and type(item.get("task")) is str for item in found
    )
