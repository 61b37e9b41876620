"""Chords on real workers: headers and bodies of every kind, growth, family, order."""

import asyncio
import json
import time

import pytest

from tests.support.fleet import TIMEOUT, Fleet
from tests.support.waiting import eventually
from tq import TQ, GroupResult, Signature, chain, chord, current_app, group

pytestmark = pytest.mark.timeout(90)


def test_parts_come_to_the_body_in_the_order_of_the_header(fleet: Fleet, t):
    key = fleet.key()
    made = chord([t.gate.si(key, "first"), *(t.identity.si(i) for i in range(5))], t.identity.s())
    result = made()
    fleet.wait_at(key)
    fleet.open(key)
    assert result.get(timeout=TIMEOUT) == ["first", 0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("build", "expected"),
    [
        pytest.param(lambda t: chord([t.add.s(1, 2)], t.xsum.s()), 3, id="header of one"),
        pytest.param(lambda t: group(t.add.s(1, 2)) | t.xsum.s(), 3, id="group of one, then"),
        pytest.param(lambda t: group([t.add.s(5, 6)]) | t.identity.s(), [11], id="list of one"),
        pytest.param(lambda t: chord([], t.identity.s()), [], id="empty header"),
        pytest.param(
            lambda t: t.identity.si(1) | chord([group([]), group([])], t.identity.s()),
            [],
            id="header of empty groups",
        ),
        pytest.param(lambda t: chord(t.add.s(2, 3), t.xsum.s()), 5, id="header is a task"),
        pytest.param(
            lambda t: chord(group(t.add.s(1, 2), t.add.s(3, 4)), t.xsum.s()), 10, id="group"
        ),
        pytest.param(
            lambda t: chord((group(t.identity.s(4), t.identity.s(2)),), t.identity.s()),
            [2, 4],
            id="group in the header is unrolled",
        ),
        pytest.param(
            lambda t: chord(
                group(chain(t.identity.s(42), group(t.identity.s(), t.identity.s()))),
                t.identity.s(),
            ),
            [[42, 42]],
            id="group at the end of a member",
        ),
        pytest.param(
            lambda t: chord(
                [
                    chord([t.add.s(1, 2), t.add.s(3, 4)], t.add.s([5])),
                    chord([t.add.s(6, 7)], t.add.s([10])),
                ],
                t.identity.s(),
            ),
            [[3, 7, 5], [13, 10]],
            id="chords in the header",
        ),
        pytest.param(
            lambda t: (
                group(
                    group(group(group(t.add.s(1, 2)) | t.add.s([3])) | t.add.s([4])) | t.add.s([5])
                )
                | t.add.s([6])
            ),
            [[[[3, 3], 4], 5], 6],
            id="groups then tasks, four deep",
        ),
        pytest.param(
            lambda t: chord(
                group(
                    chain(t.add.si(1, 2), chord(group(t.add.si(1, 2)), t.add.si(1, 2))),
                    chain(t.add.si(1, 2), chord([t.add.si(1, 2), t.add.si(1, 2)], t.add.si(1, 2))),
                ),
                t.add.si(2, 2),
            ),
            4,
            id="chords in chains in a header",
        ),
        pytest.param(
            lambda t: chain(
                t.identity.si(1),
                chord(
                    [
                        t.identity.si(2),
                        chain(
                            t.identity.si(3),
                            chord([t.identity.si(4), t.identity.si(5)], t.identity.si(6)),
                        ),
                    ],
                    t.identity.si(7),
                ),
            ),
            7,
            id="chain, chord, chain, chord",
        ),
        pytest.param(
            lambda t: chord([t.add.s(1, 1), t.add.s(2, 2)], chord([t.xsum.s()] * 2, t.xsum.s())),
            12,
            id="body is a chord",
        ),
        pytest.param(
            lambda t: chord([t.add.s(1, 1), t.add.s(2, 2)], group(t.xsum.s(), t.identity.s())),
            [6, [2, 4]],
            id="body is a group",
        ),
        pytest.param(
            lambda t: chord([t.add.s(1, 1), t.add.s(2, 2)], t.xsum.s() | t.add.s(3) | t.add.s(4)),
            13,
            id="body is a chain",
        ),
        pytest.param(
            lambda t: chain(
                group(t.identity.s(i) for i in range(1, 4)) | t.xsum.s(),
                chord(group(t.mul.s(10) for _ in range(1, 4)), t.xsum.s()),
            ),
            180,
            id="chord after an upgraded one",
        ),
        pytest.param(
            lambda t: (
                group(t.add.s(1, 2) | t.add.s(3), t.add.s(4, 5) | t.add.s(6), t.identity.si(21))
                | group(t.xsum.s(), t.xsum.s())
            ),
            [42, 42],
            id="chains in a group, then a group",
        ),
        pytest.param(
            lambda t: chord((t.add.s(i, i) for i in range(10)), t.xsum.s()), 90, id="generator"
        ),
        pytest.param(
            lambda t: chord([t.add.map([1, 2]), t.identity.map([3])], t.xsum.s()), 6, id="maps"
        ),
        pytest.param(
            lambda t: chord([t.add.chunks([(1, 1), (2, 2), (3, 3)], 2).group()], t.xsum.s()),
            12,
            id="chunks",
        ),
        pytest.param(
            lambda t: chain(
                t.add.si(1, 0),
                group(
                    t.add.si(1, 100),
                    chain(t.add.si(1, 200), group(t.add.si(1, 1000), t.add.si(1, 2000))),
                ),
                t.add.si(1, 10),
            ),
            11,
            id="group at the end of a chain in a header, in a chain",
        ),
        pytest.param(
            lambda t: chord(
                [t.add.s(0, 1)],
                chord(
                    [t.xsum, t.xsum],
                    chain(t.xsum.s(), group(t.add.s(8), t.add.s(16)), t.xsum.s() | t.add.s(32)),
                ),
            ),
            60,
            id="tasks as parts, and a group amid a body",
        ),
        pytest.param(lambda t: group(t.identity.si(i) for i in range(1000)) | t.xsum.s(), 499500),
        pytest.param(
            lambda t: t.identity.si(1) | group(t.identity.s() for _ in range(1000)) | t.xsum.s(),
            1000,
        ),
    ],
)
def test_headers_and_bodies(t, build, expected):
    assert build(t).delay().get(timeout=TIMEOUT) == expected


