"""The claim on a chord's body outlives the process that got it."""

import pytest

from tests.support.services import redis_server
from tq.brokers import Queue, connect
from tq.brokers.base import ChordPart, Message, Settlement

pytestmark = [pytest.mark.timeout(60), pytest.mark.xdist_group("canvas-claims")]

QUEUE = Queue(name="q")


@pytest.fixture(scope="module")
def server():
    with redis_server() as server:
        yield server


@pytest.fixture
def broker(server):
    broker = connect(server.url)
    broker.pool.call("FLUSHALL")
    broker.declare([QUEUE])
    yield broker
    broker.close()


def part(tag: str) -> Settlement:
    chord = ChordPart(group_key="g", member=b'[1, "1", "SUCCESS", 5]', mark="1:1", score=1)
    return Settlement(tag=tag, chord=chord)


def one_delivery(broker, consumer):
    broker.publish([Message(body=b"x", routing_key="q")])
    (found,) = consumer.fetch(1, 2.0)
    return found


def test_delivery_with_a_claim_is_held_until_it_is_settled_again(broker):
    broker.pool.call("SET", "g.s", 1)
    consumer = broker.consume([QUEUE], prefetch=1)
    delivery = one_delivery(broker, consumer)
    (answer,) = consumer.settle([part(delivery.tag)])
    assert answer.done
    assert answer.claim
    assert broker.pool.call("HEXISTS", "unacked", delivery.tag) == 1
    (answer,) = consumer.settle([Settlement(tag=delivery.tag)])
    assert answer.done
    assert broker.pool.call("HLEN", "unacked") == 0
    consumer.close()


def test_part_that_comes_back_takes_the_claim_over(broker):
    broker.pool.call("SET", "g.s", 1)
    consumer = broker.consume([QUEUE], prefetch=1)
    first = one_delivery(broker, consumer)
    (before,) = consumer.settle([part(first.tag)])
    # The process that was to send the body died: its delivery goes back, under another tag.
    consumer.reject([first.tag], requeue=True)
    (again,) = consumer.fetch(1, 2.0)
    (after,) = consumer.settle([part(again.tag)])
    assert after.claim
    assert after.claim != before.claim
    assert broker.pool.call("GET", "g.c").decode() == after.claim
    assert broker.pool.call("ZCARD", "g.j") == 1
    consumer.close()


def test_claim_of_the_living_is_left_alone(broker):
    broker.pool.call("SET", "g.s", 1)
    consumer = broker.consume([QUEUE], prefetch=2)
    first, second = one_delivery(broker, consumer), one_delivery(broker, consumer)
    answers = consumer.settle([part(first.tag), part(second.tag)])
    assert [bool(answer.claim) for answer in answers] == [True, False]
    consumer.close()
