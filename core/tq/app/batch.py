"""Calls on their way out in bulk, sent as they are made.

A generator of a million calls needs the memory of one batch.
"""

from tq.app.calls import Call
from tq.app.forms import Form
from tq.app.producer import BATCH, Producer
from tq.brokers.base import Queue
from tq.config import Settings

__all__ = ["Batch"]


class Batch:
    """Collects up to `BATCH` calls and sends them in a round trip, in order per queue."""

    def __init__(self, producer: Producer, settings: Settings) -> None:
        """Send through `producer`."""
        self._producer = producer
        self._settings = settings
        self._calls: list[Call] = []
        self._lots: dict[tuple[str, int], list[bytes]] = {}
        self._queues: dict[str, Queue] = {}
        self._room = BATCH

    def add(self, call: Call) -> None:
        """Add a call that was prepared by itself; sends the batch when that makes it full.

        Raises:
            BrokerConnectionError: The broker did not answer.
        """
        if self._lots:
            self.send()
        self._calls.append(call)
        self._room -= 1
        if not self._room:
            self.send()

    def add_filled(self, form: Form, opening: bytes) -> None:
        """Add a call that `form` wrote; sends the batch when that makes it full.

        Raises:
            BrokerConnectionError: The broker did not answer.
        """
        if self._calls:
            self.send()
        lot = self._lots.get(form.address)
        if lot is None:
            lot = self._lots[form.address] = []
            self._queues[form.queue.name] = form.queue
        lot.append(opening)
        self._room -= 1
        if not self._room:
            self.send()

    def send(self) -> None:
        """Send what was collected.

        Raises:
            BrokerConnectionError: The broker did not answer.
        """
        calls, self._calls = self._calls, []
        lots, self._lots = self._lots, {}
        self._room = BATCH
        if calls:
            self._producer.publish(calls, self._settings)
        if lots:
            self._producer.publish_openings(lots, list(self._queues.values()), self._settings)
