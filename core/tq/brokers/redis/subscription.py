"""Private queues: a pattern of channels for fanout exchanges, a list for direct and topic ones."""

import logging
import time
from collections import deque

from tq.brokers.base import Message, Queue
from tq.brokers.redis.address import Address
from tq.brokers.redis.bindings import (
    bind_commands,
    binding_lifetime,
    binding_scripts,
    unbind_commands,
)
from tq.brokers.redis.connection import Connection
from tq.brokers.redis.keys import Keys
from tq.brokers.redis.options import Options
from tq.brokers.redis.scripts import run_pipeline
from tq.errors import BrokerConnectionError, BrokerError, DecodeError
from tq.wire.envelope import decode_envelope

__all__ = ["FanoutSubscription", "ListSubscription"]

_log = logging.getLogger(__name__)

# Silence after which the server is asked whether it is still there.
_PING_AFTER = 10.0
_BLOCK = 1


class _Binding:
    """The queue's entry in its exchange's table, and when to renew it."""

    def __init__(self, address: Address, keys: Keys, queue: Queue) -> None:
        """Bind."""
        self._keys = keys
        self._queue = queue
        self._connection = Connection(address)
        self._every = binding_lifetime(queue.expires) / 3 if queue.expires is not None else 0.0
        self._bound_at = 0.0
        try:
            self.renew()
        except BaseException:
            self._connection.close()
            raise

    def renew(self) -> None:
        """Bind again when a third of the binding's life has passed."""
        now = time.monotonic()
        if self._bound_at and (not self._every or now - self._bound_at < self._every):
            return
        commands = bind_commands(self._queue, self._keys)
        if commands:
            run_pipeline(self._connection, commands, binding_scripts())
        self._bound_at = now

    def remove(self) -> None:
        """Remove queue and binding; what cannot be removed now expires."""
        try:
            self._connection.pipeline(unbind_commands(self._queue, self._keys))
        except BrokerError as error:
            _log.debug("queue %s is left to expire: %s", self._queue.name, error)
        self._connection.close()


class FanoutSubscription:
    """Receives what is published to a fanout exchange from now on. Owned by one thread.

    Source: PROTOCOL 1.7; kombu/transport/redis.py (`Channel._subscribe`, `_receive_one`).
    """

    def __init__(self, address: Address, keys: Keys, queue: Queue, options: Options) -> None:
        """Bind and subscribe; when this returns, nothing published later is missed."""
        self.dropped = 0
        self._limits = options.limits
        self._waiting: deque[Message] = deque()
        self._heard_at = time.monotonic()
        self._asked = False
        self._closed = False
        exchange = queue.exchange.name if queue.exchange is not None else ""
        self._binding = _Binding(address, keys, queue)
        self._connection = Connection(address)
        try:
            pattern = keys.channel_pattern(exchange, queue.routing_key)
            self._connection.call("PSUBSCRIBE", pattern)
        except BaseException:
            self.close()
            raise

    def fileno(self) -> int:
        """Return the socket; what was read already is handed out before it is waited for."""
        return self._connection.fileno()

    def receive(self, limit: int, timeout: float) -> list[Message]:
        """Take up to `limit` messages; see `tq.brokers.base.Subscription`."""
        deadline = time.monotonic() + timeout
        waiting = self._waiting
        while not waiting:
            self._check_open()
            left = max(deadline - time.monotonic(), 0.0)
            if not self._connection.ready(min(left, _PING_AFTER)):
                self._check_silence()
            else:
                self._read()
            if not waiting and time.monotonic() >= deadline:
                return []
        return [waiting.popleft() for _ in range(min(limit, len(waiting)))]

    def _check_open(self) -> None:
        """Refuse to go on without a connection: it would be one without the subscription."""
        if self._closed or not self._connection.connected:
            raise BrokerConnectionError("the subscription's connection is lost")

    def _read(self) -> None:
        """Decode all that has arrived."""
        self._binding.renew()
        for reply in self._connection.receive_ready():
            self._heard_at = time.monotonic()
            self._asked = False
            if isinstance(reply, BrokerError):
                raise BrokerConnectionError(f"the subscription was ended: {reply}") from reply
            if reply and reply[0] == b"pmessage":
                try:
                    message = decode_envelope(reply[3], self._limits)
                except DecodeError:
                    self.dropped += 1
                else:
                    message.exchange_type = "fanout"
                    self._waiting.append(message)

    def _check_silence(self) -> None:
        """Ask a silent server whether it is there, and give up when it does not answer."""
        silence = time.monotonic() - self._heard_at
        if silence < _PING_AFTER:
            return
        if not self._asked:
            self._asked = True
            self._connection.send("PING")
        elif silence > _PING_AFTER + self._connection.address.timeout:
            self._connection.close()
            raise BrokerConnectionError("Redis has stopped answering the subscription")

    def close(self) -> None:
        """Unsubscribe, and remove the binding."""
        if self._closed:
            return
        self._closed = True
        self._connection.close()
        self._binding.remove()


class ListSubscription:
    """Receives from a list of its own: replies, rpc results. Owned by one thread.

    Source: PROTOCOL 1.6, 8.2; kombu/transport/redis.py (`Channel._brpop_start`).
    """

    def __init__(self, address: Address, keys: Keys, queue: Queue, options: Options) -> None:
        """Declare and bind."""
        self.dropped = 0
        self._limits = options.limits
        self._lists = keys.queue_steps(queue.name)
        self._expires = queue.expires
        self._armed = False
        self._closed = False
        self._binding = _Binding(address, keys, queue)
        self._connection = Connection(address)
        try:
            self._arm()
        except BaseException:
            self.close()
            raise

    def fileno(self) -> int:
        """Return the socket of the blocked command."""
        return self._connection.fileno()

    def _arm(self) -> None:
        """Wait for the next message in the server."""
        self._connection.send("BRPOP", *self._lists, _BLOCK)
        self._armed = True

    def receive(self, limit: int, timeout: float) -> list[Message]:
        """Take up to `limit` messages; see `tq.brokers.base.Subscription`."""
        deadline = time.monotonic() + timeout
        while True:
            if self._closed:
                raise BrokerConnectionError("the subscription is closed")
            if not self._armed:
                self._arm()
            left = max(deadline - time.monotonic(), 0.0)
            # A blocked command answers within its own time; later, the server is gone.
            if self._connection.ready(min(left, _BLOCK + self._connection.address.timeout)):
                messages = self._read(limit)
                if messages:
                    return messages
            if time.monotonic() >= deadline:
                return []

    def _read(self, limit: int) -> list[Message]:
        """Read the blocked command's answer, and what else lies there."""
        self._armed = False
        self._binding.renew()
        first = self._connection.receive()
        if first is None:
            return []
        raws = [first[1]]
        if limit > 1:
            commands = [("RPOP", key, limit - 1) for key in self._lists]
            for more in self._connection.pipeline(commands):
                raws += more or ()
        messages = []
        for raw in raws:
            try:
                messages.append(decode_envelope(raw, self._limits))
            except DecodeError:
                self.dropped += 1
        self._arm()
        return messages

    def close(self) -> None:
        """Remove the list and its binding."""
        if self._closed:
            return
        self._closed = True
        self._connection.close()
        self._binding.remove()
