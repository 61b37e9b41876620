import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.console.synthetic import SyntheticSource, demo_cluster
from tq.monitor import ClusterState
from tqconsole.tui.audit import audit_path
from tqconsole.tui.model.chart import bars, regroup, scale_top, sparkline
from tqconsole.tui.model.detail import preview_lines
from tqconsole.tui.model.facts import LinkState, QueueFacts
from tqconsole.tui.model.filters import parse
from tqconsole.tui.model.format import glyphs, width_of
from tqconsole.tui.model.insight import Insight
from tqconsole.tui.model.overview import share
from tqconsole.tui.model.queue_trends import QueueTrend
from tqconsole.tui.model.task_fields import Context
from tqconsole.tui.model.tasks import TaskRows

pytestmark = pytest.mark.timeout(60)


@pytest.fixture(autouse=True)
def own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Exports go to the test's own folder."""
    monkeypatch.chdir(tmp_path)
    return


async def test_what_needs_a_look_is_named_and_leads_to_its_place(console) -> None:
    source = demo_cluster()
    source.queues = [QueueFacts("legacy", ready=7, consumers=0, as_of=source.clock())]
    async with console(source, screen="overview") as c:
        text = c.text()
        assert "worker w3@node7 LOST: heartbeat 48s ago, 2 tasks orphaned" in text
        assert "queue legacy: 7 wait and NO WORKER takes from it" in text
        await c.press("j", "enter")
        assert c.screen.key == "worker"
        assert c.screen.hostname == "w3@node7"
        await c.press("escape", "j", "enter")
        assert c.screen.key == "queues"
        assert c.screen.table.cursor == "legacy"


async def test_a_quiet_cluster_says_so(console) -> None:
    source = SyntheticSource()
    source.worker("w1@node1")
    source.task("id-0", "proj.add")
    async with console(source, screen="overview") as c:
        assert "attention (0)" in c.text()
        assert "all quiet" in c.text()


async def test_a_queue_that_grows_is_reported_with_its_rate(console) -> None:
    source = SyntheticSource()
    async with console(source, screen="overview") as c:
        for step in range(30):
            source.clock.now += 1
            now = source.clock()
            source.queues = [QueueFacts("mail", ready=1000 + 18 * step, consumers=3, as_of=now)]
            await c.frame()
        assert "queue mail: 1 522 wait, grows 18/s; 3 workers take from it" in c.text()


async def test_tab_and_arrows_walk_through_all_lists(console) -> None:
    async with console(size=(160, 48), screen="overview") as c:
        seen = []
        for _ in range(5):
            await c.press("tab")
            seen.append(c.screen.table.id)
            assert c.screen.table.cursor is not None
        assert len(set(seen)) >= 4
        for _ in range(80):
            c.screen.do_move_down()
        assert c.screen.table.id == "pane-names"
        for _ in range(80):
            c.screen.do_move_up()
        assert c.screen.table.id == "pane-attention"
        assert sum(pane.cursor is not None for pane in c.screen.panes.values()) == 1


async def test_the_overview_fits_every_size(console) -> None:
    async with console(size=(80, 24), screen="overview") as c:
        for size in ((160, 48), (120, 36), (40, 10), (300, 100), (80, 24), (20, 4), (80, 24)):
            await c.pilot.resize_terminal(*size)
            await c.frame()
            await c.frame()
            heights = [pane.size.height for pane in c.screen.panes.values() if pane.display]
            assert all(heights)
            if size[1] >= 10:
                assert "tasks kept" in c.lines()[-1]


async def test_failures_are_grouped_and_lead_to_their_tasks(console) -> None:
    source = SyntheticSource()
    source.worker("w1@node1")
    for number in range(6):
        source.task(f"id-{number}", "proj.a", outcome="failed", ago=20 - number)
    source.task("id-9", "proj.a", outcome="failed", exception="KeyError('x')", ago=5)
    source.task("id-8", "proj.b", outcome="retried", ago=4)
    async with console(source, screen="failures") as c:
        assert "3 groups" in c.text()
        assert "7 failures" in c.text()
        assert "1 retry" in c.text()
        row = next(line for line in c.lines() if "CardDeclined @ gate" in line)
        assert row.split()[:2] == ["▌✘", "6"]
        await c.press("enter")
        assert c.screen.key == "tasks"
        assert {task.uuid for task in c.screen.rows.matching()} == {f"id-{n}" for n in range(6)}
        await c.press("j", "x")
        assert c.screen.key == "failures"
        assert "CardDeclined" in c.screen.table.cursor


