import pytest

from tests.console.synthetic import TRACEBACK, SyntheticSource, demo_cluster
from tqconsole.tui.config import ConsoleConfig
from tqconsole.tui.screens.confirm import ConfirmScreen
from tqconsole.tui.screens.help import HelpScreen
from tqconsole.tui.screens.replies import RepliesScreen
from tqconsole.tui.screens.task_detail import TaskScreen

pytestmark = pytest.mark.timeout(60)


def small(*outcomes: str) -> SyntheticSource:
    """A cluster of two workers and one task for each outcome, `id-0` being the oldest."""
    source = SyntheticSource()
    source.worker("w1@node1")
    source.worker("w2@node1")
    for number, outcome in enumerate(outcomes):
        source.task(f"id-{number}", f"proj.{outcome}", outcome=outcome, ago=30 - number)
    return source


async def test_header_tells_cluster_coverage_and_life(console) -> None:
    async with console() as c:
        header, tabs = c.lines()[:2]
        assert header.startswith(" tq  staging  redis://10.0.0.5:6379/0")
        assert "ev 5/6" in header
        assert header.rstrip().endswith("● LIVE")
        assert "2Task" in tabs  # nine tabs fit 80 cells only so
        assert "14:07:32Z" in tabs


async def test_the_cursor_stays_with_its_task_while_rows_arrive(console) -> None:
    async with console(small("succeeded", "failed")) as c:
        await c.press("j", "j")
        assert c.screen.table.cursor == "id-0"
        c.source.task("id-9", "proj.new", ago=0)
        await c.frame()
        assert c.screen.table.cursor == "id-0"
        assert c.screen.table.cursor_row == 2


async def test_following_stops_when_the_cursor_would_leave_the_view(console) -> None:
    async with console(small("succeeded")) as c:
        await c.press("j")
        for number in range(100):
            c.source.task(f"new-{number}", "proj.new", ago=0)
        await c.frame()
        table = c.screen.table
        assert not table.follow
        assert table.cursor == "id-0"
        assert table.cursor_row in table.shown()
        await c.press("g")
        assert table.follow
        assert table.top == 0


async def test_pause_freezes_the_view_and_counts(console) -> None:
    async with console(small("started")) as c:
        await c.press("p")
        c.source.task("id-9", "proj.new", ago=0)
        await c.frame()
        assert "❚❚ +4" in c.lines()[0]
        assert "proj.new" not in c.text()
        assert "PAUSED" in c.lines()[-1]
        await c.press("p")
        assert "proj.new" in c.text()
        assert "LIVE" in c.lines()[0]


async def test_the_filter_applies_while_it_is_typed(console) -> None:
    async with console(small("succeeded", "failed")) as c:
        await c.press("slash")
        await c.type("state:failure")
        assert "proj.succeeded" not in c.text()
        assert "1 of 2" in c.text()
        await c.press("enter")
        assert not c.screen.prompt.is_open
        assert c.screen.rows.filter.source == "state:failure"
        await c.press("escape")
        assert "proj.succeeded" in c.text()


async def test_a_bad_filter_keeps_the_rows_and_points_at_the_mistake(console) -> None:
    async with console(small("succeeded", "failed")) as c:
        await c.press("slash")
        await c.type("state:failure stat:x")
        lines = c.lines()
        prompt = lines[-2]
        status = lines[-1]
        assert "no field is called 'stat'; did you mean state?" in status
        assert status.index("^") == prompt.index("stat:x")
        assert c.screen.rows.filter.source == "state:failure stat"
        await c.press("escape")
        assert c.screen.rows.filter.source == ""


async def test_rows_stay_while_a_filter_cannot_be_read(console) -> None:
    async with console(small("succeeded", "failed")) as c:
        await c.press("slash")
        await c.type("state:failure (")
        assert "1 of 2" in c.text()
        assert "proj.failed" in c.text()
        assert "proj.succeeded" not in c.text()
        await c.press("enter")
        assert "cannot be read; the one before stays" in c.lines()[-1]


async def test_a_filter_without_matches_names_the_term(console) -> None:
    async with console(small("succeeded")) as c:
        await c.press("slash")
        await c.type("state:success name:nobody")
        assert "the term that left nothing: name:nobody" in c.text()


