"""Groups on real workers: values, nesting, links, errors, saving."""

import pytest

from tests.support.fleet import TIMEOUT, Fleet
from tests.support.waiting import eventually
from tq import GroupResult, ResultSet, chain, chord, group

pytestmark = pytest.mark.timeout(90)


def test_members_run_side_by_side_and_results_keep_their_order(t):
    assert group(t.identity.s(i) for i in range(50)).delay().get(timeout=TIMEOUT) == [*range(50)]


def test_large_group(t):
    found = group(t.identity.s(i) for i in range(1000)).delay()
    assert found.get(timeout=TIMEOUT) == list(range(1000))


def test_group_of_one(t):
    assert group(t.identity.s(5)).delay().get(timeout=TIMEOUT) == [5]
    assert group([t.identity.s(5)])().get(timeout=TIMEOUT) == [5]


def test_empty_group_is_saved_and_restored(fleet: Fleet):
    result = group([]).apply_async()
    assert result.results == []
    result.save(backend=fleet.app.backend)
    assert GroupResult.restore(result.id, app=fleet.app).results == []


def test_group_is_ready_although_a_member_failed(t):
    result = group(t.add.s(1, 2), t.fail.s()).apply_async()
    eventually(result.ready, within=TIMEOUT)
    assert result.failed()
    assert not result.successful()


def test_nested_groups_are_one_group(t):
    inner = group(t.add.si(1, 1000), t.add.si(1, 2000))
    made = group(t.add.si(1, 10), group(t.add.si(1, 100), inner))
    assert made().get(timeout=TIMEOUT) == [11, 101, 1001, 2001]
    assert group(group(t.identity.s(1), t.identity.s(2)))().get(timeout=TIMEOUT) == [1, 2]


def test_members_know_root_and_parent(t):
    made = t.ids.si(1) | t.ids.si(2) | group(t.ids.si(i) for i in range(2, 20))
    result = made()
    root, parent = result.parent.parent.id, result.parent.id
    assert result.get(timeout=TIMEOUT) == [[root, parent, i] for i in range(2, 20)]


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        pytest.param(lambda t: (t.identity.si(42),), [42], id="task"),
        pytest.param(lambda t: (chain([t.identity.si(7)] * 20),), [7], id="chain"),
        pytest.param(lambda t: (group([t.identity.si(7)] * 20),), [7] * 20, id="group"),
        pytest.param(
            lambda t: (chord([t.identity.si(7)] * 20, t.identity.si(9)),), [9], id="chord"
        ),
        pytest.param(
            lambda t: (
                t.identity.si(42),
                chain([t.identity.si(42)] * 20),
                group([t.identity.si(42)] * 20),
                chord([t.identity.si(42)] * 20, t.identity.si(1337)),
            ),
            [42, 42, *[42] * 20, 1337],
            id="mixed",
        ),
    ],
)
def test_chord_in_a_group_counts_its_parts(t, header, expected):
    made = group((chord(header(t), t.identity.s()),))
    assert made.delay().get(timeout=TIMEOUT) == [expected]


def test_chord_in_a_group_with_a_chain_as_body(t):
    made = group((chord(t.identity.si(42), chain((t.identity.s(),))),))
    assert made.delay().get(timeout=TIMEOUT) == [[42]]


def test_two_chords_side_by_side(t):
    made = group(chord(group(t.add.s(1, 2), t.add.s(3, 4)), t.xsum.s()) for _ in range(2))
    assert made.delay().get(timeout=TIMEOUT) == [10, 10]


def test_keyword_arguments_reach_every_member(t):
    made = group(t.add.s(1), t.add.s(2))
    assert made.apply_async(kwargs={"y": 5}).get(timeout=TIMEOUT) == [6, 7]
    assert made.apply_async((10,)).get(timeout=TIMEOUT) == [11, 12]


def test_group_counts_its_completed_members(fleet: Fleet, t):
    key = fleet.key()
    result = group(t.identity.si(1), t.gate.si(key, 2), t.gate.si(key, 3)).delay()
    fleet.wait_at(key, 1)
    eventually(lambda: result.completed_count() == 1, within=TIMEOUT)
    assert not result.ready()
    assert result.waiting()
    fleet.open(key, 2)
    assert result.join_native(timeout=TIMEOUT) == [1, 2, 3]
    assert result.completed_count() == 3
    assert result.join(timeout=TIMEOUT) == [1, 2, 3]


def test_group_results_are_saved_restored_and_deleted(fleet: Fleet, t):
    result = group(t.identity.s(i) for i in range(3)).delay()
    result.save(backend=fleet.app.backend)
    again = GroupResult.restore(result.id, app=fleet.app)
    assert again == result
    assert again.get(timeout=TIMEOUT) == [0, 1, 2]
    again.delete()
    assert GroupResult.restore(result.id, app=fleet.app) is None
    again.forget()
    assert [member.state for member in result.results] == ["PENDING"] * 3 or result.ready()
    assert not any(fleet.redis.exists(f"celery-task-meta-{m.id}") for m in result.results)


# -- result sets -----------------------------------------------------------------------------------


def test_result_set_joins_what_it_holds(t):
    assert ResultSet([t.add.delay(1, 1), t.add.delay(2, 2)]).get(timeout=TIMEOUT) == [2, 4]


def test_result_set_keeps_errors_when_it_does_not_propagate(t):
    results = ResultSet([t.fail.delay(), t.add.delay(1, 1)])
    results.get(timeout=TIMEOUT, propagate=False)
    assert results.results[0].failed()
    assert results.results[1].successful()


def test_result_set_grows(t):
    results = ResultSet([])
    results.add(t.add.delay(1, 1))
    results.add(t.add.delay(2, 2))
    assert results.get(timeout=TIMEOUT) == [2, 4]


