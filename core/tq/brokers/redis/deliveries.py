"""Between what lies in Redis and deliveries: reading, and marking what was lost once more."""

import contextlib
import json
from typing import Any

import msgspec

from tq.brokers.base import Dead, Delivery
from tq.errors import DecodeError
from tq.wire.envelope import decode_envelope
from tq.wire.limits import Limits

__all__ = [
    "Returned",
    "count_loss",
    "forget_losses",
    "read_dead",
    "read_dead_letter",
    "read_delivery",
]

_REDELIVERED = "redelivered"
_DELIVERIES = "x-tq-deliveries"

_Object = dict[str, msgspec.Raw]
_decode_unacked = msgspec.json.Decoder(tuple[msgspec.Raw, str, str]).decode
_decode_object = msgspec.json.Decoder(_Object).decode
_encode = msgspec.json.Encoder().encode
_TRUE = msgspec.Raw(b"true")


class DeadHead(msgspec.Struct):
    """The first line of a dead letter."""

    reason: str
    queue: str
    timestamp: float
    size: int


_decode_head = msgspec.json.Decoder(DeadHead).decode


class Returned(msgspec.Struct):
    """A delivery that ended without being settled, ready to be put back.

    Attributes:
        raw: The envelope, marked as redelivered and with its count raised.
        deliveries: How many deliveries have ended so.
        priority: The message's own.
    """

    raw: bytes
    queue: str
    deliveries: int
    priority: int


def read_delivery(tag: str, queue: str, raw: bytes, limits: Limits) -> Delivery:
    """Decode what was taken from a queue.

    Raises:
        DecodeError: It is not readable; `reason` is one word.
    """
    message = decode_envelope(raw, limits)
    headers = message.headers
    count = headers.get(_DELIVERIES, 0)
    return Delivery(
        tag=tag,
        queue=queue,
        message=message,
        redelivered=headers.get(_REDELIVERED) is True,
        deliveries=count if type(count) is int and count > 0 else 0,
    )


def count_loss(value: bytes) -> Returned:
    """Read what `unacked` holds under a tag, and mark it as lost once more.

    All other bytes of the envelope stay as they are.

    Raises:
        DecodeError: It is no envelope.
    """
    try:
        return _count_loss(value)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        pass
    try:
        # Python's JSON module writes lone surrogates and NaN, which msgspec refuses to read.
        return _count_loss(_standard_json(json.loads(value)))
    except (ValueError, msgspec.MsgspecError, RecursionError) as error:
        raise DecodeError(f"not an envelope: {error}", reason="not_json", raw=value) from error


def _count_loss(value: bytes) -> Returned:
    """Mark what is JSON beyond doubt."""
    raw, _, queue = _decode_unacked(value)
    envelope = _decode_object(raw)
    headers = _sub_object(envelope.get("headers"))
    properties = _sub_object(envelope.get("properties"))
    count = _number(headers.get(_DELIVERIES)) + 1
    headers[_REDELIVERED] = _TRUE
    headers[_DELIVERIES] = msgspec.Raw(b"%d" % count)
    envelope["headers"] = msgspec.Raw(_encode(headers))
    if "delivery_info" in properties:
        info = _sub_object(properties["delivery_info"])
        info[_REDELIVERED] = _TRUE
        properties["delivery_info"] = msgspec.Raw(_encode(info))
        envelope["properties"] = msgspec.Raw(_encode(properties))
    return Returned(_encode(envelope), queue, count, _number(properties.get("priority")))


def forget_losses(raw: bytes) -> bytes:
    """Return an envelope without the count of its losses; any other bytes as they are."""
    try:
        envelope = _decode_object(raw)
        headers = _sub_object(envelope.get("headers"))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return raw
    if headers.pop(_DELIVERIES, None) is None:
        return raw
    envelope["headers"] = msgspec.Raw(_encode(headers))
    return _encode(envelope)


def _standard_json(data: Any) -> bytes:
    """Write JSON with U+FFFD and null for what the standard does not have."""
    text = json.dumps(data, ensure_ascii=False).encode("utf-8", "replace").decode()
    cleaned = json.loads(text, parse_constant=lambda _: None)
    return json.dumps(cleaned).encode()


def _sub_object(raw: msgspec.Raw | None) -> _Object:
    """Read an object inside the envelope; null counts as empty."""
    if raw is None or bytes(raw).strip() == b"null":
        return {}
    return _decode_object(raw)


def _number(raw: msgspec.Raw | None) -> int:
    """Read a small number; anything else counts as 0."""
    try:
        number = int(bytes(raw)) if raw is not None else 0
    except ValueError:
        return 0
    return number if 0 <= number < 1_000_000 else 0


def read_dead(tag: str, value: bytes, reason: str, limits: Limits, timestamp: float) -> Dead:
    """Describe a delivery that was given up, from what `unacked` held."""
    queue, raw = "", value
    delivery = None
    try:
        outline, _, queue = _decode_unacked(value)
        raw = bytes(outline)
        delivery = read_delivery(tag, queue, raw, limits)
    except (msgspec.MsgspecError, UnicodeDecodeError, DecodeError):
        pass  # described by its bytes alone
    return Dead(delivery=delivery, queue=queue, reason=reason, raw=raw, timestamp=timestamp)


def read_dead_letter(entry: bytes, limits: Limits) -> Dead:
    """Read an entry of `tq:dead`.

    Raises:
        DecodeError: Somebody else wrote it.
    """
    line, _, raw = entry.partition(b"\n")
    try:
        head = _decode_head(line)
    except msgspec.MsgspecError as error:
        raise DecodeError(f"no dead letter: {error}", reason="not_json", raw=entry) from error
    delivery: Any = None
    with contextlib.suppress(DecodeError):  # that is why it lies here
        delivery = read_delivery("", head.queue, raw, limits)
    return Dead(
        delivery=delivery,
        queue=head.queue,
        reason=head.reason,
        raw=raw,
        timestamp=head.timestamp,
    )
