"""Chains on real workers: values, groups and chords inside, parents, errors."""

import datetime

import pytest

from tests.support.fleet import TIMEOUT, Fleet
from tq import chain, chord, group
from tq.errors import ChordError

pytestmark = pytest.mark.timeout(90)


def test_each_step_gets_the_value_of_the_one_before(t):
    assert (t.add.s(4, 4) | t.add.s(8) | t.add.s(16))().get(timeout=TIMEOUT) == 32


def test_a_chain_of_one_task_is_that_task(t):
    assert chain(t.add.s(3, 4))().get(timeout=TIMEOUT) == 7


def test_chains_of_chains_are_one_chain(t):
    assert chain([chain(t.identity.s(42))]).apply_async().get(timeout=TIMEOUT) == 42
    nested = chain(chain(t.add.s(1, 1), t.add.s(2)), chain(t.add.s(3), chain(t.add.s(4))))
    assert nested.delay().get(timeout=TIMEOUT) == 11


def test_chain_with_replaced_step_ends_in_a_group(t):
    inner = t.add.s(4) | t.become.s(sig=t.add.s(8)) | t.add.s(16) | t.add.s(32)
    found = (t.add.s(2, 2) | inner | group(t.add.s(i) for i in range(4)))()
    assert found.get(timeout=TIMEOUT) == [64, 65, 66, 67]


def test_chain_in_a_group_may_end_in_a_group(t):
    found = group(t.add.s(1, 2) | group(t.add.s(1), t.add.s(2)))()
    assert found.get(timeout=TIMEOUT) == [[4, 5]]


def test_members_of_a_last_group_each_get_the_value(t):
    found = (t.add.s(5, 6) | group(t.add.s(1) | t.add.s(2), t.add.s(3)))()
    assert found.get(timeout=TIMEOUT) == [14, 14]


def test_group_then_task_then_group_run_in_that_order(fleet: Fleet, t):
    key = fleet.key()
    before = group(t.echo.si(f"before {i}", key) for i in range(3))
    after = group(t.echo.si(f"after {i}", key) for i in range(2))
    (before | t.echo.si("between", key) | after).delay().get(timeout=TIMEOUT)
    found = fleet.echoed(key)
    assert set(found[:3]) == {"before 0", "before 1", "before 2"}
    assert found[3] == "between"
    assert set(found[4:]) == {"after 0", "after 1"}


def test_group_at_the_end_of_a_member_keeps_its_place(t):
    last = chain(t.identity.si(5), group(t.identity.si(3), t.identity.si(4)))
    found = group(t.identity.si(1), t.identity.si(2), last).delay()
    assert found.get(timeout=TIMEOUT) == [1, 2, [3, 4]]


@pytest.mark.parametrize(
    ("build", "expected"),
    [
        pytest.param(lambda t: chain(group(t.identity.s(42), t.identity.s(42))), [42, 42]),
        pytest.param(
            lambda t: chain(
                t.identity.s(42), group(t.identity.s(), t.identity.s()), t.identity.s()
            ),
            [42, 42],
        ),
        pytest.param(
            lambda t: chain(t.identity.s(42), group(t.identity.s(), t.identity.s())), [42, 42]
        ),
        pytest.param(
            lambda t: (
                t.add.si(1, 0)
                | group(t.add.s(1), t.add.s(1))
                | group(t.xsum.s(), t.xsum.s())
                | t.xsum.s()
            ),
            8,
        ),
        pytest.param(
            lambda t: (
                t.add.si(1, 0)
                | group(t.add.s(1), t.add.s(1))
                | t.xsum.s()
                | t.add.s(1)
                | group(t.add.s(1), t.add.s(1))
                | t.xsum.s()
            ),
            12,
        ),
        pytest.param(
            lambda t: (
                t.add.si(1, 0)
                | group(t.add.s(1), t.add.s(1))
                | t.xsum.s()
                | t.add.s(1)
                | chord(group(t.add.s(1), t.add.s(1)), t.xsum.s())
            ),
            12,
        ),
        pytest.param(
            lambda t: (
                t.add.si(1, 0)
                | group(t.add.s(1), t.add.s(1))
                | t.xsum.s()
                | t.add.s(1)
                | group(t.add.s(1), t.add.s(1))
            ),
            [6, 6],
        ),
        *(
            pytest.param(
                lambda t, steps=steps: chain(
                    group(t.add.s(1, 1), t.add.s(1, 1)),
                    t.xsum.s(),
                    *[t.add.s(1) for _ in range(steps)],
                    group(t.add.s(1), t.add.s(1)),
                ),
                [5 + steps, 5 + steps],
            )
            for steps in (1, 2, 3)
        ),
    ],
)
def test_groups_and_chords_in_chains(t, build, expected):
    assert build(t).delay().get(timeout=TIMEOUT) == expected


