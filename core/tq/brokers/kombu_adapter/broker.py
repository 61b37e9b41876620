"""The broker for every URL that kombu speaks."""

from collections.abc import Mapping, Sequence
from typing import Any

from kombu.utils.url import maybe_sanitize_url

from tq.brokers.base import Glimpse, Message, Queue, QueueSight
from tq.brokers.kombu_adapter.consumer import KombuConsumer
from tq.brokers.kombu_adapter.entities import kombu_queue
from tq.brokers.kombu_adapter.errors import translate_errors
from tq.brokers.kombu_adapter.link import Address, is_amqp
from tq.brokers.kombu_adapter.pool import Pool
from tq.brokers.kombu_adapter.subscription import KombuSubscription
from tq.errors import BrokerError, ConfigError

__all__ = ["KombuBroker"]

_DELIVERY_LIMIT = 5


class KombuBroker:
    """A connection to a broker through kombu; nothing is opened before it is used.

    Publishing and questions go over a few shared connections; each consumer and subscription has
    its own, owned by a thread.

    Attributes:
        url: The address with its password masked.
        driver: `amqp`, or the URL's scheme.
        location: None: no result backend shares a step with these brokers.
    """

    shows_messages = False
    location: str | None = None

    def __init__(self, url: str, options: Mapping[str, Any] | None = None) -> None:
        """Remember where and how to connect.

        Args:
            url: As kombu takes it; several, separated by `;`, are tried in turn.
            options: Transport options, and `connect_timeout`, `ssl`, `heartbeat`,
                `login_method`, `delivery_limit`.

        Raises:
            ConfigError: `delivery_limit` is no number.
        """
        given = dict(options or {})
        limit = given.get("delivery_limit", _DELIVERY_LIMIT)
        if type(limit) is not int or limit < 0:
            raise ConfigError(f"delivery_limit must be a number from 0 up, not {limit!r}")
        self.url = ";".join(maybe_sanitize_url(part) for part in url.split(";"))
        self.driver = "amqp" if is_amqp(url) else url.partition("://")[0].partition("+")[0].lower()
        self._limit = limit
        self._address = Address(url, given)
        self._pool = Pool(self._address, self.url)

    def publish(self, messages: Sequence[Message]) -> None:
        """Publish to any exchange type and wait for the server's confirmation.

        Raises:
            BrokerConnectionError: No confirmation; some may have been published.
        """
        if messages:
            with self._pool.link() as link:
                link.publish(messages)

    def broadcast(self, message: Message) -> None:
        """Publish to a fanout exchange; AMQP does not say who listens."""
        self.publish([message])

    def declare(self, queues: Sequence[Queue]) -> None:
        """Make sure that queues, exchanges and bindings exist.

        Raises:
            QueueDeclarationMismatch: One exists with other properties.
        """
        with self._pool.link() as link:
            link.declare([kombu_queue(queue) for queue in queues])

    def consume(self, queues: Sequence[Queue], *, prefetch: int) -> KombuConsumer:
        """Start to consume; `prefetch` counts deliveries not settled, parked ones apart.

        Raises:
            BrokerError: The server is away or refuses.
        """
        return KombuConsumer(
            self._address,
            self.url,
            self._pool,
            queues,
            prefetch=prefetch,
            delivery_limit=self._limit,
        )

    def settler(self, consumer_id: str) -> None:
        """Return None: only the connection that got a delivery can ack it."""

    def subscribe(self, queue: Queue) -> KombuSubscription:
        """Declare a private queue, bind it, and receive from it.

        Raises:
            BrokerError: The server is away or refuses.
        """
        return KombuSubscription(self._address, self.url, queue)

    def depths(self, queues: Sequence[str]) -> dict[str, int]:
        """Count ready messages per queue; unknown queues count 0."""
        with self._pool.link() as link:
            return {name: link.depth(name) for name in queues}

    def survey(self, queues: Sequence[str]) -> dict[str, QueueSight]:
        """Count ready messages and consumers per queue; AMQP tells nothing else."""
        with self._pool.link() as link:
            counts = {name: link.counts(name) for name in queues}
        return {
            name: QueueSight(ready=ready, consumers=consumers if self.driver == "amqp" else None)
            for name, (ready, consumers) in counts.items()
        }

    def peek(self, queue: str, limit: int) -> list[Glimpse]:
        """Refuse: whoever reads a message here takes it.

        Raises:
            BrokerError: Always.
        """
        raise BrokerError(f"{self.driver} shows messages only to consumers, which take them")

    def purge(self, queue: str) -> int:
        """Delete the ready messages of a queue; returns how many there were."""
        with self._pool.link() as link:
            return link.purge(queue)

    def bindings(self, exchange: str) -> list[tuple[str, str]]:
        """Return []: AMQP cannot tell what is bound."""
        return []

    def ping(self, timeout: float) -> None:
        """Reach the server.

        Raises:
            BrokerConnectionError: Not within `timeout` seconds.
        """
        with translate_errors(self.url):
            self._address.connect(timeout=timeout).close()

    def close(self) -> None:
        """Close the shared connections; a later call opens new ones."""
        self._pool.close()
