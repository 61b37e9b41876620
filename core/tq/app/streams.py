"""Events of an application: sending one, and making emitters and receivers.

Source: PROTOCOL 7; API.md, `app.events`.
"""

import os
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tq.events import Emitter, Receiver, event_exchange
from tq.nodename import anon_name
from tq.wire.event import encode_events, utc_offset

if TYPE_CHECKING:
    from tq.app.client import Client

__all__ = ["Streams", "publish_event"]


def publish_event(app: "Client", type_: str, hostname: str, fields: Mapping[str, Any]) -> None:
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
    broker.publish([encode_events([event], hostname, exchange.name, exchange.type)])


class Streams:
    """`app.events`."""

    def __init__(self, app: "Client") -> None:
        """Use `app`'s broker and settings."""
        self._app = app

    def emitter(self, hostname: str | None = None, **options: Any) -> Emitter:
        """Return a buffered sender of events.

        Args:
            hostname: The sender; this process by default.
            **options: As for `tq.events.Emitter`.
        """
        app = self._app
        options.setdefault("exchange", app.conf.settings.event_exchange)
        return Emitter(app.broker, hostname or anon_name(), app.clock, **options)

    def receiver(self, **options: Any) -> Receiver:
        """Return a receiver of events; options as for `tq.events.Receiver`."""
        options.setdefault("exchange", self._app.conf.settings.event_exchange)
        return Receiver(self._app.broker, **options)
