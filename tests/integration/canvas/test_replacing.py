"""Tasks that are replaced on real workers, anywhere in a canvas: place, links, errors."""

import pytest

from tests.support.fleet import TIMEOUT, Fleet
from tq import chain, chord, group
from tq.errors import ConfigError

pytestmark = pytest.mark.timeout(90)


def test_task_replaced_by_a_task_keeps_its_id(t):
    result = t.become.delay(3, sig=t.add.s(4))
    assert result.get(timeout=TIMEOUT) == 7


def test_task_replaced_by_a_chain_or_group_or_chord(t):
    assert t.become.delay(1, sig=chain(t.add.s(1), t.add.s(2))).get(timeout=TIMEOUT) == 4
    assert t.become.delay(1, sig=group(t.add.s(1), t.add.s(2))).get(timeout=TIMEOUT) == [2, 3]
    made = chord([t.add.si(1, 1), t.add.si(2, 2)], t.xsum.s())
    assert t.become.delay(sig=made).get(timeout=TIMEOUT) == 6


def step(t):
    """A step that replaces itself by a chain that passes its argument."""
    return t.become_chain.s(steps=[t.identity.s(), t.identity.s()])


@pytest.mark.parametrize(
    "build",
    [
        pytest.param(lambda t: chain(step(t).clone(args=(42,)), t.identity.s()), id="first"),
        pytest.param(lambda t: chain(t.identity.s(42), step(t), t.identity.s()), id="middle"),
        pytest.param(lambda t: chain(t.identity.s(42), step(t)), id="last"),
    ],
)
def test_step_of_a_chain_replaced_by_a_chain(t, build):
    assert build(t).delay().get(timeout=TIMEOUT) == 42
    assert group(build(t), build(t)).delay().get(timeout=TIMEOUT) == [42, 42]
    assert chord([build(t)], t.identity.s()).delay().get(timeout=TIMEOUT) == [42]
    assert chord([build(t), t.identity.s(1)], t.xsum.s()).delay().get(timeout=TIMEOUT) == 43


@pytest.mark.parametrize("place", ["first", "middle", "last"])
def test_step_of_a_chain_in_a_body_replaced_by_a_chain(t, place):
    steps = [t.identity.s(), t.identity.s(), t.identity.s()]
    steps[["first", "middle", "last"].index(place)] = step(t)
    made = chord([t.identity.si(42)], chain(*steps))
    assert made.delay().get(timeout=TIMEOUT) == [42]


def test_member_replaced_by_a_chain(t):
    become = step(t)
    made = group(become.clone(args=(1,)), t.identity.s(2), become.clone(args=(3,)))
    assert made.delay().get(timeout=TIMEOUT) == [1, 2, 3]
    made = group(t.identity.s(2), become.clone(args=(3,)), t.identity.s(1))
    assert made.delay().get(timeout=TIMEOUT) == [2, 3, 1]


def test_part_and_body_replaced_by_a_chain(t):
    assert chord([step(t).clone(args=(42,))], t.identity.s())().get(timeout=TIMEOUT) == [42]
    assert chord([t.identity.s(42)], step(t))().get(timeout=TIMEOUT) == [42]


def test_member_replaced_by_a_group_keeps_its_place(t):
    made = group(
        t.identity.si(0),
        t.become.s(sig=group(t.identity.si(1), t.identity.si(2))),
        t.identity.si(3),
    )
    assert made.delay().get(timeout=TIMEOUT) == [0, [1, 2], 3]
    made = chord(made, t.identity.s())
    assert made.delay().get(timeout=TIMEOUT) == [0, [1, 2], 3]


def test_empty_chain_replaces_nothing(t):
    with pytest.raises(ConfigError, match="empty chain"):
        chain(t.identity.s(1), t.become_empty_chain.s())().get(timeout=TIMEOUT)


# -- links -----------------------------------------------------------------------------------------


def test_link_of_the_replacement_is_called(fleet: Fleet, t):
    key = fleet.key()
    inner = t.become_chain.s(steps=[t.identity.s(), t.identity.s()], link=t.echo.si("inner", key))
    made = chain(t.identity.s("Hello "), inner, t.add.s("world"))
    made.link(t.echo.s(key=key))
    assert made.delay().get(timeout=TIMEOUT) == "Hello world"
    fleet.settle()
    assert sorted(fleet.echoed(key)) == ["Hello world", "inner"]


def test_errbacks_of_replacement_and_chain_are_both_called(fleet: Fleet, t):
    key = fleet.key()
    inner = t.become_chain.s(steps=[t.identity.s(), t.fail.s()], link_error=t.echo.si("inner", key))
    made = chain(t.identity.s("Hello "), inner, t.add.s("never"))
    made.link_error(t.echo.si("outer", key))
    with pytest.raises(ValueError, match="boom"):
        made.delay().get(timeout=TIMEOUT)
    fleet.settle()
    assert sorted(set(fleet.echoed(key))) == ["inner", "outer"]
    assert fleet.echoed(key).count("inner") == 1


@pytest.mark.parametrize("outer", ["chain", "group"])
@pytest.mark.parametrize("on_child", [False, True])
def test_callback_survives_a_replacement(fleet: Fleet, t, outer, on_child):
    key = fleet.key()
    child = t.become.si(42, sig=t.add.s(1337))
    made = (chain if outer == "chain" else group)(child, t.identity.si(5))
    if on_child:
        made.tasks[0].link(t.count.si(key))
    else:
        made.link(t.count.si(key))
    expected = 5 if outer == "chain" else [1379, 5]
    assert made().get(timeout=TIMEOUT) == expected
    fleet.settle()
    assert fleet.counted(key) == 1


@pytest.mark.parametrize("outer", ["chain", "group"])
@pytest.mark.parametrize("on_child", [False, True])
def test_errback_survives_a_replacement(fleet: Fleet, t, outer, on_child):
    key = fleet.key()
    child = t.become.si(sig=t.fail.si())
    made = (chain if outer == "chain" else group)(child, t.identity.si(5))
    if on_child:
        made.tasks[0].link_error(t.count.si(key))
    else:
        made.link_error(t.count.si(key))
    with pytest.raises(ValueError, match="boom"):
        made().get(timeout=TIMEOUT)
    fleet.settle()
    assert fleet.counted(key) == 1


@pytest.mark.parametrize("outer", [chain, group])
def test_errback_is_called_when_another_than_the_replaced_fails(fleet: Fleet, t, outer):
    key = fleet.key()
    made = outer(t.become.si(42, sig=t.add.s(1337)), t.fail.s())
    made.link_error(t.count.si(key))
    with pytest.raises(ValueError, match="boom"):
        made().get(timeout=TIMEOUT)
    fleet.settle()
    assert fleet.counted(key) == 1


def test_replaced_part_that_fails_fails_the_body(t):
    result = chord([t.become.si(sig=t.fail.si()), t.identity.si(1)], t.xsum.s())()
    with pytest.raises(Exception, match="boom"):
        result.get(timeout=TIMEOUT)
