"""What every broker does alike; a new implementation is a new parameter in conftest.py."""

from __future__ import annotations

import select
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.waiting import eventually
from tq.brokers import Exchange, Message, Queue, Settlement

pytestmark = pytest.mark.timeout(60)


def take(consumer: Any, count: int, within: float = 5.0) -> list[Any]:
    """Fetch until `count` deliveries are there."""
    found: list[Any] = []
    deadline = time.monotonic() + within
    while len(found) < count and time.monotonic() < deadline:
        consumer.maintain()
        found += consumer.fetch(count - len(found), 0.1)
    assert len(found) == count, f"{len(found)} of {count} deliveries within {within} s"
    return found


def bodies(deliveries: list[Any]) -> list[bytes]:
    return [delivery.message.body for delivery in deliveries]


def ordered(setting: Any, found: list[bytes]) -> list[bytes]:
    """What came back, in the order promised: RabbitMQ promises none to a consumer that prefetches."""
    return sorted(found) if setting.kind == "amqp" else found


def nothing(consumer: Any) -> bool:
    consumer.maintain()
    return consumer.fetch(10, 0.15) == []


def test_a_published_message_arrives_as_it_was_sent(setting: Any) -> None:
    queue = setting.queue()
    consumer = setting.consume(queue)
    sent = Message(
        body=b"\x00\xff[1]",
        headers={"task": "proj.add", "id": "1", "n": 3, "deep": {"a": [1, None, "\u00e9"]}},
        content_type="application/data",
        content_encoding="binary",
        routing_key=queue.name,
        correlation_id="corr",
        reply_to="reply",
        delivery_mode=1,
        expiration="60000",
    )
    setting.broker.publish([sent])
    (delivery,) = take(consumer, 1)
    message = delivery.message
    assert message.body == sent.body
    assert {key: message.headers[key] for key in sent.headers} == sent.headers
    assert (message.content_type, message.content_encoding) == ("application/data", "binary")
    assert (message.correlation_id, message.reply_to) == ("corr", "reply")
    assert delivery.queue == queue.name
    assert (delivery.redelivered, delivery.deliveries) == (False, 0)
    assert isinstance(delivery.tag, str)
    consumer.ack([delivery.tag])


def test_messages_come_in_the_order_they_were_published(setting: Any) -> None:
    queue = setting.queue()
    consumer = setting.consume(queue)
    sent = [b"%d" % n for n in range(50)]
    setting.send(queue, *sent[:30])
    setting.send(queue, *sent[30:])
    assert bodies(take(consumer, 50)) == sent


def test_fetch_takes_no_more_than_asked_for(setting: Any) -> None:
    queue = setting.queue()
    consumer = setting.consume(queue)
    setting.send(queue, *[b"%d" % n for n in range(10)])
    assert len(take(consumer, 3)) == 3
    assert len(take(consumer, 7)) == 7
    assert consumer.fetch(0, 0.0) == []


def test_fetch_waits_for_the_first_message(setting: Any) -> None:
    queue = setting.queue()
    consumer = setting.consume(queue)
    assert consumer.fetch(1, 0.0) == []
    timer = threading.Timer(0.2, setting.send, (queue, b"late"))
    timer.start()
    try:
        assert bodies(consumer.fetch(1, 5.0)) == [b"late"]
    finally:
        timer.join()


def test_the_descriptor_turns_readable_when_a_message_arrives(setting: Any) -> None:
    queue = setting.queue()
    consumer = setting.consume(queue)
    assert nothing(consumer)
    timer = threading.Timer(0.1, setting.send, (queue, b"x"))
    timer.start()
    try:
        deadline = time.monotonic() + 5
        found: list[Any] = []
        while not found and time.monotonic() < deadline:
            select.select([consumer.fileno()], [], [], 0.5)
            consumer.maintain()
            found = consumer.fetch(1, 0.0)
        assert bodies(found) == [b"x"]
    finally:
        timer.join()


def test_an_acknowledged_message_does_not_come_back(setting: Any) -> None:
    queue = setting.queue()
    keeper = setting.consume(queue)
    consumer = setting.consume(queue)
    setting.send(queue, b"1", b"2")
    got = []
    eventually(lambda: len(got.extend(consumer.fetch(5, 0.05) + keeper.fetch(5, 0.05)) or got) == 2)
    for each in (consumer, keeper):
        each.ack([d.tag for d in got])
        each.release([d.tag for d in got])
    assert nothing(consumer)
    assert nothing(keeper)


