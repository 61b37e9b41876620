"""One socket to Redis, and a free list of them.

The hot path owns its connection: a call through redis-py costs 120-250 us of CPU, through a raw
socket 82 us (nearly all of it the kernel's).
"""

import os
import select
import socket
import time
import weakref
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import hiredis

from tq.brokers.redis.address import Address
from tq.errors import BrokerConnectionError, BrokerError

__all__ = ["Argument", "Connection", "Pool", "translate_reply"]

Argument = str | bytes | int | float

# The server is there but cannot serve now: starting, a replica, in a long script, failing over.
RETRYABLE = frozenset(
    {"LOADING", "READONLY", "BUSY", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN", "NOREPLICAS"}
)
_RECEIVE_BYTES = 131072
_MAX_IDLE = 10

_NOTHING = object()
_LARGE = 256  # bytes of an argument from where on joining beats hiredis' packing
_live: "weakref.WeakSet[Connection]" = weakref.WeakSet()


def _pack(arguments: tuple[Any, ...]) -> bytes:
    """Write a command in Redis' protocol.

    hiredis is twice as fast as Python for short arguments, but grows its buffer as it goes: a push
    of 1,000 messages takes it 1.7 ms, joining them 0.25 ms.
    """
    last = arguments[-1]
    if len(arguments) > 8 and type(last) is bytes and len(last) >= _LARGE:
        parts = [b"*%d\r\n" % len(arguments)]
        for argument in arguments:
            data = argument if type(argument) is bytes else str(argument).encode()
            parts += (b"$%d\r\n" % len(data), data, b"\r\n")
        return b"".join(parts)
    packed: bytes = hiredis.pack_command(arguments)
    return packed


def translate_reply(text: str) -> BrokerError:
    """Turn the text of an error reply into an exception; its first word is kept as `code`."""
    code = text.partition(" ")[0]
    if code in RETRYABLE or "max number of clients" in text:
        return BrokerConnectionError(f"Redis cannot serve now: {text}", code=code)
    return BrokerError(f"Redis refused: {text}", code=code)


class Connection:
    """A connection that is made when first used and closes itself rather than lose its place.

    Owned by one thread at a time. Whatever interrupts a call half-way (timeout, signal, cancelled
    greenlet) closes the socket, so that no later caller can read another's reply. A forked child
    starts without a socket.
    """

    def __init__(self, address: Address) -> None:
        """Remember where to connect; nothing is opened yet."""
        self.address = address
        self._socket: Any = None
        self._reader: Any = None
        self._poll: Any = None
        self._timeout = 0.0
        self.pending = 0  # replies that are still to come
        self.opened = 0  # how often a socket was opened: tells a caller that its state is gone
        _live.add(self)

    def __repr__(self) -> str:
        """Show the address and whether a socket is open."""
        return f"<Connection {self.address.url} {'open' if self._socket else 'closed'}>"

    @property
    def location(self) -> str:
        """Name server and database, as `Broker.location`."""
        return self.address.location

    @property
    def connected(self) -> bool:
        """Whether a socket is open; a fork closes those of the parent in the child."""
        return self._socket is not None

    def fileno(self) -> int:
        """Return the socket's descriptor, connecting when needed."""
        self.connect()
        descriptor: int = self._socket.fileno()
        return descriptor

    def connect(self) -> None:
        """Open the socket and introduce ourselves, unless that was done.

        Raises:
            BrokerConnectionError: Nobody answers there.
            BrokerError: The server refuses the password, the user or the database.
        """
        if self._socket is not None:
            return
        address = self.address
        try:
            self._socket = _open(address)
        except OSError as error:
            raise BrokerConnectionError(
                f"no connection to {address.url}: {error}", url=address.url
            ) from error
        self._timeout = -1.0
        self._reader = hiredis.Reader(
            protocolError=_protocol_error, replyError=translate_reply, notEnoughData=_NOTHING
        )
        self._poll = select.poll()
        self._poll.register(self._socket.fileno(), select.POLLIN)
        self.pending = 0
        self.opened += 1
        try:
            self._introduce()
        except BaseException:
            self.close()
            raise

    def _introduce(self) -> None:
        """Authenticate, choose the database and set the name, in one round trip."""
        address = self.address
        commands: list[tuple[Argument, ...]] = []
        if address.password is not None:
            user = () if address.username is None else (address.username,)
            commands.append(("AUTH", *user, address.password))
        if address.db:
            commands.append(("SELECT", address.db))
        commands.append(("CLIENT", "SETNAME", address.client_name))
        self.send_many(commands)
        replies = [self._reply(address.connect_timeout) for _ in commands]
        # An ACL may forbid CLIENT; a name is not worth failing for.
        for reply in replies[:-1]:
            if isinstance(reply, BrokerError):
                raise reply
        last = replies[-1]
        if isinstance(last, BrokerError) and getattr(last, "code", "") != "NOPERM":
            raise last

    def call(self, *arguments: Argument, timeout: float | None = None) -> Any:
        """Run one command.

        Args:
            arguments: The command and its arguments.
            timeout: Seconds to wait for the reply; the address's own when None.

        Raises:
            BrokerConnectionError: No reply in time, or the server cannot serve now; the command
                may have been run.
            BrokerError: The server refused; `code` is the reply's first word.
        """
        self.send(*arguments)
        return self.receive(timeout)

    def pipeline(self, commands: Sequence[Sequence[Argument]], *, check: bool = True) -> list[Any]:
        """Run several commands in one round trip and return their replies.

        Args:
            commands: Each a command with its arguments.
            check: Raise the first error reply once all are read; else leave errors in the list.
        """
        if not commands:
            return []
        self.send_many(commands)
        replies = [self._reply(None) for _ in commands]
        if check:
            for reply in replies:
                if isinstance(reply, BrokerError):
                    raise reply
        return replies

    def send(self, *arguments: Argument) -> None:
        """Send a command without waiting; a `receive` per command must follow."""
        self._write(_pack(arguments), 1)

    def send_many(self, commands: Iterable[Sequence[Argument]]) -> None:
        """Send several commands at once without waiting."""
        packed = [_pack(tuple(command)) for command in commands]
        self._write(b"".join(packed), len(packed))

    def _write(self, data: bytes, replies: int) -> None:
        """Write all of `data`, or close and raise."""
        self.connect()
        try:
            self._set_timeout(self.address.timeout)
            self._socket.sendall(data)
        except OSError as error:
            raise self._lost(error) from error
        except BaseException:
            self.close()
            raise
        self.pending += replies

    def receive(self, timeout: float | None = None) -> Any:
        """Read the next reply, or raise it when it is an error."""
        reply = self._reply(timeout)
        if isinstance(reply, BrokerError):
            raise reply
        return reply

    def _reply(self, timeout: float | None) -> Any:
        """Read the next reply, errors included."""
        if self._socket is None:
            raise BrokerConnectionError(
                f"the connection to {self.address.url} was closed", url=self.address.url
            )
        reply = self._reader.gets()
        if reply is _NOTHING:
            reply = self._wait(self.address.timeout if timeout is None else timeout)
        self.pending -= 1
        if isinstance(reply, BrokerError) and getattr(reply, "code", "") == "READONLY":
            self.close()  # a former master: the next call looks for the new one
        return reply

    def _wait(self, seconds: float) -> Any:
        """Read from the socket until a reply is complete; `seconds` bounds the whole wait."""
        deadline = time.monotonic() + seconds
        try:
            while True:
                self._set_timeout(max(seconds, 0.001))
                data = self._socket.recv(_RECEIVE_BYTES)
                if not data:
                    raise ConnectionResetError("closed by the server")
                self._reader.feed(data)
                reply = self._reader.gets()
                if reply is not _NOTHING:
                    return reply
                seconds = deadline - time.monotonic()
                if seconds <= 0:
                    raise TimeoutError("timed out in the middle of a reply")
        except OSError as error:
            raise self._lost(error) from error
        except BaseException:
            self.close()
            raise

    def ready(self, timeout: float = 0.0) -> bool:
        """Tell whether a read would not block, waiting up to `timeout` seconds for it."""
        if not self.connected:
            return False
        if self._reader.has_data() or getattr(self._socket, "pending", int)():
            return True
        return bool(self._poll.poll(max(timeout, 0.0) * 1000))

    def receive_ready(self, limit: int = 1_000_000) -> list[Any]:
        """Return the replies that are complete after at most one read; never blocks.

        Errors among them are returned, not raised.

        Raises:
            BrokerConnectionError: The server closed the connection.
        """
        if self._socket is None:
            return []
        replies: list[Any] = []
        self._take(replies, limit)
        if not replies and self.ready():
            try:
                data = self._socket.recv(_RECEIVE_BYTES)
                if not data:
                    raise ConnectionResetError("closed by the server")
                self._reader.feed(data)
            except OSError as error:
                raise self._lost(error) from error
            self._take(replies, limit)
        self.pending = max(0, self.pending - len(replies))
        return replies

    def _take(self, replies: list[Any], limit: int) -> None:
        """Move complete replies from the reader to `replies`."""
        gets = self._reader.gets
        while len(replies) < limit:
            reply = gets()
            if reply is _NOTHING:
                return
            replies.append(reply)

    def healthy(self) -> bool:
        """Tell whether an idle connection can be used: nothing unread, and not hung up."""
        return self.connected and self.pending == 0 and not self._poll.poll(0)

    def _set_timeout(self, seconds: float) -> None:
        """Change the socket's timeout when it differs."""
        if seconds != self._timeout:
            self._socket.settimeout(seconds)
            self._timeout = seconds

    def _lost(self, error: OSError) -> BrokerConnectionError:
        """Close, and describe why."""
        self.close()
        reason = "no answer in time" if isinstance(error, TimeoutError) else str(error)
        return BrokerConnectionError(
            f"lost the connection to {self.address.url}: {reason}", url=self.address.url
        )

    def close(self) -> None:
        """Close the socket; a later call opens a new one."""
        opened, self._socket = self._socket, None
        self._reader = self._poll = None
        self.pending = 0
        if opened is not None:
            opened.close()


def _protocol_error(text: str) -> BrokerConnectionError:
    """Describe bytes that are not Redis' protocol: most often another server on that port."""
    return BrokerConnectionError(f"the server does not speak Redis' protocol: {text}")


def _open(address: Address) -> Any:
    """Open a socket to the address, with TLS where asked."""
    if address.path is not None:
        plain = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            plain.settimeout(address.connect_timeout)
            plain.connect(address.path)
        except BaseException:
            plain.close()
            raise
        return plain
    host, port = _master(address) if address.sentinels else (address.host, address.port)
    plain = socket.create_connection((host, port), timeout=address.connect_timeout)
    try:
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if address.keepalive:
            _keep_alive(plain)
        if address.tls is not None:
            from tq.brokers.redis.tls import wrap  # here: ssl takes 10 ms to import

            return wrap(plain, host, address.tls)
    except BaseException:
        plain.close()
        raise
    return plain


def _keep_alive(plain: socket.socket) -> None:
    """Have the kernel notice a peer that vanished within about 30 seconds."""
    plain.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (("TCP_KEEPIDLE", 15), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 3)):
        if hasattr(socket, name):
            plain.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def _master(address: Address) -> tuple[str, int]:
    """Ask the sentinels where the master is."""
    from redis.exceptions import RedisError  # here: only sentinel users pay for redis-py
    from redis.sentinel import Sentinel

    make: Any = Sentinel  # redis-py's constructor has no types
    sentinel = make(
        list(address.sentinels),
        sentinel_kwargs=address.sentinel_options,
        socket_timeout=address.connect_timeout,
        socket_connect_timeout=address.connect_timeout,
    )
    try:
        host, port = sentinel.discover_master(address.master)
    except RedisError as error:
        raise ConnectionError(str(error)) from error
    return str(host), int(port)


