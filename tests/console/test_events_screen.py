"""The raw stream: followed, held, frozen, filtered, sampled, opened."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.console.synthetic import SyntheticSource, demo_cluster
from tqconsole.tui.config import ConsoleConfig
from tqconsole.tui.model.event_log import EventLog
from tqconsole.tui.model.facts import Gap, LinkState
from tqconsole.tui.screens.event_detail import EventScreen
from tqconsole.tui.screens.task_detail import TaskScreen
from tqconsole.tui.screens.worker_detail import WorkerScreen

pytestmark = pytest.mark.timeout(60)


def small() -> SyntheticSource:
    """One worker and two tasks, of which one failed."""
    source = SyntheticSource()
    source.worker("w1@node1")
    source.task("aaaa0000-1", "mail.send", ago=9)
    source.task("bbbb0000-2", "billing.charge", ago=5, outcome="failed", kwargs="{'token': 's3'}")
    source.pending.sort(key=lambda event: event["timestamp"])
    source.drain(source.clock())
    return source


async def test_events_come_newest_first_with_their_task_names(console) -> None:
    async with console(small(), screen="events") as c:
        rows = c.screen.rows
        times = [rows.item(at).arrived for at in range(len(rows))]
        assert times == sorted(times, reverse=True)
        started = next(line for line in c.lines() if "task-started" in line and "bbbb0000" in line)
        assert "billing.charge" in started  # which the event itself does not tell


async def test_types_are_counted_and_a_click_or_x_chooses_one(console) -> None:
    async with console(small(), screen="events", size=(120, 24)) as c:
        assert "task-sent 2" in c.text()
        await c.press("j", "x")
        chosen = {c.screen.rows.item(at).type for at in range(len(c.screen.rows))}
        assert len(chosen) == 1
        await c.press("x")
        assert len(c.screen.rows) == len(c.source.events)
        at = c.screen.types_bar.lines[0].spots
        spot = next(spot for spot in at if spot.action == "type.task-failed")
        await c.pilot.click("#types", offset=(spot.start + 1, 0))
        await c.frame()
        assert [c.screen.rows.item(0).type] == ["task-failed"]
        assert len(c.screen.rows) == 1


async def test_the_filter_language_applies_to_events(console) -> None:
    async with console(small(), screen="events") as c:
        for text, types in (
            ("state:failure", {"task-failed"}),
            ("type:worker", {"worker-heartbeat"}),
            ("heartbeat", {"worker-heartbeat"}),
            ("exc:CardDeclined", {"task-failed"}),
            ("name:mail.* -type:task-sent,task-received", {"task-started", "task-succeeded"}),
        ):
            assert c.screen.try_filter(text)
            rows = c.screen.rows
            assert {rows.item(at).type for at in range(len(rows))} == types, text
        await c.press("escape")
        assert len(c.screen.rows) == len(c.source.events)


async def test_a_filter_that_cannot_be_read_changes_nothing(console) -> None:
    async with console(small(), screen="events") as c:
        await c.press("slash")
        await c.type("type:task-failed")
        await c.press("enter")
        await c.press("slash")
        await c.type("(")
        await c.press("enter")
        assert c.screen.rows.filter.source == "type:task-failed"
        assert "the one before stays" in c.lines()[-1]


async def test_a_filter_that_matches_nothing_names_the_term(console) -> None:
    async with console(small(), screen="events") as c:
        c.screen.try_filter("name:mail.* state:revoked")
        await c.frame()
        assert "Nothing matches" in c.text()
        assert "the term that left nothing: state:revoked" in c.text()


async def test_heartbeats_can_be_hidden(console) -> None:
    async with console(small(), screen="events") as c:
        await c.press("full_stop")
        assert "worker-heartbeat" not in "\n".join(c.lines()[4:])
        assert "heartbeats hidden" in c.text()
        await c.press("full_stop")
        assert "worker-heartbeat" in "\n".join(c.lines()[4:])


async def test_paused_the_rows_stand_still_and_nothing_is_lost(console) -> None:
    async with console(small(), screen="events") as c:
        before = len(c.screen.rows)
        await c.press("p")
        c.source.task("cccc0000-3", "mail.send", ago=0)
        await c.frame()
        assert len(c.screen.rows) == before
        assert f"+{c.screen.missed()}" in c.lines()[0]
        assert c.screen.missed() > 0
        missed = c.screen.missed()
        await c.press("p")
        assert len(c.screen.rows) == before + missed


async def test_paused_the_rows_outlive_the_log(console) -> None:
    source = small()
    source.events.most = 20
    async with console(source, screen="events") as c:
        await c.press("p")
        key = c.screen.rows.key(0)
        for number in range(40):
            source.task(f"t{number}", "mail.send", ago=0)
        await c.frame()
        await c.press("j", "enter")
        assert isinstance(c.screen, EventScreen)
        assert str(c.screen.entry.number) == key


async def test_an_overload_is_sampled_and_said_so_and_hold_shows_all(console) -> None:
    source = SyntheticSource()
    async with console(source, screen="events", size=(120, 24)) as c:
        for _ in range(5):
            source.clock.now += 0.1
            for number in range(200):
                source.event("task-started", uuid=f"t{number}")
            await c.frame()
        rows = c.screen.rows
        assert rows.sample > 1
        assert len(rows) < 500
        assert f"1 in {rows.sample} shown" in c.text()
        assert "f shows all" in c.text()
        await c.press("f")
        assert rows.sample == 1
        assert len(rows) == 1000
        assert "hold" in c.text()


async def test_after_an_overload_everything_kept_is_shown_again(console) -> None:
    source = SyntheticSource()
    async with console(source, screen="events") as c:
        for number in range(500):
            source.event("task-started", uuid=f"t{number}")
        await c.frame()
        assert len(c.screen.rows) < 500
        source.clock.now += 3
        await c.frame()
        assert len(c.screen.rows) == 500


async def test_an_event_opens_as_json_beside_the_one_before(console) -> None:
    async with console(small(), screen="events", size=(100, 50)) as c:
        c.screen.try_filter("type:task-failed")
        await c.press("j", "enter")
        assert isinstance(c.screen, EventScreen)
        text = c.text()
        assert '"type": "task-failed"' in text
        assert "compared with ▶ task-started" in text
        assert any(line.startswith(" + ") and '"exception"' in line for line in c.lines())
        assert any(line.startswith(" ~ ") and '"timestamp"' in line for line in c.lines())
        assert "CardDeclined" in text
        assert "billing/gateway.py" in text  # the traceback, line by line
        await c.press("q")
        assert c.screen.key == "events"


async def test_t_goes_to_the_task_or_the_worker(console) -> None:
    async with console(small(), screen="events") as c:
        c.screen.try_filter("type:task-failed")
        await c.press("j", "t")
        assert isinstance(c.screen, TaskScreen)
        assert c.screen.task_id == "bbbb0000-2"
        await c.press("q")
        c.screen.try_filter("type:worker-heartbeat")
        await c.press("g", "t")
        assert isinstance(c.screen, WorkerScreen)
        assert c.screen.hostname == "w1@node1"


async def test_t_says_when_the_task_is_not_kept(console) -> None:
    source = small()
    async with console(source, screen="events") as c:
        c.screen.try_filter("type:task-failed")
        source.state.clear(ready=False)
        await c.press("j", "t")
        assert "not kept any more" in c.lines()[-1]


async def test_secrets_are_masked_in_row_page_copy_and_file(
    console, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    source = small()
    source.event("task-custom", uuid="cccc-9", api_token="hunter2", data={"password": "hunter2"})
    async with console(source, screen="events", size=(160, 48)) as c:
        c.screen.try_filter("type:task-custom,task-received")
        await c.press("g")
        assert "hunter2" not in c.text()
        assert "s3" not in c.text()
        await c.press("e")
        await c.app.workers.wait_for_complete()
        (written,) = tmp_path.glob("tq-events-*.jsonl")
        lines = [json.loads(line) for line in written.read_text().splitlines()]
        assert [line["type"] for line in lines][-1] == "task-custom"
        assert "hunter2" not in written.read_text()
        await c.press("enter")
        assert "****" in c.text()
        assert "hunter2" not in c.text()
        await c.press("y", "j")
        assert "hunter2" not in c.app.clipboard
        assert json.loads(c.app.clipboard)["uuid"] == "cccc-9"


async def test_copies_offer_what_the_event_has(console) -> None:
    async with console(small(), screen="events") as c:
        c.screen.try_filter("type:task-failed")
        await c.press("j", "y", "c")
        assert c.app.clipboard == "tq events --dump --types task-failed"
        await c.press("y", "i")
        assert c.app.clipboard == "bbbb0000-2"


async def test_a_gap_and_dropped_events_are_rows_of_their_own(console) -> None:
    source = small()
    now = source.clock()
    source.link = replace(source.link, gaps=(Gap(now - 21, now - 3),))
    source.drain(now)
    source.events.take([], now, {"task-sent": 1200, "task-started": 34})
    async with console(source, screen="events") as c:
        assert "14:07:11-14:07:29Z not observed" in c.text()
        assert "1 234 events counted and not kept" in c.text()
        await c.press("g", "enter")
        assert c.screen.key == "events"  # there is nothing in it to open


async def test_nothing_yet_says_where_it_listens(console) -> None:
    async with console(SyntheticSource(), screen="events") as c:
        assert "No events yet" in c.text()
        assert "redis://10.0.0.5:6379/0" in c.text()


async def test_not_connected_says_why(console) -> None:
    source = SyntheticSource()
    source.link = LinkState(since=source.clock())
    source.disconnect()
    async with console(source, screen="events") as c:
        assert "Connecting" in c.text()
        assert "connection refused" in c.text()


async def test_events_are_filtered_from_the_prompt(console) -> None:
    async with console(small()) as c:
        await c.press("colon")
        await c.type("events type:task-failed")
        await c.press("enter")
        assert c.screen.key == "events"
        assert len(c.screen.rows) == 1


@pytest.mark.parametrize("size", [(40, 10), (80, 24), (160, 48), (23, 7)])
@pytest.mark.parametrize("ascii_only", [False, True])
async def test_every_size_and_character_set(
    console, size: tuple[int, int], ascii_only: bool
) -> None:
    config = ConsoleConfig(ascii_only=ascii_only)
    async with console(demo_cluster(), screen="events", size=size, config=config) as c:
        await c.press("j", "j", "enter")
        assert isinstance(c.screen, EventScreen)
        assert not ascii_only or c.text().isascii()


def test_the_log_is_bounded_by_number_and_by_size() -> None:
    log = EventLog(most=100, most_bytes=50_000)
    log.take([{"type": "task-sent", "uuid": str(n)} for n in range(1000)], 1.0)
    assert len(log) <= 100
    assert log.next == 1000
    assert log.get(999).event["uuid"] == "999"
    assert log.get(log.first - 1) is None
    log.take([{"type": "task-failed", "traceback": "x" * 40_000} for _ in range(10)], 2.0)
    assert log.bytes <= 50_000
    assert [entry.number for entry in log.since(log.first)] == list(range(log.first, log.next))
    assert [entry.number for entry in log.before(log.next)] == [
        *range(log.next - 1, log.first - 1, -1)
    ]