def test_acknowledging_twice_or_unknown_tags_is_ignored(setting: Any) -> None:
    queue = setting.queue()
    consumer = setting.consume(queue)
    setting.send(queue, b"1")
    (delivery,) = take(consumer, 1)
    consumer.ack([delivery.tag])
    consumer.ack([delivery.tag, "unknown"])
    consumer.reject(["unknown"], requeue=True)
    consumer.reject(["unknown"], requeue=False)
    assert nothing(consumer)


def test_a_tag_is_never_used_twice(setting: Any) -> None:
    queue = setting.queue()
    consumer = setting.consume(queue)
    setting.send(queue, b"1")
    tags = set()
    for _ in range(4):
        (delivery,) = take(consumer, 1)
        tags.add(delivery.tag)
        consumer.reject([delivery.tag], requeue=True)
    assert len(tags) == 4


def test_a_rejected_message_is_gone(setting: Any) -> None:
    queue = setting.queue()
    consumer = setting.consume(queue)
    setting.send(queue, b"1")
    consumer.reject([take(consumer, 1)[0].tag], requeue=False)
    assert nothing(consumer)
    assert setting.broker.depths([queue.name]) == {queue.name: 0}


def test_a_requeued_message_is_marked_and_counted(setting: Any) -> None:
    queue = setting.queue()
    consumer = setting.consume(queue)
    setting.send(queue, b"1")
    (first,) = take(consumer, 1)
    consumer.reject([first.tag], requeue=True)
    (second,) = take(consumer, 1)
    assert second.redelivered
    assert second.deliveries == 1
    assert second.message.body == b"1"


def test_requeued_messages_are_next_in_their_old_order(setting: Any) -> None:
    queue = setting.queue()
    consumer = setting.consume(queue)
    setting.send(queue, *[b"%d" % n for n in range(6)])
    taken = take(consumer, 3)
    consumer.reject([delivery.tag for delivery in taken], requeue=True)
    assert ordered(setting, bodies(take(consumer, 6))) == [b"%d" % n for n in range(6)]


def test_released_messages_are_next_in_their_old_order_and_not_counted(setting: Any) -> None:
    queue = setting.queue()
    first = setting.consume(queue)
    setting.send(queue, *[b"%d" % n for n in range(6)])
    taken = take(first, 4)
    first.ack([taken[0].tag])
    second = setting.consume(setting.queue("other"))
    second.add(queue)  # before the first leaves: the queue is deleted with its last consumer
    first.release()
    first.close()
    again = take(second, 5)
    assert ordered(setting, bodies(again)) == [b"1", b"2", b"3", b"4", b"5"]
    assert [delivery.deliveries for delivery in again] == [0] * 5


def test_chosen_deliveries_can_be_released(setting: Any) -> None:
    queue = setting.queue()
    consumer = setting.consume(queue)
    setting.send(queue, b"0", b"1", b"2")
    tags = [delivery.tag for delivery in take(consumer, 3)]
    consumer.release([tags[1], "unknown"])
    (again,) = take(consumer, 1)
    assert (again.message.body, again.deliveries) == (b"1", 0)
    assert [a.done for a in consumer.settle([Settlement(tag=tag) for tag in tags])] == [
        True,
        False,
        True,
    ]


def test_a_message_over_the_delivery_limit_is_given_up(setting: Any) -> None:
    queue = setting.queue()
    consumer = setting.consume(queue)
    setting.send(queue, b"poison", headers={"id": "7", "task": "t"})
    for _ in range(6):
        consumer.reject([take(consumer, 1)[0].tag], requeue=True)
    dead: list[Any] = []
    eventually(lambda: dead.extend(consumer.maintain()) or dead)
    assert [letter.reason for letter in dead] == ["delivery_limit"]
    assert dead[0].delivery.message.headers["id"] == "7"
    assert nothing(consumer)


def test_a_parked_message_comes_back_when_it_is_due_and_not_before(setting: Any) -> None:
    queue = setting.queue()
    consumer = setting.consume(queue)
    setting.send(queue, b"later", b"now")
    later, now = take(consumer, 2)
    due = time.time() + 0.6
    consumer.park([(later.tag, due)])
    consumer.ack([now.tag])
    found = take(consumer, 1)
    assert time.time() >= due
    assert bodies(found) == [b"later"]
    assert found[0].deliveries == 0
    consumer.ack([found[0].tag])
    assert nothing(consumer)


def test_a_buried_message_does_not_come_back(setting: Any) -> None:
    queue = setting.queue()
    consumer = setting.consume(queue)
    setting.send(queue, b"bad")
    (delivery,) = take(consumer, 1)
    consumer.bury([(delivery.tag, "test")])
    consumer.release([delivery.tag])
    assert nothing(consumer)


