"""Control commands and their replies.

Source: PROTOCOL 8; kombu/pidbox.py, `Mailbox`, `Node`.
"""

from math import isfinite
from typing import Any, NoReturn

import msgspec

from tq.errors import DecodeError
from tq.saferepr import saferepr
from tq.wire.envelope import Message
from tq.wire.limits import LIMITS, Limits
from tq.wire.serialization import JSON_ONLY, dumps_json, loads

__all__ = [
    "Command",
    "Reply",
    "decode_command",
    "decode_reply",
    "encode_command",
    "encode_reply",
]

_MAX_NAME_CHARS = 512
_MAX_CLOCK = 1 << 62
_MATCHERS = (None, "glob", "pcre")


class Command(msgspec.Struct, kw_only=True):
    """A control request.

    Attributes:
        method: The command's name.
        destination: Exact node names, or None for all.
        pattern: With `matcher` (`glob` or `pcre`) and no destination: which nodes.
        ticket: Present when a reply is wanted.
        reply_to: `{"exchange": ..., "routing_key": ...}` for the reply.
        clock: The sender's Lamport clock.
        expires: Wall timestamp after which nobody waits for the reply; 0 for never.
    """

    method: str
    arguments: dict[str, Any] = {}
    destination: list[str] | None = None
    pattern: str | None = None
    matcher: str | None = None
    ticket: str | None = None
    reply_to: dict[str, str] | None = None
    clock: int = 0
    expires: float = 0.0


class Reply(msgspec.Struct, kw_only=True):
    """One node's answer.

    Attributes:
        node: Who answers.
        value: The reply itself, usually `{"ok": ...}` or `{"error": ...}`.
        ticket: The request's.
        elapsed: Seconds from the request to this answer, filled in by the caller's mailbox.
    """

    node: str
    value: Any
    ticket: str | None = None
    clock: int = 0
    elapsed: float = 0.0


def encode_command(command: Command, exchange: str = "celery.pidbox") -> Message:
    """Build the broadcast message of a command.

    Args:
        command: What to ask.
        exchange: `<control_exchange>.pidbox`.

    Raises:
        EncodeError: An argument has no JSON form.
    """
    body: dict[str, Any] = {
        "method": command.method,
        "arguments": command.arguments,
        "destination": command.destination,
        "pattern": command.pattern,
        "matcher": command.matcher,
    }
    if command.reply_to is not None:
        body["ticket"] = command.ticket
        body["reply_to"] = command.reply_to
    return Message(
        body=dumps_json(body),
        headers={"clock": command.clock, "expires": command.expires or 0},
        exchange=exchange,
        exchange_type="fanout",
    )


def decode_command(
    message: Message, accept: frozenset[str] = JSON_ONLY, limits: Limits = LIMITS
) -> Command:
    """Read a command.

    Raises:
        DecodeError: It is none, or a part that decides who does what is wrong. A bad clock or
            expiry becomes 0.
    """
    data = _load_object(message, accept, limits)
    raw = message.body
    method = data.get("method")
    if not _is_name(method):
        _bad("method", method, raw)
    arguments = data.get("arguments")
    if arguments is None:
        arguments = {}
    if type(arguments) is not dict:
        _bad("arguments", arguments, raw)
    destination = data.get("destination")
    if destination is not None and not _are_names(destination):
        _bad("destination", destination, raw)
    pattern, matcher = data.get("pattern"), data.get("matcher")
    if pattern is not None and not _is_name(pattern):
        _bad("pattern", pattern, raw)
    if matcher not in _MATCHERS:
        _bad("matcher", matcher, raw)
    ticket = data.get("ticket")
    if ticket is not None and not _is_name(ticket):
        _bad("ticket", ticket, raw)
    return Command(
        method=method,  # type: ignore[arg-type]  # checked by _is_name
        arguments=arguments,
        destination=destination,
        pattern=pattern,
        matcher=matcher,
        ticket=ticket,
        reply_to=_reply_to(data.get("reply_to"), raw),
        clock=_clock(message.headers.get("clock")),
        expires=_expires(message.headers.get("expires")),
    )


def _reply_to(found: Any, raw: bytes) -> dict[str, str] | None:
    if found is None:
        return None
    if type(found) is not dict:
        _bad("reply_to", found, raw)
    exchange, key = found.get("exchange"), found.get("routing_key")
    if type(exchange) is not str or type(key) is not str or len(exchange + key) > _MAX_NAME_CHARS:
        _bad("reply_to", found, raw)
    return {"exchange": exchange, "routing_key": key}


def encode_reply(reply: Reply, exchange: str, routing_key: str) -> Message:
    """Build a reply's message.

    Args:
        reply: The answer.
        exchange: From the command's `reply_to`.
        routing_key: The same.

    Raises:
        EncodeError: The value has no JSON form.
    """
    return Message(
        body=dumps_json({reply.node: reply.value}),
        headers={"ticket": reply.ticket, "clock": reply.clock},
        exchange=exchange,
        routing_key=routing_key,
        delivery_mode=1,
    )


def decode_reply(
    message: Message, accept: frozenset[str] = JSON_ONLY, limits: Limits = LIMITS
) -> Reply:
    """Read a reply.

    Raises:
        DecodeError: It is none.
    """
    data = _load_object(message, accept, limits)
    if len(data) != 1:
        _bad("reply", data, message.body)
    ((node, value),) = data.items()
    if not _is_name(node):
        _bad("node", node, message.body)
    ticket = message.headers.get("ticket")
    if ticket is not None and not _is_name(ticket):
        _bad("ticket", ticket, message.body)
    return Reply(node=node, value=value, ticket=ticket, clock=_clock(message.headers.get("clock")))


def _load_object(message: Message, accept: frozenset[str], limits: Limits) -> dict[str, Any]:
    raw = message.body
    if len(raw) > limits.message:
        raise DecodeError(f"body of {len(raw)} bytes is too large", reason="too_large", raw=raw)
    data = loads(raw, message.content_type, message.content_encoding, accept, limits)
    if type(data) is not dict:
        _bad("body", data, raw)
    return data


def _bad(name: str, value: Any, raw: bytes) -> NoReturn:
    """Refuse a message for one of its fields."""
    raise DecodeError(f"{name} is {saferepr(value, 100)}", reason=f"bad_{name}", raw=raw)


def _is_name(value: Any) -> bool:
    return type(value) is str and 0 < len(value) <= _MAX_NAME_CHARS


def _are_names(value: Any) -> bool:
    return isinstance(value, list | tuple) and all(_is_name(item) for item in value)


def _clock(value: Any) -> int:
    return value if type(value) is int and 0 <= value <= _MAX_CLOCK else 0


def _expires(value: Any) -> float:
    if type(value) is int or (type(value) is float and isfinite(value)):
        return float(max(value, 0))
    return 0.0
