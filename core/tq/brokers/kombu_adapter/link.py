"""One kombu connection with one channel; used by one thread at a time."""

import contextlib
import os
import time
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import amqp.exceptions

from tq.brokers.base import Message
from tq.brokers.kombu_adapter.entities import (
    exchange_for,
    from_amqp,
    from_kombu,
    properties_for,
)
from tq.brokers.kombu_adapter.sockets import KombuConnection
from tq.errors import BrokerConnectionError

__all__ = ["Address", "Link", "is_amqp"]

_CONNECTION_OPTIONS = ("connect_timeout", "ssl", "login_method", "failover_strategy")
# Nothing waits longer than this for the server's answer.
_ANSWER_SECONDS = 10.0
# Messages sent before their confirmations are awaited.
_CONFIRM_WINDOW = 500


def is_amqp(url: str) -> bool:
    """Tell whether a URL leads to an AMQP server rather than to one of kombu's emulations."""
    return url.partition("://")[0].lower() in ("amqp", "amqps", "pyamqp", "librabbitmq")


# A forked child inherits the parent's connections. They must not even be garbage collected there:
# that would shut down the sockets, which the parent goes on using.
_live: "weakref.WeakSet[Link]" = weakref.WeakSet()
_inherited: list["Link"] = []
os.register_at_fork(after_in_child=lambda: _inherited.extend(_live))


def _without_probe(url: str) -> str:
    """Name the pure Python transport.

    For plain `amqp` kombu tries to import librabbitmq at each connection, and failing imports in
    several threads at once can break the interpreter's import lock (CPython 3.11).
    """
    return ";".join(
        f"pyamqp{part[4:]}" if part.startswith("amqp://") else part for part in url.split(";")
    )


class Address:
    """Where to connect, and how.

    Attributes:
        url: With its password; never to be shown.
        amqp: Whether it is an AMQP server.
    """

    def __init__(self, url: str, options: Mapping[str, Any]) -> None:
        """Split `options` into those of the connection and those of the transport."""
        self.amqp = is_amqp(url)
        self.url = _without_probe(url) if self.amqp else url
        transport = dict(options)
        self._settings = {
            name: transport.pop(name) for name in _CONNECTION_OPTIONS if name in transport
        }
        self._settings.setdefault("connect_timeout", 4)
        self.heartbeat = int(transport.pop("heartbeat", 120) or 0)
        for name in ("lease", "delivery_limit", "confirm_publish"):
            transport.pop(name, None)
        if self.amqp:
            transport.setdefault("read_timeout", _ANSWER_SECONDS)
            transport.setdefault("write_timeout", _ANSWER_SECONDS)
        self._transport_options = transport

    def connect(self, *, heartbeat: int = 0, timeout: float | None = None) -> "Link":
        """Open a connection.

        Args:
            heartbeat: Seconds; for links whose owner calls `beat`.
            timeout: Seconds to wait, instead of the option `connect_timeout`.
        """
        settings = dict(self._settings)
        if timeout is not None:
            settings["connect_timeout"] = timeout
        connection = KombuConnection(
            self.url, heartbeat=heartbeat, transport_options=self._transport_options, **settings
        )
        try:
            connection.ensure_connection(
                max_retries=1, interval_start=0, interval_step=0, timeout=timeout
            )
            return Link(connection, amqp=self.amqp)
        except BaseException:
            connection.close_for_good()
            raise


