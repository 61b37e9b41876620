"""Canvases in protocol 1: steps are linked, since it has no field for a chain."""

from collections.abc import Iterator

import pytest

from tests.integration.canvas.conftest import start
from tests.integration.canvas.test_mixed_fleets import CASES, tq_kit
from tests.support.fleet import TIMEOUT, Fleet

pytestmark = pytest.mark.timeout(90)


@pytest.fixture
def kit(fleet: Fleet):
    """The client's tasks and constructors; what it sends is protocol 1."""
    fleet.app.conf.task_protocol = 1
    yield tq_kit(fleet)
    fleet.app.conf.task_protocol = 2


@pytest.mark.parametrize("name", CASES)
def test_canvas_of_a_protocol_1_client_runs(kit, name):
    build, expected = CASES[name]
    assert build(kit).apply_async().get(timeout=TIMEOUT) == expected


def test_chain_fails_where_a_step_fails(fleet: Fleet, kit):
    key = fleet.key()
    made = kit.chain(kit.identity.si(1), kit.fail.si(), kit.echo.s(key=key))
    made.link_error(kit.count.si(key))
    result = made.apply_async()
    with pytest.raises(ValueError, match="boom"):
        result.get(timeout=TIMEOUT)
    fleet.settle()
    assert fleet.echoed(key) == []
    assert fleet.counted(key) == 1


@pytest.mark.parametrize("place", ["first", "amid", "last"])
def test_failing_part_fails_the_body(fleet: Fleet, kit, place):
    key = fleet.key()
    steps = [kit.identity.si(1), kit.identity.si(1), kit.identity.si(1)]
    steps[["first", "amid", "last"].index(place)] = kit.fail.si()
    made = kit.chord([kit.chain(*steps), kit.identity.si(2)], kit.echo.s(key=key))
    made.link_error(kit.count.si(key))
    with pytest.raises(Exception, match="boom"):
        made.apply_async().get(timeout=TIMEOUT)
    fleet.settle()
    assert fleet.echoed(key) == []
    assert fleet.counted(key) == 1


@pytest.fixture(scope="module")
def writing_1() -> Iterator[Fleet]:
    """A worker that writes protocol 1; what it gets from the client is protocol 2."""
    yield from start("threads", PEER_PROTOCOL="1")


@pytest.mark.parametrize("name", CASES)
def test_worker_that_writes_protocol_1_goes_on(writing_1: Fleet, name):
    build, expected = CASES[name]
    assert build(tq_kit(writing_1)).apply_async().get(timeout=TIMEOUT) == expected


def test_step_that_is_retried_keeps_what_follows(writing_1: Fleet):
    kit = tq_kit(writing_1)
    made = kit.chain(kit.identity.si(1), kit.flaky.s(), kit.identity.s(), kit.identity.s())
    assert made.apply_async().get(timeout=TIMEOUT) == 1
