"""Queues, exchanges and messages, between tq's data and kombu's.

Source: PROTOCOL 2; kombu/entity.py (`Exchange`, `Queue`), kombu/transport/pyamqp.py (`Message`).
"""

from typing import Any

import msgspec
from kombu import entity

from tq.brokers.base import Exchange, Message, Queue
from tq.wire.text import without_surrogates

__all__ = [
    "delivery_count",
    "exchange_for",
    "from_amqp",
    "from_kombu",
    "kombu_queue",
    "properties_for",
]

# Basic properties that AMQP has room for beside those that `Message` names.
_MORE_PROPERTIES = frozenset({"message_id", "timestamp", "type", "user_id", "app_id", "cluster_id"})


_write = msgspec.msgpack.Encoder().encode
# Kombu has no types.
_Exchange: Any = entity.Exchange
_Queue: Any = entity.Queue


def _kombu_exchange(exchange: Exchange | None) -> Any:
    """Return kombu's form of an exchange; None is the default exchange."""
    if exchange is None or not exchange.name:
        return _Exchange("")
    return _Exchange(
        exchange.name,
        type=exchange.type,
        durable=exchange.durable,
        auto_delete=exchange.auto_delete,
        delivery_mode=exchange.delivery_mode,
        arguments=exchange.arguments,
    )


def kombu_queue(queue: Queue) -> Any:
    """Return kombu's form of a queue, with the flags that Celery declares it with."""
    direct = queue.exchange is None or queue.exchange.type == "direct"
    return _Queue(
        queue.name,
        exchange=_kombu_exchange(queue.exchange),
        routing_key=queue.routing_key or (queue.name if direct else ""),
        durable=queue.durable,
        exclusive=queue.exclusive,
        auto_delete=queue.auto_delete,
        expires=queue.expires,
        message_ttl=queue.message_ttl,
        max_priority=queue.max_priority,
        no_ack=queue.no_ack,
        queue_arguments=queue.arguments,
    )


def exchange_for(message: Message) -> Any:
    """Guess the exchange of a message that nobody declared, with the flags Celery gives it."""
    durable = not message.exchange.endswith(".pidbox")
    return _Exchange(message.exchange, type=message.exchange_type, durable=durable)


def properties_for(message: Message) -> dict[str, Any]:
    """Return the properties that go with a message, besides those kombu takes by themselves."""
    found: dict[str, Any] = {"delivery_mode": message.delivery_mode}
    if message.correlation_id is not None:
        found["correlation_id"] = message.correlation_id
    if message.reply_to is not None:
        found["reply_to"] = message.reply_to
    if message.expiration is not None:
        found["expiration"] = message.expiration
    for name, value in (message.properties or {}).items():
        if name in _MORE_PROPERTIES:
            found[name] = value
    return found


def from_amqp(raw: Any) -> Message:
    """Turn a message as py-amqp delivers it into tq's."""
    properties = dict(raw.properties)
    return _message(
        raw.body, properties.pop("application_headers", None), properties, raw.delivery_info
    )


def from_kombu(raw: Any) -> Message:
    """Turn a message of one of kombu's emulations into tq's."""
    properties = {
        **raw.properties,
        "content_type": raw.content_type,
        "content_encoding": raw.content_encoding,
    }
    # The address lies in the properties as well.
    for name in ("delivery_info", "delivery_tag", "body_encoding"):
        properties.pop(name, None)
    return _message(raw.body, raw.headers, properties, raw.delivery_info)


def _message(body: Any, headers: Any, properties: dict[str, Any], info: Any) -> Message:
    take = properties.pop
    return Message(
        body=body.encode(errors="surrogateescape") if isinstance(body, str) else bytes(body),
        headers=_headers(headers),
        content_type=_text(take("content_type", None)) or "",
        content_encoding=_text(take("content_encoding", None)) or "utf-8",
        exchange=(info or {}).get("exchange") or "",
        routing_key=(info or {}).get("routing_key") or "",
        priority=_number(take("priority", 0)),
        correlation_id=_text(take("correlation_id", None)),
        reply_to=_text(take("reply_to", None)),
        delivery_mode=_number(take("delivery_mode", 2)) or 2,
        expiration=_text(take("expiration", None)),
        properties=properties or None,
    )


def _headers(headers: Any) -> dict[str, Any]:
    found = dict(headers or {})
    # py-amqp lets lone surrogates through. Writing the headers finds them sooner than looking at
    # each text; what else cannot be written is no concern here.
    try:
        _write(found)
    except UnicodeEncodeError:
        return dict(without_surrogates(found))
    except (TypeError, ValueError, OverflowError):
        pass
    return found


def delivery_count(headers: dict[str, Any]) -> int:
    """Return how many deliveries failed before, where the broker or tq counted them."""
    for name in ("x-delivery-count", "x-tq-deliveries"):
        count = headers.get(name)
        if type(count) is int and count > 0:
            return count
    return 0


def _text(value: Any) -> str | None:
    return value if type(value) is str else None


def _number(value: Any) -> int:
    return value if type(value) is int else 0