async def test_the_traceback_of_a_group_is_that_of_its_newest_task(console) -> None:
    source = SyntheticSource()
    source.worker("w1@node1")
    for number in range(3):
        source.task(f"id-{number}", "proj.a", outcome="failed", ago=20 - number)
    async with console(source, screen="failures") as c:
        await c.press("t")
        assert c.screen.key == "task"
        assert c.screen.task_id == "id-2"


async def test_the_worker_page_asks_what_it_shows_and_says_what_is_missing(console) -> None:
    async with console(screen="workers") as c:
        await c.press("j", "enter", "5")
        conf = c.source.commands[-1]
        assert (conf.method, conf.destination) == ("conf", ["w2@node1"])
        assert "asking" in c.text()
        c.source.answer(conf, "w2@node1", value={"broker_url": "redis://:hunter2@h/0", "x": 1})
        await c.frame()
        assert "redis://:" not in c.text()
        assert "hunter2" not in c.text()
        await c.press("2")
        assert {sent.method for sent in c.source.commands} == {
            "conf", "reserved", "scheduled", "revoked"
        }  # fmt: skip
        c.source.clock.now += 3
        await c.frame()
        assert "no reply in 1s" in c.text()


async def test_what_is_sent_and_answered_is_written_to_the_audit_file(console) -> None:
    async with console(screen="workers") as c:
        await c.press("plus", "y")
        c.source.answer(c.source.commands[0], "w1@node1", "pool will grow")
        await c.frame()
        await c.press("I")
    lines = [json.loads(line) for line in audit_path("staging").read_text().splitlines()]
    assert [line["event"] for line in lines] == ["sent", "answered"]
    sent, answered = lines
    assert (sent["method"], sent["destination"]) == ("pool_grow", ["w1@node1"])
    assert sent["command"] == "tq control pool_grow 1 -d w1@node1"
    assert answered["replies"][0]["worker"] == "w1@node1"
    assert answered["missing"] == []
    assert audit_path("staging").stat().st_mode & 0o777 == 0o600


def test_an_audit_file_never_leaves_its_folder() -> None:
    assert audit_path("../../etc/passwd").parent == audit_path("x").parent
    assert audit_path("").name == "cluster.jsonl"


async def test_the_matching_tasks_are_exported_without_secrets(console, tmp_path: Path) -> None:
    source = SyntheticSource()
    source.task("id-0", "proj.a", kwargs="{'token': 'hunter2'}", outcome="failed")
    source.task("id-1", "proj.b")
    async with console(source) as c:
        c.app.show_tasks("state:failure")
        await c.press("e")
        await c.app.workers.wait_for_complete()
        await c.frame()
        (path,) = tmp_path.glob("tq-tasks-*.jsonl")
        assert "1 rows written" in c.lines()[-1]
    (record,) = [json.loads(line) for line in path.read_text().splitlines()]
    assert (record["uuid"], record["state"]) == ("id-0", "FAILURE")
    assert "hunter2" not in path.read_text()
    assert "insufficient_funds" in record["traceback"]


@pytest.mark.parametrize("screen", ["overview", "workers", "queues", "failures", "log"])
async def test_every_list_can_be_exported(console, tmp_path: Path, screen: str) -> None:
    source = demo_cluster(40)
    source.queues = [QueueFacts("mail", ready=7, consumers=0, as_of=source.clock())]
    async with console(source, screen=screen) as c:
        source.send("ping", {})
        await c.press("e")
        await c.app.workers.wait_for_complete()
        (path,) = tmp_path.glob(f"tq-{screen}-*.jsonl")
        assert [json.loads(line) for line in path.read_text().splitlines()]


async def test_times_change_between_ages_and_clocks(console) -> None:
    source = SyntheticSource()
    source.task("id-0", "proj.a", ago=10)
    async with console(source) as c:
        assert "10s" in c.lines()[4]
        await c.press("ctrl+t", "ctrl+t")
        assert "SEEN Z" in c.lines()[3]
        assert "14:07:22" in c.lines()[4]


async def test_lines_are_painted_anew_when_columns_change_their_width(console) -> None:
    source = SyntheticSource()
    source.worker("w1@node1")
    source.task("id-0", "p.a", ago=10)
    async with console(source) as c:
        before = c.lines()[4].index("id-0")
        source.task("id-1", "a.much.longer.task.name", ago=5)
        await c.frame()
        header, first, second = c.lines()[3:6]
        assert second.index("id-0") == first.index("id-1") == header.index("ID") != before


