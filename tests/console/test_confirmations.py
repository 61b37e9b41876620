"""What is asked before the cluster is changed, and what an empty list can be asked for."""

import json
from pathlib import Path

import pytest

from tests.console.synthetic import SyntheticSource, demo_cluster
from tqconsole.tui.commands import CommandError, parse_command
from tqconsole.tui.model.acts import control_act
from tqconsole.tui.screens.confirm import ConfirmScreen


def waiting(number: int = 3, **options) -> SyntheticSource:
    source = SyntheticSource(**options)
    source.worker("w1@node1")
    source.worker("w2@node1")
    for index in range(number):
        source.task(f"id-{index}", "proj.slow", outcome="received", ago=index + 1)
    return source


async def test_acts_do_not_reach_a_task_that_the_filter_left_out(console) -> None:
    async with console(waiting()) as c:
        await c.press("j")
        assert "id-" in c.text()
        await c.press("slash")
        await c.type("state:failure")
        await c.press("enter")
        assert "Nothing matches" in c.text()
        assert "nothing to show, and nothing to act on" in c.text()
        assert "proj.slow" not in c.text()
        for key in ("C", "X", "L", "R", "y", "enter"):
            await c.press(key)
            assert not c.screen.prompt.is_open
            assert "nothing to act on" in c.lines()[-1]
        assert not c.source.commands


async def test_acts_do_not_reach_a_task_that_left_the_filter_meanwhile(console) -> None:
    source = waiting(1)
    async with console(source) as c:
        await c.press("slash")
        await c.type("state:received")
        await c.press("enter", "j")
        assert c.screen.current().uuid == "id-0"
        source.event("task-started", uuid="id-0", hostname="w1@node1")
        await c.frame()
        await c.press("C")
        assert "nothing to act on" in c.lines()[-1]
        assert not c.source.commands


async def test_marks_that_the_filter_hides_are_not_acted_on(console) -> None:
    source = waiting(2)
    source.task("other", "proj.other", outcome="received", ago=0.5)
    async with console(source) as c:
        await c.press("asterisk")
        await c.press("slash")
        await c.type("name:other")
        await c.press("enter")
        assert "3 marked (2 not shown)" in c.text()
        await c.press("C")
        assert "revoke other (proj.other)?" in c.text()


@pytest.mark.parametrize(
    ("screen", "keys"),
    [("workers", "IVK+_t"), ("queues", "y"), ("failures", "ty"), ("log", "y"), ("overview", "y")],
)
async def test_an_empty_list_has_nothing_to_act_on(console, screen: str, keys: str) -> None:
    async with console(SyntheticSource(), screen=screen) as c:
        for key in keys:
            await c.press(key)
            assert not c.screen.prompt.is_open
            assert "nothing to act on" in c.lines()[-1]
        await c.press("enter")
        assert c.screen.key == screen
        assert not c.source.commands


async def test_the_window_lists_what_it_will_touch(console) -> None:
    async with console(waiting(40)) as c:
        await c.press("asterisk", "C")
        assert "REVOKE 40 tasks" in c.text()
        await c.press("tab")
        assert "1-16 of 40" in c.text()
        assert "id-0  received  proj.slow" in c.text()
        await c.press(*["pagedown"] * 4)
        assert "25-40 of 40" in c.text()
        assert "id-39" in c.text()
        await c.press("tab")
        assert "by state" in c.text()
        await c.type("40")
        await c.press("enter")
        assert len(c.source.commands[0].arguments["task_id"]) == 40


async def test_terminating_all_that_match_asks_for_the_context(console) -> None:
    source = SyntheticSource(context="staging-eu")
    source.worker("w1@node1")
    for index in range(3):
        source.task(f"id-{index}", "proj.run", outcome="started")
    async with console(source) as c:
        await c.press("asterisk", "X", "t")
        assert "type staging-eu to confirm" in c.text()
        await c.press("escape", "backslash", "j", "space", "space", "X", "t")
        assert "type 2 to confirm" in c.text()


async def test_the_last_worker_is_not_shut_down_by_its_name(console) -> None:
    source = SyntheticSource(context="staging-eu")
    source.worker("w1@node1")
    async with console(source, screen="workers") as c:
        await c.press("K")
        assert "type staging-eu to confirm" in c.text()


async def test_a_protected_context_is_unlocked_with_a_reason(console, tmp_path: Path) -> None:
    source = demo_cluster(10, context="prod-eu")
    async with console(source, screen="workers") as c:
        assert "protected" in c.lines()[1]
        await c.press("K")
        assert "prod-eu is protected: :unlock 5m REASON first" in c.lines()[-1]
        await c.press("colon")
        await c.type("unlock 5m bad deploy")
        await c.press("enter")
        assert "UNLOCKED" in c.lines()[1]
        await c.press("K")
        assert isinstance(c.screen, ConfirmScreen)
        assert "type prod-eu to confirm" in c.text()
        await c.type("prod-eu")
        await c.press("enter")
        assert c.source.commands[0].method == "shutdown"
        c.source.clock.now += 301
        await c.press("escape")
        assert "protected" in c.lines()[1]
    written = (tmp_path / "tq" / "audit" / "prod-eu.jsonl").read_text().splitlines()
    events = [json.loads(line) for line in written]
    assert [line["event"] for line in events][:3] == ["refused", "unlocked", "sent"]
    assert events[1]["reason"] == "bad deploy"


@pytest.mark.parametrize("line", ["unlock", "unlock soon x", "unlock 5m", "unlock 2h because"])
def test_unlocking_needs_a_time_and_a_reason(line: str) -> None:
    with pytest.raises(CommandError):
        parse_command(line)


@pytest.mark.parametrize(
    ("method", "arguments", "nodes", "tier"),
    [
        ("rate_limit", {"task_name": "a", "rate_limit": "1/s"}, 3, 1),
        ("add_consumer", {"queue": "mail"}, 3, 1),
        ("pool_grow", {"n": 2}, 1, 1),
        ("pool_grow", {"n": 20}, 1, 2),
        ("revoke", {"task_id": "x"}, 3, 1),
        ("revoke", {"task_id": "x", "terminate": True}, 3, 2),
        ("cancel_consumer", {"queue": "mail"}, 3, 2),
        ("enable_events", {}, 3, 2),
        ("shutdown", {}, 1, 2),
        ("shutdown", {}, 2, 3),
    ],
)
def test_typed_commands_ask_as_their_keys_do(
    method: str, arguments: dict, nodes: int, tier: int
) -> None:
    everybody = ["w1", "w2", "w3"]
    act = control_act(method, arguments, None, everybody[:nodes], everybody, "prod")
    assert act.tier == tier
    assert act.word == ("prod" if tier == 3 else method)
