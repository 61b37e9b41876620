import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.console.synthetic import SyntheticSource, demo_cluster
from tq.monitor import ClusterState, TaskInfo
from tqconsole.tui.model.facts import Gap
from tqconsole.tui.model.filters import parse
from tqconsole.tui.model.format import glyphs
from tqconsole.tui.model.tasks import TaskRows


def rows_of(source: SyntheticSource) -> TaskRows:
    rows = TaskRows(source.state, glyphs())
    rows.update(source.clock())
    return rows


def drain(source: SyntheticSource, rows: TaskRows) -> None:
    source.drain(source.clock())
    rows.update(source.clock(), source.link.gaps)


def ids(rows: TaskRows) -> list[str]:
    return [rows.key(index) for index in range(len(rows))]


def text(rows: TaskRows, index: int, width: int = 78) -> str:
    return "".join(cell.text for cell in rows.cells(index, width))


def test_the_newest_task_is_first() -> None:
    source = SyntheticSource()
    rows = rows_of(source)
    for number in range(3):
        source.task(f"id-{number}", "proj.add", ago=0)
        drain(source, rows)
    assert ids(rows) == ["id-2", "id-1", "id-0"]


def test_a_changed_task_stays_where_it_is() -> None:
    source = SyntheticSource()
    source.task("a", "proj.add", outcome="started", runtime=1)
    source.task("b", "proj.add")
    drain(source, rows := rows_of(source))
    source.event("task-succeeded", uuid="a", result="1", runtime=1.0)
    drain(source, rows)
    assert ids(rows) == ["b", "a"]
    assert "SUCCESS" in text(rows, 1)


def test_a_task_enters_and_leaves_the_filter_as_it_changes() -> None:
    source = SyntheticSource()
    rows = rows_of(source)
    rows.filter = parse("state:started")
    source.task("a", "proj.add", outcome="started")
    source.task("b", "proj.add", outcome="started")
    drain(source, rows)
    assert ids(rows) == ["b", "a"]
    source.event("task-succeeded", uuid="b", result="1", runtime=1.0)
    drain(source, rows)
    assert ids(rows) == ["a"]
    rows.filter = parse("state:success")
    rows.rebuild()
    assert ids(rows) == ["b"]


def test_rows_are_found_by_id_in_every_order() -> None:
    source = demo_cluster(200)
    rows = rows_of(source)
    for sort in ("age", "name", "run", "state"):
        rows.sort_by(sort)
        for index in (0, 7, len(rows) - 1):
            assert rows.index_of(rows.key(index)) == index
    assert rows.index_of("never heard of") is None


def test_sorting_again_by_the_same_column_turns_the_order_round() -> None:
    source = demo_cluster(50)
    rows = rows_of(source)
    rows.sort_by("name")
    forward = [rows.item(index) for index in range(len(rows))]
    rows.sort_by("name")
    names = [item.name for item in forward if isinstance(item, TaskInfo)]
    assert names == sorted(names, key=str)
    assert rows.reverse
    back = [rows.item(index) for index in range(len(rows))]
    assert [i.name for i in back if isinstance(i, TaskInfo)] == sorted(names, key=str, reverse=True)


def test_frozen_rows_keep_their_values_and_count_what_they_miss() -> None:
    source = SyntheticSource()
    source.task("a", "proj.add", outcome="started")
    rows = rows_of(source)
    drain(source, rows)
    rows.freeze()
    source.event("task-succeeded", uuid="a", result="1", runtime=1.0)
    source.task("b", "proj.add")
    drain(source, rows)
    assert ids(rows) == ["a"]
    assert "STARTED" in text(rows, 0)
    assert rows.missed == 5
    rows.filter = parse("state:started")
    rows.rebuild()
    assert ids(rows) == ["a"]
    rows.thaw()
    drain(source, rows)
    rows.filter = parse("")
    rows.rebuild()
    assert ids(rows) == ["b", "a"]


def test_evicted_tasks_leave_the_rows() -> None:
    source = SyntheticSource()
    source.state = ClusterState(max_tasks=50)
    rows = rows_of(source)
    for number in range(400):
        source.task(f"id-{number}", "proj.add", ago=0.5, outcome="received")
        if number % 7 == 0:
            drain(source, rows)
    drain(source, rows)
    assert set(ids(rows)) == set(source.state.tasks)
    assert len(rows) == 50


def test_a_gap_is_a_row_between_what_came_before_and_after() -> None:
    from dataclasses import replace

    source = SyntheticSource()
    source.task("before", "proj.add")
    rows = rows_of(source)
    drain(source, rows)
    now = source.clock()
    source.link = replace(source.link, gaps=(Gap(now - 21, now),))
    drain(source, rows)
    source.task("after", "proj.add", ago=0)
    drain(source, rows)
    assert ids(rows)[0] == "after"
    assert ids(rows)[2] == "before"
    assert "14:07:11-14:07:32Z not observed" in text(rows, 1)
    assert rows.index_of(rows.key(1)) == 1


def test_columns_share_any_width_and_drop_what_does_not_fit() -> None:
    rows = rows_of(demo_cluster())
    for width in (20, 38, 58, 78, 118, 158, 298):
        for index in range(5):
            assert len(text(rows, index, width)) <= width + 1
    assert "TRY" in "".join(cell.text for cell in rows.header(78))
    assert "TRY" not in "".join(cell.text for cell in rows.header(38))


def test_the_queue_column_appears_once_a_queue_is_known() -> None:
    source = SyntheticSource()
    source.event("task-received", uuid="a", name="proj.add", args="()", kwargs="{}", retries=0)
    rows = rows_of(source)
    drain(source, rows)
    assert "QUEUE" not in "".join(cell.text for cell in rows.header(78))
    source.task("b", "proj.add", queue="mail")
    drain(source, rows)
    assert "QUEUE" in "".join(cell.text for cell in rows.header(78))


def test_orphans_are_named() -> None:
    source = demo_cluster()
    rows = rows_of(source)
    rows.filter = parse("is:orphan")
    rows.rebuild()
    assert len(rows) == 2
    assert "! ORPHAN" in text(rows, 0)
    assert ">" in text(rows, 0)


@settings(deadline=None, max_examples=50)
@given(
    st.integers(0, 2**32),
    st.sampled_from(["", "state:started", "name:billing.*", "-state:success"]),
)
def test_keeping_up_equals_looking_at_everything_again(seed: int, source_text: str) -> None:
    chance = random.Random(seed)
    source = SyntheticSource()
    source.state = ClusterState(max_tasks=20)
    rows = TaskRows(source.state, glyphs())
    rows.filter = parse(source_text)
    rows.update(source.clock())
    for number in range(60):
        source.task(
            f"id-{chance.randrange(40)}",
            chance.choice(["billing.charge", "mail.send"]),
            outcome=chance.choice(
                ["sent", "received", "started", "succeeded", "failed", "retried"]
            ),
        )
        if number % chance.randrange(1, 6) == 0:
            drain(source, rows)
    drain(source, rows)
    kept = {key for key, task in source.state.tasks.items() if rows.filter.test(task, rows.context)}
    assert set(ids(rows)) == kept
    assert len(rows) == len(kept)


@pytest.mark.parametrize("name", ["\x1b[31mred", "[bold]x[/bold]", "漢字の仕事", "a" * 5000])
def test_hostile_names_take_their_column_and_no_more(name: str) -> None:
    from tqconsole.tui.model.format import width_of

    source = SyntheticSource()
    rows = rows_of(source)
    source.task("a", name)
    drain(source, rows)
    cells = rows.cells(0, 78)
    assert sum(width_of(cell.text) for cell in cells) <= 79