class Pool:
    """Idle connections to one address; safe to share between threads.

    Grows with the number of threads that call at the same time and keeps ten when they rest.
    """

    def __init__(self, address: Address) -> None:
        """Start empty."""
        self.address = address
        self._idle: deque[Connection] = deque()

    @property
    def location(self) -> str:
        """Name server and database, as `Broker.location`."""
        return self.address.location

    def acquire(self) -> Connection:
        """Take a connection that is usable as far as one can see, or a new one."""
        while True:
            try:
                connection = self._idle.pop()
            except IndexError:
                return Connection(self.address)
            if connection.healthy():
                return connection
            connection.close()

    def release(self, connection: Connection) -> None:
        """Give a connection back; one with replies outstanding is closed."""
        if not connection.connected:
            return
        if connection.pending or len(self._idle) >= _MAX_IDLE:
            connection.close()
        else:
            self._idle.append(connection)

    @contextmanager
    def lease(self) -> Iterator[Connection]:
        """Lend a connection for a block."""
        connection = self.acquire()
        try:
            yield connection
        finally:
            self.release(connection)

    def call(self, *arguments: Argument, timeout: float | None = None) -> Any:
        """Run one command on some connection."""
        with self.lease() as connection:
            return connection.call(*arguments, timeout=timeout)

    def pipeline(self, commands: Sequence[Sequence[Argument]], *, check: bool = True) -> list[Any]:
        """Run several commands in one round trip on some connection."""
        with self.lease() as connection:
            return connection.pipeline(commands, check=check)

    def close(self) -> None:
        """Close the idle connections; those lent out are closed when they come back broken."""
        while self._idle:
            try:
                self._idle.pop().close()
            except IndexError:
                return


def _drop_inherited() -> None:
    """Close the parent's sockets in a forked child, so that the server sees the parent die."""
    for connection in list(_live):
        connection.close()


os.register_at_fork(after_in_child=_drop_inherited)
