"""Kombu connections whose sockets are closed when they are given up, whatever state they are in.

py-amqp closes its socket when the server answers in order, or on an `OSError`. Anything else that
arrives first, such as the end of a consumer whose queue was deleted or a refused password, leaves
the socket to the garbage collector (py-amqp 5.3, `Connection.connect`, `Connection.close`).
"""

import contextlib
from collections.abc import Callable
from functools import cache
from typing import Any

import amqp
from kombu import connection as kombu_connection

__all__ = ["KombuConnection"]

# Neither library has types.
_Amqp: Any = amqp.Connection
_Kombu: Any = kombu_connection.Connection


class _ClosesWhenRefused:
    """Mixed into py-amqp's connection: a failed handshake leaves no socket behind."""

    collect: Callable[[], None]

    def connect(self, callback: Callable[[], Any] | None = None) -> Any:
        """Connect, or close what was opened."""
        try:
            return super().connect(callback)  # type: ignore[misc]  # the class it is mixed into has it
        except BaseException:
            self.collect()
            raise


@cache
def _closing(transport: Any) -> Any:
    """Return the transport class with a connection class that closes; others unchanged."""
    plain = getattr(transport, "Connection", None)
    if not (isinstance(plain, type) and issubclass(plain, _Amqp)):
        return transport
    closing = type(plain.__name__, (_ClosesWhenRefused, plain), {})
    return type(transport.__name__, (transport,), {"Connection": closing})


class KombuConnection(_Kombu):  # type: ignore[misc]  # kombu has no types
    """A kombu connection that leaves no socket open."""

    def get_transport_cls(self) -> Any:
        """Return the URL's transport, made to close its sockets."""
        return _closing(super().get_transport_cls())

    def close_for_good(self) -> None:
        """Close in order if the server still answers, and the socket in any case."""
        inner = self._connection
        # It is being thrown away, often because it is broken already.
        with contextlib.suppress(Exception):
            self.release()
        if isinstance(inner, _Amqp):
            with contextlib.suppress(Exception):
                inner.collect()