def test_settling_acknowledges_once_and_publishes_what_follows(setting: Any) -> None:
    queue, then = setting.queue("q"), setting.queue("then")
    consumer = setting.consume(queue, then)
    setting.send(queue, b"1")
    (delivery,) = take(consumer, 1)
    item = Settlement(
        tag=delivery.tag, messages=(Message(body=b"2", routing_key=then.name, headers={"id": "2"}),)
    )
    assert [answer.done for answer in consumer.settle([item])] == [True]
    assert [answer.done for answer in consumer.settle([item])] == [False]
    assert bodies(take(consumer, 1)) == [b"2"]
    assert nothing(consumer)


def test_settling_a_lost_tag_writes_nothing(setting: Any) -> None:
    queue, then = setting.queue("q"), setting.queue("then")
    consumer = setting.consume(queue, then)
    setting.send(queue, b"1")
    (delivery,) = take(consumer, 1)
    consumer.reject([delivery.tag], requeue=False)
    follow = Message(body=b"2", routing_key=then.name)
    answers = consumer.settle(
        [Settlement(tag=delivery.tag, messages=(follow,)), Settlement(tag="x", messages=(follow,))]
    )
    assert [answer.done for answer in answers] == [False, False]
    assert nothing(consumer)


def test_settlements_are_answered_in_order(setting: Any) -> None:
    queue = setting.queue()
    consumer = setting.consume(queue)
    setting.send(queue, *[b"%d" % n for n in range(5)])
    tags = [delivery.tag for delivery in take(consumer, 5)]
    items = [Settlement(tag=tag) for tag in (tags[0], "no", tags[1], tags[2], "no2", tags[3])]
    assert [a.done for a in consumer.settle(items)] == [True, False, True, True, False, True]
    assert consumer.settle([]) == []


def test_an_early_acknowledgement_can_be_settled_later(setting: Any) -> None:
    queue, then = setting.queue("q"), setting.queue("then")
    consumer = setting.consume(queue, then)
    setting.send(queue, b"1")
    (delivery,) = take(consumer, 1)
    assert consumer.settle([Settlement(tag=delivery.tag, started=True)])[0].done
    assert nothing(consumer)
    follow = Message(body=b"2", routing_key=then.name)
    assert consumer.settle([Settlement(tag=delivery.tag, messages=(follow,))])[0].done
    assert bodies(take(consumer, 1)) == [b"2"]


def test_a_queue_can_be_added_and_cancelled(setting: Any) -> None:
    one, two = setting.queue("one"), setting.queue("two")
    consumer = setting.consume(one)
    setting.send(two, b"2")
    assert nothing(consumer)
    consumer.add(two)
    (delivery,) = take(consumer, 1)
    assert delivery.queue == two.name
    consumer.cancel(two.name)
    consumer.cancel("unknown")
    consumer.ack([delivery.tag])
    other = setting.consume(two)
    setting.send(two, b"3")
    assert nothing(consumer)
    assert bodies(take(other, 1)) == [b"3"]
    setting.send(one, b"1")
    assert bodies(take(consumer, 1)) == [b"1"]


def test_queues_take_turns(setting: Any) -> None:
    busy, quiet = setting.queue("busy"), setting.queue("quiet")
    consumer = setting.consume(busy, quiet, prefetch=2)
    setting.send(busy, *[b"b"] * 50)
    setting.send(quiet, b"q")
    seen = []
    while b"q" not in seen and len(seen) < 40:
        (delivery,) = take(consumer, 1)
        seen.append(delivery.message.body)
        consumer.ack([delivery.tag])
    assert b"q" in seen


def test_each_message_goes_to_one_of_many_consumers(setting: Any) -> None:
    queue = setting.queue()
    seen: list[bytes] = []
    lock = threading.Lock()
    stop = threading.Event()
    failures: list[BaseException] = []

    def run() -> None:
        try:
            consumer = setting.broker.consume([queue], prefetch=5)
            while not stop.is_set():
                deliveries = consumer.fetch(5, 0.05)
                consumer.ack([delivery.tag for delivery in deliveries])
                with lock:
                    seen.extend(bodies(deliveries))
                consumer.maintain()
            consumer.release()
            consumer.close()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        for start in range(0, 300, 20):
            setting.send(queue, *[b"%d" % n for n in range(start, start + 20)])
        eventually(lambda: failures or len(seen) >= 300, within=20)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert not failures
    assert sorted(seen, key=int) == [b"%d" % n for n in range(300)]