async def test_the_detail_folds_the_frames_of_libraries(console) -> None:
    async with console(small("failed")) as c:
        await c.press("j", "t")
        assert isinstance(c.screen, TaskScreen)
        text = c.text()
        assert "2 library frames folded" in text
        assert "billing/tasks.py" in text
        assert "celery/app/trace.py" not in text
        await c.press("f")
        c.screen.do_section("traceback")
        await c.frame()
        assert "celery/app/trace.py" in c.text()
        await c.press("escape")
        assert c.screen.key == "tasks"


async def test_the_detail_shows_everything_that_is_known(console) -> None:
    async with console(small("failed"), size=(100, 60)) as c:
        await c.press("j", "enter")
        text = c.text()
        for word in (
            "id-0",
            "proj.failed",
            "w1@node1",
            "gen4411@web3",
            "+4ms",
            "insufficient_funds",
            "(81723,)",
        ):
            assert word in text


async def test_find_moves_to_the_match(console) -> None:
    source = small("failed")
    source.task(
        "long",
        "proj.long",
        outcome="failed",
        traceback=TRACEBACK + "x\n" * 100 + "needle here\n",
        ago=1,
    )
    async with console(source) as c:
        await c.press("j", "enter", "slash")
        await c.type("needle")
        await c.press("enter")
        assert "needle here" in c.text()
        await c.press("slash")
        await c.type("not there at all")
        await c.press("enter")
        assert "is not on this page" in c.lines()[-1]


async def test_revoke_asks_and_shows_the_command_line_before_it_sends(console) -> None:
    async with console(small("received")) as c:
        await c.press("j", "C")
        assert "revoke id-0 (proj.received)? y/N" in c.text()
        assert "$ tq control revoke id-0" in c.lines()[-1]
        assert not c.source.commands
        await c.press("y")
        sent = c.source.commands[0]
        assert (sent.method, sent.arguments) == ("revoke", {"task_id": "id-0", "terminate": False})
        assert isinstance(c.screen, RepliesScreen)


@pytest.mark.parametrize("key", ["n", "escape", "enter", "x"])
async def test_anything_but_yes_sends_nothing(console, key: str) -> None:
    async with console(small("received")) as c:
        await c.press("j", "C", key)
        assert not c.source.commands
        assert "cancelled, nothing was sent" in c.lines()[-1]


async def test_the_reply_panel_fills_and_explains_silence(console) -> None:
    source = small("received")
    source.worker("w3@node7", ago=48.0)
    async with console(source) as c:
        await c.press("j", "C", "y")
        sent = c.source.commands[0]
        assert c.text().count("waiting") >= 3
        c.source.answer(sent, "w1@node1", "ok: task id-0 revoked")
        c.source.answer(sent, "w2@node1", "no such thing", ok=False)
        c.source.clock.now += 2
        await c.frame()
        text = c.text()
        assert "ok: task id-0 revoked" in text
        assert "14ms" in text
        assert "no such thing" in text
        assert "LOST, last heartbeat 50s ago" in text
        assert "1/3 ok 1 error 1 silent" in text
        c.source.answer(sent, "w3@node7", after=3.4)
        await c.frame()
        assert "+3.40s" in c.text()


async def test_asking_again_asks_only_those_who_were_silent(console) -> None:
    async with console(small("received")) as c:
        await c.press("j", "C", "y")
        c.source.answer(c.source.commands[0], "w1@node1")
        c.source.clock.now += 2
        await c.frame()
        await c.press("a")
        again = c.source.commands[1]
        assert again.destination == ["w2@node1"]
        assert again.timeout == 4.0


async def test_a_task_that_is_over_cannot_be_revoked(console) -> None:
    async with console(small("succeeded")) as c:
        await c.press("j", "C")
        assert "nothing to revoke" in c.lines()[-1]
        assert not c.screen.prompt.is_open


