"""Events from the emitter to our receiver and to Celery's own, across lost connections."""

import select
import time

import pytest
from celery import Celery

from tests.support import services
from tests.support.waiting import eventually
from tq.brokers.connect import connect
from tq.clock import LamportClock
from tq.events import Emitter, Receiver

pytestmark = pytest.mark.timeout(60)


@pytest.fixture
def server():
    with services.redis_server(tcp=True) as running:
        yield running


@pytest.fixture
def broker(server):
    made = connect(server.url)
    yield made
    made.close()


@pytest.fixture
def receiver(broker):
    made = Receiver(broker)
    made.start()
    yield made
    made.close()


def drained(receiver: Receiver, count: int) -> list[dict]:
    events: list[dict] = []

    def enough() -> bool:
        events.extend(item for batch in receiver.drain() for item in batch.events)
        return len(events) >= count

    eventually(enough, within=10.0)
    return events


def test_what_is_sent_arrives_once_and_in_order(broker, receiver):
    sender = Emitter(broker, "w1@node1", LamportClock())
    sender.send("worker-online", freq=2.0)
    for number in range(5000):
        sender.send("task-started", uuid=f"id-{number}")
    assert sender.flush() == 5001
    readable, _, _ = select.select([receiver.fileno()], [], [], 5.0)
    assert readable
    events = drained(receiver, 5001)
    assert [item["uuid"] for item in events[1:]] == [f"id-{n}" for n in range(5000)]
    assert select.select([receiver.fileno()], [], [], 0.0)[0] == []


def test_celerys_receiver_takes_our_batches(server, broker):
    app, seen = Celery("peer", broker=server.url, set_as_current=False), []
    sender = Emitter(broker, "w1@node1", LamportClock())
    with app.connection_for_read() as connection:
        listener = app.events.Receiver(connection, handlers={"*": seen.append})
        capture = listener.itercapture(limit=None, timeout=10, wakeup=False)
        next(capture)
        sender.send("worker-online", freq=2.0)
        for number in range(100):
            sender.send("task-started", uuid=f"id-{number}")
        sender.flush()
        while len(seen) < 101:
            next(capture)
        capture.close()
    app.close()
    assert [item["uuid"] for item in seen[1:]] == [f"id-{n}" for n in range(100)]
    assert seen[0]["type"] == "worker-online"


def test_a_lost_broker_leaves_a_gap_and_events_flow_again(server, broker, receiver):
    assert receiver.connected
    server.kill()
    eventually(lambda: not receiver.connected)
    sender = Emitter(broker, "w1@node1", LamportClock())
    sender.send("task-started", uuid="held back")
    assert sender.flush() == 0
    server.start()
    eventually(lambda: receiver.connected, within=10.0)
    eventually(sender.flush, within=5.0)
    (item,) = drained(receiver, 1)
    assert item["uuid"] == "held back"
    (gap,) = receiver.gaps
    assert gap.start < gap.end <= time.time()


def test_a_reader_that_is_away_costs_the_oldest_events_which_are_counted(broker):
    receiver = Receiver(broker, buffer_limit=1000)
    receiver.start()
    sender = Emitter(broker, "w1@node1", LamportClock(), batch_limit=100)
    for number in range(5000):
        sender.send("task-started", uuid=f"id-{number}")
        if number % 100 == 99:
            sender.flush()
    eventually(lambda: receiver.received == 5000)
    batches = receiver.drain()
    kept = sum(len(batch.events) for batch in batches)
    assert batches[-1].events[-1]["uuid"] == "id-4999"
    assert kept + receiver.dropped == 5000
    assert batches[0].skipped == ({"task-started": receiver.dropped} if receiver.dropped else None)
    receiver.close()
