"""Broker and backend addresses and options, from the settings.

Source: SETTINGS.md, "Broker connection", "Result backend".
"""

from collections.abc import Mapping
from typing import Any

from tq.backends.base import Backend
from tq.backends.connect import connect as connect_backend
from tq.brokers.base import Broker
from tq.brokers.connect import connect as connect_broker
from tq.config import Settings

__all__ = [
    "BACKEND_SETTINGS",
    "BROKER_SETTINGS",
    "broker_options",
    "open_backend",
    "open_broker",
]

BROKER_SETTINGS = (
    "broker_url",
    "broker_write_url",
    "broker_transport_options",
    "broker_use_ssl",
    "broker_pool_limit",
    "broker_connection_timeout",
    "broker_heartbeat",
    "broker_lease",
    "task_delivery_limit",
)
"""Read when the broker connection is made."""

BACKEND_SETTINGS = (
    "result_backend",
    "result_serializer",
    "result_compression",
    "result_expires",
    "result_failure_expires",
    "result_chord_expires",
    "result_accept_content",
    "result_backend_transport_options",
    "redis_backend_use_ssl",
    "redis_socket_timeout",
    "redis_socket_connect_timeout",
)
"""Read when the backend is made."""

# Schemes whose server keeps results as well.
_KEEPS_RESULTS = frozenset(
    {
        "redis",
        "rediss",
        "redis+socket",
        "valkey",
        "valkeys",
        "valkey+socket",
        "unix",
        "socket",
        "sentinel",
        "memory",
    }
)


def _first_url(given: str | tuple[str, ...] | None) -> str | None:
    """Return the first of several addresses, or None; `;` separates them in one text."""
    if isinstance(given, tuple):
        return given[0] if given else None
    if given and ";" in given and not given.startswith("sentinel"):
        return given.split(";")[0]
    return given


def open_broker(settings: Settings, url: str | tuple[str, ...] | None = None) -> Broker:
    """Make a connection to the broker; nothing is opened before it is used.

    Args:
        settings: The application's.
        url: Another address than the settings' `broker_url`, or several that stand for one another.

    Raises:
        ConfigError: The address names no broker.
    """
    return connect_broker(url or settings.broker_url, broker_options(settings))


def broker_options(settings: Settings) -> dict[str, Any]:
    """Return what the settings say about connections to the broker."""
    options: dict[str, Any] = {
        "delivery_limit": settings.task_delivery_limit,
        "lease": settings.broker_lease,
        "socket_connect_timeout": settings.broker_connection_timeout,
        "max_message_size": settings.message_max_bytes,
    }
    if settings.broker_use_ssl:
        options["ssl"] = settings.broker_use_ssl
    if settings.broker_heartbeat is not None:
        options["heartbeat"] = settings.broker_heartbeat
    options.update(settings.broker_transport_options)
    return options


def open_backend(settings: Settings, broker: Broker, oid: str) -> Backend:
    """Make the result backend.

    Without `result_backend` results go to the broker's own server, where that can keep them: the
    embedded server, Redis or Valkey, and memory. Otherwise, and with `disabled://`, none are kept.

    Args:
        settings: The application's.
        broker: The connection that `rpc://` shares.
        oid: The queue that `rpc://` results come back to.

    Raises:
        ConfigError: The address names no backend.
    """
    url = settings.result_backend or _brokers_own(settings)
    return connect_backend(url, _backend_options(settings, oid), broker)


def _brokers_own(settings: Settings) -> str | None:
    url = _first_url(settings.broker_url)
    if not url or url.startswith(("embedded:", "tq:")):
        from tq.brokers import embedded  # starts a server, so only where that is asked for

        return embedded.ensure()
    scheme = url.partition(":")[0].lower()
    return url if scheme in _KEEPS_RESULTS else None


def _backend_options(settings: Settings, oid: str) -> dict[str, Any]:
    options: dict[str, Any] = {
        "expires": settings.result_expires,
        "serializer": settings.result_serializer,
        "compression": settings.result_compression,
        "accept": settings.result_accept_content or settings.accept_content,
        "insecure": settings.allow_insecure_serializers,
        "extended": settings.result_extended,
        "join_timeout": settings.result_chord_join_timeout,
        "persistent": bool(settings.result_persistent),
        "oid": oid,
        "socket_timeout": settings.redis_socket_timeout,
    }
    optional: Mapping[str, Any] = {
        "failure_expires": settings.result_failure_expires,
        "chord_expires": settings.result_chord_expires,
        "socket_connect_timeout": settings.redis_socket_connect_timeout,
        "max_connections": settings.redis_max_connections,
        "ssl": settings.redis_backend_use_ssl,
    }
    options.update((name, value) for name, value in optional.items() if value is not None)
    if settings.result_backend is None:
        # One server for both: what scopes the broker's keys must scope the results' too, and its
        # connection options are those of the transport.
        options.update(settings.broker_transport_options)
        if settings.broker_use_ssl:
            options["ssl"] = settings.broker_use_ssl
    transport = dict(settings.result_backend_transport_options)
    if "result_chord_ordered" in transport:
        transport["chord_ordered"] = transport.pop("result_chord_ordered")
    options.update(transport)
    return options