def test_spread_group_replaces_a_body(t):
    inner = [
        chord([t.add.s(1, 2), t.add.s(3, 4)], t.add.s([5])),
        chord([t.add.s(6, 7)], t.add.s([10])),
    ]
    result = chord(inner, t.spread.s(["A"])).delay()
    assert result.get(timeout=TIMEOUT) == [[3, 7, 5, "A"], [13, 10, "A"]]
    result = chord(inner, t.spread.s(["A"])).delay()
    assert result.get(timeout=TIMEOUT) == [[3, 7, 5, "A"], [13, 10, "A"]]


def test_empty_headers_start_a_replaced_body(t):
    assert chord([], t.spread.s(9))().get(timeout=TIMEOUT) == []
    assert (group([]) | t.spread.s(9))().get(timeout=TIMEOUT) == []


def test_group_after_a_replaced_task_gets_its_list(t):
    made = chain(t.add.s(2, 2), t.identity.s(), group(t.add.s(1), t.add.s(2)), t.spread.s(10))
    assert made.delay().get(timeout=TIMEOUT) == [15, 16]


def test_keyword_arguments_reach_every_part(t):
    made = chord([t.add.s(1), t.add.s(2)], t.xsum.s(), kwargs={"y": 5})
    assert made.apply_async().get(timeout=TIMEOUT) == 13


def test_arguments_of_a_chord_reach_every_part(t):
    made = group(t.add.s(), t.add.s()) | t.xsum.s()
    assert made.apply_async(args=(4,), kwargs={"y": 1}).get(timeout=TIMEOUT) == 10


@pytest.mark.parametrize("eager", [False, True])
def test_arguments_of_a_chain_reach_the_parts_of_its_first_chord(t, eager):
    made = chain(chord([t.identity.s(), t.identity.s()], t.identity.s()), t.identity.s())
    result = made.apply(args=(1,)) if eager else made.apply_async(args=(1,))
    assert result.get(timeout=TIMEOUT) == [1, 1]


