"""The one subscription on which a process waits for all its results.

Source: PROTOCOL 9.1, "Waiting client"; celery/backends/redis.py, `ResultConsumer`. Celery's leaks
subscriptions (celery#3812); here an id is unsubscribed with its last watcher.
"""

import contextlib
import logging
import os
import select
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import hiredis

from tq.backends.watchers import OnError, OnResult, Watchers
from tq.brokers.doorbell import Doorbell
from tq.brokers.redis.address import Address
from tq.brokers.redis.connection import Connection
from tq.errors import BackendError, BrokerConnectionError, BrokerError, DecodeError
from tq.wire.result import ResultMeta

__all__ = ["Listener"]

log = logging.getLogger(__name__)

# A record whose notice was lost (server restarted between two reads) is found by reading again.
POLL_SECONDS = 5.0
SILENCE_SECONDS = 5.0  # a server that owes an answer and says nothing for so long is given up
CHUNK = 1000  # keys in one command, so that no single one holds the server for long
FIRST_PAUSE, LONGEST_PAUSE = 0.05, 1.0

_live: "weakref.WeakSet[Listener]" = weakref.WeakSet()


class Listener:
    """Waits for records on one connection, which its own daemon thread reads and writes.

    The connection speaks RESP3, so that SUBSCRIBE and the MGET which must follow it travel
    together: what is written before the MGET is read by it, what is written after arrives as a
    notice, and no gap is left between.

    Attributes:
        watchers: Who waits for what.
    """

    def __init__(
        self,
        address: Address,
        key_of: Callable[[str], str],
        decode: Callable[[bytes, str], ResultMeta],
        retry_seconds: float = 30.0,
    ) -> None:
        """Start nothing yet.

        Args:
            address: Where the records are.
            key_of: Task id -> key, which is the channel too.
            decode: (record, task id) -> what it says.
            retry_seconds: How long to try to connect again before those who wait get an error.
        """
        self._address = address
        self._key_of = key_of
        self._decode = decode
        self._retry_seconds = retry_seconds
        self._reset()
        _live.add(self)

    def _reset(self) -> None:
        """Begin anew: at first, and in a forked child, which has no thread and no watchers."""
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._bell: Doorbell | None = None
        self._closing = False
        self._wanted: deque[str] = deque()
        self._unwanted: deque[str] = deque()
        self._subscribed: set[str] = set()
        self._asked: deque[tuple[float, list[str]]] = deque()  # unanswered reads, and since when
        self._id_of: dict[bytes, str] = {}
        self.watchers = Watchers()

    # -- called by any thread ------------------------------------------------------------------

    def watch(
        self, ids: Sequence[str], on_result: OnResult, on_error: OnError | None
    ) -> Callable[[], None]:
        """Deliver every record of `ids`; see `Backend.watch`."""
        with self._lock:
            watcher = self.watchers.add(ids, on_result, on_error)
            self._wanted.extend(ids)
            if self._thread is None:
                self._start()
            self._ring()

        def cancel() -> None:
            if not watcher.ids:
                return
            gone = self.watchers.remove(watcher)
            if gone:
                with self._lock:
                    self._unwanted.extend(gone)
                    self._ring()

        return cancel

    def _start(self) -> None:
        """Start the thread, under the lock."""
        self._closing = False
        self._bell = Doorbell()
        self._thread = threading.Thread(
            target=self._run, args=(self._bell,), name="tq-results", daemon=True
        )
        self._thread.start()

    def _ring(self) -> None:
        if self._bell is not None:
            self._bell.ring()

    def close(self) -> None:
        """Stop the thread; those who wait get an error. A later watch starts it again."""
        with self._lock:
            thread, self._closing = self._thread, True
            self._ring()
        if thread is not None and thread is not threading.current_thread():
            thread.join(self._address.timeout)

    # -- the thread ----------------------------------------------------------------------------

    def _run(self, bell: Doorbell) -> None:
        connection = Connection(self._address)
        try:
            self._serve(connection, bell)
        except Exception as error:  # the thread's boundary: whoever waits must not wait for ever
            log.exception("the thread that waits for results stopped")
            self._end(BackendError(f"waiting for results failed: {error!r}"))
        finally:
            connection.close()

    def _serve(self, connection: Connection, bell: Doorbell) -> None:
        pause, lost_at = FIRST_PAUSE, 0.0
        while not self._closing:
            try:
                self._connect(connection)
                pause, lost_at = FIRST_PAUSE, 0.0
                self._listen(connection, bell)
            except BrokerError as error:
                connection.close()
                now = time.monotonic()
                lost_at = lost_at or now
                refused = not isinstance(error, BrokerConnectionError)
                if refused or now - lost_at > self._retry_seconds:
                    failure = BackendError(f"results cannot be waited for: {error}")
                    failure.__cause__ = error
                    self._end(failure)
                    return
                log.warning("waiting for results: %s; connecting again", error)
                self._sleep(bell, pause)
                pause = min(2 * pause, LONGEST_PAUSE)
        self._end(BackendError("the result backend was closed"))

    def _end(self, error: BaseException) -> None:
        """Give up on all who wait, and let the next one start a new thread."""
        with self._lock:
            self._thread = self._bell = None
            self._wanted.clear()
            self._unwanted.clear()
            self._subscribed.clear()
            self._asked.clear()
            self._id_of.clear()
            watchers, self.watchers = self.watchers, Watchers()
        watchers.fail(error)

    def _sleep(self, bell: Doorbell, seconds: float) -> None:
        """Pause, but not when closed meanwhile."""
        end = time.monotonic() + seconds
        while not self._closing and (left := end - time.monotonic()) > 0:
            select.select([bell], [], [], left)
            bell.clear()

    def _connect(self, connection: Connection) -> None:
        """Connect, and subscribe again to all that is waited for."""
        connection.call("HELLO", "3")
        self._subscribed.clear()
        self._asked.clear()
        self._id_of.clear()
        self._ask(connection, self.watchers.ids())

    def _listen(self, connection: Connection, bell: Doorbell) -> None:
        """Serve until the connection is lost or the listener closed."""
        poll = select.poll()
        poll.register(connection.fileno(), select.POLLIN)
        poll.register(bell.fileno(), select.POLLIN)
        read_at = heard_at = time.monotonic()
        while not self._closing:
            if not connection.ready():
                poll.poll(1000 * POLL_SECONDS if self.watchers else None)
            bell.clear()
            self._send_changes(connection)
            while replies := connection.receive_ready():
                heard_at = time.monotonic()
                for reply in replies:
                    self._take(reply)
            now = time.monotonic()
            if self._asked:
                # Counted from the read itself: this thread may have rested for hours before it.
                if now - max(heard_at, self._asked[0][0]) > SILENCE_SECONDS:
                    raise BrokerConnectionError(f"no answer in {SILENCE_SECONDS} s")
            elif self.watchers and now - read_at > POLL_SECONDS:
                read_at = now
                self._read(connection, self.watchers.ids())

    def _send_changes(self, connection: Connection) -> None:
        """Subscribe and unsubscribe what changed since the last turn."""
        if not self._wanted and not self._unwanted:
            return
        with self._lock:
            wanted, unwanted = list(self._wanted), list(self._unwanted)
            self._wanted.clear()
            self._unwanted.clear()
        if wanted:
            self._ask(connection, [id_ for id_ in wanted if id_ in self.watchers])
        self._leave(connection, unwanted)

    def _leave(self, connection: Connection, ids: Sequence[str]) -> None:
        """Unsubscribe from ids that nobody waits for (any more)."""
        gone = [id_ for id_ in ids if id_ in self._subscribed and id_ not in self.watchers]
        if not gone:
            return
        self._subscribed.difference_update(gone)
        keys = [self._key_of(id_) for id_ in gone]
        for key in keys:
            self._id_of.pop(key.encode(), None)
        connection.send_many(
            [("UNSUBSCRIBE", *keys[i : i + CHUNK]) for i in range(0, len(keys), CHUNK)]
        )

    def _ask(self, connection: Connection, ids: Sequence[str]) -> None:
        """Subscribe to ids, then read them once."""
        new = [id_ for id_ in ids if id_ not in self._subscribed]
        if new:
            self._subscribed.update(new)
            keys = [self._key_of(id_) for id_ in new]
            self._id_of.update(zip((key.encode() for key in keys), new, strict=True))
            connection.send_many(
                [("SUBSCRIBE", *keys[i : i + CHUNK]) for i in range(0, len(keys), CHUNK)]
            )
        self._read(connection, ids)

    def _read(self, connection: Connection, ids: Sequence[str]) -> None:
        parts = [list(ids[i : i + CHUNK]) for i in range(0, len(ids), CHUNK)]
        now = time.monotonic()
        self._asked.extend((now, part) for part in parts)
        if parts:
            connection.send_many([("MGET", *map(self._key_of, part)) for part in parts])

    def _take(self, reply: Any) -> None:
        """Deliver one reply: a notice, or the answer to a read."""
        if isinstance(reply, BrokerError):
            raise reply
        if isinstance(reply, hiredis.PushNotification):
            kind, channel, payload = reply[0], reply[1], reply[2]
            if kind == b"message":
                id_ = self._id_of.get(channel)
                if id_ is not None:
                    self._deliver(id_, payload)
            return
        for id_, raw in zip(self._asked.popleft()[1], reply, strict=True):
            if raw is not None:
                self._deliver(id_, raw)

    def _deliver(self, task_id: str, raw: bytes) -> None:
        if task_id not in self.watchers:
            return
        try:
            result = self._decode(raw, task_id)
        except DecodeError as error:
            self.watchers.fail(error, task_id)
            done = True
        else:
            done = self.watchers.deliver(result)
        if done:
            self._unwanted.append(task_id)
            self._ring()


def _reset_after_fork() -> None:
    """Forget the parent's thread, lock and watchers in a forked child."""
    for listener in list(_live):
        with contextlib.suppress(AttributeError):  # forked in the middle of its constructor
            listener._reset()  # noqa: SLF001 - this module's own class


os.register_at_fork(after_in_child=_reset_after_fork)
