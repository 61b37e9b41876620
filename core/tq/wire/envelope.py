"""The message as every transport sees it, and kombu's envelope around it on Redis.

Source: PROTOCOL 1.3; kombu/transport/virtual/base.py, `Channel.prepare_message`, `Message`.
"""

from typing import Any

import msgspec

__all__ = ["Message"]


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
