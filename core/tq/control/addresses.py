"""Names of the exchanges and queues that commands and replies travel through.

Source: PROTOCOL 2, 8.1, 8.2; kombu/pidbox.py, `Mailbox.get_queue`, `get_reply_queue`.
"""

from tq.brokers.base import Exchange, Queue
from tq.wire.command import Command

__all__ = ["command_exchange", "command_queue", "node_of", "reply_address", "reply_queue"]


def command_exchange(namespace: str) -> Exchange:
    """Describe the exchange that commands are published to."""
    return Exchange(name=f"{namespace}.pidbox", type="fanout", durable=False, delivery_mode=1)


def command_queue(
    hostname: str,
    namespace: str,
    ttl: float | None = 300.0,
    expires: float | None = 10.0,
    exclusive: bool = True,
    durable: bool = False,
) -> Queue:
    """Describe the queue in which a node receives commands."""
    return Queue(
        name=f"{hostname}.{namespace}.pidbox",
        exchange=command_exchange(namespace),
        durable=durable,
        exclusive=exclusive,
        auto_delete=not durable,
        expires=expires,
        message_ttl=ttl,
        no_ack=True,
    )


def reply_queue(
    oid: str,
    namespace: str,
    ttl: float | None = 300.0,
    expires: float | None = 10.0,
    exclusive: bool = True,
    durable: bool = False,
) -> Queue:
    """Describe the queue in which the caller `oid` receives replies."""
    exchange = Exchange(
        name=f"reply.{namespace}.pidbox", type="direct", durable=False, delivery_mode=1
    )
    return Queue(
        name=f"{oid}.{exchange.name}",
        exchange=exchange,
        routing_key=oid,
        durable=durable,
        exclusive=exclusive,
        auto_delete=not durable,
        expires=expires,
        message_ttl=ttl,
        no_ack=True,
    )


def reply_address(command: Command) -> tuple[str, str] | None:
    """Return the exchange and routing key that a command wants its reply at, if it wants one."""
    address = command.reply_to
    if not address:
        return None
    exchange, routing_key = address.get("exchange"), address.get("routing_key")
    if not isinstance(exchange, str) or not isinstance(routing_key, str) or not routing_key:
        return None
    return exchange, routing_key


def node_of(queue: str, namespace: str) -> str | None:
    """Return the node whose command queue this is, or None if it is another queue."""
    name = queue.removesuffix(f".{namespace}.pidbox")
    return name if name and name != queue else None
