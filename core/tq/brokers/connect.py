"""Pick the broker that a URL names."""

from collections.abc import Mapping
from typing import Any

from tq.brokers.base import Broker
from tq.errors import ConfigError

__all__ = ["connect"]

_REDIS = {
    "redis", "rediss", "redis+socket", "socket", "unix", "sentinel",
    "valkey", "valkeys", "valkey+socket",
}  # fmt: skip
_EMBEDDED = {"embedded", "tq"}


def connect(url: str | None = None, options: Mapping[str, Any] | None = None) -> Broker:
    """Return the broker for a URL; nothing is opened before it is used.

    Args:
        url: `redis://`, `memory://`, `amqp://` and whatever kombu takes; None or `embedded://`
            means the user's own private server, which is started when it does not run.
        options: Transport options, named as kombu names them.

    Raises:
        ConfigError: No broker is known by that scheme, or the URL makes no sense.
        BrokerError: The embedded server cannot be started.
    """
    given = dict(options or {})
    if url is None or not url.strip():
        url = "embedded://"
    scheme, mark, _ = url.partition("://")
    if not mark and not url.startswith(("memory:", "embedded:")):
        raise ConfigError(f"a broker URL begins with a scheme such as redis:// or amqp://: {url!r}")
    return _open(scheme.partition(":")[0].lower(), url, given)


def _open(scheme: str, url: str, options: dict[str, Any]) -> Broker:
    """Import only the implementation that is asked for: each costs tens of milliseconds."""
    if scheme in _EMBEDDED:
        from tq.brokers import embedded

        url, scheme = embedded.ensure(), "redis"
    if scheme in _REDIS:
        from tq.brokers.redis.broker import Broker as RedisBroker

        return RedisBroker(url, options)
    if scheme == "memory":
        from tq.brokers.memory import Broker as MemoryBroker

        return MemoryBroker(url, options)
    from tq.brokers.kombu_adapter import KombuBroker

    return KombuBroker(url, options)
