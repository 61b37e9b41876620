"""The worker's end of remote control: which commands are for us, and how to answer them.

Source: PROTOCOL 8; kombu/pidbox.py, `Node`.
"""

import logging
from collections import deque
from typing import Any

from tq.brokers.base import Broker, Message, Subscription
from tq.clock import Clock, LamportClock, SystemClock
from tq.control.addresses import command_queue, reply_address
from tq.control.matching import addressed_to
from tq.errors import BrokerError, EncodeError, WireError
from tq.wire.command import Command, Reply, decode_command, encode_reply

__all__ = ["Node"]

_log = logging.getLogger(__name__)

_RECEIVE_LIMIT = 500


class Node:
    """Receives the commands addressed to one node, and answers them. Owned by one thread.

    Commands beyond the allowed rate wait in a bounded backlog and come out later, in order;
    beyond the backlog they are dropped and counted, so that a flood cannot hold the worker up.

    Attributes:
        received: Commands that were for this node.
        skipped: Commands left out, by reason (`not_json`, `rate`, `pattern`, ...).
    """

    def __init__(
        self,
        broker: Broker,
        hostname: str,
        clock: LamportClock,
        *,
        namespace: str = "celery",
        queue_ttl: float | None = 300.0,
        queue_expires: float | None = 10.0,
        queue_exclusive: bool = True,
        queue_durable: bool = False,
        rate: float = 50.0,
        burst: int = 200,
        backlog_limit: int = 1000,
        time_source: Clock | None = None,
    ) -> None:
        """Prepare; `start` subscribes.

        Args:
            broker: The connection to subscribe and answer through.
            hostname: This node's name.
            clock: Adjusted to the sender's clock by each command.
            namespace: The setting `control_exchange`.
            queue_ttl: Seconds a command lives in the queue (`control_queue_ttl`).
            queue_expires: Seconds the unused queue lives (`control_queue_expires`).
            queue_exclusive: No other connection may use it (`control_queue_exclusive`).
            queue_durable: It outlives its connection (`control_queue_durable`).
            rate: Commands a second in the long run.
            burst: Commands at once after a quiet time.
            backlog_limit: Commands kept waiting beyond the rate.
            time_source: Another clock, for tests.
        """
        self.broker = broker
        self.hostname = hostname
        self.clock = clock
        self.received = 0
        self.skipped: dict[str, int] = {}
        self._queue = command_queue(
            hostname, namespace, queue_ttl, queue_expires, queue_exclusive, queue_durable
        )
        self._namespace = namespace
        self._subscription: Subscription | None = None
        self._backlog: deque[Command] = deque()
        self._backlog_limit = backlog_limit
        self._rate = rate
        self._burst = float(burst)
        self._allowance = float(burst)
        self._time = time_source or SystemClock()
        self._refilled = self._time.monotonic()

    def start(self) -> None:
        """Subscribe; after a lost connection, subscribe anew.

        Raises:
            BrokerConnectionError: The broker does not answer.
        """
        self.close()
        self._subscription = self.broker.subscribe(self._queue)

    def fileno(self) -> int:
        """Return a descriptor that turns readable when `receive` may have something."""
        if self._subscription is None:
            raise BrokerError("the control node is not started")
        return self._subscription.fileno()

    @property
    def waiting(self) -> int:
        """Commands held back by the rate limit; call `receive` again within a second."""
        return len(self._backlog)

    def receive(self, timeout: float = 0.0) -> list[Command]:
        """Return the commands for this node that are due, in the order of their arrival.

        Args:
            timeout: Seconds to wait for the first one.

        Raises:
            BrokerConnectionError: The connection is lost; call `start` again.
        """
        if self._subscription is None:
            return []
        wait = 0.0 if self._backlog else timeout
        for message in self._subscription.receive(_RECEIVE_LIMIT, wait):
            self._take(message)
        return self._due()

    def _take(self, message: Message) -> None:
        """Put one message into the backlog if it is a command for this node."""
        try:
            command = decode_command(message)
        except WireError as error:
            self._skip(getattr(error, "reason", "undecodable"), str(error))
            return
        self.clock.adjust(command.clock)
        try:
            ours = addressed_to(self.hostname, command)
        except ValueError as error:
            self._skip("pattern", str(error))
            return
        if not ours:
            return
        self.received += 1
        if len(self._backlog) >= self._backlog_limit:
            self._skip("rate", f"more than {self._rate:g} commands a second")
            return
        self._backlog.append(command)

    def _due(self) -> list[Command]:
        """Take from the backlog what the rate allows now."""
        now = self._time.monotonic()
        refill = (now - self._refilled) * self._rate
        self._allowance = min(self._burst, self._allowance + refill)
        self._refilled = now
        count = min(len(self._backlog), int(self._allowance))
        self._allowance -= count
        return [self._backlog.popleft() for _ in range(count)]

    def _skip(self, reason: str, text: str) -> None:
        """Count a command that is left out; the log gets the first of each power of two."""
        count = self.skipped[reason] = self.skipped.get(reason, 0) + 1
        if count & (count - 1) == 0:
            _log.warning("control command skipped (%s, %d so far): %s", reason, count, text[:500])

    def reply(self, command: Command, value: Any) -> None:
        """Answer one command; a command that wants no reply is left unanswered.

        A caller that is gone, or a value that cannot be written, never raises here.
        """
        self.reply_many([(command, value)])

    def reply_many(self, answers: list[tuple[Command, Any]]) -> None:
        """Answer several commands in one round trip."""
        messages = [
            message for command, value in answers if (message := self._encode(command, value))
        ]
        if not messages:
            return
        try:
            self.broker.publish(messages)
        except BrokerError as error:
            self.skipped["reply"] = self.skipped.get("reply", 0) + len(messages)
            _log.warning("%d control replies could not be sent: %s", len(messages), error)

    def _encode(self, command: Command, value: Any) -> Message | None:
        """Make the reply's message, or None when nobody waits for one."""
        address = reply_address(command)
        if address is None:
            return None
        reply = Reply(node=self.hostname, value=value, ticket=command.ticket)
        reply.clock = self.clock.forward()
        try:
            return encode_reply(reply, *address)
        except EncodeError as error:
            reply.value = {"error": f"the reply cannot be encoded: {error}"}
            return encode_reply(reply, *address)

    def close(self) -> None:
        """Remove the queue and its binding; `start` opens them again."""
        subscription, self._subscription = self._subscription, None
        if subscription is not None:
            try:
                subscription.close()
            except BrokerError as error:
                _log.info("the control queue could not be removed: %s", error)
