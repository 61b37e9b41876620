"""Sending tasks again: only with arguments that are known for certain."""

import pytest

from tests.console.synthetic import SyntheticSource, demo_cluster
from tq.monitor import TaskInfo, WaitingTask
from tqconsole.tui.model.resending import (
    Refusal,
    Resend,
    from_event,
    from_record,
    from_request,
    from_waiting,
)
from tqconsole.tui.screens.confirm import ConfirmScreen
from tqconsole.tui.screens.replies import RepliesScreen


def told(args: str | None, kwargs: str | None = "{}") -> TaskInfo:
    return TaskInfo("id-0", name="proj.add", state="FAILURE", args=args, kwargs=kwargs, queue="q")


@pytest.mark.parametrize(
    ("args", "kwargs", "values"),
    [
        ("()", "{}", ([], {})),
        ("(1, -2.5, 'a', None, True)", "{'m': [1, (2,)]}", ([1, -2.5, "a", None, True], {"m": [1, (2,)]})),
        ("[1]", '{"m": {"deep": ["x"]}}', ([1], {"m": {"deep": ["x"]}})),
        ("('a...b',)", "{}", (["a...b"], {})),
    ],
)  # fmt: skip
def test_the_text_of_plain_values_is_read_back(args: str, kwargs: str, values: tuple) -> None:
    call = from_event(told(args, kwargs))
    assert isinstance(call, Resend)
    assert (list(call.args), call.kwargs) == values
    assert (call.name, call.queue, call.source) == ("proj.add", "q", "its event's text")


@pytest.mark.parametrize(
    ("args", "kwargs", "reason"),
    [
        ("('abc...',)", "{}", "args truncated at 11 characters"),
        ("('abc…',)", "{}", "args truncated"),
        ("(1, ...)", "{}", "args truncated"),
        ("([...],)", "{}", "args truncated"),
        ("(1, 'abc...", "{}", "args truncated"),
        ("(1,)", "{'m': 'long...'}", "kwargs truncated"),
        ("(1,)", "{'a': 1, ...}", "kwargs truncated"),
        ("(<object at 0x7f>,)", "{}", "args are no plain values"),
        ("(Decimal('1'),)", "{}", "args are no plain values"),
        ("(b'bytes',)", "{}", "args are no plain values"),
        ("({1, 2},)", "{}", "args are no plain values"),
        ("(1,)", "{1: 2}", "kwargs are no plain values"),
        ("'text'", "{}", "args are no list"),
        ("(1,)", "[1]", "not what it seems"),
        ("()" * 5000, "{}", "args are no plain values"),
        (None, "{}", "no event told its arguments"),
    ],
)
def test_what_may_be_incomplete_is_refused(args: str | None, kwargs: str, reason: str) -> None:
    refusal = from_event(told(args, kwargs))
    assert isinstance(refusal, Refusal)
    assert reason in refusal.reason


def test_texts_where_values_should_be_prove_nothing() -> None:
    assert from_record("x", {"name": "a", "args": "(1,)", "kwargs": "{}"}) is None
    assert from_record("x", None) is None
    assert from_request("x", "w1", {"name": "a", "args": "(1,)", "kwargs": {}}) is None
    assert from_waiting(WaitingTask(queue="q", size=9, id="x", name="a")) is None
    good = from_record("x", {"name": "a", "args": [1], "kwargs": {}, "queue": "q"})
    assert good == Resend("x", "a", [1], {}, "q", None, "its result")


async def test_one_task_is_resent_after_a_yes_that_names_the_source(console) -> None:
    source = SyntheticSource()
    source.worker("w1@node1")
    source.task("id-0", "proj.add", outcome="failed", args="(1, 2)", kwargs="{'m': 3}")
    async with console(source) as c:
        await c.press("j", "R")
        assert "resend id-0 (proj.add), arguments from its event's text?" in c.text()
        assert "$ tq resend id-0" in c.lines()[-1]
        await c.press("n")
        assert not c.source.resent
        await c.press("R", "y")
        assert isinstance(c.screen, RepliesScreen)
        (call,) = c.source.resent
        assert (call.task_id, list(call.args), call.kwargs) == ("id-0", [1, 2], {"m": 3})
        sent = c.source.commands[0]
        c.source.answer(sent, "id-0", "ok: sent as 77aa, arguments from its event's text")
        sent.done = sent.good = 1
        sent.listening = False
        await c.frame()
        assert "sent as 77aa" in c.text()
        assert "done, 1 ok" in c.text()


async def test_a_truncated_task_is_refused_with_the_reason(console) -> None:
    source = SyntheticSource()
    source.task("id-0", "proj.add", outcome="failed", args="('long...',)")
    async with console(source) as c:
        await c.press("j", "R")
        assert "not replayable: id-0: args truncated at 12 characters" in c.lines()[-1]
        assert not c.screen.prompt.is_open
        c.source.recorded["id-0"] = Resend(
            "id-0", "proj.add", ["l" * 99], {}, "q", None, "its result"
        )
        await c.press("R")
        assert "arguments from its result?" in c.text()


async def test_many_are_resent_after_their_number_and_the_rest_is_named(console) -> None:
    source = SyntheticSource()
    for number in range(30):
        cut = number % 3 == 0
        source.task(
            f"id-{number:02}", "proj.add", outcome="failed", args="('x...',)" if cut else "(1,)"
        )
    async with console(source) as c:
        await c.press("asterisk", "R")
        assert isinstance(c.screen, ConfirmScreen)
        assert "RESEND 20 tasks" in c.text()
        assert "10 tasks: args truncated at 9 characters" in c.text()
        assert "tq resend id-01;" in c.text()
        assert "...17" in c.text()
        await c.press("tab")
        assert "id-01  resend   proj.add" in c.text()
        await c.press("tab")
        await c.type("20")
        await c.press("enter")
        assert len(c.source.resent) == 20
        sent = c.source.commands[0]
        sent.done, sent.good = 12, 11
        await c.frame()
        assert "12 of 20, 11 ok 1 error" in c.text()
        await c.press("escape")
        assert sent.stopping
        assert "stopping" in c.text()
        await c.press("escape")
        assert c.screen.key == "tasks"


async def test_a_group_of_failures_is_resent_without_those_that_recovered(console) -> None:
    source = SyntheticSource()
    for number in range(4):
        source.task(f"id-{number}", "proj.add", outcome="failed", args="(1,)", ago=50)
    source.task("other", "proj.other", outcome="failed", exception="KeyError('x')")
    source.drain(source.clock())
    source.event("task-succeeded", uuid="id-3", hostname="w1@node1", result="1", runtime=0.1)
    async with console(source, screen="failures") as c:
        await c.press("g")
        assert c.screen.current().name == "proj.add"
        await c.press("R")
        assert "RESEND 3 tasks" in c.text()
        await c.type("3")
        await c.press("enter")
        assert sorted(call.task_id for call in c.source.resent) == ["id-0", "id-1", "id-2"]


async def test_the_detail_says_whether_a_task_can_be_resent(console) -> None:
    source = SyntheticSource()
    source.task("id-0", "proj.add", outcome="failed", args="('x...',)")
    async with console(source, size=(80, 40)) as c:
        await c.press("j", "enter")
        assert "replay" in c.text()
        assert "args truncated at 9 characters" in c.text()


async def test_read_only_resends_nothing(console) -> None:
    async with console(demo_cluster(read_only=True)) as c:
        await c.press("j", "R", "y")
        assert not c.source.commands
