"""Waiting at queues: one blocked BLMOVE per queue, on a connection of its own."""

import contextlib
import logging
import select
import sys
from typing import Any

from tq.brokers.doorbell import Doorbell
from tq.brokers.redis.address import Address
from tq.brokers.redis.connection import Argument, Connection
from tq.errors import BrokerConnectionError, BrokerError

__all__ = ["Waiters"]

_log = logging.getLogger(__name__)


class Waiters:
    """Wakes its owner when something arrives at one of the queues.

    BLMOVE puts what arrives into the consumer's inbox, from where `fetch` takes it like from any
    list: the message is in the broker all the time, and of all idle workers only one is woken.

    Owned by the consumer's thread.
    """

    def __init__(self, address: Address, block: float) -> None:
        """Wait at no queue yet.

        Args:
            address: Where the queues are.
            block: Seconds a BLMOVE blocks. Much shorter than the lease, since the server goes on
                serving a client whose host vanished: nothing may be put into an inbox after its
                owner was found dead and the inbox emptied.
        """
        self._address = address
        self._block = block
        self._waiting: dict[str, _Waiter] = {}
        self._poller = _Poller()
        self.bell = Doorbell()
        self._poller.add(self.bell.fileno())

    def fileno(self) -> int:
        """Return a descriptor that is readable when a waiter has woken or the bell was rung."""
        return self._poller.fileno()

    def add(self, source: str, inbox: str) -> None:
        """Wait at a list from the next `arm` on."""
        if source not in self._waiting:
            self._waiting[source] = _Waiter(Connection(self._address), source, inbox)

    def remove(self, source: str) -> None:
        """Wait no longer at a list; disarm first."""
        waiter = self._waiting.pop(source, None)
        if waiter is not None:
            self._close(waiter)

    @property
    def idle_lists(self) -> list[str]:
        """Lists at which nobody waits, because their waiter is not armed."""
        return [source for source, waiter in self._waiting.items() if not waiter.armed]

    def arm(self) -> None:
        """Begin to wait wherever we do not already; never raises.

        A list without a waiter is still looked at by `maintain`, so that a connection refused
        here (the server's `maxclients`) costs latency and nothing else.
        """
        for waiter in self._waiting.values():
            if waiter.armed:
                continue
            try:
                waiter.arm(self._block)
            except BrokerError as error:
                _log.debug("cannot wait at %s: %s", waiter.source, error)
                self._close(waiter)
                continue
            if waiter.registered is None:
                waiter.registered = waiter.connection.fileno()
                self._poller.add(waiter.registered)

    def collect(self) -> None:
        """Take note of the waiters that woke; their messages are in the inboxes."""
        self.bell.clear()
        if not any(waiter.armed for waiter in self._waiting.values()):
            return
        ready = self._poller.poll(0.0)
        for waiter in self._waiting.values():
            if waiter.armed and waiter.registered in ready:
                try:
                    waiter.collect()
                except BrokerConnectionError as error:
                    _log.debug("lost the connection waiting at %s: %s", waiter.source, error)
                    self._close(waiter)

    def wait(self, timeout: float) -> bool:
        """Block until something wakes us, up to `timeout` seconds; tells whether it did."""
        return bool(self._poller.poll(timeout))

    def disarm(self, connection: Connection) -> None:
        """Stop waiting everywhere.

        A waiter that was served just before has its message in the inbox: the caller gives that
        back.

        Args:
            connection: Another connection to the same server, which unblocks the waiters.
        """
        armed = [waiter for waiter in self._waiting.values() if waiter.armed]
        if not armed:
            return
        commands: list[tuple[Argument, ...]] = [
            ("CLIENT", "UNBLOCK", waiter.client_id) for waiter in armed
        ]
        connection.pipeline(commands)
        for waiter in armed:
            try:
                waiter.finish()
            except BrokerConnectionError:
                self._close(waiter)

    def close(self) -> None:
        """Close every connection."""
        for waiter in self._waiting.values():
            self._close(waiter)
        self._waiting.clear()
        self._poller.close()
        self.bell.close()

    def _close(self, waiter: "_Waiter") -> None:
        """Close one waiter's connection; arming opens it again."""
        if waiter.registered is not None:
            self._poller.remove(waiter.registered)
            waiter.registered = None
        waiter.armed = False
        waiter.connection.close()


