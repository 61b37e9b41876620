"""Which tasks belong together, laid out as a tree: whatever events come, in whatever order."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tq.monitor import ClusterState
from tqconsole.tui.model.flow_index import FlowIndex, group_key
from tqconsole.tui.model.flow_tree import FlowTree, build_tree
from tqconsole.tui.model.lineage import ChordFacts, Lineage, LineageBook, read_children
from tqconsole.tui.model.verdicts import verdicts

pytestmark = pytest.mark.timeout(120)

NOW = 1_767_276_452.0


def event(kind: str, uuid: str, at: float = NOW - 10, **fields: Any) -> dict[str, Any]:
    base = {"type": f"task-{kind}", "uuid": uuid, "hostname": "w1@node1", "timestamp": at}
    return {**base, "local_received": at, "clock": 1, "pid": 1, **fields}


def received(
    uuid: str,
    name: str = "proj.add",
    root: str | None = None,
    parent: str | None = None,
    **more: Any,
) -> dict[str, Any]:
    return event("received", uuid, name=name, root_id=root or uuid, parent_id=parent, **more)


def done(uuid: str, runtime: float = 0.3) -> dict[str, Any]:
    return event("succeeded", uuid, NOW - 5, result="1", runtime=runtime)


def failed(uuid: str, why: str = "ValueError('no')") -> dict[str, Any]:
    return event("failed", uuid, NOW - 5, exception=why, traceback="...")


def indexed(
    events: Iterable[dict[str, Any]], book: LineageBook | None = None
) -> tuple[ClusterState, FlowIndex, LineageBook]:
    state, index, book = ClusterState(), FlowIndex(), book or LineageBook()
    state.apply_many(list(events), NOW)
    index.update(state, book)
    return state, index, book


def tree_of(
    some_id: str, state: ClusterState, index: FlowIndex, book: LineageBook, **options: Any
) -> FlowTree:
    flow = index.of(some_id)
    assert flow is not None
    return build_tree(flow, state.tasks, book, **options)


def words(some_id: str, state: ClusterState, index: FlowIndex, book: LineageBook) -> str:
    flow = index.of(some_id)
    assert flow is not None
    tree = build_tree(flow, state.tasks, book)
    return " | ".join(v.text for v in verdicts(flow, tree, state, book, NOW))


def partition(index: FlowIndex) -> set[frozenset[str]]:
    return {frozenset(flow.tasks()) for flow in index.flows.values() if flow.total}


# -- flows


def test_a_task_that_nobody_refers_to_is_in_no_flow() -> None:
    _, index, _ = indexed([received("a"), done("a")])
    assert index.flows == {}
    assert list(index.unlinked) == ["a"]


def test_a_chain_is_one_flow_even_when_its_root_comes_last() -> None:
    steps = [received("c", root="a", parent="b"), received("b", root="a", parent="a")]
    state, index, book = indexed([*steps, received("a")])
    assert partition(index) == {frozenset("abc")}
    rows = tree_of("a", state, index, book).rows
    assert [(row.subject, row.depth) for row in rows] == [("a", 0), ("b", 1), ("c", 2)]


def test_a_root_that_was_never_seen_stands_above_its_children_as_unseen() -> None:
    state, index, book = indexed([received("b", root="a", parent="a")])
    rows = tree_of("b", state, index, book).rows
    assert [(row.subject, row.kind) for row in rows] == [("a", "unseen"), ("b", "task")]


def test_counts_follow_the_states() -> None:
    state, index, book = indexed([received("a"), received("b", root="a", parent="a")])
    flow = index.of("a")
    assert flow is not None
    assert flow.counts == [2, 0, 0, 0, 0]
    state.apply_many([event("started", "a"), failed("b")], NOW)
    index.update(state, book)
    assert index.of("a").counts == [0, 1, 0, 1, 0]
    state.apply_many([done("a")], NOW)
    index.update(state, book)
    assert index.of("a").over


def test_a_retried_task_names_itself_as_its_parent_and_stays_where_it_was() -> None:
    events = [received("a"), received("b", root="a", parent="a")]
    events += [event("retried", "b", exception="x"), received("b", root="a", parent="b")]
    state, index, book = indexed(events)
    rows = tree_of("a", state, index, book).rows
    assert [(row.subject, row.depth) for row in rows] == [("a", 0), ("b", 1)]


def test_tasks_that_the_state_forgot_are_counted_and_not_shown() -> None:
    state = ClusterState(max_tasks=3)
    index, book = FlowIndex(), LineageBook()
    state.apply_many([received("a"), received("b", root="a", parent="a")], NOW)
    index.update(state, book)
    state.apply_many(
        [received("c", root="a", parent="a"), received("d", root="a", parent="a")], NOW
    )
    index.update(state, book)
    tree = tree_of("a", state, index, book)
    assert tree.dropped == 1
    assert "1 tasks of this flow are no longer kept" in words("a", state, index, book)


# -- groups and chords


def chord(sent: int = 3, *, gid: str = "g1") -> list[dict[str, Any]]:
    """The parts of a chord that was sent from outside, as tq's events tell of it."""
    return [received(f"p{n}", group_id=gid, group_index=n) for n in range(sent)]


