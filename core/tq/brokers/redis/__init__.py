"""Redis and Valkey: kombu's keys, taken in batches and held by leases."""

from typing import Any

__all__ = ["Address", "Broker", "Connection", "Keys", "Pool", "parse_url"]

_HOMES = {
    "Address": "tq.brokers.redis.address",
    "Broker": "tq.brokers.redis.broker",
    "Connection": "tq.brokers.redis.connection",
    "Keys": "tq.brokers.redis.keys",
    "Pool": "tq.brokers.redis.connection",
    "parse_url": "tq.brokers.redis.address",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module  # here, since most processes never come this way

    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value
