from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.support.services import RedisServer, rabbitmq_url, redis_server
from tq.brokers import Broker, Consumer, Message, Queue, connect

KINDS = ["memory", "redis", "valkey", "amqp"]


@pytest.fixture(scope="session")
def redis_service() -> Iterator[RedisServer]:
    with redis_server("redis") as server:
        yield server


@pytest.fixture(scope="session")
def valkey_service() -> Iterator[RedisServer]:
    with redis_server("valkey") as server:
        yield server


@pytest.fixture(params=["redis", "valkey"])
def server(request: pytest.FixtureRequest) -> RedisServer:
    """Each of the two servers, emptied."""
    found: RedisServer = request.getfixturevalue(f"{request.param}_service")
    empty(found)
    return found


def empty(server: RedisServer) -> None:
    broker = connect(server.url)
    broker.pool.call("FLUSHALL")
    broker.close()


class Setting:
    """A broker, and unique names so that tests can share a RabbitMQ."""

    def __init__(self, kind: str, url: str) -> None:
        self.kind = kind
        self.url = url
        self.options: dict[str, Any] = {}
        self.broker: Broker = connect(url, self.options)
        self.token = uuid.uuid4().hex[:8]
        self._closers: list[Callable[[], None]] = []
        self._queues: list[str] = []

    def name(self, word: str) -> str:
        name = f"tqt.{self.token}.{word}"
        self._queues.append(name)
        return name

    def queue(self, word: str = "q", **fields: Any) -> Queue:
        # Left behind in a shared RabbitMQ, it goes by itself.
        fields.setdefault("expires", 60.0 if self.kind == "amqp" else None)
        queue = Queue(name=self.name(word), **fields)
        if queue.exchange is None or queue.exchange.type != "fanout":
            self.broker.declare([queue])
        return queue

    def consume(self, *queues: Queue, prefetch: int = 1000) -> Consumer:
        consumer = self.broker.consume(list(queues), prefetch=prefetch)
        self._closers.append(consumer.close)
        return consumer

    def subscribe(self, queue: Queue) -> Any:
        subscription = self.broker.subscribe(queue)
        self._closers.append(subscription.close)
        return subscription

    def send(self, queue: Queue, *bodies: bytes, **fields: Any) -> None:
        self.broker.publish([Message(body=b, routing_key=queue.name, **fields) for b in bodies])

    def close(self) -> None:
        for close in reversed(self._closers):
            close()
        self.broker.close()


@pytest.fixture(params=KINDS)
def setting(request: pytest.FixtureRequest) -> Iterator[Setting]:
    kind = request.param
    if kind == "memory":
        url = f"memory://{uuid.uuid4().hex}"
    elif kind == "amqp":
        pytest.importorskip("tq.brokers.kombu_adapter")
        url = rabbitmq_url()
    else:
        service: RedisServer = request.getfixturevalue(f"{kind}_service")
        empty(service)
        url = service.url
    made = Setting(kind, url)
    yield made
    made.close()