def test_chains_of_explicit_chords_join(t):
    def pair(*values: int):
        return chord(group(*[t.add.s(value) for value in values]), t.xsum.s())

    first = chain(chord(group(t.add.si(1, 0), t.add.si(1, 0)), t.xsum.s()), pair(1, 1), pair(0, 0))
    second = chain(pair(10, 10), pair(0, 0), pair(1, 1))
    # 2, 6, 12; then 44, 88, 178
    assert (first | second)().get(timeout=TIMEOUT) == 178


def test_nine_chords_in_a_row(t):
    start = chord(group(t.add.si(1, 0) for _ in range(3)), t.xsum.s())
    later = [chord(group(t.add.s(1) for _ in range(3)), t.xsum.s()) for _ in range(7)]
    last = chord(group(t.add.s(0) for _ in range(3)), t.xsum.s())
    expected = 3
    for _ in range(7):
        expected = 3 * (expected + 1)
    assert chain(start, *later, last)().get(timeout=TIMEOUT) == 3 * expected


@pytest.mark.parametrize("last", ["task", "group"])
@pytest.mark.parametrize("explicit", [False, True])
def test_upgraded_groups_in_a_row_run_each_task_once(fleet: Fleet, t, explicit, last):
    key = fleet.key()

    def say(*words: str):
        return group(t.echo.si(word, key) for word in words)

    first = chord(say("1", "2", "3"), say("4", "5", "6")) if explicit else say("1", "2", "3")
    rest = [] if explicit else [say("4", "5", "6")]
    end = say("end") if last == "group" else t.echo.si("end", key)
    made = chain(first, *rest, say("7"), say("8"), t.echo.si("9", key), end)
    made.delay().get(timeout=TIMEOUT)
    fleet.settle()
    found = fleet.echoed(key)
    assert sorted(found[:3]) == ["1", "2", "3"]
    assert sorted(found[3:6]) == ["4", "5", "6"]
    assert found[6:] == ["7", "8", "9", "end"]


def test_mixed_upgraded_chords_run_each_task_once(fleet: Fleet, t):
    key = fleet.key()

    def say(*words: str):
        return group(t.echo.si(word, key) for word in words)

    made = chain(
        chord(say("1", "2", "3"), t.echo.si("4", key)),
        say("5", "6"),
        chord(say("7"), chain(t.echo.si("8", key), t.echo.si("9", key))),
        say("10", "11"),
        t.echo.si("end", key),
    )
    made.delay().get(timeout=TIMEOUT)
    fleet.settle()
    found = fleet.echoed(key)
    assert sorted(found) == sorted([*map(str, range(1, 12)), "end"])
    assert found[3] == "4"
    assert found[-1] == "end"


def test_group_in_the_middle_gets_and_gives_values(t):
    made = chain(t.identity.s(2), group(t.mul.s(3), t.mul.s(4)), t.identity.s(), t.xsum.s())
    assert made.delay().get(timeout=TIMEOUT) == 14


def test_groups_in_nested_chains_upgrade(t):
    inner = chain(group(t.add.s(1), t.add.s(2)), t.xsum.s())
    made = chain(t.identity.s(1), chain(inner, t.add.s(10)), chain(group(t.add.s(1)), t.add.s(5)))
    assert made.delay().get(timeout=TIMEOUT) == 21


