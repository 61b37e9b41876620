"""The connections of one application: broker, reading broker, result backend; opened on first use.

Source: SETTINGS.md, "Broker connection", "Result backend"; celery/app/base.py.
"""

import os
import threading

from tq.app.addresses import BACKEND_SETTINGS, BROKER_SETTINGS, open_backend, open_broker
from tq.backends.base import Backend
from tq.brokers.base import Broker
from tq.config import Conf
from tq.wire.ids import new_id

__all__ = ["Connections"]

_BROKER = "the broker connection"
_BACKEND = "the result backend"


class Connections:
    """What an application talks to. Any thread may use it; closed ones open again on use."""

    def __init__(self, conf: Conf) -> None:
        """Read addresses from `conf` when they are needed."""
        self._conf = conf
        self._lock = threading.RLock()
        self._broker: Broker | None = None
        self._read_broker: Broker | None = None
        self._backend: Backend | None = None
        self._oid = (0, "")

    @property
    def broker(self) -> Broker:
        """The connection for publishing."""
        return self._broker or self._open_broker()

    def _open_broker(self) -> Broker:
        with self._lock:
            if self._broker is None:
                self._broker = open_broker(self._conf.settings)
                self._conf.mark_used(BROKER_SETTINGS, _BROKER)
            return self._broker

    @property
    def read_broker(self) -> Broker:
        """The connection for consuming: `broker_read_url` where that is set, else `broker`."""
        given = self._conf.settings.broker_read_url
        if not given:
            return self.broker
        with self._lock:
            if self._read_broker is None:
                self._read_broker = open_broker(self._conf.settings, given)
            return self._read_broker

    @property
    def backend(self) -> Backend:
        """The result backend."""
        return self._backend or self._open_backend()

    @backend.setter
    def backend(self, backend: Backend) -> None:
        self._backend = backend

    def _open_backend(self) -> Backend:
        with self._lock:
            if self._backend is None:
                self._backend = open_backend(self._conf.settings, self.broker, self.oid)
                self._conf.mark_used(BACKEND_SETTINGS, _BACKEND)
            return self._backend

    @property
    def oid(self) -> str:
        """The address of this process for replies; a forked child has its own."""
        pid = os.getpid()
        if self._oid[0] != pid:
            self._oid = (pid, new_id())
        return self._oid[1]

    def close(self) -> None:
        """Close what is open."""
        with self._lock:
            open_ones = [self._backend, self._read_broker, self._broker]
            self._backend = self._read_broker = self._broker = None
            self._conf.unmark_used(_BROKER)
            self._conf.unmark_used(_BACKEND)
        for connection in open_ones:
            if connection is not None:
                connection.close()