@pytest.mark.parametrize("eager", [False, True])
def test_arguments_of_a_chain_of_chains_reach_its_first_task(t, eager):
    made = chain(chain(t.identity.s(), t.identity.s()))
    result = made.apply(args=(1,)) if eager else made.apply_async(args=(1,))
    assert result.get(timeout=TIMEOUT) == 1


# -- headers of generators ----------------------------------------------------------------------------


@pytest.mark.parametrize("piped", [False, True])
def test_parts_run_while_their_generator_is_slow_with_the_rest(fleet: Fleet, t, piped):
    key = fleet.key()

    def header():
        time.sleep(0.6)  # slow enough to be read while the chord is sent
        yield t.echo.s(1, key)
        time.sleep(0.2)
        yield t.echo.s(2, key)
        eventually(lambda: fleet.echoed(key), within=TIMEOUT)
        yield t.echo.s(3, key)

    made = group(header()) | t.xsum.s() if piped else chord(header(), t.xsum.s())
    assert made.delay().get(timeout=TIMEOUT) == 6


def test_members_run_while_their_generator_is_slow_with_the_rest(fleet: Fleet, t):
    key = fleet.key()

    def members():
        time.sleep(0.6)
        yield t.echo.s(1, key)
        time.sleep(0.2)
        yield t.echo.s(2, key)
        eventually(lambda: fleet.echoed(key), within=TIMEOUT)

    assert group(members()).delay().get(timeout=TIMEOUT) == [1, 2]


def test_long_generators_of_every_kind_of_part(t):
    def parts():
        for i in range(900):
            yield t.identity.si(1)
            yield t.identity.si(1) | t.identity.s()
            if i % 90 == 0:
                yield group(t.identity.si(1), t.identity.si(1))
                yield chain(t.identity.si(1), group(t.identity.s(), t.identity.s()))
                yield chord([t.identity.si(1), t.identity.si(1)], t.xsum.s())

    made = chord(parts(), t.xsum.s())
    assert made.delay().get(timeout=TIMEOUT) == 900 + 900 + 3 * 20


# -- growing ---------------------------------------------------------------------------------------


def test_running_part_may_add_parts(t):
    made = group(t.extend.s([1, 2, 3], 4)) | t.xsum.s()
    assert made().get(timeout=TIMEOUT) == 0 + 5 + 6 + 7


def test_running_part_may_add_a_chord(t):
    made = group(t.extend_by_chord.s([1, 2, 3], 4), t.identity.si(1)) | t.identity.s()
    assert sorted(made().get(timeout=TIMEOUT)) == [0, 1, 18]


def test_nested_chord_replaced_in_a_header(t):
    made = chord(
        [
            chord([t.add.s(1, 2), t.become.s(3, sig=t.add.s(4))], t.add.s([5])),
            chord([t.become.s(6, sig=t.add.s(7))], t.add.s([10])),
        ],
        t.spread.s(["A"]),
    )
    assert made().get(timeout=TIMEOUT) == [[3, 7, 5, "A"], [13, 10, "A"]]


# -- family ----------------------------------------------------------------------------------------


def check_family(result, root_id: str) -> None:
    """`1 | 2 | group(3..) | collect | last`: who started whom."""
    assert isinstance(result.parent.parent, GroupResult)
    body, header = result.parent, result.parent.parent
    second, first = header.parent, header.parent.parent
    assert result.get(timeout=TIMEOUT) == [root_id, body.id, 51]
    parts, (root, parent, index) = body.get(timeout=TIMEOUT)
    assert (root, index) == (root_id, 50)
    # the part that came last started the body
    assert parent in [member.id for member in header.results]
    assert [part[:2] for part in parts] == [[root_id, second.id]] * len(parts)
    assert second.get(timeout=TIMEOUT) == [root_id, first.id, 2]
    assert first.get(timeout=TIMEOUT) == [root_id, None, 1]


