"""Every broker that kombu speaks, RabbitMQ first, behind tq's interface."""

from tq.brokers.kombu_adapter.broker import KombuBroker

__all__ = ["KombuBroker"]