def test_a_group_sent_from_outside_is_one_flow_where_events_name_it() -> None:
    state, index, book = indexed(chord())
    assert partition(index) == {frozenset({"p0", "p1", "p2"})}
    assert index.of(group_key("g1")) is index.of("p0")
    rows = tree_of("p0", state, index, book).rows
    assert [row.kind for row in rows] == ["group", "task", "task", "task"]


def test_a_group_is_found_in_the_results_where_events_do_not_name_it() -> None:
    state, index, book = indexed([received("p0"), done("p0"), received("p1"), done("p1")])
    assert index.flows == {}
    for part in ("p0", "p1"):
        book.note(part, Lineage(group_id="g1"))
    book.note_chord("g1", ChordFacts(size=3, returned=2, as_of=NOW))
    index.update(state, book)
    assert partition(index) == {frozenset({"p0", "p1"})}
    assert index.of("p0").missing(book) == 1
    assert "chord g1: 2 of 3 parts done; 1 still out" in words("p0", state, index, book)


def test_a_parents_result_tells_which_of_its_children_form_a_group() -> None:
    events = [received("a"), done("a")]
    events += [received(part, root="a", parent="a") for part in ("p0", "p1")]
    state, index, book = indexed(events)
    book.note("a", Lineage(children=("p0", "p1", "p2"), groups=(("g1", ("p0", "p1", "p2")),)))
    index.update(state, book)
    tree = tree_of("a", state, index, book)
    assert [(row.kind, row.depth) for row in tree.rows] == [
        ("task", 0), ("group", 1), ("task", 2), ("task", 2),
    ]  # fmt: skip
    assert (tree.groups["g1"].size, tree.groups["g1"].exact) == (3, True)


def test_a_body_hangs_below_its_group_and_not_below_the_part_that_came_last() -> None:
    body = received("z", "proj.total", root="p1", parent="p1", group_id="g1", group_index=None)
    state, index, book = indexed([*chord(), *map(done, ("p0", "p1", "p2")), body, done("z")])
    tree = tree_of("p0", state, index, book)
    assert (tree.rows[-1].subject, tree.rows[-1].role, tree.rows[-1].depth) == ("z", "body", 1)
    assert tree.groups["g1"].body == "z"
    assert words("p0", state, index, book) == (
        "chord g1: all parts came back, the body proj.total is success"
    )


def test_a_body_is_known_by_not_being_among_what_its_sender_sent() -> None:
    parts = [received("p0"), received("p1"), done("p0"), done("p1")]
    state, index, book = indexed([*parts, received("z", "proj.total", root="p1", parent="p1")])
    for part in ("p0", "p1"):
        book.note(part, Lineage(group_id="g1"))
    index.update(state, book)
    assert tree_of("p0", state, index, book).groups["g1"].body == "z"


def test_a_failed_part_means_that_the_body_will_not_run() -> None:
    book = LineageBook()
    book.note_chord("g1", ChordFacts(size=3, returned=2, as_of=NOW))
    state, index, book = indexed([*chord(), done("p0"), failed("p1")], book)
    text = words("p0", state, index, book)
    assert "1 of 3 parts done, 1 failed, 1 waiting" in text
    assert "proj.add p1 failed: ValueError('no'); its body will NOT run" in text


