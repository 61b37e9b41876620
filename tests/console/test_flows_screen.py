"""Flows: the list, the tree, and whether a chord will finish."""

import json
from pathlib import Path

import pytest

from tests.console.synthetic import SyntheticSource, demo_cluster
from tqconsole.tui.config import ConsoleConfig
from tqconsole.tui.model.lineage import ChordFacts, Lineage
from tqconsole.tui.screens.flow_detail import FlowScreen
from tqconsole.tui.screens.task_detail import TaskScreen

pytestmark = pytest.mark.timeout(60)


def flows(parts: int = 3) -> SyntheticSource:
    """A chain that runs, a parent whose chord failed, and a chord from outside that goes on."""
    source = SyntheticSource()
    source.worker("w1@node1")
    source.task("aaaa0001", "orders.import", ago=60)
    source.task("aaaa0002", "orders.match", ago=50, root="aaaa0001", parent="aaaa0001")
    source.task(
        "aaaa0003", "orders.book", ago=40, root="aaaa0001", parent="aaaa0002", outcome="started"
    )
    source.task("bbbb0001", "billing.checkout", ago=30)
    for number, outcome in enumerate(("failed", "succeeded")):
        source.task(
            f"bbbb001{number}", "billing.charge", ago=29, root="bbbb0001", parent="bbbb0001",
            group="beef0000-g", index=number, outcome=outcome,
        )  # fmt: skip
    for number in range(parts):
        source.task(
            f"cccc{number:04}", "crawl.fetch", ago=20, group="cafe0000-g", index=number,
            outcome="succeeded" if number else "started",
        )  # fmt: skip
    source.task("dddd0001", "mail.send", ago=10)
    source.lineage.note_chord("cafe0000-g", ChordFacts(parts, parts - 1, source.clock()))
    source.pending.sort(key=lambda event: event["timestamp"])
    source.drain(source.clock())
    return source


async def test_flows_are_listed_newest_first_with_their_progress(console) -> None:
    async with console(flows(), screen="flows") as c:
        lines = c.lines()[4:7]
        assert [line.split()[1] for line in lines] == ["group", "billing.checkout", "orders.import"]
        assert "2/3" in lines[0]
        assert "3/3" in lines[1]
        assert "3 flows" in c.text()
        assert "1 with failures" in c.text()
        assert "mail.send" not in c.text()  # it stands alone


async def test_the_preview_says_whether_the_chord_will_finish(console) -> None:
    async with console(flows(), screen="flows") as c:
        assert "chord cafe0000: 2 of 3 parts done, 1 running; waits for" in c.text()
        await c.press("j")
        assert "bbbb0010 failed: CardDeclined" in c.text()


async def test_a_flow_opens_as_a_tree_and_a_task_of_it_in_full(console) -> None:
    async with console(flows(), screen="flows") as c:
        await c.press("j", "enter")
        assert isinstance(c.screen, FlowScreen)
        tree = [
            line[1:23].rstrip() for line in c.lines() if "billing" in line or "group of" in line
        ]
        assert tree[-4:] == [
            "✔ billing.checkout",
            "└─group of at least 2",
            "  ├─✘ billing.charge",
            "  └─✔ billing.charge",
        ]
        await c.press("j", "j", "enter")
        assert isinstance(c.screen, TaskScreen)
        assert c.screen.task_id == "bbbb0010"
        await c.press("q", "t")
        assert c.screen.section == "traceback"
        await c.press("q", "q")
        assert c.screen.key == "flows"


async def test_x_goes_to_what_failed_or_what_all_wait_for(console) -> None:
    async with console(flows(), screen="flows") as c:
        await c.press("enter", "x")
        assert c.screen.current().uuid == "cccc0000"
        await c.press("q", "j", "enter", "x")
        assert c.screen.current().uuid == "bbbb0010"


async def test_many_alike_are_folded_until_they_are_opened(console) -> None:
    async with console(flows(300), screen="flows") as c:
        await c.press("enter")
        assert "296 more crawl.fetch, success" in c.text()
        rows = len(c.screen.rows)
        await c.press("G", "enter")
        assert len(c.screen.rows) == rows - 1 + 296
        await c.press("f", "f")
        assert len(c.screen.rows) == rows
        await c.press("f")
        assert len(c.screen.rows) == 301


async def test_u_shows_the_flow_of_a_task_with_the_cursor_on_it(console) -> None:
    async with console(flows(), screen="tasks") as c:
        await c.press("slash")
        await c.type("id:aaaa0002")
        await c.press("enter", "j", "u")
        assert isinstance(c.screen, FlowScreen)
        assert c.screen.current().uuid == "aaaa0002"
        await c.press("q")
        assert c.screen.key == "tasks"
        await c.press("enter", "u")
        assert isinstance(c.screen, FlowScreen)


async def test_a_task_that_stands_alone_says_what_is_known_of_it(console) -> None:
    async with console(flows(), screen="tasks") as c:
        await c.press("slash")
        await c.type("id:dddd0001")
        await c.press("enter", "j", "u")
        assert "mail.send stands alone" in c.text()
        assert "no result backend is known: give --result-backend URL" in c.text()
        assert c.source.asked_lineage[-1][0] == ("dddd0001",)
        c.source.lineage.available = True
        c.source.lineage.where = "redis://10.0.0.5:6379/0"
        c.source.lineage.note("dddd0001", Lineage())
        await c.frame()
        assert "neither does its result" in c.text()


