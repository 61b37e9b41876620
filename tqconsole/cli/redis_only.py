"""What only Redis and Valkey can do."""

from typing import TYPE_CHECKING, Any

from tq.errors import ConfigError

if TYPE_CHECKING:
    from tq import TQ
    from tq.brokers.redis import Broker

__all__ = ["redis_broker"]


def redis_broker(app: "TQ") -> "Broker":
    """Return an application's broker, which must be of that kind.

    Raises:
        ConfigError: It is another.
        BrokerConnectionError: None of several answers.
    """
    from tq.brokers.failover import FailoverBroker  # deferred: loads the driver
    from tq.brokers.redis import Broker

    broker: Any = app.broker
    if isinstance(broker, FailoverBroker):
        broker = broker.in_use()
    if not isinstance(broker, Broker):
        raise ConfigError(f"this needs Redis or Valkey; the broker is {broker.driver}")
    return broker