@pytest.mark.parametrize("piped", [False, True])
def test_parts_and_body_know_root_and_parent(t, piped):
    root = t.ids.si(1)
    root_id = root.freeze().id
    header = group(t.ids.si(i) for i in range(3, 20))
    if piped:
        made = root | t.ids.si(2) | header | t.collect.s(50) | t.ids.si(51)
    else:
        made = chain(root, t.ids.si(2), chord(header, chain(t.collect.s(50), t.ids.si(51))))
    check_family(made(), root_id)


def test_collect_walks_what_a_canvas_started(t):
    result = (t.add.s(1, 1) | group(t.add.s(1), t.add.s(2)) | t.xsum.s()).delay()
    assert result.get(timeout=TIMEOUT) == 7
    first = result.parent.parent
    eventually(first.ready, within=TIMEOUT)
    seen = [value for _, value in first.collect(timeout=TIMEOUT)]
    assert seen[0] == 2
    assert first.graph is not None


def test_waiting_inside_a_task_is_refused(t):
    with pytest.raises(RuntimeError, match=r"(?i)never call|inside a task|wait"):
        t.wait_inside.delay().get(timeout=TIMEOUT)


# -- options ---------------------------------------------------------------------------------------


def test_priority_of_each_step_is_its_own(t):
    assert chain(t.priority.s().set(priority=3))().get(timeout=TIMEOUT) == 3
    made = t.priority.s().set(priority=3) | t.priority.s().set(priority=5)
    assert made().get(timeout=TIMEOUT) == 5


def test_custom_headers_reach_the_task(t):
    assert t.header_of.si().set(headers={"colour": "red"}).delay().get(timeout=TIMEOUT) == "red"


def test_dictionaries_run_as_the_canvas_they_describe(fleet: Fleet, t):
    made = chain(t.add.s(1, 1), group(t.add.s(1), t.add.s(2) | t.add.s(3)), t.xsum.s())
    again = fleet.app.signature(plain(made))
    assert again.delay().get(timeout=TIMEOUT) == 10


def plain(value):
    """What JSON makes of a canvas."""
    return json.loads(json.dumps(value))


def test_dictionaries_go_to_the_app_that_reads_them(fleet: Fleet, t):
    made = chain(
        t.add.s(1, 1),
        group(t.add.s(1), chord([t.add.s(2), t.add.s(3)], t.xsum.s()) | t.add.s(4)),
        group(t.identity.s(), t.identity.s()),
    )
    with TQ("elsewhere", broker="memory://", backend="memory://") as other:
        assert current_app() is other
        again = fleet.app.signature(plain(made))
        found = again.delay()
        assert found.get(timeout=TIMEOUT) == [[3, 13], [3, 13]]
        assert all(member.app is fleet.app for member in found.results)
        assert not other.broker.depths(["celery"]).get("celery")
    fleet.app.set_current()


@pytest.mark.parametrize("outer", [chain, group, "chord"])
@pytest.mark.parametrize("inner", [chain, group, "chord"])
def test_nested_canvases_survive_json(fleet: Fleet, t, outer, inner):
    def make(kind, first, second):
        return chord([first], second) if kind == "chord" else kind(first, second)

    made = make(outer, make(inner, t.identity.si(1), t.identity.si(2)), t.identity.si(3))
    again = fleet.app.signature(plain(made))
    assert plain(again) == plain(made)
    assert again.apply_async().get(timeout=TIMEOUT) == made.apply_async().get(timeout=TIMEOUT)


@pytest.mark.parametrize("outer", [chain, group, "chord"])
@pytest.mark.parametrize("inner", [chain, group, "chord"])
def test_nested_canvas_that_a_task_returns_is_one_again(fleet: Fleet, t, outer, inner):
    def make(kind, first, second):
        return chord([first], second) if kind == "chord" else kind(first, second)

    made = make(outer, make(inner, t.identity.si(1), t.identity.si(2)), t.identity.si(3))
    returned = t.nested.delay(made).get(timeout=TIMEOUT)
    again = fleet.app.signature(returned)
    assert plain(again) == plain(made)
    assert [type(part) for part in parts_of(again)] == [type(part) for part in parts_of(made)]


