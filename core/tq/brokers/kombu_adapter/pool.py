"""Connections for publishing and asking, shared by threads."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from tq.brokers.kombu_adapter.errors import LOST, translate_errors
from tq.brokers.kombu_adapter.link import Address, Link
from tq.errors import BrokerConnectionError

__all__ = ["Pool"]


_BROKEN: tuple[type[Exception], ...] = (BrokerConnectionError, *LOST)


class Pool:
    """A few idle links; any number may be in use."""

    def __init__(self, address: Address, url: str, size: int = 4) -> None:
        """Open nothing yet; `url` is shown in errors, `size` is how many idle links are kept."""
        self._address = address
        self._url = url
        self._size = size
        self._lock = threading.Lock()
        self._idle: list[Link] = []
        self._pid = os.getpid()
        self._closings = 0

    @contextmanager
    def link(self) -> Iterator[Link]:
        """Lend a connected link; it is thrown away when the connection fails meanwhile.

        Raises:
            BrokerError: Whatever went wrong, translated.
        """
        with translate_errors(self._url):
            closings = self._closings
            link = self._take()
            try:
                yield link
            except _BROKEN:
                link.close()
                raise
            except BaseException:
                self._give_back(link, closings)
                raise
            self._give_back(link, closings)

    def _take(self) -> Link:
        if self._pid != os.getpid():
            self._forget()
        while True:
            with self._lock:
                link = self._idle.pop() if self._idle else None
            if link is None:
                return self._address.connect()
            if link.is_usable():
                return link
            link.close()

    def _give_back(self, link: Link, closings: int) -> None:
        """Keep a link for the next, unless the pool was closed while it was lent."""
        with self._lock:
            if closings == self._closings and len(self._idle) < self._size:
                self._idle.append(link)
                return
        link.close()

    def _forget(self) -> None:
        """Begin anew in a forked child."""
        self._lock = threading.Lock()
        self._idle, self._pid = [], os.getpid()

    def close(self) -> None:
        """Close every link, those in use when they come back; the pool can be used again."""
        if self._pid != os.getpid():
            self._forget()
        with self._lock:
            links, self._idle = self._idle, []
            self._closings += 1
        for link in links:
            link.close()