class _Waiter:
    """A connection that is blocked, or can be."""

    def __init__(self, connection: Connection, source: str, inbox: str) -> None:
        """Wait at `source`, later."""
        self.connection = connection
        self.source = source
        self.inbox = inbox
        self.armed = False
        self.client_id = 0
        self.registered: int | None = None
        self._opened = -1

    def arm(self, block: float) -> None:
        """Send the blocking command."""
        self.connection.connect()
        if self._opened != self.connection.opened:
            self.client_id = int(self.connection.call("CLIENT", "ID"))
            self._opened = self.connection.opened
        self.connection.send("BLMOVE", self.source, self.inbox, "RIGHT", "LEFT", block)
        self.armed = True

    def collect(self) -> None:
        """Read the reply, if it is there."""
        for reply in self.connection.receive_ready():
            self.armed = False
            if isinstance(reply, BrokerError):
                # A wrong type or a server that cannot serve: `fetch` meets the same and says so.
                _log.debug("waiting at %s: %s", self.source, reply)

    def finish(self) -> None:
        """Read the reply that an unblocked command sends."""
        with contextlib.suppress(BrokerError):
            self.connection.receive()
        if not self.connection.connected:
            raise BrokerConnectionError("the waiter's connection is lost")
        self.armed = False


class _Poller:
    """epoll or kqueue, whose own descriptor can be waited for in another selector."""

    def __init__(self) -> None:
        """Open it."""
        self._epoll: Any = None
        self._kqueue: Any = None
        if sys.platform == "linux":
            self._epoll = _unpatched("epoll")()
        else:
            self._kqueue = _unpatched("kqueue")()

    def fileno(self) -> int:
        """Return its own descriptor."""
        number: int = (self._epoll or self._kqueue).fileno()
        return number

    def add(self, descriptor: int) -> None:
        """Watch a descriptor for reading."""
        if self._epoll is not None:
            self._epoll.register(descriptor, 1)  # EPOLLIN
        else:
            self._change(descriptor, "KQ_EV_ADD")

    def remove(self, descriptor: int) -> None:
        """Watch it no longer; one that is closed already has left by itself."""
        with contextlib.suppress(OSError, ValueError):
            if self._epoll is not None:
                self._epoll.unregister(descriptor)
            else:
                self._change(descriptor, "KQ_EV_DELETE")

    def _change(self, descriptor: int, action: str) -> None:
        """Apply a change to the kqueue."""
        kernel: Any = select
        event = kernel.kevent(descriptor, kernel.KQ_FILTER_READ, getattr(kernel, action))
        self._kqueue.control([event], 0, 0)

    def poll(self, timeout: float) -> set[int]:
        """Return the readable descriptors, waiting up to `timeout` seconds for the first."""
        if self._epoll is not None:
            return {descriptor for descriptor, _ in self._epoll.poll(timeout)}
        return {event.ident for event in self._kqueue.control(None, 64, timeout)}

    def close(self) -> None:
        """Close it."""
        (self._epoll or self._kqueue).close()


def _unpatched(name: str) -> Any:
    """Return a function of `select` that gevent's or eventlet's patch removes from it."""
    monkey = sys.modules.get("gevent.monkey")
    if monkey is not None:
        return monkey.get_original("select", name)
    if not hasattr(select, name) and "eventlet.patcher" in sys.modules:
        return getattr(sys.modules["eventlet.patcher"].original("select"), name)
    return getattr(select, name)