def test_keyword_arguments_of_a_chain_reach_its_first_task(t):
    made = t.add.s(2) | group(t.add.s(i) for i in range(3)) | t.xsum.s()
    assert made.apply_async(kwargs={"y": 5}).get(timeout=TIMEOUT) == 24


def test_a_step_that_comes_twice_starts_its_chord_under_the_same_id(fleet: Fleet, t):
    key = fleet.key()
    made = chain(t.identity.s(42), chord([t.echo_group.s(key=key), t.identity.s()], t.identity.s()))
    made.freeze()
    # as a broker does that delivers the first message twice
    for _ in range(2):
        made.apply_async().get(timeout=TIMEOUT)
        fleet.settle()
    first, second = fleet.echoed(key)
    assert first == second


@pytest.mark.parametrize("then", [None, "canvas.xsum"])
def test_eager_canvas_in_an_eager_task(fleet: Fleet, t, then):
    fleet.app.conf.task_always_eager = True
    try:
        result = t.start_inside.apply_async((then,), throw=True)
        assert result.get(timeout=TIMEOUT)
        assert result.successful()
    finally:
        fleet.app.conf.task_always_eager = False


def test_header_with_soft_limit_that_is_handled_completes(t):
    made = chord([t.add.s(1, 2), t.guarded.s(4)], t.xsum.s())
    assert made.delay().get(timeout=TIMEOUT) == 7


def test_eta_of_a_chain_with_errback_is_kept(fleet: Fleet, t):
    key = fleet.key()
    when = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=0.3)
    made = chain(group(t.add.s(1, 2), t.add.s(3, 4)), t.xsum.s()).on_error(t.echo.si("x", key))
    assert made.apply_async(eta=when).get(timeout=TIMEOUT) == 10
    assert datetime.datetime.now(datetime.UTC) >= when
    fleet.settle()
    assert fleet.echoed(key) == []


# -- parents and ids -------------------------------------------------------------------------------


def test_steps_know_root_and_parent(t):
    result = chain(t.ids.si(i) for i in range(10))()
    result.get(timeout=TIMEOUT)
    nodes = [result]
    while nodes[-1].parent is not None:
        nodes.append(nodes[-1].parent)
    for i, node in enumerate(reversed(nodes)):
        parent = node.parent.id if node.parent is not None else None
        assert node.get(timeout=TIMEOUT) == [nodes[-1].id, parent, i]
    assert len(nodes) == 10


def test_frozen_chain_is_sent_with_the_ids_it_was_given(t):
    made = chain(t.identity.si(1), t.identity.si(2))
    frozen = made.freeze()
    sent = made.apply_async()
    assert sent.id == frozen.id
    assert frozen.get(timeout=TIMEOUT) == 2


def test_task_may_return_the_results_of_what_it_started(t):
    found = t.start_inside.delay().get(timeout=TIMEOUT)
    (_, _parent), children = found
    assert len(children) == 2


def test_second_order_replacement_runs_inside_out(fleet: Fleet, t):
    key = fleet.key()
    t.second_order.delay(key, 2).get(timeout=TIMEOUT)
    fleet.settle()
    assert fleet.echoed(key) == ["in 2", "in 1", "core", "out 1", "out 2"]


# -- errors ----------------------------------------------------------------------------------------


def test_later_steps_of_a_failed_chain_fail_alike(t):
    result = chain(t.add.s(1, 2), t.fail.s(), t.add.s(3, 4))()
    for node in (result, result.parent):
        with pytest.raises(ValueError, match="boom"):
            node.get(timeout=TIMEOUT)
    assert result.parent.parent.get(timeout=TIMEOUT) == 3


def test_failure_before_a_chord_fails_the_chord(t):
    result = (t.add.s(1, 1) | t.fail.s() | group(t.add.s(1), t.add.s(1)) | t.xsum.s()).delay()
    with pytest.raises(ValueError, match="boom"):
        result.get(timeout=TIMEOUT)
    with pytest.raises(ValueError, match="boom"):
        result.get(timeout=TIMEOUT, follow_parents=False)


