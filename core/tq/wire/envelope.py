"""The message as every transport sees it, and kombu's envelope around it on Redis.

Source: PROTOCOL 1.3; kombu/transport/virtual/base.py, `Channel.prepare_message`, `Message`.
"""

import binascii
from typing import Annotated, Any, Literal

import msgspec

from tq.errors import DecodeError
from tq.saferepr import saferepr
from tq.wire.limits import LIMITS, Limits
from tq.wire.serialization import dumps_json, is_flat, loads_json
from tq.wire.text import without_surrogates

__all__ = ["Message", "decode_envelope", "encode_envelope"]

MAX_PRIORITY = 9
_PROPERTIES = frozenset(
    {
        "body_encoding",
        "correlation_id",
        "delivery_info",
        "delivery_mode",
        "delivery_tag",
        "expiration",
        "priority",
        "reply_to",
    }
)
_CONTAINERS = frozenset({list, tuple, dict})
_HEADER_TYPES = frozenset({str, int, bool, type(None)}) | _CONTAINERS


class Message(msgspec.Struct, kw_only=True):
    """What is published: a serialized body, its headers and properties, and its address.

    Attributes:
        body: Serialized, maybe compressed.
        exchange: Empty for the default exchange: the routing key is the queue's name.
        exchange_type: How the exchange routes; decides between list and channel on Redis.
        priority: 0..9; on Redis 0 is the most urgent, on RabbitMQ 9.
        delivery_mode: 2 persistent, 1 transient.
        expiration: Milliseconds as text, or None.
        properties: Other properties found in an envelope, kept as they were.
    """

    body: bytes
    headers: dict[str, Any] = {}
    content_type: str = "application/json"
    content_encoding: str = "utf-8"
    exchange: str = ""
    exchange_type: str = "direct"
    routing_key: str = ""
    priority: int = 0
    correlation_id: str | None = None
    reply_to: str | None = None
    delivery_mode: int = 2
    expiration: str | None = None
    properties: dict[str, Any] | None = None


# What headers hold in nearly every message. Whatever else they hold, type markers above all, is
# read with care.
_Flat = str | int | float | bool | None
_Header = _Flat | list[_Flat] | Annotated[dict[str, _Flat], msgspec.Meta(max_length=0)]


