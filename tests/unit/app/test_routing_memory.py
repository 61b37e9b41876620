"""What the router remembers of one call does not show in the next."""

import pytest

from tq import TQ


@pytest.fixture
def client() -> TQ:
    return TQ("routes", broker="memory://routes", set_as_current=False)


def test_the_priority_of_the_first_call_is_not_that_of_the_next(client: TQ) -> None:
    @client.task
    def add(x, y):
        return x + y

    with client.capture() as messages:
        add.apply_async((1, 2), priority=4)
        add.delay(1, 2)
        add.apply_async((1, 2), queue="other", priority=7)
        add.apply_async((1, 2), queue="other")
    assert [message.priority for message in messages] == [4, 0, 7, 0]


def test_a_priority_of_a_route_holds_for_every_call_but_those_that_give_one(client: TQ) -> None:
    client.conf.task_routes = {"routes.slow": {"queue": "slow", "priority": 3}}

    @client.task(name="routes.slow")
    def slow():
        return None

    with client.capture() as messages:
        slow.apply_async(priority=6)
        slow.delay()
    assert [(message.routing_key, message.priority) for message in messages] == [
        ("slow", 6),
        ("slow", 3),
    ]
