"""A client of one library, a worker of the other, one broker: every combination as one `Pair`."""

import os
import tempfile
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import amqp
import celery
import celery.result
import kombu.pools
import pytest
import redis
from celery import Celery

import tq
import tq.results
from tests.support import msgpack_for_kombu
from tests.support.ledger import alive
from tests.support.processes import Process, celery_worker, tq_worker
from tests.support.services import RedisServer, rabbitmq_url, redis_server

msgpack_for_kombu.register()
Starter = Callable[..., Process]
_NOTES = Path(tempfile.gettempdir())
STARTERS: dict[str, Starter] = {"celery": celery_worker, "tq": tq_worker}


class Pair:
    """A client application and the worker of the other library.

    `canvas` and `results` are the client library's modules: both have the same names in them.
    """

    def __init__(self, client: str, broker: str, backend: str, server: RedisServer) -> None:
        self.client = client
        self.peer = "tq" if client == "celery" else "celery"
        self.broker, self.backend = broker, backend
        self.queue = "celery" if broker.startswith("redis") else f"interop-{uuid.uuid4().hex[:8]}"
        self.node = f"{self.peer}-{uuid.uuid4().hex[:6]}@interop"
        if not broker.startswith("redis"):
            note_queues(self.queue, f"{self.queue}-extra", f"{self.node}.celery.pidbox")
        self.redis = redis.Redis(port=server.port, decode_responses=True)
        self.canvas: ModuleType = celery if client == "celery" else tq
        self.results: ModuleType = celery.result if client == "celery" else tq.results
        self.app: Any = _client(client, broker, backend, self.queue)
        self.env = {
            "PEER_BACKEND": backend,
            "PEER_QUEUE": self.queue,
            "PEER_LEDGER": f"redis://127.0.0.1:{server.port}/0",
        }
        self.worker: Process | None = None

    def start(self, *options: str) -> "Pair":
        self.worker = STARTERS[self.peer](
            self.broker, "-E", "-Q", self.queue, *options, name=self.node, **self.env
        )
        return self

    def send(self, name: str, *args: Any, **options: Any) -> Any:
        return self.app.send_task(f"peer.{name}", args, **options)

    def sign(self, name: str, *args: Any, **options: Any) -> Any:
        return self.app.signature(f"peer.{name}", args=args, **options)

    def notes(self) -> list[str]:
        return self.redis.lrange("notes", 0, -1)

    def close(self) -> None:
        if self.worker is not None:
            self.worker.__exit__(None, None, None)
        if self.client == "celery":
            close_celery(self.app)
        else:
            self.app.close()
        self.redis.close()
        if not self.broker.startswith("redis"):
            delete_queues(self.queue, f"{self.node}.celery.pidbox")


def _client(kind: str, broker: str, backend: str, queue: str) -> Any:
    settings = {
        "task_default_queue": queue,
        "task_send_sent_event": True,
        "accept_content": ["json", "msgpack"],
    }
    if kind == "celery":
        app = Celery("client", broker=broker, backend=backend, set_as_current=False)
    else:
        app = tq.TQ("client", broker=broker, backend=backend, set_as_current=False)
    app.conf.update(settings)
    return app


def close_celery(app: Celery) -> None:
    """Close what Celery's own `close` leaves open: pools and the result backend's sockets."""
    backend = app.backend
    consumer = getattr(backend, "result_consumer", None)
    if consumer is not None:
        consumer.stop()
    client = backend.__dict__.get("client")
    if client is not None:
        client.connection_pool.disconnect()
    app.close()
    kombu.pools.reset()


def note_queues(*names: str) -> None:
    """Write down queues that we make on the shared RabbitMQ, for whoever follows a killed run."""
    with (_NOTES / f"tq-interop-queues.{os.getpid()}").open("a") as notes:
        notes.writelines(f"{name}\n" for name in names)


@pytest.fixture(scope="session", autouse=True)
def _sweep_queues() -> Iterator[None]:
    """Remove the queues of runs that were killed, and our own notes at the end."""
    for notes in _NOTES.glob("tq-interop-queues.*"):
        if not alive(int(notes.suffix[1:])):
            delete_queues(*notes.read_text().split())
            notes.unlink(missing_ok=True)
    yield
    (_NOTES / f"tq-interop-queues.{os.getpid()}").unlink(missing_ok=True)


def delete_queues(*names: str) -> None:
    """Remove what a test left on the shared RabbitMQ."""
    with amqp.Connection("127.0.0.1:5672") as connection:
        for name in names:
            connection.channel().queue_delete(name)
        channel = connection.channel()
        for name in names:
            if name.startswith("interop-"):
                channel.exchange_delete(name)


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    """One Redis for the module, on a port of its own."""
    with redis_server(tcp=True) as running:
        yield running


def make_pair(server: RedisServer, case: str) -> Pair:
    """`case` is `client/broker/backend`, for example `celery/amqp/rpc`."""
    client, broker, backend = case.split("/")
    urls = {"redis": server.url, "amqp": "", "rpc": "rpc://"}
    if broker == "amqp":
        urls["amqp"] = rabbitmq_url()
    return Pair(client, urls[broker], urls[backend], server)