async def test_terminate_asks_for_signal_and_word(console) -> None:
    async with console(small("started")) as c:
        await c.press("j", "X", "k")
        assert isinstance(c.screen, ConfirmScreen)
        assert "TERMINATE 1 task" in c.text()
        assert "tq control terminate SIGKILL id-0" in c.text()
        await c.type("wrong")
        await c.press("enter")
        assert "that is not id-0" in c.text()
        assert not c.source.commands
        c.screen.query_one("Input").value = ""
        await c.type("id-0")
        await c.press("enter")
        assert c.source.commands[0].arguments == {
            "task_id": "id-0",
            "terminate": True,
            "signal": "SIGKILL",
        }


async def test_escape_leaves_the_window_without_sending(console) -> None:
    async with console(small("started")) as c:
        await c.press("j", "X", "t", "escape")
        assert c.screen.key == "tasks"
        assert not c.source.commands


async def test_many_marked_tasks_ask_in_a_window_for_their_number(console) -> None:
    async with console(small("received", "received", "succeeded")) as c:
        await c.press("asterisk")
        assert "3 marked" in c.text()
        await c.press("C")
        assert "REVOKE 2 tasks" in c.text()
        assert "received 2" in c.text()
        await c.type("2")
        await c.press("enter")
        assert sorted(c.source.commands[0].arguments["task_id"]) == ["id-0", "id-1"]


async def test_rate_limit_is_checked_before_it_is_asked(console) -> None:
    async with console(small("received")) as c:
        await c.press("j", "L")
        await c.type("fast")
        await c.press("enter")
        assert "is no rate" in c.lines()[-1]
        await c.press("L")
        await c.type("10/m")
        await c.press("enter")
        assert "limit proj.received to 10/m" in c.text()
        await c.press("y")
        assert c.source.commands[0].arguments == {
            "task_name": "proj.received",
            "rate_limit": "10/m",
        }


async def test_read_only_offers_no_acts_and_sends_none(console) -> None:
    source = demo_cluster(read_only=True)
    async with console(source) as c:
        assert "revoke" not in c.text()
        assert "read-only" in c.text()
        await c.press("j", "C", "y", "X", "t")
        assert not source.commands
        await c.press("colon")
        await c.type("revoke")
        await c.press("enter")
        assert "read-only" in c.lines()[-1]


async def test_sorting_is_chosen_by_a_letter(console) -> None:
    async with console() as c:
        await c.press("s", "n")
        assert c.screen.rows.sort == "name"
        names = [c.screen.rows.item(index).name for index in range(5)]
        assert names == sorted(names)
        await c.press("s", "n")
        assert c.screen.rows.reverse


async def test_finished_tasks_can_be_hidden(console) -> None:
    async with console(small("succeeded", "failed", "started")) as c:
        await c.press("full_stop")
        assert "proj.succeeded" not in c.text()
        assert "proj.failed" in c.text()
        assert "finished hidden" in c.text()


async def test_marks_are_set_and_cleared(console) -> None:
    async with console(small("succeeded", "failed")) as c:
        await c.press("j", "space")
        assert c.screen.rows.marked == {"id-1"}
        assert c.screen.table.cursor == "id-0"
        await c.press("backslash")
        assert not c.screen.rows.marked


async def test_copy_gives_the_id_to_the_terminal(console) -> None:
    async with console(small("failed")) as c:
        await c.press("j", "y", "i")
        assert c.app.clipboard == "id-0"
        assert "id copied" in c.lines()[-1]
        await c.press("y", "t")
        assert "CardDeclined" in c.app.clipboard


async def test_no_tasks_yet_says_what_to_do(console) -> None:
    source = SyntheticSource()
    source.worker("w1@node1")
    async with console(source) as c:
        text = c.text()
        assert "No tasks yet" in text
        assert "connected 12s, 1 worker, 0 task events" in text
        assert "-E" in text


async def test_a_lost_connection_is_said_and_the_rows_stay(console) -> None:
    async with console(small("succeeded")) as c:
        c.source.clock.now += 1
        c.source.disconnect()
        c.source.clock.now += 3
        await c.frame()
        assert "RECONNECTING 3s (attempt 2)" in c.lines()[0]
        assert "proj.succeeded" in c.text()
        assert "connection refused" in c.lines()[-1]


async def test_a_broker_that_never_answered_is_said_in_the_list(console) -> None:
    source = SyntheticSource()
    source.disconnect(attempt=1)
    async with console(source) as c:
        assert "Connecting to redis://10.0.0.5:6379/0" in c.text()
        assert "connection refused" in c.text()


