"""Settings of the queues for events, commands and replies, and of what events are written in."""

import contextlib
import uuid
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import kombu
import pytest
from amqp.exceptions import PreconditionFailed, ResourceLocked
from celery import Celery

from tests.support import services
from tests.support.msgpack_for_kombu import register
from tests.support.waiting import eventually
from tq import TQ
from tq.beat.remote import PingResponder
from tq.errors import ConfigError
from tq.testing import start_worker, temporary_app

pytestmark = pytest.mark.timeout(90)

ALL = {"task-sent", "task-received", "task-started", "task-succeeded"}
DURABLE = {
    "event_queue_durable": True,
    "event_queue_exclusive": False,
    "control_queue_durable": True,
    "control_queue_exclusive": False,
}


@pytest.fixture(params=["redis", "amqp"])
def place(request: pytest.FixtureRequest) -> Iterator[SimpleNamespace]:
    """A broker, and settings with names of our own, since RabbitMQ is shared."""
    name = f"tqt-{uuid.uuid4().hex[:12]}"
    names = {
        "task_default_queue": name,
        "event_exchange": f"{name}.ev",
        "event_queue_prefix": f"{name}.ev",
        "control_exchange": name,
        "task_send_sent_event": True,
        "worker_send_task_events": True,
    }
    exchanges = [name, f"{name}.ev", f"{name}.pidbox", f"reply.{name}.pidbox"]
    if request.param == "redis":
        with services.redis_server(tcp=True) as server:
            yield SimpleNamespace(url=server.url, kind="redis", names=names)
        return
    url = services.rabbitmq_url()
    yield SimpleNamespace(url=url, kind="amqp", names=names)
    with kombu.Connection(url) as connection, connection.channel() as channel:
        channel.queue_delete(name)
        for exchange in exchanges:
            channel.exchange_delete(exchange)


# Redis knows neither exclusive nor durable queues.
on_rabbitmq = pytest.mark.parametrize("place", ["amqp"], indirect=True)


def declare(url: str, queue: kombu.Queue, **changes: Any) -> None:
    """Declare a queue once more on another connection; the server refuses other flags."""
    arguments = {
        "x-expires": int(queue.expires * 1000),
        "x-message-ttl": int(queue.message_ttl * 1000),
    }
    flags = {
        "durable": queue.durable,
        "exclusive": queue.exclusive,
        "auto_delete": queue.auto_delete,
    }
    with kombu.Connection(url) as connection, connection.channel() as channel:
        channel.queue_declare(queue.name, arguments=arguments, **{**flags, **changes})


def work(app: TQ, events: Any, *expected: str) -> list[str]:
    """Run one task on a worker and return the types of the events about it, once all came."""
    with start_worker(app, without_heartbeat=False, without_gossip=False) as worker:
        result = app.send_task("celery.accumulate", (1,))
        assert app.control.inspect(destination=[worker.hostname], timeout=30).ping()
        eventually(lambda: {*expected} <= {*events(result.id)}, within=30)
    app.control.close()
    return events(result.id)


def gathered(receiver: Any) -> Any:
    """Drain a receiver into a list, and return what finds types in it by a task's id."""
    seen: list[dict[str, Any]] = []

    def find(task_id: str) -> list[str]:
        seen.extend(event for batch in receiver.drain() for event in batch.events)
        return [event["type"] for event in seen if event.get("uuid") == task_id]

    return find


@pytest.mark.parametrize("serializer", ["msgpack", "yaml"])
def test_events_in_another_serializer(place: SimpleNamespace, serializer: str) -> None:
    settings = {**place.names, "event_serializer": serializer}
    with temporary_app({"broker": place.url}, **settings) as app:
        receiver = app.events.receiver()
        receiver.start()
        try:
            types = work(app, gathered(receiver), *ALL)
        finally:
            receiver.close()
    assert set(types) == ALL


def test_celery_reads_events_in_another_serializer(place: SimpleNamespace) -> None:
    register()
    peer = Celery(broker=place.url, set_as_current=False)
    settings = {**place.names, "event_serializer": "msgpack"}
    peer.conf.update(settings)
    seen: list[dict[str, Any]] = []
    with (
        temporary_app({"broker": place.url}, **settings) as app,
        peer.connection() as given,
        peer.events.Receiver(given, handlers={"*": seen.append}).consumer_context() as context,
    ):

        def arrived() -> bool:
            # Again and again: on Redis kombu subscribes with the first drain, not before.
            app.send_event("task-progress", uuid="x", done=0.5)
            with contextlib.suppress(TimeoutError):
                context[0].drain_events(timeout=0.2)
            return bool(seen)

        eventually(arrived, within=30)
    assert seen[0]["done"] == 0.5


def test_durable_queues_work_on_every_broker(place: SimpleNamespace) -> None:
    with temporary_app({"broker": place.url}, **place.names, **DURABLE) as app:
        receiver = app.events.receiver()
        receiver.start()
        try:
            assert "task-started" in work(app, gathered(receiver), "task-succeeded")
        finally:
            receiver.close()


@on_rabbitmq
def test_the_server_holds_the_queues_as_the_settings_say(place: SimpleNamespace) -> None:
    with temporary_app({"broker": place.url}, **place.names, **DURABLE) as app:
        receiver = app.events.receiver()
        receiver.start()
        with start_worker(app, without_heartbeat=False, without_gossip=False) as worker:
            app.control.inspect(destination=[worker.hostname], timeout=30).ping()
            gossip = next(s for s in worker.worker.services if s.name == "gossip")
            node = next(s for s in worker.worker.services if s.name == "control")._node
            for queue in (
                receiver._queue,
                gossip._queue,
                node._queue,
                app.control.mailbox._queue,
            ):
                declare(place.url, queue)
                with pytest.raises(PreconditionFailed, match="durable"):
                    declare(place.url, queue, durable=False)
        receiver.close()
        app.control.close()


@on_rabbitmq
def test_queues_are_exclusive_and_transient_by_default(place: SimpleNamespace) -> None:
    with temporary_app({"broker": place.url}, **place.names) as app:
        receiver = app.events.receiver()
        receiver.start()
        try:
            with pytest.raises(ResourceLocked):
                declare(place.url, receiver._queue)
        finally:
            receiver.close()


@pytest.mark.parametrize("kind", ["event", "control"])
def test_exclusive_and_durable_at_once_is_refused_in_one_line(kind: str) -> None:
    with temporary_app(**{f"{kind}_queue_durable": True}) as app:
        line = rf"^{kind}_queue_durable needs {kind}_queue_exclusive=False"
        with pytest.raises(ConfigError, match=line), start_worker(app, without_gossip=False):
            pytest.fail("it started")
        with pytest.raises(ConfigError, match=line):
            app.events.receiver() if kind == "event" else app.control.mailbox
        if kind == "control":
            with pytest.raises(ConfigError, match=line):
                PingResponder(app)


def test_a_serializer_that_monitors_do_not_read_is_refused() -> None:
    with (
        pytest.raises(ConfigError, match="event_serializer must be one of 'json'"),
        temporary_app(event_serializer="pickle"),
    ):
        pytest.fail("it went on")