# -- links -----------------------------------------------------------------------------------------


def test_link_of_a_group_is_called_once_without_a_value(fleet: Fleet, t):
    key = fleet.key()
    made = group(t.identity.si(42), t.identity.si(1337))
    made.link(t.echo.si("linked", key))
    assert made.delay().get(timeout=TIMEOUT) == [42, 1337]
    fleet.settle()
    assert fleet.echoed(key) == ["linked"]


@pytest.mark.parametrize("place", ["first", "last"])
def test_errback_of_a_group_is_called_wherever_a_member_fails(fleet: Fleet, t, place):
    key = fleet.key()
    members = [t.fail.s(), t.identity.si(42)]
    made = group(members if place == "first" else reversed(members))
    made.link_error(t.echo.si("failed", key))
    with pytest.raises(ValueError, match="boom"):
        made.delay().get(timeout=TIMEOUT)
    fleet.settle()
    assert fleet.echoed(key) == ["failed"]


@pytest.mark.parametrize("style", ["errback_old", "errback_new"])
def test_errback_of_a_group_is_told_which_member_failed(fleet: Fleet, t, style):
    bad = t.fail.s()
    failed_id = bad.freeze().id
    made = group(bad, t.identity.si(42))
    made.link_error(getattr(t, style).s())
    with pytest.raises(ValueError, match="boom"):
        made.delay().get(timeout=TIMEOUT)
    fleet.settle()
    assert fleet.counted(failed_id) == 1


def test_errback_of_a_group_is_called_for_each_failure(fleet: Fleet, t):
    key = fleet.key()
    made = group(*(t.identity.si(42) for _ in range(8)), *(t.fail.s() for _ in range(13)))
    made.link_error(t.count.si(key))
    with pytest.raises(ValueError, match="boom"):
        made.delay().get(timeout=TIMEOUT)
    fleet.settle()
    assert fleet.counted(key) == 13


@pytest.mark.parametrize("fails", [False, True])
def test_links_of_members_are_each_called(fleet: Fleet, t, fails):
    key = fleet.key()
    member = t.fail.si() if fails else t.identity.si(7)
    (member.link_error if fails else member.link)(t.count.si(key))
    result = group(member for _ in range(20))()
    if fails:
        with pytest.raises(ValueError, match="boom"):
            result.get(timeout=TIMEOUT)
    else:
        assert result.get(timeout=TIMEOUT) == [7] * 20
    fleet.settle()
    assert fleet.counted(key) == 20


# -- options ---------------------------------------------------------------------------------------


def test_members_share_the_group_and_count_up(t):
    result = group(t.place.si() for _ in range(4)).delay()
    assert result.get(timeout=TIMEOUT) == [[result.id, i] for i in range(4)]


def test_options_of_a_group_reach_every_member(t):
    assert group(t.priority.si(), t.priority.si(), priority=6)().get(timeout=TIMEOUT) == [6, 6]
    made = group(t.priority.si(), t.priority.si().set(priority=3))
    assert made.apply_async(priority=6).get(timeout=TIMEOUT) == [6, 6]


def test_skewed_members_start_one_after_another(t):
    made = group(t.identity.s(i) for i in range(3)).skew(start=0.05, stop=0.2, step=0.05)
    assert [round(m.options["countdown"], 2) for m in made.tasks] == [0.05, 0.1, 0.15]
    assert made().get(timeout=TIMEOUT) == [0, 1, 2]


def test_generators_are_members(t):
    def members():
        for i in range(10):
            yield t.identity.s(i)

    assert group(members())().get(timeout=TIMEOUT) == [*range(10)]


def test_on_message_sees_every_state_of_every_member(t):
    seen = []
    result = group(t.progress.s(3), t.progress.s(2)).delay()
    assert result.get(timeout=TIMEOUT, on_message=seen.append) == [3, 2]
    final = {m["task_id"] for m in seen if m["status"] == "SUCCESS"}
    assert final == {member.id for member in result.results}


def test_callback_of_get_is_told_of_each_member(t):
    seen = []
    result = group(t.identity.s(i) for i in range(5)).delay()
    result.get(timeout=TIMEOUT, callback=lambda id_, value: seen.append((id_, value)))
    assert sorted(seen) == sorted((m.id, i) for i, m in enumerate(result.results))


# -- maps ------------------------------------------------------------------------------------------


def test_map_calls_with_each_value(t):
    assert t.identity.map([1, 2, 3]).apply_async().get(timeout=TIMEOUT) == [1, 2, 3]
    assert t.xsum.map([[1, 2], [3, 4]]).delay().get(timeout=TIMEOUT) == [3, 7]


def test_starmap_calls_with_each_tuple(t):
    assert t.add.starmap(zip(range(5), range(5), strict=True)).delay().get(timeout=TIMEOUT) == [
        0, 2, 4, 6, 8,
    ]  # fmt: skip


def test_chunks_split_the_work(t):
    values = [(i, i) for i in range(25)]
    result = t.add.chunks(values, 10).apply_async()
    assert result.get(timeout=TIMEOUT) == [
        [2 * i for i in range(10)],
        [2 * i for i in range(10, 20)],
        [2 * i for i in range(20, 25)],
    ]
    assert len(result.results) == 3


def test_chunks_group_may_be_skewed_and_be_a_header(t):
    made = t.add.chunks([(i, i) for i in range(6)], 2).group()
    made.skew(start=0.02, stop=0.1, step=0.02)
    assert (made | t.xsum.s()).delay().get(timeout=TIMEOUT) == 30


def test_map_in_a_chain(t):
    assert chain(t.identity.map([1, 2]), t.xsum.s()).delay().get(timeout=TIMEOUT) == 3
