"""How messages travel: brokers, consumers and subscriptions behind one interface."""

from tq.brokers.base import (
    Broker,
    ChordPart,
    Consumer,
    Dead,
    Delivery,
    Exchange,
    Message,
    Queue,
    Settled,
    Settlement,
    Settler,
    StoredResult,
    Subscription,
)
from tq.brokers.connect import connect

__all__ = [
    "Broker",
    "ChordPart",
    "Consumer",
    "Dead",
    "Delivery",
    "Exchange",
    "Message",
    "Queue",
    "Settled",
    "Settlement",
    "Settler",
    "StoredResult",
    "Subscription",
    "connect",
]
