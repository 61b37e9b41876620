"""What the emitter publishes, holds back, and drops."""

import json

import pytest

from tq.brokers.base import Message
from tq.clock import LamportClock
from tq.errors import BrokerConnectionError
from tq.events import Emitter
from tq.wire.event import decode_events


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def time(self) -> float:
        return self.now

    def monotonic(self) -> float:
        return self.now


class Recorder:
    """A broker that keeps what is published, and fails on request."""

    driver = "redis"

    def __init__(self) -> None:
        self.calls: list[list[Message]] = []
        self.attempts = 0
        self.down = False

    def publish(self, messages) -> None:
        self.attempts += 1
        if self.down:
            raise BrokerConnectionError("gone")
        self.calls.append(list(messages))

    @property
    def messages(self) -> list[Message]:
        return [message for call in self.calls for message in call]

    def bodies(self) -> list:
        return [json.loads(message.body) for message in self.messages]


@pytest.fixture
def broker() -> Recorder:
    return Recorder()


def emitter(broker: Recorder, **options) -> Emitter:
    return Emitter(
        broker, "w1@node1", LamportClock(), time_source=options.pop("clock", Clock()), **options
    )


@pytest.mark.parametrize("serializer", ["msgpack", "yaml"])
def test_another_serializer_writes_the_same_and_drops_alone_what_it_cannot(broker, serializer):
    sender = emitter(broker, serializer=serializer)
    for item in (1, object(), 2):
        sender.send("task-progress", uuid="x", item=item)
    sender.send("worker-online", freq=2.0)
    assert sender.flush() == 4
    assert sender.dropped == 1
    assert {message.content_type for message in broker.messages} == {f"application/x-{serializer}"}
    events = [event for message in broker.messages for event in decode_events(message)]
    assert [event.get("item") for event in events] == [1, 2, None]
    assert events[-1]["freq"] == 2.0


def test_task_events_travel_as_one_array_in_one_call(broker):
    sender = emitter(broker)
    for number in range(50):
        sender.send("task-started", uuid=f"id-{number}")
    assert broker.calls == []
    assert sender.flush() == 50
    (message,) = broker.messages
    assert (message.exchange, message.exchange_type, message.routing_key) == (
        "celeryev",
        "fanout",
        "task.multi",
    )
    assert (message.headers, message.delivery_mode, message.content_type) == (
        {"hostname": "w1@node1"},
        1,
        "application/json",
    )
    (events,) = broker.bodies()
    assert [item["uuid"] for item in events] == [f"id-{n}" for n in range(50)]
    assert sender.flush() == 0


def test_each_event_has_the_common_fields_and_a_rising_clock(broker):
    sender = emitter(broker)
    sender.send("task-started", uuid="a")
    sender.send("task-succeeded", uuid="a", result="3", runtime=0.5)
    sender.flush()
    first, second = broker.bodies()[0]
    assert set(first) == {"type", "hostname", "pid", "clock", "timestamp", "utcoffset", "uuid"}
    assert (second["clock"], second["hostname"], second["result"]) == (
        first["clock"] + 1,
        "w1@node1",
        "3",
    )


def test_worker_events_travel_singly_in_order_with_the_batches_around_them(broker):
    sender = emitter(broker)
    sender.send("worker-online", freq=2.0)
    sender.send("task-started", uuid="a")
    sender.send("worker-offline", freq=2.0)
    sender.flush()
    assert [message.routing_key for message in broker.messages] == [
        "worker.online",
        "task.multi",
        "worker.offline",
    ]
    assert [type(body) for body in broker.bodies()] == [dict, list, dict]
    assert len(broker.calls) == 1


def test_brokers_with_topics_get_a_topic_exchange(broker):
    broker.driver = "amqp"
    sender = emitter(broker)
    sender.send("worker-online")
    sender.flush()
    assert broker.messages[0].exchange_type == "topic"


def test_long_batches_are_divided_at_the_limit(broker):
    sender = emitter(broker, batch_limit=10)
    for number in range(25):
        sender.send("task-started", uuid=str(number))
    sender.flush()
    assert [len(body) for body in broker.bodies()] == [10, 10, 5]


def test_a_disabled_emitter_keeps_and_publishes_nothing(broker):
    sender = emitter(broker, enabled=False)
    sender.send("task-started", uuid="a")
    assert (sender.pending, sender.flush(), sender.clock.value) == (0, 0, 0)


def test_groups_switch_on_and_off_as_celerys_commands_do(broker):
    sender = emitter(broker, groups={"worker"})
    sender.send("task-started", uuid="a")
    assert (sender.pending, sender.wants("task"), sender.wants("worker")) == (0, False, True)
    assert sender.enable_group("task") is True
    assert sender.enable_group("task") is False
    sender.send("task-started", uuid="a")
    assert sender.pending == 1
    assert sender.disable_group("task") is True
    assert sender.disable_group("task") is False


def test_a_sender_of_all_groups_goes_on_after_disable(broker):
    sender = emitter(broker)
    assert sender.enable_group("task") is False
    assert sender.disable_group("task") is False
    assert sender.wants("task")


def test_events_wait_while_the_broker_is_away_and_go_out_later(broker):
    clock = Clock()
    sender = emitter(broker, clock=clock)
    broker.down = True
    sender.send("task-started", uuid="a")
    assert [sender.flush() for _ in range(5)] == [0] * 5
    assert broker.attempts == 1  # at most one attempt a second
    broker.down = False
    clock.now += 1.1
    sender.send("task-started", uuid="b")
    assert sender.flush() == 2
    assert [item["uuid"] for item in broker.bodies()[0]] == ["a", "b"]


def test_a_full_buffer_drops_the_oldest_and_counts_them(broker):
    sender = emitter(broker, batch_limit=10, buffer_limit=100)
    for number in range(250):
        sender.send("task-started", uuid=str(number))
    assert sender.pending <= 100
    assert sender.dropped == 250 - sender.pending
    sender.flush()
    assert broker.bodies()[-1][-1]["uuid"] == "249"


def test_auto_flush_publishes_from_send(broker):
    sender = emitter(broker, batch_limit=10, auto_flush=True)
    for number in range(20):
        sender.send("task-sent", uuid=str(number))
    assert [len(body) for body in broker.bodies()] == [10, 10]


@pytest.mark.parametrize(
    "value",
    [
        {1: 2},
        object(),
        b"\xff",
        10**30,
        float("nan"),
        float("inf"),
        "\ud800",
        {"a": {"b": object()}},
    ],
)
def test_a_value_without_json_form_costs_at_most_its_own_event(broker, value):
    sender = emitter(broker)
    sender.send("task-started", uuid="a")
    sender.send("task-progress", uuid="b", value=value)
    sender.send("task-succeeded", uuid="a")
    sender.flush()
    events = [item for body in broker.bodies() for item in body]
    assert [item["uuid"] for item in events if item["type"] != "task-progress"] == ["a", "a"]
    assert sender.dropped + len(events) == 3


def test_close_publishes_what_waits_and_ends(broker):
    sender = emitter(broker)
    sender.send("worker-offline")
    sender.close()
    sender.send("task-started", uuid="late")
    assert sender.flush() == 0
    assert [message.routing_key for message in broker.messages] == ["worker.offline"]