class _Info(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    exchange: str = ""
    routing_key: str = ""
    redelivered: bool | None = None


class _CommonProperties(msgspec.Struct, forbid_unknown_fields=True):
    """Properties as kombu and tq set them."""

    body_encoding: Literal["base64"]
    correlation_id: str | None = None
    reply_to: str | None = None
    delivery_mode: int = 2
    delivery_info: _Info = _Info()
    delivery_tag: str = ""
    expiration: str | None = None
    priority: Annotated[int, msgspec.Meta(ge=0, le=MAX_PRIORITY)] = 0


class _CommonEnvelope(
    msgspec.Struct,
    rename={"content_type": "content-type", "encoding": "content-encoding"},
    forbid_unknown_fields=True,
):
    """An envelope as kombu and tq write it; msgspec checks it and decodes the body's base64."""

    body: bytes
    content_type: str
    headers: dict[str, _Header]
    properties: _CommonProperties
    encoding: str = "utf-8"


class _Envelope(
    msgspec.Struct, rename={"content_type": "content-type", "encoding": "content-encoding"}
):
    """An envelope's outline; what lies in it is checked one by one."""

    body: Any = None
    content_type: Any = None
    encoding: Any = None
    headers: Any = None
    properties: Any = None


_decode_common = msgspec.json.Decoder(_CommonEnvelope).decode
_decode_outline = msgspec.json.Decoder(_Envelope).decode
_encode = msgspec.json.Encoder().encode


def encode_envelope(message: Message, delivery_tag: str) -> bytes:
    """Wrap a message for a Redis list or channel.

    Args:
        message: What to publish.
        delivery_tag: Kombu's consumers need one, unique per publish.

    Raises:
        EncodeError: A header or property has no JSON form.
    """
    properties: dict[str, Any] = {}
    if message.correlation_id is not None:
        properties["correlation_id"] = message.correlation_id
    if message.reply_to is not None:
        properties["reply_to"] = message.reply_to
    properties["delivery_mode"] = message.delivery_mode
    if message.expiration is not None:
        properties["expiration"] = message.expiration
    properties["delivery_info"] = {
        "exchange": message.exchange,
        "routing_key": message.routing_key,
    }
    properties["priority"] = message.priority
    properties["body_encoding"] = "base64"
    properties["delivery_tag"] = delivery_tag
    if message.properties:
        properties = {**message.properties, **properties}
    envelope = {
        # msgspec writes bytes as base64, which is what is wanted here.
        "body": message.body,
        "content-encoding": message.content_encoding,
        "content-type": message.content_type,
        "headers": message.headers,
        "properties": properties,
    }
    if _is_plain(message.headers) and not message.properties:
        try:
            return _encode(envelope)
        except (ValueError, OverflowError, TypeError, msgspec.MsgspecError):
            pass  # lone surrogates and the like, which the JSON module writes
    envelope["body"] = binascii.b2a_base64(message.body, newline=False).decode("ascii")
    return dumps_json(envelope)


def _is_plain(headers: dict[str, Any]) -> bool:
    """Tell whether msgspec writes these headers as kombu would: no type markers, no NaN."""
    if not _HEADER_TYPES.issuperset(map(type, headers.values())):
        return False
    for value in headers.values():
        if value and type(value) in _CONTAINERS:
            items = value.values() if type(value) is dict else value
            if not is_flat(items) and not all(
                is_flat(item) if type(item) is list else is_flat((item,)) for item in items
            ):
                return False
    return True


def decode_envelope(raw: bytes, limits: Limits = LIMITS) -> Message:
    """Unwrap what lay in a Redis list or came from a channel.

    Properties that tq can do without (delivery tag, delivery info, priority, reply_to,
    correlation_id, delivery_mode) get their default when they are missing or of a wrong type.

    Raises:
        DecodeError: It is not an envelope, has no readable body, or exceeds a limit; `raw` holds
            the bytes.
    """
    if len(raw) > limits.message:
        raise DecodeError(f"envelope of {len(raw)} bytes is too large", reason="too_large", raw=raw)
    try:
        common = _decode_common(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return _decode_carefully(raw, limits)
    if "__type__" in common.headers:
        return _decode_carefully(raw, limits)
    properties = common.properties
    return Message(
        body=common.body,
        headers=common.headers,
        content_type=common.content_type,
        content_encoding=common.encoding or "utf-8",
        exchange=properties.delivery_info.exchange,
        routing_key=properties.delivery_info.routing_key,
        priority=properties.priority,
        correlation_id=properties.correlation_id,
        reply_to=properties.reply_to,
        delivery_mode=1 if properties.delivery_mode == 1 else 2,
        expiration=properties.expiration,
    )


def _decode_carefully(raw: bytes, limits: Limits) -> Message:
    """Unwrap an envelope field by field, defaulting what is wrong and can be done without."""
    envelope = _outline(raw, limits)
    headers = envelope.headers
    if headers is None:
        headers = {}
    elif type(headers) is not dict:
        raise DecodeError("headers are no object", reason="bad_headers", raw=raw)
    properties = envelope.properties
    if type(properties) is not dict:
        raise DecodeError("properties are no object", reason="bad_properties", raw=raw)
    if type(envelope.content_type) is not str:
        raise DecodeError("content-type is no text", reason="bad_content_type", raw=raw)
    body = _body(envelope.body, properties.pop("body_encoding", None), raw)
    info = properties.pop("delivery_info", None)
    if type(info) is not dict:
        info = {}
    take = properties.pop
    take("delivery_tag", None)
    message = Message(
        body=body,
        headers=headers,
        content_type=envelope.content_type,
        content_encoding=_text(envelope.encoding) or "utf-8",
        exchange=_text(info.get("exchange")) or "",
        routing_key=_text(info.get("routing_key")) or "",
        priority=_priority(take("priority", 0)),
        correlation_id=_text(take("correlation_id", None)),
        reply_to=_text(take("reply_to", None)),
        delivery_mode=1 if take("delivery_mode", 2) == 1 else 2,
        expiration=_text(take("expiration", None)),
    )
    if properties:
        message.properties = properties
    return message


def _outline(raw: bytes, limits: Limits) -> _Envelope:
    """Read the envelope's five fields, unchecked."""
    try:
        envelope = _decode_outline(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        envelope = None
    if envelope is not None and _is_shallow(envelope.headers) and _is_usual(envelope.properties):
        return envelope
    # Deep values, type markers, and what msgspec refuses.
    data = loads_json(raw, limits.header_depth)
    if type(data) is not dict:
        raise DecodeError("the envelope is no object", reason="bad_envelope", raw=raw)
    return _Envelope(
        data.get("body"),
        data.get("content-type"),
        data.get("content-encoding"),
        without_surrogates(data.get("headers")),
        without_surrogates(data.get("properties")),
    )


def _is_shallow(headers: Any) -> bool:
    """Tell whether headers hold at most flat lists and objects, and no type marker."""
    if type(headers) is not dict:
        return False
    for value in headers.values():
        kind = type(value)
        if kind is list:
            if not is_flat(value):
                return False
        elif kind is dict and value and ("__type__" in value or not is_flat(value.values())):
            return False
    return "__type__" not in headers


def _is_usual(properties: Any) -> bool:
    """Tell whether properties are those that kombu sets, which are flat."""
    return type(properties) is dict and _PROPERTIES.issuperset(properties)


def _body(body: Any, encoding: Any, raw: bytes) -> bytes:
    """Return the body's bytes."""
    if type(body) is not str:
        raise DecodeError("the body is missing or no text", reason="no_body", raw=raw)
    try:
        if encoding == "base64":
            return binascii.a2b_base64(body, strict_mode=True)
        if encoding is None or encoding == "utf-8":
            return body.encode()
    except ValueError as exc:
        raise DecodeError(f"body: {exc}", reason="bad_body_encoding", raw=raw) from exc
    shown = saferepr(encoding, 100)
    raise DecodeError(f"unknown body encoding {shown}", reason="bad_body_encoding", raw=raw)


def _text(value: Any) -> str | None:
    return value if type(value) is str else None


def _priority(value: Any) -> int:
    return min(max(value, 0), MAX_PRIORITY) if type(value) is int else 0
