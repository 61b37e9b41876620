"""Pick the broker that a URL names."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from tq.brokers.base import Broker
from tq.errors import ConfigError

__all__ = ["connect"]

_REDIS = {
    "redis", "rediss", "redis+socket", "socket", "unix", "sentinel",
    "valkey", "valkeys", "valkey+socket",
}  # fmt: skip
_EMBEDDED = {"embedded", "tq"}


def connect(
    url: str | Sequence[str] | None = None, options: Mapping[str, Any] | None = None
) -> Broker:
    """Return the broker for a URL; nothing is opened before it is used.

    Args:
        url: `redis://`, `memory://`, `amqp://` and whatever kombu takes; None or `embedded://`
            means the user's own private server, which is started when it does not run. Several,
            as a sequence or separated by `;`, stand for one another (but for `sentinel://`, where
            they are the sentinels).
        options: Transport options, named as kombu names them.

    Raises:
        ConfigError: No broker is known by that scheme, or the URL makes no sense.
        BrokerError: The embedded server cannot be started.
    """
    given = dict(options or {})
    addresses = _addresses(url)
    if len(addresses) == 1:
        return _connect_one(addresses[0], given)
    kinds = [_kind(address) for address in addresses]
    if len(set(kinds)) > 1:
        raise ConfigError("brokers that stand for one another must be of one kind")
    if kinds[0] == "kombu":
        return _connect_one(";".join(addresses), given)  # kombu tries them in turn by itself
    from tq.brokers.failover import FailoverBroker

    return FailoverBroker([partial(_connect_one, address, given) for address in addresses])


def _addresses(url: str | Sequence[str] | None) -> list[str]:
    """Split what was given into addresses, at least one."""
    given = [url] if isinstance(url, str) else list(url or ())
    if len(given) == 1 and not given[0].startswith("sentinel"):
        given = given[0].split(";")
    return [address.strip() for address in given if address.strip()] or ["embedded://"]


def _kind(url: str) -> str:
    scheme = url.partition(":")[0].lower()
    if scheme in _REDIS or scheme in _EMBEDDED:
        return "redis"
    return "memory" if scheme == "memory" else "kombu"


def _connect_one(url: str, given: dict[str, Any]) -> Broker:
    scheme, mark, _ = url.partition("://")
    if not mark and not url.startswith(("memory:", "embedded:")):
        # What stands before an @ may be a password.
        shown = url.rpartition("@")[2]
        raise ConfigError(
            f"a broker URL begins with a scheme such as redis:// or amqp://: {shown!r}"
        )
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
