from dataclasses import replace

import pytest

from tests.console.synthetic import SyntheticSource, demo_cluster
from tqconsole.tui.model.crews import crew_of
from tqconsole.tui.screens.confirm import ConfirmScreen
from tqconsole.tui.screens.replies import RepliesScreen

pytestmark = pytest.mark.timeout(60)


async def test_every_state_of_a_worker_is_told_in_words(console) -> None:
    async with console() as c:
        await c.press("3")
        lines = {line.split()[1]: line for line in c.lines()[4:11]}
        assert lines["w3@node7"].rstrip().endswith("48s LOST")
        assert lines["gone@old-1"].rstrip().endswith("gone")
        assert "8/8" in lines["w1@node1"]
        assert "5 up" in c.text()
        assert "1 lost" in c.text()


async def test_what_is_unknown_is_a_question_mark_and_not_a_zero(console) -> None:
    source = SyntheticSource()
    source.worker("w1@node1", size=None)
    async with console(source) as c:
        await c.press("3")
        line = c.lines()[4]
        assert "0/?" in line
        assert " ? " in line


async def test_t_shows_the_tasks_of_the_worker(console) -> None:
    async with console() as c:
        await c.press("3", "j", "t")
        assert c.screen.key == "tasks"
        assert c.screen.rows.filter.source == 'worker="w2@node1"'
        assert {task.worker for task in c.screen.rows.matching()} == {"w2@node1"}


async def test_ping_asks_one_worker_without_confirmation(console) -> None:
    async with console() as c:
        await c.press("3", "I")
        assert isinstance(c.screen, RepliesScreen)
        sent = c.source.commands[0]
        assert (sent.method, sent.destination) == ("ping", ["w1@node1"])
        assert sent.equivalent == "tq inspect ping -d w1@node1"


@pytest.mark.parametrize(("key", "method"), [("plus", "pool_grow"), ("underscore", "pool_shrink")])
async def test_changing_the_pool_asks_first(console, key: str, method: str) -> None:
    async with console() as c:
        await c.press("3", key, "n")
        assert not c.source.commands
        await c.press(key, "y")
        assert c.source.commands[0].method == method
        assert c.source.commands[0].arguments == {"n": 1}


@pytest.mark.parametrize(("key", "method"), [("K", "shutdown"), ("V", "enable_events")])
async def test_what_cannot_be_undone_asks_for_the_name(console, key: str, method: str) -> None:
    async with console() as c:
        await c.press("3", key)
        assert isinstance(c.screen, ConfirmScreen)
        assert f"tq control {method} -d w1@node1" in c.text()
        await c.press("escape")
        assert not c.source.commands
        await c.press(key)
        await c.type("w1@node1")
        await c.press("enter")
        assert c.source.commands[0].method == method


async def test_workers_can_be_searched_and_sorted(console) -> None:
    async with console() as c:
        await c.press("3", "slash")
        await c.type("node2")
        assert len(c.screen.rows) == 2
        await c.press("escape")
        assert len(c.screen.rows) == 7
        await c.press("s", "s")
        assert c.screen.rows.key(0) == "w3@node7"
        assert c.screen.rows.key(6) == "gone@old-1"


async def test_workers_that_said_good_bye_can_be_hidden(console) -> None:
    async with console() as c:
        await c.press("3", "full_stop")
        assert "gone@old-1" not in c.text()


async def test_no_workers_says_where_it_looked(console) -> None:
    async with console(SyntheticSource()) as c:
        await c.press("3")
        assert "No workers" in c.text()
        assert "redis://10.0.0.5:6379/0" in c.text()


async def test_the_control_log_keeps_what_was_sent(console) -> None:
    async with console() as c:
        await c.press("3", "I")
        c.source.answer(c.source.commands[0], "w1@node1", "pong")
        await c.press("escape", "9")
        assert c.screen.key == "log"
        assert "ping -d w1@node1" in c.text()
        assert "1/1 ok" in c.text()
        await c.press("enter")
        assert isinstance(c.screen, RepliesScreen)


async def test_walking_through_the_screens_and_back(console) -> None:
    async with console() as c:
        await c.press("3", "9", "left_square_bracket")
        assert c.screen.key == "workers"
        await c.press("right_square_bracket")
        assert c.screen.key == "log"
        await c.press("minus")
        assert c.screen.key == "workers"


async def test_a_silent_minority_is_amber_in_the_header(console) -> None:
    async with console(demo_cluster()) as c:
        header = c.screen.header.lines[0]
        cell = next(cell for cell in header.cells if cell.text.startswith("ev "))
        assert cell.text == "ev 5/6"
        assert cell.style == "warning"


async def test_a_typed_control_command_asks_before_it_changes_anything(console) -> None:
    async with console() as c:
        await c.press("colon")
        await c.type("ctl shutdown")
        await c.press("enter")
        assert isinstance(c.screen, ConfirmScreen)
        assert not c.source.commands
        await c.press("escape", "colon")
        await c.type("ctl ping")
        await c.press("enter")
        assert [sent.method for sent in c.source.commands] == ["ping"]


async def test_a_typed_control_command_is_refused_when_read_only(console) -> None:
    async with console(demo_cluster(read_only=True)) as c:
        await c.press("colon")
        await c.type("ctl shutdown")
        await c.press("enter")
        assert not c.source.commands
        assert "read-only" in c.lines()[-1]


async def test_workers_of_one_host_or_deployment_are_folded(console) -> None:
    source = demo_cluster()
    source.known["w1@node1"] = replace(source.known["w1@node1"], size=8)
    for pod in ("abcde", "fghij", "klmno"):
        source.worker(f"celery@web-7f9c6d5b4-{pod}", active=2, size=4)
    async with console(source, screen="workers", size=(120, 30)) as c:
        await c.press("f")
        text = c.text()
        assert "web (3)" in text
        assert "6/12" in text
        assert "node1 (2)" in text
        assert "w1@node1" not in text
        assert "w4@node3" in text  # alone on its host
        c.screen.choose("crew web")
        await c.press("K")
        assert "several workers" in c.lines()[-1]
        await c.press("enter")
        assert "celery@web-7f9c6d5b4-abcde" in c.text()
        await c.press("enter", "f")
        assert "w1@node1" in c.text()


@pytest.mark.parametrize(
    ("hostname", "crew"),
    [
        ("w1@node1", "node1"),
        ("celery@web-7f9c6d5b4-abcde", "web"),
        ("celery@worker-0", "worker"),
        ("celery@mail-worker-3", "mail-worker"),
        ("plain", "plain"),
        ("w@-0", "-0"),
    ],
)
def test_a_pod_belongs_to_its_deployment(hostname: str, crew: str) -> None:
    assert crew_of(hostname) == crew