def test_depths_count_what_is_ready(setting: Any) -> None:
    queue, other = setting.queue("q"), setting.queue("other")
    consumer = setting.consume(other)
    setting.send(queue, *[b"%d" % n for n in range(7)])
    names = [queue.name, other.name, f"missing.{setting.token}"]
    expected = {names[0]: 7, names[1]: 0, names[2]: 0}
    eventually(lambda: setting.broker.depths(names) == expected)
    assert setting.broker.depths([]) == {}
    consumer.close()


def test_purge_deletes_the_ready_messages(setting: Any) -> None:
    queue = setting.queue()
    keeper = setting.consume(setting.queue("other"))
    setting.send(queue, *[b"%d" % n for n in range(7)])
    eventually(lambda: setting.broker.depths([queue.name])[queue.name] == 7)
    assert setting.broker.purge(queue.name) == 7
    assert setting.broker.purge(queue.name) == 0
    keeper.close()


def test_a_direct_exchange_routes_by_key(setting: Any) -> None:
    exchange = Exchange(name=setting.name("direct"), type="direct")
    one = setting.queue("one", exchange=exchange, routing_key="k1")
    two = setting.queue("two", exchange=exchange, routing_key="k2")
    consumer = setting.consume(one, two)
    fields = {"exchange": exchange.name, "exchange_type": "direct"}
    setting.broker.publish(
        [Message(body=key.encode(), routing_key=key, **fields) for key in ("k1", "k2", "k3")]
    )
    found = {delivery.queue: delivery.message.body for delivery in take(consumer, 2)}
    assert found == {one.name: b"k1", two.name: b"k2"}
    assert nothing(consumer)


@pytest.mark.parametrize(
    ("pattern", "matching", "other"),
    [
        ("a.*", "a.b", "a.b.c"),
        ("a.#", "a.b.c", "b.a"),
        ("*.b.#", "x.b.c", "x.c.b"),
        ("a-b+c.*", "a-b+c.d", "aab+c.d"),
    ],
)
def test_a_topic_exchange_routes_by_pattern(
    setting: Any, pattern: str, matching: str, other: str
) -> None:
    exchange = Exchange(name=setting.name("topic"), type="topic")
    queue = setting.queue("t", exchange=exchange, routing_key=pattern)
    consumer = setting.consume(queue)
    setting.broker.publish(
        [
            Message(
                body=key.encode(), routing_key=key, exchange=exchange.name, exchange_type="topic"
            )
            for key in (other, matching)
        ]
    )
    assert bodies(take(consumer, 1)) == [matching.encode()]
    assert nothing(consumer)


def private(setting: Any, word: str, exchange: Exchange, key: str = "") -> Queue:
    return Queue(
        name=setting.name(word),
        exchange=exchange,
        routing_key=key,
        durable=False,
        exclusive=True,
        auto_delete=True,
        expires=60.0,
        no_ack=True,
    )


def hear(subscription: Any, count: int) -> list[Any]:
    found: list[Any] = []
    eventually(lambda: found.extend(subscription.receive(100, 0.1)) or len(found) >= count)
    return found


def test_a_broadcast_says_how_many_heard_it_if_the_transport_can_tell(setting: Any) -> None:
    exchange = Exchange(name=setting.name("fan"), type="fanout", durable=False)
    message = Message(body=b"all", exchange=exchange.name, exchange_type="fanout")
    one = setting.subscribe(private(setting, "one", exchange))
    assert one.receive(1, 0.0) == []
    two = setting.subscribe(private(setting, "two", exchange))
    assert two.receive(1, 0.0) == []
    assert setting.broker.broadcast(message) in (2, None)
    assert [m.body for m in hear(one, 1)] == [b"all"]


def test_a_fanout_exchange_reaches_every_subscriber(setting: Any) -> None:
    exchange = Exchange(name=setting.name("fan"), type="fanout", durable=False)
    one = setting.subscribe(private(setting, "one", exchange))
    two = setting.subscribe(private(setting, "two", exchange))
    assert one.receive(1, 0.0) == []
    message = Message(
        body=b"all", headers={"clock": 3}, exchange=exchange.name, exchange_type="fanout"
    )
    setting.broker.publish([message, message])
    for subscription in (one, two):
        heard = hear(subscription, 2)
        assert [m.body for m in heard] == [b"all", b"all"]
        assert heard[0].headers["clock"] == 3
        assert subscription.receive(10, 0.05) == []