async def test_help_lists_the_keys_of_the_screen(console) -> None:
    async with console(size=(100, 90)) as c:
        await c.press("question_mark")
        assert isinstance(c.screen, HelpScreen)
        text = c.text()
        assert "Tell workers not to run the task." in text
        assert "state:failure,retry" in text
        await c.press("q")
        assert c.screen.key == "tasks"


async def test_the_prompt_goes_to_screens_filters_and_actions(console) -> None:
    async with console() as c:
        await c.press("colon")
        await c.type("tasks state:failure")
        await c.press("enter")
        assert c.screen.rows.filter.source == "state:failure"
        await c.press("colon")
        await c.type("wor")
        await c.press("enter")
        assert c.screen.key == "workers"
        await c.press("colon")
        await c.type("nonsense")
        await c.press("enter")
        assert "no screen or action is called" in c.lines()[-1]


async def test_q_leaves_at_the_top(console) -> None:
    async with console() as c:
        await c.press("q")
        assert c.app.return_code == 0


async def test_a_click_chooses_and_a_second_one_opens(console) -> None:
    async with console(small("succeeded", "failed")) as c:
        await c.pilot.click("#tasks", offset=(5, 2))
        await c.frame()
        assert c.screen.table.cursor == "id-0"
        await c.pilot.click("#tasks", offset=(5, 2), times=2)
        await c.frame()
        assert isinstance(c.screen, TaskScreen)


async def test_a_click_on_a_tab_goes_there(console) -> None:
    async with console() as c:
        column = c.lines()[1].index("3Work")
        await c.pilot.click("#tabs", offset=(column, 0))
        await c.frame()
        assert c.screen.key == "workers"


async def test_ascii_mode_draws_nothing_else(console) -> None:
    async with console(config=ConsoleConfig(ascii_only=True)) as c:
        await c.press("j")
        assert c.text().isascii()


@pytest.mark.parametrize("size", [(40, 10), (60, 14), (80, 24), (300, 100), (20, 5)])
async def test_every_size_draws(console, size: tuple[int, int]) -> None:
    async with console(size=size) as c:
        await c.press("j")
        for number in "239":
            await c.press(number)
            assert len(c.lines()) == size[1]
        await c.press("2", "enter", "question_mark")


async def test_markup_and_escapes_in_data_are_only_text(console) -> None:
    source = SyntheticSource()
    source.worker("w1@node1")
    source.task(
        "id-0", "[bold red]name[/]", args="[link=x]", outcome="failed", exception="[/nonsense]"
    )
    async with console(source) as c:
        assert "[bold red]name[/]" in c.text()
        await c.press("j", "enter")
        assert "[/nonsense]" in c.text()


async def test_nothing_is_drawn_when_nothing_changed(console) -> None:
    async with console() as c:
        await c.press("j")
        await c.frame()
        before = c.screen.table.painted
        for _ in range(5):
            await c.frame()
        assert c.screen.table.painted == before


async def test_only_changed_lines_are_drawn(console) -> None:
    async with console(small(*["started"] * 8)) as c:
        await c.frame()
        before = c.screen.table.painted
        c.source.event("task-succeeded", uuid="id-3", result="1", runtime=1.0)
        await c.frame()
        assert c.screen.table.painted - before == 1


@pytest.mark.parametrize(
    ("command", "first"),
    [("slowest", "long"), ("stuck", "old"), ("unreceived", "old")],
)
async def test_lists_of_what_needs_a_look_are_typed(console, command: str, first: str) -> None:
    source = SyntheticSource()
    source.worker("w1@node1")
    source.task("short", "proj.a", runtime=0.1, ago=5)
    source.task("long", "proj.a", runtime=9.0, ago=20)
    source.task("old", "proj.b", outcome="sent", ago=400)
    source.task("new", "proj.b", outcome="sent", ago=1)
    async with console(source, screen="overview") as c:
        await c.press("colon")
        await c.type(command)
        await c.press("enter")
        assert c.screen.key == "tasks"
        assert c.screen.rows.key(0) == first
