"""A real Celery worker on a private Redis and on RabbitMQ, and a broker to reach it."""

import uuid
from collections.abc import Iterator
from types import SimpleNamespace

import pytest
import redis
from celery import Celery
from kombu import pools

from tests.support import services
from tests.support.processes import celery_worker
from tq.brokers.connect import connect


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    with services.redis_server(tcp=True) as server:
        yield server.url


@pytest.fixture(scope="module", params=["redis", "amqp"])
def cluster(request: pytest.FixtureRequest) -> Iterator[SimpleNamespace]:
    """A Celery prefork worker with `-E`; RabbitMQ is shared, so names are unique."""
    url = (
        request.getfixturevalue("redis_url")
        if request.param == "redis"
        else services.rabbitmq_url()
    )
    name, queue = f"peer-{uuid.uuid4().hex[:8]}@test", f"peer-{uuid.uuid4().hex[:8]}"
    app = Celery("client", broker=url, set_as_current=False)
    app.conf.update(task_default_queue=queue, task_send_sent_event=True, task_ignore_result=True)
    worker = celery_worker(url, name=name, PEER_QUEUE=queue)
    broker = connect(url)
    try:
        yield SimpleNamespace(
            kind=request.param,
            url=url,
            worker=worker,
            node=name,
            queue=queue,
            broker=broker,
            app=app,
        )
    finally:
        broker.close()
        # Celery's `close` leaves its pooled connections to the garbage collector.
        pools.reset()
        app.close()
        worker.__exit__()


@pytest.fixture
def keys(cluster: SimpleNamespace):
    """The keys and channels of the Redis server, or nothing elsewhere."""
    if cluster.kind != "redis":
        return lambda: None
    client = redis.Redis.from_url(cluster.url)

    def read() -> dict:
        members = {}
        for key in client.scan_iter("_kombu.binding*"):
            if client.type(key) == b"set":
                members[key] = client.smembers(key)
        return {
            "keys": {key for key in client.scan_iter() if not key.startswith(b"celery-task-meta-")},
            "members": members,
            "channels": set(client.pubsub_channels()),
            "patterns": client.pubsub_numpat(),
        }

    return read