def test_a_reply_queue_receives_by_its_key(setting: Any) -> None:
    exchange = Exchange(name=setting.name("reply"), type="direct", durable=False)
    mine = setting.subscribe(private(setting, "mine", exchange, "oid1"))
    other = setting.subscribe(private(setting, "other", exchange, "oid2"))
    fields: dict[str, Any] = {"exchange": exchange.name, "exchange_type": "direct"}
    setting.broker.publish(
        [Message(body=b"%d" % n, routing_key="oid1", **fields) for n in range(5)]
    )
    assert [m.body for m in hear(mine, 5)] == [b"0", b"1", b"2", b"3", b"4"]
    assert other.receive(1, 0.1) == []


def test_a_subscription_without_exchange_receives_by_queue_name(setting: Any) -> None:
    queue = Queue(
        name=setting.name("rpc"), durable=False, auto_delete=True, expires=60.0, no_ack=True
    )
    subscription = setting.subscribe(queue)
    setting.broker.publish([Message(body=b"r", routing_key=queue.name)])
    assert [m.body for m in hear(subscription, 1)] == [b"r"]


def test_the_descriptor_of_a_subscription_turns_readable(setting: Any) -> None:
    exchange = Exchange(name=setting.name("fan"), type="fanout", durable=False)
    subscription = setting.subscribe(private(setting, "one", exchange))
    assert subscription.receive(1, 0.05) == []
    setting.broker.publish([Message(body=b"x", exchange=exchange.name, exchange_type="fanout")])
    assert select.select([subscription.fileno()], [], [], 5)[0]
    assert [m.body for m in hear(subscription, 1)] == [b"x"]


def test_a_closed_subscription_leaves_nothing_behind(setting: Any) -> None:
    exchange = Exchange(name=setting.name("reply"), type="direct", durable=False)
    queue = private(setting, "mine", exchange, "oid")
    subscription = setting.broker.subscribe(queue)
    subscription.close()
    subscription.close()
    assert setting.broker.bindings(exchange.name) == []
    setting.broker.publish(
        [Message(body=b"x", routing_key="oid", exchange=exchange.name, exchange_type="direct")]
    )
    assert setting.broker.depths([queue.name]) == {queue.name: 0}


def test_one_publish_mixes_exchanges(setting: Any) -> None:
    fan = Exchange(name=setting.name("fan"), type="fanout", durable=False)
    direct = Exchange(name=setting.name("direct"), type="direct")
    plain = setting.queue("plain")
    keyed = setting.queue("keyed", exchange=direct, routing_key="k")
    subscription = setting.subscribe(private(setting, "f", fan))
    consumer = setting.consume(plain, keyed)
    setting.broker.publish(
        [
            Message(body=b"p", routing_key=plain.name),
            Message(body=b"f", exchange=fan.name, exchange_type="fanout"),
            Message(body=b"d", routing_key="k", exchange=direct.name, exchange_type="direct"),
        ]
    )
    assert sorted(bodies(take(consumer, 2))) == [b"d", b"p"]
    assert [m.body for m in hear(subscription, 1)] == [b"f"]


def test_priorities_are_kept_and_the_most_urgent_comes_first(setting: Any) -> None:
    queue = setting.queue("prio", max_priority=9)
    setting.send(queue, b"3", priority=3)
    setting.send(queue, b"9", priority=9)
    setting.send(queue, b"0", priority=0)
    eventually(lambda: setting.broker.depths([queue.name])[queue.name] == 3)
    consumer = setting.consume(queue, prefetch=1)
    order = []
    for _ in range(3):
        (delivery,) = take(consumer, 1)
        order.append((delivery.message.body, delivery.message.priority))
        consumer.ack([delivery.tag])
    expected = [(b"0", 0), (b"3", 3), (b"9", 9)]
    # RabbitMQ counts the other way round (PROTOCOL 16, pitfall 1).
    assert order == (expected[::-1] if setting.kind == "amqp" else expected)


def test_a_broker_answers_a_ping(setting: Any) -> None:
    setting.broker.ping(5.0)


def test_a_broker_can_be_used_after_it_was_closed(setting: Any) -> None:
    queue = setting.queue()
    consumer = setting.consume(queue)
    setting.broker.close()
    setting.send(queue, b"1")
    assert bodies(take(consumer, 1)) == [b"1"]


def test_many_threads_publish_through_one_broker(setting: Any) -> None:
    queue = setting.queue()
    consumer = setting.consume(queue)
    failures: list[BaseException] = []

    def guard(job: Callable[[], None]) -> None:
        try:
            job()
        except BaseException as error:
            failures.append(error)

    def send(start: int) -> None:
        for n in range(start, start + 20):
            setting.send(queue, b"%d" % n)

    threads = [
        threading.Thread(target=guard, args=(lambda start=start: send(start),))
        for start in range(0, 100, 20)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert sorted(bodies(take(consumer, 100)), key=int) == [b"%d" % n for n in range(100)]