def test_a_preview_never_runs_over_its_edge() -> None:
    source = SyntheticSource()
    long = "x" * 300
    trace = f'Traceback (most recent call last):\n  File "/srv/{long}.py", line 1, in f\n    {long}'
    source.task("id-0", "p.a", outcome="failed", traceback=trace, args=long, exception=long)
    source.drain(source.clock())
    task = source.state.tasks["id-0"]
    for width in (44, 65, 120):
        lines = preview_lines(task, Context(source.clock()), source.state, width, 60, glyphs())
        assert max(sum(width_of(cell.text) for cell in line) for line in lines) <= width


def test_a_long_search_goes_on_in_slices_and_finds_all(monkeypatch: pytest.MonkeyPatch) -> None:
    source = demo_cluster(3000)
    rows = TaskRows(source.state, glyphs())
    rows.update(source.clock())
    monkeypatch.setattr("tqconsole.tui.model.tasks._SLICE", 0.0)
    rows.filter = parse("state:failure")
    rows.rebuild()
    assert 0 < rows.searched < 1
    newest = rows.key(0)
    source.task("late", "proj.late", outcome="failed", ago=1)
    source.drain(source.clock())
    while rows.searched < 1:
        rows.update(source.clock())
    rows.update(source.clock())
    wanted = [t.uuid for t in source.state.tasks.values() if t.state == "FAILURE"]
    assert [rows.key(at) for at in range(len(rows))] == wanted[::-1]
    assert rows.key(1) == newest


def test_the_term_that_left_nothing_is_found_in_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    source = demo_cluster(2000)
    rows = TaskRows(source.state, glyphs())
    rows.update(source.clock())
    rows.filter = parse("state:failure name:nobody")
    rows.rebuild()
    rows.finish_search()  # a slow machine is not through in one slice
    monkeypatch.setattr("tqconsole.tui.model.tasks._SLICE", 0.0)
    steps = 0
    while rows.explain() is None:
        steps += 1
        assert steps < 100
    assert steps > 1
    assert rows.culprit == "name:nobody"


def test_bars_have_the_size_asked_for_and_show_failures() -> None:
    lines = bars([0, 5, 10], [0, 0, 1], 20, 4, glyphs())
    assert len(lines) == 4
    assert {sum(width_of(cell.text) for cell in line) for line in lines} == {20}
    assert any(cell.style in ("error", "chart-both") for line in lines for cell in line)
    assert bars([], [], 20, 2, glyphs())
    assert all(cell.text.isascii() for line in bars([3], [1], 20, 3, glyphs(True)) for cell in line)


def test_scales_and_sparklines() -> None:
    assert [scale_top(n) for n in (0.5, 1, 7, 12, 99, 803)] == [1, 1, 8, 15, 100, 1000]
    assert sparkline([0, 1, 8], glyphs()) == "▁▁█"
    assert sparkline([0, 0], glyphs()) == "▁▁"


def test_old_bars_stand_still_while_time_goes_on() -> None:
    counts = list(range(100))
    before = regroup(counts[:90], 5, 1089)
    after = regroup(counts[3:93], 5, 1092)
    assert before[1:-1] == after[: len(before) - 2] or set(before[2:-1]) <= set(after)


def test_lines_are_shared_by_importance() -> None:
    assert share(10, [(20, 4), (20, 4), (20, 4)]) == [5, 5, 0]
    assert share(9, [(2, 3), (20, 3)]) == [2, 7]
    assert sum(share(50, [(3, 3), (4, 3)])) == 7


@pytest.mark.parametrize(
    ("counts", "says"),
    [
        ((4000, 4000), "queue mail: 4 000 wait, does not shrink; 1 worker takes from it"),
        ((4000, 3970), "queue mail: 3 970 wait, drained in"),
        ((4000, 500), None),
        ((90, 90), None),
    ],
)
def test_a_long_queue_that_hardly_drains_needs_a_look(counts, says) -> None:
    insight = Insight()
    for at, ready in zip((100.0, 130.0), counts, strict=True):
        queue = QueueFacts(name="mail", ready=ready, as_of=at, consumers=1)
        insight.update(ClusterState(), [queue], LinkState(connected=True), at)
    texts = [item.text for item in insight.attention]
    assert (texts == []) if says is None else texts[0].startswith(says)


def test_the_growth_of_a_queue_is_unknown_until_it_was_watched_for_a_while() -> None:
    trend = QueueTrend()
    trend.add(100.0, 5)
    assert trend.growth() is None
    for second in range(1, 21):
        trend.add(100.0 + second, 5 + 2 * second)
    assert trend.growth() == pytest.approx(2.0)
    assert trend.series(5)[0] == 5
    assert trend.series(5)[-1] == 45
