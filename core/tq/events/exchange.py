"""The exchange that events go through.

Source: PROTOCOL 2, 7.1; celery/events/event.py, `get_exchange`.
"""

from tq.brokers.base import Exchange

__all__ = ["event_exchange"]

_FANOUT_DRIVERS = frozenset({"redis", "memory"})


def event_exchange(name: str, driver: str) -> Exchange:
    """Describe the event exchange: fanout where the broker has no topics of its own.

    Args:
        name: The setting `event_exchange`.
        driver: The broker's `driver`.
    """
    kind = "fanout" if driver in _FANOUT_DRIVERS else "topic"
    return Exchange(name=name, type=kind, durable=True, delivery_mode=1)