def test_without_knowing_of_a_body_the_answer_is_conditional() -> None:
    state, index, book = indexed([*chord(), failed("p1")])
    assert "if it is a chord's header, the body will NOT run" in words("p0", state, index, book)


def test_what_a_chord_waits_for_is_named_with_how_long_is_usual() -> None:
    warm = [e for n in range(40) for e in (received(f"x{n}"), done(f"x{n}", 0.3))]
    run = event("started", "p1", NOW - 60)
    state, index, book = indexed([*warm, *chord(), done("p0"), run])
    text = words("p0", state, index, book)
    assert "waits for proj.add p1, running for 60.0s on w1@node1, SLOW: usually under" in text


def test_a_part_on_a_lost_worker_makes_the_answer_unsure() -> None:
    state, index, book = indexed([*chord(), event("started", "p1")])
    state.apply_many([{"type": "worker-offline", "hostname": "w1@node1", "timestamp": NOW - 9,
                       "clock": 2, "pid": 1, "utcoffset": 0, "freq": 2.0}], NOW - 9)  # fmt: skip
    flow = index.of("p0")
    later = NOW + 100
    found = verdicts(flow, build_tree(flow, state.tasks, book), state, book, later)
    assert found[0].answer == "unsure"
    assert "which is lost" in found[0].text


def test_a_part_that_no_worker_received_is_told_with_its_queue() -> None:
    sent = event("sent", "p1", NOW - 400, name="proj.add", queue="mail", group_id="g1",
                 group_index=1, root_id="p1", parent_id=None)  # fmt: skip
    state, index, book = indexed([*chord(1), done("p0"), sent])
    assert "sent 6m40s ago and received by NO worker (queue mail)" in words(
        "p0", state, index, book
    )


def test_a_chain_whose_step_failed_says_that_nothing_follows() -> None:
    state, index, book = indexed([received("a"), done("a"), received("b", root="a", parent="a"),
                                  failed("b")])  # fmt: skip
    assert "proj.add b failed: what would follow it is not sent" in words("a", state, index, book)


def test_a_group_whose_parts_end_chains_leaves_them_with_their_senders() -> None:
    events = [received("a0"), received("b0"), received("a1", root="a0", parent="a0", group_id="g1"),
              received("b1", root="b0", parent="b0", group_id="g1")]  # fmt: skip
    state, index, book = indexed(events)
    shape = {row.subject: row.depth for row in tree_of("a0", state, index, book).rows}
    assert shape == {"g1": 0, "a0": 0, "a1": 1, "b0": 0, "b1": 1}


# -- size


def test_ten_thousand_parts_are_folded_and_unfold() -> None:
    events = chord(10_000)
    events += [done(f"p{n}") for n in range(9_000)]
    events += [failed(f"p{n}") for n in range(9_000, 9_030)]
    events += [event("started", f"p{n}") for n in range(9_030, 9_100)]
    state, index, book = indexed(events)
    tree = tree_of("p0", state, index, book)
    assert len(tree.rows) < 50
    folds = [row for row in tree.rows if row.kind == "fold"]
    assert (
        sum(len(row.folded) for row in folds) + sum(row.kind == "task" for row in tree.rows)
        == 10_000
    )
    assert tree.rows[1].subject == "p9000"  # what failed comes first
    open_one = tree_of("p0", state, index, book, unfolded=frozenset({folds[0].key}))
    assert len(open_one.rows) == len(tree.rows) - 1 + len(folds[0].folded)
    assert len(tree_of("p0", state, index, book, fold=False).rows) == 10_001


def test_a_chain_of_ten_thousand_steps_is_laid_out_without_recursion() -> None:
    events = [received("s0")]
    events += [received(f"s{n}", root="s0", parent=f"s{n - 1}") for n in range(1, 10_000)]
    state, index, book = indexed(events)
    rows = tree_of("s0", state, index, book).rows
    assert [row.depth for row in rows] == list(range(10_000))
    assert max(len(row.lead) for row in rows) <= 8


# -- properties

IDS = st.sampled_from("abcdefgh")
RELATED = st.tuples(
    IDS, st.none() | IDS, st.none() | IDS, st.none() | st.sampled_from(["g1", "g2"]),
    st.sampled_from(["received", "started", "succeeded", "failed", "retried", "revoked"]),
)  # fmt: skip


