"""Periodic tasks, and tasks that wait for their time, from whoever tells of them."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.console.synthetic import START, SyntheticSource
from tq.saferepr import safe_text
from tqconsole.tui.config import ConsoleConfig
from tqconsole.tui.model.schedule_book import (
    BeatEntry,
    Planned,
    ScheduleBook,
    moment_of,
    read_scheduled,
)
from tqconsole.tui.screens.task_detail import TaskScreen

pytestmark = pytest.mark.timeout(60)


def iso(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat()


def scheduled() -> SyntheticSource:
    """Two periodic tasks, one late; tasks with an ETA told by events, a worker and the broker."""
    source = SyntheticSource()
    source.worker("w1@node1")
    now = source.clock()
    source.task("eta00001-e", "mail.later", ago=5, outcome="received", eta=iso(now + 90))
    source.task("retry001-r", "billing.charge", ago=20, outcome="retried")
    source.task("tick0001-t", "reports.tick", ago=3)
    source.pending.sort(key=lambda event: event["timestamp"])
    source.drain(now)
    source.schedules = ScheduleBook(
        as_of=now - 1,
        entries=(
            BeatEntry("clean", "proj.clean", "every day at 03:00", now - 40, None, 0),
            BeatEntry("tick", "reports.tick", "every 10 seconds", now + 7, now - 3, 12),
        ),
        leader="node1:4182",
        planned=(
            Planned("held0001-h", "crawl.fetch", now + 30, "w2@node2", "crawl", "(1,)", "{}"),
            Planned("park0001-p", "mail.send", now + 3600, "broker", "mail", "(2,)", "{'token': 'x9'}"),
        ),
        parked=3,
        answered=("w1@node1",),
    )  # fmt: skip
    return source


async def test_entries_say_when_they_are_due_and_how_the_last_run_went(console) -> None:
    async with console(scheduled(), screen="schedules", size=(120, 36)) as c:
        tick = next(line for line in c.lines() if "every 10 seconds" in line)
        assert "in 7s" in tick
        assert "3s ago" in tick
        assert "✔ SUCCESS" in tick
        clean = next(line for line in c.lines() if "every day at 03:00" in line)
        assert "LATE 40s" in clean
        assert "never" in clean
        assert "beat node1:4182 is LATE with 1 of 2" in c.text()


async def test_tasks_with_an_eta_come_from_events_workers_and_broker(console) -> None:
    async with console(scheduled(), screen="schedules", size=(120, 36)) as c:
        rows = c.screen.planned
        found = [(rows.item(at).name, rows.item(at).holder) for at in range(len(rows))]
        assert found == [
            ("crawl.fetch", "w2@node2"),
            ("mail.later", "w1@node1"),
            ("mail.send", "broker"),
            ("billing.charge", "w1@node1"),
        ]
        assert "waiting (4)" in c.text()
        assert "2 more in the broker, due later" in c.text()
        assert "in 1m30s" in c.text()
        assert "↻ retry" in c.text()
        assert "x9" not in c.text()


async def test_what_has_begun_meanwhile_waits_no_longer(console) -> None:
    source = scheduled()
    async with console(source, screen="schedules") as c:
        source.task("held0001-h", "crawl.fetch", ago=1, outcome="started")
        source.event("task-started", uuid="eta00001-e")
        source.clock.now += 1
        await c.frame()
        assert len(c.screen.planned) == 2


async def test_workers_and_broker_are_asked_while_the_screen_is_shown(console) -> None:
    source = scheduled()
    async with console(source, screen="overview") as c:
        assert source.looked == 0
        await c.press("6")
        assert source.looked == 1
        source.clock.now += 2
        await c.frame()
        assert source.looked == 1
        source.clock.now += 4
        await c.frame()
        assert source.looked == 2
        await c.press("ctrl+r")
        assert source.looked == 3


async def test_an_old_look_says_how_old_it_is(console) -> None:
    source = scheduled()
    source.clock.now += 59
    async with console(source, screen="schedules") as c:
        assert "as of 1m00s" in c.text()


async def test_enter_shows_the_tasks_of_an_entry_and_the_task_that_waits(console) -> None:
    async with console(scheduled(), screen="schedules") as c:
        await c.press("j", "enter")
        assert c.screen.key == "tasks"
        assert c.screen.rows.filter.source == 'name="reports.tick"'
        await c.press("6", "tab", "j", "enter")
        assert isinstance(c.screen, TaskScreen)
        assert c.screen.task_id == "eta00001-e"
        await c.press("q", "k", "enter")
        assert "no event told of held0001-h; w2@node2 does" in c.lines()[-1]


async def test_the_cursor_walks_from_one_list_into_the_other(console) -> None:
    async with console(scheduled(), screen="schedules") as c:
        assert c.screen.entry().name == "clean"
        await c.press("j", "j")
        assert c.screen.item().name == "crawl.fetch"
        await c.press("k")
        assert c.screen.entry().name == "tick"
        await c.press("tab", "tab")
        assert c.screen.entry().name == "clean"


async def test_a_waiting_task_is_revoked_after_asking(console) -> None:
    async with console(scheduled(), screen="schedules") as c:
        await c.press("C")
        assert "tab goes to those that wait" in c.lines()[-1]
        await c.press("tab", "C", "n")
        assert not c.source.commands
        await c.press("C", "y")
        sent = c.source.commands[0]
        assert (sent.method, sent.arguments["task_id"]) == ("revoke", "held0001-h")


async def test_read_only_offers_no_revoke(console) -> None:
    source = scheduled()
    source.read_only = True
    async with console(source, screen="schedules") as c:
        await c.press("tab", "C", "y")
        assert not source.commands
        assert "revoke" not in c.text()


async def test_times_can_be_shown_as_times_of_the_day(console) -> None:
    async with console(scheduled(), screen="schedules") as c:
        await c.press("ctrl+t", "ctrl+t")
        assert "14:07:39" in c.text()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"as_of": 0.0, "entries": (), "planned": ()}, "asking"),
        ({"entries": (), "leader": None}, "start with -A yourapp or --config MODULE"),
        ({"entries": (), "entries_error": "ImportError: no"}, "cannot be read: ImportError: no"),
        ({"leader": None}, "no tq beat runs; a Celery beat tells nobody"),
        ({"leader": None}, "~in 7s"),
        ({"entries": scheduled().schedules.entries[1:]}, "sent by node1:4182"),
        ({"entries": scheduled().schedules.entries[1:], "leader": ""}, "is not known"),
        ({"planned_error": "the broker does not answer"}, "the broker does not answer"),
    ],
)
async def test_every_state_of_beat_is_told(console, change: dict[str, Any], words: str) -> None:
    source = scheduled()
    source.schedules = replace(source.schedules, **change)
    async with console(source, screen="schedules", size=(120, 24)) as c:
        assert words in c.text()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"answered": ("a", "b"), "parked": 0}, "2 workers answered, the broker holds none"),
        ({"answered": (), "parked": None}, "0 workers answered, the broker cannot tell"),
        ({"answered": ()}, "no worker answered: Celery's workers hold such tasks"),
        ({"planned_error": "no connection"}, "no connection"),
    ],
)
async def test_nothing_waits_says_who_was_asked(
    console, change: dict[str, Any], words: str
) -> None:
    source = SyntheticSource()
    source.schedules = replace(ScheduleBook(as_of=START), **change)
    async with console(source, screen="schedules") as c:
        assert "nothing waits for its time" in c.text()
        assert words in c.text()


async def test_no_beat_on_a_cluster_of_tq_is_an_alarm(console) -> None:
    source = scheduled()
    source.schedules = replace(source.schedules, leader=None)
    source.event("worker-heartbeat", hostname="w1@node1", sw_ident="tq", sw_ver="1", freq=2.0)
    async with console(source, screen="schedules") as c:
        assert "NO tq BEAT RUNS" in c.text()


async def test_what_a_celery_beat_sends_is_seen_in_the_events(console) -> None:
    source = scheduled()
    entry = BeatEntry("tick", "reports.tick", "every 10 seconds", START + 7, None, 0)
    source.schedules = replace(source.schedules, leader=None, entries=(entry,))
    async with console(source, screen="schedules", size=(120, 36)) as c:
        line = next(line for line in c.lines() if "every 10 seconds" in line)
        assert "seen 3s" in line
        assert "✔ SUCCESS" in line


async def test_not_connected_is_said(console) -> None:
    source = SyntheticSource()
    source.disconnect()
    async with console(source, screen="schedules") as c:
        assert "not connected" in c.text()


async def test_paused_it_stands_still(console) -> None:
    source = scheduled()
    async with console(source, screen="schedules") as c:
        await c.press("p")
        source.schedules = ScheduleBook(as_of=START)
        source.clock.now += 9
        await c.frame()
        assert len(c.screen.entries) == 2
        await c.press("p")
        assert len(c.screen.entries) == 0


async def test_lists_are_exported_and_names_copied(
    console, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    async with console(scheduled(), screen="schedules") as c:
        await c.press("y")
        assert c.app.clipboard == "clean"
        await c.press("e")
        await c.app.workers.wait_for_complete()
        (written,) = tmp_path.glob("tq-schedules-*.jsonl")
        assert [json.loads(line)["name"] for line in written.read_text().splitlines()] == [
            "clean",
            "tick",
        ]
        await c.press("tab", "y", "i")
        assert c.app.clipboard == "held0001-h"


@pytest.mark.parametrize("size", [(40, 10), (80, 24), (160, 48), (23, 7)])
@pytest.mark.parametrize("ascii_only", [False, True])
async def test_every_size_and_character_set(
    console, size: tuple[int, int], ascii_only: bool
) -> None:
    config = ConsoleConfig(ascii_only=ascii_only)
    async with console(scheduled(), screen="schedules", size=size, config=config) as c:
        await c.press("tab", "j")
        assert not ascii_only or c.text().isascii()
        assert c.screen.item() is not None


# -- reading what workers answer

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["eta", "request", "id", "name", "args"]), inner)
    ),
    max_leaves=15,
)


@given(JSON)
def test_an_answer_of_any_shape_is_read_or_left_out(reply: Any) -> None:
    for item in read_scheduled("w1@node1", reply):
        assert item.id == safe_text(item.id)
        assert item.holder == "w1@node1"


def test_an_answer_is_read_as_celery_writes_it() -> None:
    request = {"id": "a1", "name": "proj.add", "args": [1], "kwargs": {},
               "delivery_info": {"routing_key": "mail"}}  # fmt: skip
    reply = [{"eta": "2026-01-01T14:10:00+00:00", "priority": 6, "request": request}]
    (item,) = read_scheduled("w1@node1", reply)
    assert (item.id, item.name, item.queue) == ("a1", "proj.add", "mail")
    assert item.due == START + 148


@pytest.mark.parametrize("text", ["", "soon", "9" * 400, "0001-01-01T00:00:00+23:59", None, 5])
def test_a_moment_that_cannot_be_read_is_unknown(text: object) -> None:
    moment = moment_of(text)
    assert moment is None or isinstance(moment, float)


def test_hostile_texts_are_harmless() -> None:
    request = {"id": "\x1b]0;x\x07", "name": "a\nb\u202e", "args": "\x1b[2J"}
    (item,) = read_scheduled("w\x1b[0m", [{"eta": 1, "request": request}])
    for text in (item.id, item.name, item.args, item.holder):
        assert text.isprintable()