def test_failure_before_a_last_group_fails_the_group(t):
    result = (t.add.s(1, 1) | t.fail.s() | group(t.add.s(1), t.add.s(1))).delay()
    with pytest.raises(ValueError, match="boom"):
        result.get(timeout=TIMEOUT)


def test_failure_in_a_last_group_is_raised(t):
    result = (t.add.s(1, 1) | t.add.s(1) | group(t.add.s(1), t.fail.s())).delay()
    with pytest.raises(ValueError, match="boom"):
        result.get(timeout=TIMEOUT)


@pytest.mark.parametrize(
    "body",
    [
        lambda t: t.add.si(9, 7),
        lambda t: chain(t.add.si(9, 7), t.add.si(5, 7)),
        lambda t: group(t.add.si(9, 7), t.add.si(5, 7)),
        lambda t: chord(group(t.add.si(1, 1), t.add.si(2, 2)), t.add.si(10, 10)),
    ],
    ids=["task", "chain", "group", "chord"],
)
def test_failing_header_fails_a_body_of_any_kind(t, body):
    result = chain(group(t.add.si(15, 7), t.fail.si()), body(t)).apply_async()
    with pytest.raises(ValueError, match="boom"):
        result.get(timeout=TIMEOUT)


def test_failing_header_in_a_nested_chain_fails_all_that_follows(t):
    inner = chain(group(t.add.si(1, 1), t.fail.si()), t.identity.s())
    result = chain(inner, t.identity.s()).apply_async()
    with pytest.raises(ChordError, match="boom"):
        result.get(timeout=TIMEOUT, follow_parents=False)


def test_failing_chain_before_an_upgraded_chord_in_a_header_fails_the_body(t):
    member = chain(t.fail.si(), group(t.identity.si(2), t.identity.si(3)), t.identity.si(4))
    result = chain(group(t.identity.si(1), member), t.identity.s()).apply_async()
    with pytest.raises(ValueError, match="boom"):
        result.get(timeout=TIMEOUT)
    with pytest.raises(ChordError, match="boom"):
        result.get(timeout=TIMEOUT, follow_parents=False)


def test_value_that_cannot_be_passed_on_fails_the_chain(t):
    result = chain(t.unsendable.s(), t.identity.s()).apply_async()
    with pytest.raises(Exception, match="cannot be sent"):
        result.get(timeout=TIMEOUT)


def test_callbacks_of_steps_are_each_called(fleet: Fleet, t):
    key = fleet.key()
    step = t.identity.si(7)
    step.link(t.count.si(key))
    assert chain(step for _ in range(20))().get(timeout=TIMEOUT) == 7
    fleet.settle()
    assert fleet.counted(key) == 20


def test_errback_of_the_failing_step_is_called_once(fleet: Fleet, t):
    key = fleet.key()
    step = t.identity.si(7)
    bad = t.fail.si()
    bad.link_error(t.count.si(key))
    step.link_error(t.count.si(key))
    result = chain(step, bad, step)()
    with pytest.raises(ValueError, match="boom"):
        result.get(timeout=TIMEOUT)
    fleet.settle()
    assert fleet.counted(key) == 1


def test_link_of_a_chain_runs_after_its_last_step(fleet: Fleet, t):
    key = fleet.key()
    made = chain(t.identity.s(1), t.add.s(2))
    made.link(t.echo.s(key=key))
    assert made.delay().get(timeout=TIMEOUT) == 3
    fleet.settle()
    assert fleet.echoed(key) == ["3"]


def test_links_of_an_inner_chain_survive_flattening(fleet: Fleet, t):
    key = fleet.key()
    inner = chain(t.identity.s("a"), t.add.s("b"))
    inner.link(t.echo.s(key=key))
    inner.link_error(t.echo.si("no", key))
    assert chain(inner, t.add.s("c")).delay().get(timeout=TIMEOUT) == "abc"
    fleet.settle()
    assert fleet.echoed(key) == ["ab"]
