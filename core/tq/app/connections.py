"""The connections of one application: broker, reading broker, result backend; opened on first use.

Source: SETTINGS.md, "Broker connection", "Result backend"; celery/app/base.py.
"""

import os
import threading
import weakref

from tq.app.addresses import BACKEND_SETTINGS, BROKER_SETTINGS, open_backend, open_broker
from tq.backends.base import Backend
from tq.brokers.base import Broker
from tq.config import Conf
from tq.wire.ids import new_id

__all__ = ["Connections"]

_BROKER = "the broker connection"
_BACKEND = "the result backend"
# Results that are messages need a queue to come back to before the call goes out.
_BY_MESSAGE = ("rpc:", "amqp:")

_all: "weakref.WeakSet[Connections]" = weakref.WeakSet()


class Connections:
    """What an application talks to. Any thread may use it; closed ones open again on use.

    Attributes:
        address: Where replies to this process go, None until `reply_to` found it out. Whoever keeps
            a copy compares it by identity: another process or another backend has another one.
    """

    address: str | None

    def __init__(self, conf: Conf) -> None:
        """Read addresses from `conf` when they are needed."""
        self._conf = conf
        self._broker: Broker | None = None
        self._read_broker: Broker | None = None
        self._backend: Backend | None = None
        self.forked()
        _all.add(self)

    def forked(self) -> None:
        """Take an identity of this process's own; the parent's lock may be held for ever."""
        self._lock = threading.RLock()
        self._oid: str | None = None
        self.address = None

    @property
    def broker(self) -> Broker:
        """The connection for publishing."""
        return self._broker or self._open_broker()

    def _open_broker(self) -> Broker:
        with self._lock:
            if self._broker is None:
                settings = self._conf.settings
                self._broker = open_broker(settings, settings.broker_write_url)
                self._conf.mark_used(BROKER_SETTINGS, _BROKER)
            return self._broker

    @property
    def read_broker(self) -> Broker:
        """The connection for consuming: the same one unless `broker_read_url` differs."""
        settings = self._conf.settings
        given = settings.broker_read_url or (settings.broker_write_url and settings.broker_url)
        if not given or given == (settings.broker_write_url or settings.broker_url):
            return self.broker
        with self._lock:
            if self._read_broker is None:
                self._read_broker = open_broker(settings, given)
            return self._read_broker

    @property
    def backend(self) -> Backend:
        """The result backend."""
        return self._backend or self._open_backend()

    @backend.setter
    def backend(self, backend: Backend) -> None:
        self._backend, self.address = backend, None

    def _open_backend(self) -> Backend:
        with self._lock:
            if self._backend is None:
                self._backend = open_backend(self._conf.settings, self.broker, self.oid)
                self._conf.mark_used(BACKEND_SETTINGS, _BACKEND)
            return self._backend

    @property
    def oid(self) -> str:
        """The name of this process among those of the application."""
        if self._oid is None:
            self._oid = new_id()
        return self._oid

    @property
    def reply_to(self) -> str:
        """Where results of calls made here go: the backend's queue, made ready, or the `oid`.

        Raises:
            BackendError: The queue cannot be declared.
        """
        return self.address or self._find_address()

    def _find_address(self) -> str:
        with self._lock:
            backend = self._backend
            if backend is None and (self._conf.settings.result_backend or "").startswith(
                _BY_MESSAGE
            ):
                backend = self._open_backend()
            self.address = (backend.reply_to() if backend is not None else None) or self.oid
            return self.address

    def close(self) -> None:
        """Close what is open."""
        with self._lock:
            open_ones = [self._backend, self._read_broker, self._broker]
            self._backend = self._read_broker = self._broker = None
            self.address = None
            self._conf.unmark_used(_BROKER)
            self._conf.unmark_used(_BACKEND)
        for connection in open_ones:
            if connection is not None:
                connection.close()


def _forked() -> None:
    for connections in list(_all):
        connections.forked()


os.register_at_fork(after_in_child=_forked)
