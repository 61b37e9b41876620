"""Events of an application: sending one, and making emitters and receivers.

Source: PROTOCOL 7; API.md, `app.events`.
"""

import os
import time
from collections.abc import Mapping
from typing import Any

from tq.app.host import Connected
from tq.config import queue_options
from tq.events import Emitter, Receiver, event_exchange
from tq.nodename import anon_name
from tq.wire.event import encode_events, utc_offset

__all__ = ["Streams", "publish_event"]


def publish_event(app: Connected, type_: str, hostname: str, fields: Mapping[str, Any]) -> None:
    """Publish one event at once, singly, as Celery's tasks do.

    Args:
        app: The application.
        type_: Group and subject joined by `-`.
        hostname: The sender.
        fields: The event's own fields.
    """
    broker = app.broker
    exchange = event_exchange(app.conf.settings.event_exchange, broker.driver)
    event = {
        "type": type_,
        "hostname": hostname,
        "pid": os.getpid(),
        "clock": app.clock.forward(),
        "timestamp": time.time(),
        "utcoffset": utc_offset(),
        **fields,
    }
    message = encode_events(
        [event], hostname, exchange.name, exchange.type, app.conf.settings.event_serializer
    )
    broker.publish([message])


class Streams:
    """`app.events`."""

    def __init__(self, app: Connected) -> None:
        """Use `app`'s broker and settings."""
        self._app = app

    def emitter(self, hostname: str | None = None, **options: Any) -> Emitter:
        """Return a buffered sender of events.

        Args:
            hostname: The sender; this process by default.
            **options: As for `tq.events.Emitter`.
        """
        app = self._app
        settings = app.conf.settings
        options.setdefault("exchange", settings.event_exchange)
        options.setdefault("serializer", settings.event_serializer)
        return Emitter(app.broker, hostname or anon_name(), app.clock, **options)

    def receiver(self, **options: Any) -> Receiver:
        """Return a receiver of events.

        Args:
            **options: As for `tq.events.Receiver`; the settings stand behind them.

        Raises:
            ConfigError: Its queue would have to be exclusive and durable at once.
        """
        settings = self._app.conf.settings
        given = {
            "exchange": settings.event_exchange,
            "queue_prefix": settings.event_queue_prefix,
            "control_exchange": settings.control_exchange,
            **queue_options(settings, "event"),
            **options,
        }
        return Receiver(self._app.broker, **given)