def parts_of(canvas):
    """A canvas and all in it, each a signature."""
    assert isinstance(canvas, Signature)
    yield canvas
    for part in getattr(canvas, "tasks", ()):
        yield from parts_of(part)
    if getattr(canvas, "body", None) is not None:
        yield from parts_of(canvas.body)


# -- unstored results ------------------------------------------------------------------------------


def test_ignored_results_still_reach_the_next_step_and_the_body(t):
    assert chain(t.quiet.s(4), t.add.s(1))().get(timeout=TIMEOUT) == 5
    assert chord([t.quiet.s(4), t.quiet.s(5)], t.xsum.s())().get(timeout=TIMEOUT) == 9
    made = chord([t.identity.s(4).set(ignore_result=True), t.identity.s(5)], t.xsum.s())
    assert made().get(timeout=TIMEOUT) == 9


@pytest.mark.parametrize(
    ("build", "expected"),
    [
        pytest.param(lambda t: group(t.quiet.s(1), t.identity.s(2)), [None, 2], id="member"),
        pytest.param(
            lambda t: group(t.identity.s(1).set(ignore_result=True), t.identity.s(2)),
            [None, 2],
            id="member by its call",
        ),
        pytest.param(lambda t: group(t.identity.s(1) | t.quiet.s(), t.quiet.s(2)), [None, None]),
        pytest.param(lambda t: t.identity.s(1) | t.quiet.s(), None, id="last step"),
        pytest.param(lambda t: chord([t.identity.s(1)], t.quiet.s()), None, id="body"),
        pytest.param(
            lambda t: chord([t.identity.s(1)], group(t.quiet.s(), t.identity.s())), [None, [1]]
        ),
    ],
)
def test_waiting_for_a_canvas_passes_over_unstored_results(t, build, expected):
    result = build(t).delay()
    assert result.get(timeout=TIMEOUT) == expected

    async def wait():
        return await build(t).delay()

    assert asyncio.run(wait()) == expected


def test_ignored_body_lets_the_chord_end(fleet: Fleet, t):
    key = fleet.key()
    result = chord([t.identity.s(4)], t.quiet.s() | t.echo.s(key=key))()
    result.get(timeout=TIMEOUT)
    assert fleet.echoed(key) == ["[4]"]


# -- retries ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("build", "expected"),
    [
        pytest.param(lambda t: chain(t.flaky.s(1), t.flaky.s(), t.add.s(2)), 3, id="chain"),
        pytest.param(lambda t: group(t.flaky.s(1), t.flaky.s(2, fails=2)), [1, 2], id="group"),
        pytest.param(lambda t: chord([t.flaky.s(1), t.flaky.s(2)], t.xsum.s()), 3, id="header"),
        pytest.param(lambda t: chord([t.identity.s(1)], t.flaky.s()), [1], id="body"),
        pytest.param(
            lambda t: chord([t.identity.s(1) | t.flaky.s()], t.xsum.s() | t.flaky.s()),
            1,
            id="chain in a header and in a body",
        ),
    ],
)
def test_retried_tasks_keep_their_place(t, build, expected):
    assert build(t).delay().get(timeout=TIMEOUT) == expected


def test_part_that_gives_up_fails_the_body(t):
    result = chord([t.hopeless.s(), t.identity.s(1)], t.xsum.s())()
    with pytest.raises(Exception, match="again"):
        result.get(timeout=TIMEOUT)
    with pytest.raises(Exception, match="again"):
        result.get(timeout=TIMEOUT, follow_parents=False)


# -- nothing is left behind ------------------------------------------------------------------------


def test_finished_chord_leaves_no_counters_and_no_subscriptions(fleet: Fleet, t):
    result = chord([t.add.s(1, 1), t.add.s(2, 2)], t.xsum.s()).delay()
    assert result.get(timeout=TIMEOUT) == 6
    fleet.settle()
    group_id = result.parent.id
    left = {key.rpartition(".")[2] for key in fleet.redis.keys(f"celery-taskset-meta-{group_id}*")}
    assert left <= {"c"}
    eventually(
        lambda: not fleet.redis.pubsub_channels(f"celery-task-meta-{result.id}"), within=TIMEOUT
    )
