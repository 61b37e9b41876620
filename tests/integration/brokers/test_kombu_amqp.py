"""What is RabbitMQ's own: lost connections, declarations beside Celery's, errors in our words."""

from __future__ import annotations

import gc
import os
import socket
import threading
import time
import uuid
import zlib
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from celery import Celery
from kombu import pools

from tests.support.services import rabbitmq_url
from tests.support.waiting import eventually
from tq.brokers import Exchange, Message, Queue, Settlement, StoredResult, connect
from tq.brokers.kombu_adapter import KombuBroker
from tq.errors import (
    BrokerConnectionError,
    BrokerError,
    ConfigError,
    EncodeError,
    QueueDeclarationMismatch,
)
from tq.wire.message import read_body, read_headers

pytestmark = pytest.mark.timeout(60)


class Proxy:
    """A TCP proxy whose connections can be cut."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._sockets: list[socket.socket] = []
        self.refusing = False
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if self.refusing:
                client.close()
                continue
            server = socket.create_connection(self._target)
            self._sockets += [client, server]
            for pair in ((client, server), (server, client)):
                threading.Thread(target=self._copy, args=pair, daemon=True).start()

    def _copy(self, source: socket.socket, target: socket.socket) -> None:
        try:
            while data := source.recv(65536):
                target.sendall(data)
        except OSError:
            pass
        # Closing alone says nothing to the far side while the other thread still reads there.
        self._end([source, target])
        for end in (source, target):
            end.close()

    def cut(self) -> None:
        sockets, self._sockets = self._sockets, []
        self._end(sockets)

    @staticmethod
    def _end(sockets: list[socket.socket]) -> None:
        for end in sockets:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._listener.close()
        self.cut()


@pytest.fixture
def url() -> str:
    return rabbitmq_url()


@pytest.fixture
def proxy(url: str) -> Iterator[Proxy]:
    made = Proxy("127.0.0.1", 5672)
    yield made
    made.close()


@pytest.fixture
def broker(url: str) -> Iterator[Any]:
    made = connect(url)
    yield made
    made.close()


@pytest.fixture
def far(url: str, proxy: Proxy) -> Iterator[Any]:
    """A broker behind the proxy."""
    made = connect(f"amqp://guest:guest@127.0.0.1:{proxy.port}//")
    yield made
    made.close()


@pytest.fixture
def queue(broker: Any) -> Queue:
    made = Queue(name=f"tqt.{uuid.uuid4().hex}", expires=60.0)
    broker.declare([made])
    return made


def send(broker: Any, queue: Queue, *bodies: bytes, **fields: Any) -> None:
    broker.publish([Message(body=body, routing_key=queue.name, **fields) for body in bodies])


def take(consumer: Any, count: int) -> list[Any]:
    found: list[Any] = []

    def enough() -> bool:
        found.extend(consumer.fetch(count - len(found), 0.1))
        return len(found) >= count

    eventually(enough, within=20)
    return found


def test_a_cut_connection_is_made_again_and_old_tags_are_ignored(
    far: Any, broker: Any, proxy: Proxy, queue: Queue
) -> None:
    consumer = far.consume([queue], prefetch=10)
    send(broker, queue, b"1", b"2")
    old = take(consumer, 2)
    proxy.cut()
    again = take(consumer, 2)
    assert sorted(d.message.body for d in again) == [b"1", b"2"]
    assert all(d.redelivered for d in again)
    assert not {d.tag for d in again} & {d.tag for d in old}
    consumer.ack([d.tag for d in old])
    follow = Message(body=b"3", routing_key=queue.name)
    assert not consumer.settle([Settlement(tag=old[0].tag, messages=(follow,))])[0].done
    consumer.ack([d.tag for d in again])
    send(broker, queue, b"4")
    assert take(consumer, 1)[0].message.body == b"4"
    consumer.close()
    eventually(lambda: broker.depths([queue.name]) == {queue.name: 1})


def test_a_consumer_waits_until_the_server_is_back(
    far: Any, broker: Any, proxy: Proxy, queue: Queue
) -> None:
    consumer = far.consume([queue], prefetch=10)
    proxy.refusing = True
    proxy.cut()
    eventually(lambda: consumer.fetch(1, 0.05) == [])
    with pytest.raises(BrokerConnectionError):
        far.publish([Message(body=b"x", routing_key=queue.name)])
    proxy.refusing = False
    send(broker, queue, b"1")
    (delivery,) = take(consumer, 1)
    consumer.ack([delivery.tag])
    far.publish([Message(body=b"2", routing_key=queue.name)])
    assert take(consumer, 1)[0].message.body == b"2"
    consumer.close()


def test_an_idle_publisher_notices_that_its_connection_is_gone(
    far: Any, broker: Any, proxy: Proxy, queue: Queue
) -> None:
    far.publish([Message(body=b"1", routing_key=queue.name)])
    proxy.cut()
    eventually(lambda: _publishes(far, queue))
    eventually(lambda: broker.depths([queue.name])[queue.name] >= 2)


def _publishes(broker: Any, queue: Queue) -> bool:
    try:
        broker.publish([Message(body=b"2", routing_key=queue.name)])
    except BrokerConnectionError:
        return False
    return True


def test_a_lost_subscription_says_so(far: Any, proxy: Proxy) -> None:
    name = f"tqt.{uuid.uuid4().hex}"
    subscription = far.subscribe(Queue(name=name, exclusive=True, durable=False, no_ack=True))
    proxy.cut()
    eventually(lambda: _is_lost(subscription))
    subscription.close()


def test_parked_deliveries_do_not_use_up_the_prefetch(broker: Any, queue: Queue) -> None:
    consumer = broker.consume([queue], prefetch=2)
    send(broker, queue, *[b"%d" % n for n in range(10)])
    due = time.time() + 2.0
    for _ in range(9):
        (delivery,) = take(consumer, 1)
        consumer.park([(delivery.tag, due)])
    assert take(consumer, 1)[0].message.body == b"9"
    back = take(consumer, 9)
    assert time.time() >= due
    assert [d.message.body for d in back] == [b"%d" % n for n in range(9)]
    consumer.ack([d.tag for d in back])
    consumer.close()
    eventually(lambda: broker.depths([queue.name])[queue.name] == 1)


def test_a_closed_consumer_gives_back_what_it_held(broker: Any, queue: Queue) -> None:
    consumer = broker.consume([queue], prefetch=10)
    send(broker, queue, b"1", b"2", b"3")
    first, second, _ = take(consumer, 3)
    consumer.ack([first.tag])
    consumer.park([(second.tag, time.time() + 3600)])
    consumer.close()
    eventually(lambda: broker.depths([queue.name])[queue.name] == 2)


def test_dead_letters_keep_message_and_reason(broker: Any, queue: Queue) -> None:
    consumer = broker.consume([queue], prefetch=10)
    send(broker, queue, b"poison", headers={"id": queue.name}, content_type="application/data")
    (delivery,) = take(consumer, 1)
    consumer.bury([(delivery.tag, "not_json")])
    consumer.close()
    assert broker.depths([queue.name])[queue.name] == 0
    graves = broker.consume([Queue(name="tq.dead")], prefetch=1000)
    found: list[Any] = []

    def ours() -> bool:
        found.extend(d for d in graves.fetch(100, 0.1) if d.message.headers.get("id") == queue.name)
        return bool(found)

    eventually(ours)
    message = found[0].message
    assert message.body == b"poison"
    assert message.content_type == "application/data"
    assert message.headers["x-tq-reason"] == "not_json"
    assert message.headers["x-tq-queue"] == queue.name
    graves.ack([found[0].tag])
    graves.release()
    graves.close()


def test_compressed_bodies_are_not_inflated_on_the_way(broker: Any, queue: Queue) -> None:
    consumer = broker.consume([queue], prefetch=10)
    packed = zlib.compress(bytes(1_000_000))
    send(broker, queue, packed, headers={"compression": "application/x-gzip"})
    (delivery,) = take(consumer, 1)
    assert delivery.message.body == packed
    assert delivery.message.headers["compression"] == "application/x-gzip"
    consumer.ack([delivery.tag])
    consumer.close()


def test_results_are_not_settled_here(broker: Any, queue: Queue) -> None:
    consumer = broker.consume([queue], prefetch=10)
    send(broker, queue, b"1")
    (delivery,) = take(consumer, 1)
    result = StoredResult(key="k", value=b"v")
    with pytest.raises(BrokerError, match="backend"):
        consumer.settle([Settlement(tag=delivery.tag, result=result)])
    consumer.close()


def test_a_header_that_cannot_be_written_harms_no_other_message(broker: Any, queue: Queue) -> None:
    bad = Message(body=b"1", routing_key=queue.name, headers={"x": object()})
    with pytest.raises(EncodeError):
        broker.publish([bad])
    send(broker, queue, b"2")
    assert broker.depths([queue.name])[queue.name] == 1


def test_another_declaration_is_an_error_that_names_the_queue(broker: Any, queue: Queue) -> None:
    with pytest.raises(QueueDeclarationMismatch, match=queue.name):
        broker.declare([Queue(name=queue.name, expires=61.0)])
    with pytest.raises(QueueDeclarationMismatch, match=queue.name):
        broker.consume([Queue(name=queue.name, max_priority=5)], prefetch=1)
    consumer = broker.consume([queue], prefetch=1)
    consumer.add(_bound(queue, "topic"))
    with pytest.raises(QueueDeclarationMismatch):
        consumer.add(_bound(queue, "direct"))
    consumer.close()


def _bound(queue: Queue, kind: str) -> Queue:
    exchange = Exchange(name=f"{queue.name}.exchange", type=kind, durable=False, auto_delete=True)
    return Queue(name=f"{queue.name}.{kind}", exchange=exchange, auto_delete=True, expires=60.0)


def test_an_unknown_transport_is_a_configuration_error() -> None:
    with pytest.raises(ConfigError):
        KombuBroker("klingon://x").ping(1.0)


def test_nobody_there_is_a_connection_error_without_password() -> None:
    broker = connect("amqp://me:secret@127.0.0.1:1//", {"connect_timeout": 1})
    for call in (lambda: broker.ping(1.0), lambda: broker.consume([Queue(name="x")], prefetch=1)):
        with pytest.raises(BrokerConnectionError) as caught:
            call()
        assert "secret" not in str(caught.value)
        assert "secret" not in broker.url


def test_a_wrong_password_is_refused(url: str) -> None:
    with pytest.raises(BrokerError) as caught:
        connect("amqp://guest:wrong-secret@127.0.0.1:5672//").ping(5.0)
    assert "wrong-secret" not in str(caught.value)


def test_no_socket_is_left_to_the_garbage_collector(url: str, queue: Queue) -> None:
    def sockets() -> set[str]:
        links = {os.readlink(f"/proc/self/fd/{fd}") for fd in _descriptors()}
        return {link for link in links if link.startswith("socket:")}

    gc.collect()
    before = sockets()
    gc.disable()
    try:
        near = connect(url)
        for _ in range(3):
            near.subscribe(private_queue()).close()
        name = f"tqt.{uuid.uuid4().hex}"
        gone = near.subscribe(Queue(name=name, durable=False, expires=60.0, no_ack=True))
        with near._pool.link() as link:
            link.delete(name)  # the server ends the consumer by itself
        eventually(lambda: _is_lost(gone))
        gone.close()
        with pytest.raises(QueueDeclarationMismatch):
            near.consume([Queue(name=queue.name, max_priority=5)], prefetch=1)
        with pytest.raises(QueueDeclarationMismatch):
            near.declare([Queue(name=queue.name, max_priority=5)])
        with near._pool.link():
            near.close()
        with pytest.raises(BrokerError):
            connect("amqp://guest:wrong-secret@127.0.0.1:5672//").ping(5.0)
        eventually(lambda: sockets() <= before)
    finally:
        gc.enable()


def private_queue() -> Queue:
    name = f"tqt.{uuid.uuid4().hex}"
    return Queue(name=name, exclusive=True, durable=False, auto_delete=True, no_ack=True)


def _descriptors() -> list[int]:
    """The open ones; the one that lists them is closed by then."""
    return [fd for fd in map(int, os.listdir("/proc/self/fd")) if _is_open(fd)]


def _is_open(fd: int) -> bool:
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True


def _is_lost(subscription: Any) -> bool:
    try:
        subscription.receive(1, 0.05)
    except BrokerConnectionError:
        return True
    return False


def test_a_forked_child_publishes_and_leaves_the_parents_connection_alone(
    broker: Any, queue: Queue
) -> None:
    consumer = broker.consume([queue], prefetch=10)
    send(broker, queue, b"parent")
    pid = os.fork()
    if pid == 0:
        try:
            send(broker, queue, b"child")
            os._exit(0)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    send(broker, queue, b"again")
    found = take(consumer, 3)
    assert [d.message.body for d in found] == [b"parent", b"child", b"again"]
    assert not any(d.redelivered for d in found)
    consumer.ack([d.tag for d in found])
    consumer.close()


# Beside Celery.


@pytest.fixture
def app(url: str) -> Iterator[Celery]:
    name = f"tqt.{uuid.uuid4().hex}"
    made = Celery("peer", broker=url, set_as_current=False)
    made.conf.task_default_queue = name
    made.conf.broker_connection_retry_on_startup = False
    yield made
    with made.connection_for_write() as connection:
        channel = connection.channel()
        channel.queue_delete(name)
        channel.exchange_delete(name)
    pools.reset()
    made.close()


def own_task_queue(app: Celery) -> Queue:
    name = app.conf.task_default_queue
    return Queue(name=name, exchange=Exchange(name=name), routing_key=name)


CONTROL = Exchange(name="celery.pidbox", type="fanout", durable=False)
REPLIES = Exchange(name="reply.celery.pidbox", type="direct", durable=False)
EVENTS = Exchange(name="celeryev", type="topic")
PRIVATE = {"durable": False, "exclusive": True, "auto_delete": True, "no_ack": True}


def own_private_queues() -> list[Queue]:
    token = uuid.uuid4().hex
    return [
        Queue(
            name=f"{token}.celery.pidbox", exchange=CONTROL, expires=10, message_ttl=300, **PRIVATE
        ),
        Queue(
            name=f"{token}.reply.celery.pidbox",
            exchange=REPLIES,
            routing_key=token,
            expires=10,
            message_ttl=300,
            **PRIVATE,
        ),
        Queue(
            name=f"celeryev.{token}",
            exchange=EVENTS,
            routing_key="#",
            expires=60,
            message_ttl=5,
            **PRIVATE,
        ),
    ]


def celery_declares(app: Celery) -> None:
    """Declare all that a Celery worker and monitor declare."""
    with app.connection_for_write() as connection:
        channel = connection.channel()
        for queue in app.amqp.queues.values():
            queue(channel).declare()
        node = app.control.mailbox.Node(f"{uuid.uuid4().hex}@peer", channel=channel)
        node.Consumer(channel=channel).queues[0](channel).declare()
        app.control.mailbox.get_reply_queue()(channel).declare()
        app.events.Receiver(channel).queue(channel).declare()


@pytest.mark.parametrize("celery_first", [True, False])
def test_declarations_do_not_clash_with_celerys(
    app: Celery, broker: Any, celery_first: bool
) -> None:
    if celery_first:
        celery_declares(app)
    broker.declare([own_task_queue(app)])
    subscriptions = [broker.subscribe(queue) for queue in own_private_queues()]
    celery_declares(app)
    for subscription in subscriptions:
        subscription.close()


def test_a_monitor_receives_celerys_events(app: Celery, broker: Any) -> None:
    *_, events = own_private_queues()
    subscription = broker.subscribe(events)
    with app.connection_for_write() as connection:
        dispatcher = app.events.Dispatcher(connection, hostname="peer@host")
        dispatcher.send("worker-thing", a=1, token=events.name)
    found: list[Message] = []
    eventually(
        lambda: (
            found.extend(subscription.receive(10, 0.1))
            or any(events.name.encode() in message.body for message in found)
        )
    )
    assert {"worker.thing"} <= {message.routing_key for message in found}
    subscription.close()


def test_a_task_sent_by_celery_is_read(app: Celery, broker: Any) -> None:
    app.send_task("proj.add", (2, 3), {"k": "v"}, task_id="the-id", compression="gzip", priority=4)
    consumer = broker.consume([own_task_queue(app)], prefetch=1)
    (delivery,) = take(consumer, 1)
    headers, body = read_headers(delivery.message), read_body(delivery.message)
    assert (headers.task, headers.id, headers.defaulted) == ("proj.add", "the-id", ())
    assert (body.args, body.kwargs) == ([2, 3], {"k": "v"})
    assert delivery.message.priority == 4
    consumer.ack([delivery.tag])
    consumer.close()
