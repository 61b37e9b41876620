"""The caller's end of remote control: commands out, replies in.

Source: PROTOCOL 8.1, 8.2, CONSOLE 5.5; kombu/pidbox.py, `Mailbox`.
"""

import atexit
import logging
import threading
import uuid
import weakref
from collections.abc import Callable, Collection, Sequence
from typing import Any

from tq.brokers.base import Broker, Message, Subscription
from tq.clock import Clock, LamportClock, SystemClock
from tq.control.addresses import reply_queue
from tq.control.oid import is_stale, new_oid
from tq.control.revocations import remember
from tq.control.safety import check_allowed
from tq.errors import BrokerConnectionError, BrokerError, WireError
from tq.wire.command import Command, Reply, decode_reply, encode_command

__all__ = ["Call", "Mailbox"]

_log = logging.getLogger(__name__)

_LISTEN_AFTER = 30.0
_BATCH = 500


class Call:
    """One command that was sent with a wish for replies, and the replies so far.

    `poll` never blocks; `wait` does. Late replies keep coming in for 30 s after the deadline.

    Attributes:
        command: What was sent.
        expected: The nodes that should answer, or None when that is not known.
        limit: Replies after which nothing more is waited for, or None.
        delivered: How many nodes the broker handed the command to, or None when it cannot tell.
        replies: In the order of arrival, each with `elapsed`.
        started: Monotonic time of sending.
        deadline: Monotonic time until which replies are in time.
    """

    def __init__(
        self,
        mailbox: "Mailbox",
        command: Command,
        *,
        timeout: float,
        expected: Collection[str] | None,
        limit: int | None,
        callback: Callable[[Reply], Any] | None,
    ) -> None:
        """Built by `Mailbox.start`."""
        self.command = command
        self.expected = None if expected is None else frozenset(expected)
        self.limit = limit
        self.delivered: int | None = None
        self.replies: list[Reply] = []
        self._mailbox = mailbox
        self._callback = callback
        self._polled = 0
        self.started = mailbox.time_source.monotonic()
        self.deadline = self.started + timeout

    @property
    def ticket(self) -> str:
        """What tells this call's replies from others'."""
        return self.command.ticket or ""

    @property
    def answered(self) -> set[str]:
        """The nodes that have answered."""
        return {reply.node for reply in self.replies}

    @property
    def missing(self) -> set[str]:
        """The expected nodes that have not answered; empty when none are known."""
        return set(self.expected or ()) - self.answered

    @property
    def complete(self) -> bool:
        """Whether all that was waited for has arrived."""
        if self.limit is not None and len(self.replies) >= self.limit:
            return True
        if self.delivered is not None and len(self.replies) >= self._addressed(self.delivered):
            return True
        return bool(self.expected) and not self.missing

    def _addressed(self, delivered: int) -> int:
        """Return how many of the nodes that got the command can be meant by it."""
        command = self.command
        if command.destination:
            return min(delivered, len(command.destination))
        # Which of them a pattern matches is theirs to find out: only "nobody" is known.
        return delivered if not command.matcher or not delivered else len(self.replies) + 1

    @property
    def done(self) -> bool:
        """Whether it is complete or its deadline has passed."""
        return self.complete or self._mailbox.time_source.monotonic() >= self.deadline

    def is_late(self, reply: Reply) -> bool:
        """Tell whether a reply came after the deadline."""
        return self.started + reply.elapsed > self.deadline

    def poll(self) -> list[Reply]:
        """Take in what has arrived, and return the replies not returned before.

        Raises:
            BrokerConnectionError: The connection is lost; replies that were under way are too.
        """
        self._mailbox.pump(0.0)
        new = self.replies[self._polled :]
        self._polled += len(new)
        return new

    def wait(self) -> list[Reply]:
        """Wait until the call is done, and return all replies so far.

        Raises:
            BrokerConnectionError: The connection is lost.
        """
        while not self.done:
            self._mailbox.pump(self.deadline - self._mailbox.time_source.monotonic(), self)
        return list(self.replies)

    def take(self, reply: Reply) -> None:
        """Add a reply; called by the mailbox."""
        self.replies.append(reply)
        if self._callback is not None:
            self._callback(reply)