class Link:
    """An open connection and its channel.

    Attributes:
        amqp: Whether the server confirms what is published.
    """

    def __init__(self, connection: Any, *, amqp: bool) -> None:
        """Open the channel."""
        self.amqp = amqp
        self._connection = connection
        self._channel: Any = None
        self._known_exchanges: set[str] = set()
        self._unconfirmed: set[int] = set()
        self._refused = 0
        self._published = 0
        _live.add(self)

    @property
    def channel(self) -> Any:
        """The channel; opened again after an error closed it."""
        if self._channel is None or not getattr(self._channel, "is_open", True):
            # Kombu would connect anew, and what was consumed on the old connection were gone.
            if self.amqp and not self._connection.connected:
                raise BrokerConnectionError("the connection is lost")
            self._channel = self._connection.channel()
            self._published = 0
            self._unconfirmed.clear()
            if self.amqp:
                self._channel.confirm_select()
                self._channel.events["basic_ack"].add(self._on_ack)
                self._channel.events["basic_nack"].add(self._on_nack)
        return self._channel

    def fileno(self) -> int | None:
        """Return the socket's descriptor; None where the transport has no single one."""
        if not self.amqp:
            return None
        sock = self._connection.connection.sock
        return int(sock.fileno()) if sock is not None else -1

    def drain(self, timeout: float, limit: int = 1000) -> bool:
        """Dispatch what has arrived, waiting up to `timeout` seconds for the first.

        Returns:
            True when it stopped at `limit`, so that there may be more.
        """
        try:
            for _ in range(limit):
                self._connection.drain_events(timeout=timeout)
                timeout = 0 if self.amqp else 0.001
        # py-amqp lets a signal or an empty read through as one of the other two.
        except (TimeoutError, BlockingIOError, InterruptedError):
            return False
        return True

    def beat(self) -> None:
        """Send a heartbeat when one is due; raises when the server's are missing."""
        if self.amqp and self._connection.heartbeat:
            self._connection.heartbeat_check()

    def is_usable(self) -> bool:
        """Tell whether an idle link is still connected, reading what the server said meanwhile."""
        fd = self.fileno()
        if fd is None:
            return bool(self._connection.connected)
        if fd < 0 or not self._connection.connected:
            return False
        try:
            self.drain(0)
            return bool(self._connection.connected)
        except (OSError, ValueError, amqp.exceptions.AMQPError, AttributeError):
            return False

    def declare(self, queues: Iterable[Any]) -> None:
        """Declare kombu queues with their exchanges and bindings."""
        for queue in queues:
            bound = queue(self.channel)
            bound.declare()
            if bound.exchange.name:
                self._known_exchanges.add(bound.exchange.name)

    def publish(self, messages: Sequence[Message]) -> None:
        """Publish and, on AMQP, wait until the server has taken responsibility for all."""
        for message in messages:
            if message.exchange and message.exchange not in self._known_exchanges:
                self._find_exchange(message)
        try:
            for start in range(0, len(messages), _CONFIRM_WINDOW):
                channel = self.channel
                for message in messages[start : start + _CONFIRM_WINDOW]:
                    self._send(channel, message)
                self._await_confirmations()
        except BaseException:
            # The channel's count of what is unconfirmed is no longer right, and an exchange may
            # be gone.
            self._reset()
            raise

    def _reset(self) -> None:
        """Give up the channel; the next use opens another."""
        channel, self._channel = self._channel, None
        self._known_exchanges.clear()
        # Closing is a courtesy to the server, and fails when the connection did.
        with contextlib.suppress(Exception):
            channel.close()

    def cancel(self, tag: str) -> None:
        """End a consumer."""
        self.channel.basic_cancel(tag)

    def consume(
        self, queue: str, tag: str, arrived: Callable[[Message, Any, bool], None], *, no_ack: bool
    ) -> None:
        """Have each message of a queue handed over while draining.

        Args:
            queue: Its name.
            tag: The consumer's name, for `cancel`.
            arrived: Called with message, the channel's delivery tag, and whether it was
                delivered before.
            no_ack: The server forgets what it hands out.
        """
        channel = self.channel

        def native(raw: Any) -> None:
            # Not `channel.message_to_python`: it inflates bodies without a limit.
            info = raw.delivery_info
            arrived(from_amqp(raw), info["delivery_tag"], bool(info["redelivered"]))

        def emulated(raw: Any) -> None:
            message = from_kombu(raw)
            # Kombu has inflated the body.
            message.headers.pop("compression", None)
            info = raw.delivery_info or {}
            arrived(message, raw.delivery_tag, bool(info.get("redelivered")))

        callback = native if self.amqp else emulated
        channel.basic_consume(queue=queue, no_ack=no_ack, callback=callback, consumer_tag=tag)

    def _find_exchange(self, message: Message) -> None:
        """Make sure that an exchange exists: publishing to a missing one closes the channel."""
        exchange = exchange_for(message)
        if self.amqp:
            try:
                exchange(self.channel).declare(passive=True)
                self._known_exchanges.add(message.exchange)
                return
            except amqp.exceptions.NotFound:
                self._channel = None
        exchange(self.channel).declare()
        self._known_exchanges.add(message.exchange)

    def _send(self, channel: Any, message: Message) -> None:
        raw = channel.prepare_message(
            message.body,
            priority=message.priority,
            content_type=message.content_type,
            content_encoding=message.content_encoding,
            headers=message.headers,
            properties=properties_for(message),
        )
        if self.amqp:
            self._published += 1
            self._unconfirmed.add(self._published)
        channel.basic_publish(raw, exchange=message.exchange, routing_key=message.routing_key)

    def _await_confirmations(self) -> None:
        deadline = time.monotonic() + _ANSWER_SECONDS
        while self._unconfirmed:
            left = deadline - time.monotonic()
            if left <= 0:
                raise BrokerConnectionError("the server did not confirm what was published")
            with contextlib.suppress(TimeoutError):
                self._connection.drain_events(timeout=left)
        if self._refused:
            refused, self._refused = self._refused, 0
            raise BrokerConnectionError(f"the server refused {refused} messages")

    def _on_ack(self, tag: int, multiple: bool) -> None:
        if multiple:
            self._unconfirmed = {item for item in self._unconfirmed if item > tag}
        else:
            self._unconfirmed.discard(tag)

    def _on_nack(self, tag: int, multiple: bool) -> None:
        before = len(self._unconfirmed)
        self._on_ack(tag, multiple)
        self._refused += before - len(self._unconfirmed)

    def depth(self, queue: str) -> int:
        """Return how many messages are ready in a queue; 0 when there is no such queue."""
        return self.counts(queue)[0]

    def counts(self, queue: str) -> tuple[int, int]:
        """Return how many messages are ready in a queue, and how many consumers it has."""
        found = self._ask(lambda channel: channel.queue_declare(queue=queue, passive=True))
        return (int(found[1] or 0), int(found[2] or 0)) if found else (0, 0)

    def purge(self, queue: str) -> int:
        """Delete the ready messages of a queue."""
        return int(self._ask(lambda channel: channel.queue_purge(queue=queue)) or 0)

    def delete(self, queue: str) -> None:
        """Delete a queue."""
        self._ask(lambda channel: channel.queue_delete(queue=queue))

    def _ask(self, question: Callable[[Any], Any]) -> Any:
        """Ask about a queue; None when there is no such queue."""
        try:
            return question(self.channel)
        except amqp.exceptions.ChannelError as exc:
            self._channel = None
            # Kombu's emulations raise the general class, with the same code.
            if isinstance(exc, amqp.exceptions.NotFound) or exc.reply_code == 404:
                return None
            raise

    def close(self) -> None:
        """Close the connection, whatever state it is in."""
        self._connection.close_for_good()