def told(uuid: str, root: Any, parent: Any, group: Any, kind: str) -> dict[str, Any]:
    more = {"group_id": group} if group else {}
    return event(kind, uuid, name="proj.add", root_id=root, parent_id=parent, **more)


@settings(max_examples=200, deadline=None)
@given(st.lists(RELATED, max_size=25), st.data())
def test_any_order_gives_the_same_flows_and_any_flow_a_tree(
    relations: Sequence[tuple[Any, ...]], data: st.DataObject
) -> None:
    # one relation a task: a later event that says otherwise would make the order matter
    by_task = {relation[0]: relation for relation in relations}
    events = [told(*relation) for relation in by_task.values()]
    state, index, book = indexed(events)
    shuffled, other, _ = indexed(data.draw(st.permutations(events)))
    assert partition(index) == partition(other)
    for flow in index.flows.values():
        expected = Counter(state.tasks[task_id].state for task_id in flow.tasks())
        assert sum(expected.values()) == flow.total
        if not flow.total:
            continue
        tree = build_tree(flow, state.tasks, book)
        shown = [row.subject for row in tree.rows if row.kind == "task"]
        shown += [task_id for row in tree.rows for task_id in row.folded]
        assert sorted(shown) == sorted(flow.tasks())
        assert len({row.key for row in tree.rows}) == len(tree.rows)
        assert verdicts(flow, tree, state, book, NOW)
    assert shuffled.counts == state.counts


@settings(max_examples=100, deadline=None)
@given(st.lists(RELATED, max_size=20))
def test_one_event_after_the_other_gives_what_all_at_once_give(
    relations: Sequence[tuple[Any, ...]],
) -> None:
    events = [told(*relation) for relation in {r[0]: r for r in relations}.values()]
    at_once, whole, _ = indexed(events)
    state, index, book = ClusterState(), FlowIndex(), LineageBook()
    for one in events:
        state.apply_many([one], NOW)
        index.update(state, book)
    assert partition(index) == partition(whole)
    assert sorted(flow.counts for flow in index.flows.values() if flow.total) == sorted(
        flow.counts for flow in whole.flows.values() if flow.total
    )
    assert at_once.counts == state.counts


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=20,
)


@given(st.lists(JSON, max_size=5))
def test_children_of_any_shape_are_read_or_left_out(forms: list[Any]) -> None:
    ids, groups = read_children(forms)
    assert all(isinstance(task_id, str) for task_id in ids)
    assert all(isinstance(group_id, str) for group_id, _ in groups)


def test_children_are_read_as_celery_writes_them() -> None:
    forms = [
        [["a", None], None],
        [["g1", None], [[["b", None], None], [["c", None], None]]],
    ]
    assert read_children(forms) == (("a", "b", "c"), (("g1", ("b", "c")),))


def test_the_book_is_bounded_and_forgets_whole_groups() -> None:
    book = LineageBook(most=100)
    for number in range(300):
        parts = (f"x{number}", f"y{number}")
        book.note(f"t{number}", Lineage(children=parts, groups=((f"g{number}", parts),)))
    assert len(book.tasks) <= 100
    assert len(book.groups) <= 100
    assert len(book.member_of) <= 200


def test_flows_are_forgotten_when_the_state_keeps_nothing_of_them() -> None:
    state, index, book = ClusterState(max_tasks=1_000), FlowIndex(), LineageBook()
    for start in range(0, 20_000, 500):
        pairs = range(start, start + 500)
        events = [received(f"a{n}") for n in pairs]
        events += [received(f"b{n}", root=f"a{n}", parent=f"a{n}") for n in pairs]
        state.apply_many(events, NOW)
        index.update(state, book)
    assert len(index.flows) <= 1_000 + 5_000
    assert sum(flow.total for flow in index.flows.values()) <= 2 * len(index.flows)
    newest = index.of("b19999")
    assert newest is not None
    assert newest.total == 2


def test_a_large_cluster_is_taken_in_by_and_by() -> None:
    state, index, book = ClusterState(), FlowIndex(), LineageBook()
    state.apply_many(chord(3_000), NOW)
    index.update(state, book, 0.0)
    assert 0.0 < index.taken < 1.0
    while index.taken < 1.0:
        index.update(state, book, 0.0)
    assert index.of("p0").total == 3_000