class Mailbox:
    """Sends commands and receives replies through one reply queue for the whole process.

    The queue is made with the first command that wants replies and removed by `close`, which also
    runs at exit. Safe to share between threads: whichever thread waits takes in everybody's
    replies.

    Attributes:
        oid: The address that replies come back to.
        unclaimed: Replies that came for no known call.
        invalid: Messages in the reply queue that could not be read.
    """

    def __init__(
        self,
        broker: Broker,
        *,
        namespace: str = "celery",
        clock: LamportClock | None = None,
        queue_ttl: float | None = 300.0,
        queue_expires: float | None = 10.0,
        queue_exclusive: bool = True,
        queue_durable: bool = False,
        read_only: bool = False,
        time_source: Clock | None = None,
    ) -> None:
        """Prepare; nothing is sent or declared yet.

        Args:
            broker: The connection to use.
            namespace: The setting `control_exchange`.
            clock: The process's logical clock.
            queue_ttl: Seconds a reply lives in the queue (`control_queue_ttl`).
            queue_expires: Seconds the unused queue lives (`control_queue_expires`).
            queue_exclusive: No other connection may use it (`control_queue_exclusive`).
            queue_durable: It outlives its connection (`control_queue_durable`).
            read_only: Refuse every command that changes anything.
            time_source: Another clock, for tests.
        """
        self.broker = broker
        self.namespace = namespace
        self.clock = clock or LamportClock()
        self.read_only = read_only
        self.time_source: Clock = time_source or SystemClock()
        self.oid = new_oid()
        self.unclaimed = 0
        self.invalid = 0
        self._queue = reply_queue(
            self.oid, namespace, queue_ttl, queue_expires, queue_exclusive, queue_durable
        )
        self._subscription: Subscription | None = None
        self._calls: dict[str, Call] = {}
        self._news = threading.Condition()
        self._receiving = False
        self._opening = threading.Lock()
        _close_at_exit(self)

    def start(
        self,
        method: str,
        arguments: dict[str, Any] | None = None,
        *,
        destination: Sequence[str] | None = None,
        pattern: str | None = None,
        matcher: str | None = None,
        timeout: float = 1.0,
        limit: int | None = None,
        expect: Collection[str] | None = None,
        callback: Callable[[Reply], Any] | None = None,
    ) -> Call:
        """Send a command that wants replies, and return at once.

        Args:
            method: The command's name.
            arguments: Its keyword arguments.
            destination: Exact node names; None for all nodes.
            pattern: Which nodes, together with `matcher`, when there is no destination.
            matcher: `glob` or `pcre`.
            timeout: Seconds until the call counts as done.
            limit: Done after so many replies.
            expect: Done when all of these have answered; the destination if that is given.
            callback: Called with each reply, in the thread that takes it in.

        Raises:
            CommandRefused: This mailbox is read-only and the command is not.
            BrokerConnectionError: The command could not be sent.
        """
        command = self._command(method, arguments, destination, pattern, matcher)
        command.ticket = str(uuid.uuid4())
        command.reply_to = {
            "exchange": f"reply.{self.namespace}.pidbox",
            "routing_key": self.oid,
        }
        command.expires = self.time_source.time() + timeout if timeout else 0.0
        self._open()
        expected = expect if expect is not None else destination
        call = Call(
            self,
            command,
            timeout=timeout,
            expected=expected or None,
            limit=limit,
            callback=callback,
        )
        self._prune(call.started)
        self._calls[call.ticket] = call
        try:
            call.delivered = self._send(command)
        except BrokerError:
            del self._calls[call.ticket]
            raise
        return call

    def broadcast(
        self,
        method: str,
        arguments: dict[str, Any] | None = None,
        *,
        destination: Sequence[str] | None = None,
        reply: bool = False,
        timeout: float = 1.0,
        limit: int | None = None,
        pattern: str | None = None,
        matcher: str | None = None,
        expect: Collection[str] | None = None,
        callback: Callable[[Reply], Any] | None = None,
    ) -> list[Reply]:
        """Send a command, and with `reply` wait for the answers; see `start`.

        Returns:
            The replies, fewer than expected when time ran out; empty without `reply`.
        """
        if not reply:
            self.cast(method, arguments, destination=destination, pattern=pattern, matcher=matcher)
            return []
        call = self.start(
            method,
            arguments,
            destination=destination,
            pattern=pattern,
            matcher=matcher,
            timeout=timeout,
            limit=limit,
            expect=expect,
            callback=callback,
        )
        return call.wait()

    def cast(
        self,
        method: str,
        arguments: dict[str, Any] | None = None,
        *,
        destination: Sequence[str] | None = None,
        pattern: str | None = None,
        matcher: str | None = None,
    ) -> None:
        """Send a command that wants no reply; see `start`."""
        self._send(self._command(method, arguments, destination, pattern, matcher))

    def _command(
        self,
        method: str,
        arguments: dict[str, Any] | None,
        destination: Sequence[str] | None,
        pattern: str | None,
        matcher: str | None,
    ) -> Command:
        """Check and build a command without an address for replies."""
        if isinstance(destination, str) or not isinstance(destination, Sequence | None):
            raise ValueError(f"destination must be a list of node names, not {destination!r}")
        if self.read_only:
            check_allowed(method, arguments or {})
        return Command(
            method=method,
            arguments=arguments or {},
            destination=list(destination) if destination is not None else None,
            pattern=pattern,
            matcher=matcher,
        )

    def _send(self, command: Command) -> int | None:
        """Publish a command; returns how many nodes it was handed to, if that is known."""
        command.clock = self.clock.forward()
        remember(self.broker, command, self.time_source.time())
        return self.broker.broadcast(encode_command(command, f"{self.namespace}.pidbox"))

    def _open(self) -> None:
        """Make the reply queue if there is none."""
        with self._opening:
            if self._subscription is None:
                self._sweep()
                self._subscription = self.broker.subscribe(self._queue)

    def _sweep(self) -> None:
        """Remove reply queues that a crashed process of this machine left behind."""
        exchange = f"reply.{self.namespace}.pidbox"
        for key, _ in self.broker.bindings(exchange):
            if is_stale(key):
                _log.info("removing the reply queue of a process that is gone: %s", key)
                self.broker.subscribe(reply_queue(key, self.namespace)).close()

    def fileno(self) -> int:
        """Return a descriptor that turns readable when a `Call.poll` may have something.

        Raises:
            BrokerConnectionError: The reply queue cannot be made.
        """
        self._open()
        subscription = self._subscription
        if subscription is None:
            raise BrokerConnectionError("the reply queue is closed")
        return subscription.fileno()

    def pump(self, timeout: float, waiter: Call | None = None) -> None:
        """Take in replies for all calls.

        Args:
            timeout: Seconds to wait for the first.
            waiter: The call waited for: return as soon as another thread took in its replies.

        Raises:
            BrokerConnectionError: The connection is lost; the next command opens it again.
        """
        with self._news:
            # Asked under the lock: whoever took in our last reply has let go of it by now.
            if waiter is not None and waiter.done:
                return
            if self._receiving:
                # Another thread reads the queue; it wakes us when it took something in.
                if timeout > 0:
                    self._news.wait(timeout)
                return
            self._receiving = True
        try:
            self._receive(timeout)
        finally:
            with self._news:
                self._receiving = False
                self._news.notify_all()

    def _receive(self, timeout: float) -> None:
        """Read the reply queue once, and hand each reply to its call."""
        subscription = self._subscription
        if subscription is None:
            raise BrokerConnectionError("the reply queue is closed")
        try:
            messages = subscription.receive(_BATCH, max(0.0, timeout))
        except BrokerConnectionError:
            self._subscription = None
            raise
        for message in messages:
            self._route(message)

    def _route(self, message: Message) -> None:
        """Hand one reply to the call it answers."""
        try:
            reply = decode_reply(message)
        except WireError as error:
            self.invalid += 1
            _log.info("a reply cannot be read: %s", error)
            return
        self.clock.adjust(reply.clock)
        call = self._calls.get(reply.ticket or "")
        if call is None:
            self.unclaimed += 1
            return
        reply.elapsed = self.time_source.monotonic() - call.started
        call.take(reply)

    def _prune(self, now: float) -> None:
        """Forget calls whose late replies are no longer waited for."""
        for ticket, call in list(self._calls.items()):
            if now > call.deadline + _LISTEN_AFTER:
                self._calls.pop(ticket, None)

    def close(self) -> None:
        """Remove the reply queue; a later command opens it again."""
        with self._opening:
            subscription, self._subscription = self._subscription, None
        if subscription is not None:
            try:
                subscription.close()
            except BrokerError as error:
                _log.info("the reply queue could not be removed: %s", error)


_open_mailboxes: "weakref.WeakSet[Mailbox]" = weakref.WeakSet()


def _close_at_exit(mailbox: Mailbox) -> None:
    """See to it that no reply queue outlives the process in the ordinary case."""
    if not _open_mailboxes:
        atexit.unregister(_close_all)
        atexit.register(_close_all)
    _open_mailboxes.add(mailbox)


def _close_all() -> None:
    """Close every mailbox of this process."""
    for mailbox in list(_open_mailboxes):
        mailbox.close()
