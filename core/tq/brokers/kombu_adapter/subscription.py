"""A private queue: events, commands, replies."""

import itertools
import os
import threading
import time
from collections import deque
from typing import Any

from tq.brokers.base import Message, Queue
from tq.brokers.doorbell import Doorbell
from tq.brokers.kombu_adapter.entities import kombu_queue
from tq.brokers.kombu_adapter.link import Address, Link
from tq.brokers.kombu_adapter.pump import Pump
from tq.brokers.kombu_adapter.waiting import wait_readable
from tq.errors import BrokerConnectionError, BrokerError
from tq.wire.limits import LIMITS

__all__ = ["KombuSubscription"]

_MAX_WAITING = 50_000
_numbers = itertools.count(1)


class KombuSubscription:
    """Receives without acknowledgement; `receive` may be called from one thread.

    Attributes:
        dropped: Messages not handed out: too large, or more than the receiver kept up with.
    """

    def __init__(self, address: Address, url: str, queue: Queue) -> None:
        """Connect, declare the queue and receive from it.

        Raises:
            BrokerError: The server is away or refuses.
        """
        self.dropped = 0
        self._queue, self._url = queue, url
        self._waiting: deque[Message] = deque()
        self._is_lost = threading.Event()
        self._open = True
        self._tag = f"tq.{os.getpid()}.{next(_numbers)}"
        self._bell = Doorbell()
        self._pump = Pump(
            address,
            url,
            name=f"tq-subscription-{next(_numbers)}",
            on_connect=self._begin,
            on_lost=self._lost,
            on_tick=lambda: 60.0,
            reconnect=False,
        )
        try:
            self._pump.start()
        except BaseException:
            self._bell.close()
            raise

    def _begin(self, link: Link) -> None:
        link.declare([kombu_queue(self._queue)])
        link.consume(self._queue.name, self._tag, self._arrived, no_ack=True)

    def _arrived(self, message: Message, raw_tag: Any, redelivered: bool) -> None:
        if len(message.body) > LIMITS.message or len(self._waiting) >= _MAX_WAITING:
            self.dropped += 1
            return
        self._waiting.append(message)
        self._bell.ring()

    def _remove(self, link: Link) -> None:
        # First the consumer: deleting a queue under it is answered with an error that ends the
        # connection. An auto-delete queue is gone with it, and deleting it once more is harmless.
        link.cancel(self._tag)
        link.delete(self._queue.name)

    def _lost(self) -> None:
        self._is_lost.set()
        self._bell.ring()

    def fileno(self) -> int:
        """Return a descriptor that turns readable when `receive` may have something."""
        return self._bell.fileno()

    def receive(self, limit: int, timeout: float) -> list[Message]:
        """Take up to `limit` messages, waiting up to `timeout` seconds for the first.

        Raises:
            BrokerConnectionError: The connection is lost, and all that came is handed out.
        """
        deadline = time.monotonic() + timeout
        while self._open:
            self._bell.clear()
            found: list[Message] = []
            while self._waiting and len(found) < limit:
                found.append(self._waiting.popleft())
            if self._waiting:
                self._bell.ring()
            if found:
                return found
            if self._is_lost.is_set():
                self._bell.ring()
                raise BrokerConnectionError(f"{self._url}: the connection is lost")
            left = deadline - time.monotonic()
            if left <= 0:
                return []
            wait_readable([self._bell.fileno()], left)
        return []

    def close(self) -> None:
        """Remove the queue and its binding, leaving nothing behind in the broker."""
        if not self._open:
            return
        self._open = False
        try:
            if not self._is_lost.is_set():
                self._pump.ask(self._remove)
        except BrokerError:
            pass  # an exclusive queue went with its connection; others expire by themselves
        finally:
            self._pump.close()
            self._bell.close()
