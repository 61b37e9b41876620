"""Connections of kombu to the application's broker, for programs that speak kombu themselves.

tq sends and receives over connections of its own; these share nothing with them.

Source: API.md, `Celery.connection`, `pool`, `producer_pool`; celery/app/base.py.
"""

from typing import Any

from kombu import connection as kombu_connection
from kombu import pools as kombu_pools

from tq.app.addresses import broker_options
from tq.config import Settings

__all__ = ["connection", "connection_pool", "producer_pool"]

# Kombu has no types.
_Connection: Any = kombu_connection.Connection
_pools: Any = kombu_pools
# What tq takes for Redis and Valkey, as kombu calls it.
_SCHEMES = {
    "valkey": "redis",
    "valkeys": "rediss",
    "valkey+socket": "redis+socket",
    "unix": "redis+socket",
    "socket": "redis+socket",
}
_OURS = (
    "delivery_limit",
    "lease",
    "max_message_size",
    "socket_connect_timeout",
    "heartbeat",
    "ssl",
)


def connection(settings: Settings, url: str | tuple[str, ...] | None, **options: Any) -> Any:
    """Return a `kombu.Connection`, not connected yet.

    Args:
        settings: The application's.
        url: One address or several; the embedded server when None.
        **options: For `kombu.Connection`, instead of those of the settings.
    """
    given = (url,) if isinstance(url, str) else tuple(url or ("embedded://",))
    transport = broker_options(settings)
    ours = {name: transport.pop(name) for name in _OURS if name in transport}
    defaults = {
        "ssl": ours.get("ssl", False),
        "heartbeat": ours.get("heartbeat"),
        "connect_timeout": settings.broker_connection_timeout,
        "transport_options": transport,
    }
    return _Connection([_for_kombu(each) for each in given], **{**defaults, **options})


def connection_pool(settings: Settings, url: str | tuple[str, ...] | None) -> Any:
    """Return kombu's pool of such connections, of `broker_pool_limit`."""
    if settings.broker_pool_limit is not None:
        _pools.set_limit(settings.broker_pool_limit)
    return _pools.connections[connection(settings, url)]


def producer_pool(settings: Settings, url: str | tuple[str, ...] | None) -> Any:
    """Return kombu's pool of producers on such connections."""
    if settings.broker_pool_limit is not None:
        _pools.set_limit(settings.broker_pool_limit)
    return _pools.producers[connection(settings, url)]


def _for_kombu(url: str) -> str:
    if url.startswith(("embedded:", "tq:")):
        from tq.brokers import embedded  # starts a server, so only where that is asked for

        url = embedded.ensure()
    scheme, mark, rest = url.partition("://")
    return f"{_SCHEMES.get(scheme, scheme)}{mark}{rest}"