async def test_results_are_asked_for_what_ended_and_for_chords_that_go_on(console) -> None:
    async with console(flows(), screen="flows") as c:
        tasks, groups = c.source.asked_lineage[-1]
        assert {"dddd0001", "aaaa0001"} <= set(tasks)
        assert "aaaa0003" not in tasks  # it runs: there is no result yet
        assert set(groups) == {"cafe0000-g", "beef0000-g"}
        for task_id in tasks:
            c.source.lineage.note(task_id, None)
        c.source.clock.now += 2
        await c.frame()
        assert c.source.asked_lineage[-1][0] == ()


async def test_what_results_tell_joins_tasks_to_a_flow(console) -> None:
    source = SyntheticSource()
    for number in range(2):
        source.task(f"cccc{number}", "crawl.fetch", ago=20)
    source.drain(source.clock())
    async with console(source, screen="flows") as c:
        assert "No flows yet" in c.text()
        assert "no result backend is known" in c.text()
        for number in range(2):
            source.lineage.note(f"cccc{number}", Lineage(group_id="g1"))
        source.lineage.note_chord("g1", ChordFacts(3, 2, source.clock()))
        source.lineage.available = True
        source.clock.now += 2
        await c.frame()
        assert "group of crawl.fetch" in c.text()
        assert "2/3" in c.text()
        assert "1 still out" in c.text()


async def test_a_result_backend_that_does_not_answer_is_named(console) -> None:
    source = flows()
    source.lineage.available, source.lineage.error = True, "redis://10.0.0.5 does not answer"
    async with console(source, screen="flows") as c:
        assert "results cannot be read: redis://10.0.0.5 does not answer" in c.text()


async def test_flows_are_filtered_by_any_of_their_tasks(console) -> None:
    async with console(flows(), screen="flows") as c:
        await c.press("slash")
        await c.type("state:failure")
        await c.press("enter")
        assert len(c.screen.rows) == 1
        assert "1 of 3" in c.text()
        await c.press("slash")
        await c.type("nothing:")
        await c.press("enter")
        assert c.screen.filter.source == "state:failure"
        assert "the one before stays" in c.lines()[-1]
        await c.press("escape")
        assert len(c.screen.rows) == 3
        assert c.screen.try_filter("name:nowhere")
        await c.frame()
        assert "Nothing matches" in c.text()


async def test_finished_flows_can_be_hidden_and_flows_sorted(console) -> None:
    async with console(flows(), screen="flows") as c:
        await c.press("full_stop")
        assert len(c.screen.rows) == 2
        await c.press("full_stop", "s", "f")
        assert "billing.checkout" in c.lines()[4]
        await c.press("s", "f")
        assert "billing.checkout" not in c.lines()[4]


async def test_paused_flows_stand_still(console) -> None:
    async with console(flows(), screen="flows") as c:
        await c.press("p")
        before = c.lines()[4:8]
        c.source.task("eeee0002", "x", root="eeee0001", parent="eeee0001", ago=0)
        c.source.clock.now += 2
        await c.frame()
        assert len(c.screen.rows) == 3
        assert [line[:40] for line in c.lines()[4:8]] == [line[:40] for line in before]
        await c.press("p")
        c.source.clock.now += 2
        await c.frame()
        assert len(c.screen.rows) == 4


async def test_flows_and_their_tasks_are_exported(
    console, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    async with console(flows(), screen="flows") as c:
        await c.press("e")
        await c.app.workers.wait_for_complete()
        (written,) = tmp_path.glob("tq-flows-*.jsonl")
        found = [json.loads(line) for line in written.read_text().splitlines()]
        assert [flow["tasks"] for flow in found] == [3, 3, 3]
        await c.press("enter", "e")
        await c.app.workers.wait_for_complete()
        (written,) = tmp_path.glob("tq-flow-*.jsonl")
        assert len(written.read_text().splitlines()) == 3


async def test_ids_are_copied(console) -> None:
    async with console(flows(), screen="flows") as c:
        await c.press("j", "y")
        assert c.app.clipboard == "bbbb0001"
        await c.press("enter", "j", "y")
        assert c.app.clipboard == "beef0000-g"


async def test_a_flow_that_is_forgotten_while_it_is_shown_says_so(console) -> None:
    async with console(flows(), screen="flows") as c:
        await c.press("enter")
        c.app.insight.flows.__init__()
        c.source.state.clear(ready=False)
        await c.frame()
        assert "not known any more" in c.text()


async def test_not_connected_says_why(console) -> None:
    source = SyntheticSource()
    source.disconnect()
    async with console(source, screen="flows") as c:
        assert "Connecting" in c.text()
        assert "connection refused" in c.text()


@pytest.mark.parametrize("size", [(40, 10), (80, 24), (160, 48), (23, 7)])
@pytest.mark.parametrize("ascii_only", [False, True])
async def test_every_size_and_character_set(
    console, size: tuple[int, int], ascii_only: bool
) -> None:
    config = ConsoleConfig(ascii_only=ascii_only)
    async with console(flows(40), screen="flows", size=size, config=config) as c:
        await c.press("j", "k")
        assert not ascii_only or c.text().isascii()
        await c.press("enter", "G")
        assert isinstance(c.screen, FlowScreen)
        assert not ascii_only or c.text().isascii()
        assert "chord" in c.text() or size == (23, 7)


async def test_hostile_relations_neither_fail_nor_stall(console) -> None:
    source = demo_cluster(20)
    for number in range(50):
        ring = f"ring{(number + 1) % 50}"
        source.task(f"ring{number}", "x" * 300, root=ring, parent=ring, group="", ago=1)
    source.task("\x1b]0;owned\x07", "[bold red]x", root="[/]", parent="\x00group:g", ago=1)
    async with console(source, screen="flows") as c:
        await c.press("enter", "f", "G", "enter")
        assert "\x1b" not in c.text()
