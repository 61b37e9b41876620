from collections import Counter

import pytest

from tqconsole.tui.actions import ACTIONS, SCREENS, available, for_key, named
from tqconsole.tui.app import ConsoleApp
from tqconsole.tui.commands import CommandError, parse_command
from tqconsole.tui.model.equivalents import control_line
from tqconsole.tui.screens.base import ConsoleScreen
from tqconsole.tui.screens.control_log import ControlLogScreen
from tqconsole.tui.screens.event_detail import EventScreen
from tqconsole.tui.screens.events import EventsScreen
from tqconsole.tui.screens.failures import FailuresScreen
from tqconsole.tui.screens.flow_detail import FlowScreen
from tqconsole.tui.screens.flows import FlowsScreen
from tqconsole.tui.screens.help import HelpScreen
from tqconsole.tui.screens.overview import OverviewScreen
from tqconsole.tui.screens.queue_detail import QueueScreen
from tqconsole.tui.screens.queues import QueuesScreen
from tqconsole.tui.screens.replies import RepliesScreen
from tqconsole.tui.screens.schedules import SchedulesScreen
from tqconsole.tui.screens.task_detail import TaskScreen
from tqconsole.tui.screens.tasks import TasksScreen
from tqconsole.tui.screens.worker_detail import WorkerScreen
from tqconsole.tui.screens.workers import WorkersScreen

CLASSES: dict[str, type[ConsoleScreen]] = {
    kind.key: kind
    for kind in (
        OverviewScreen, TasksScreen, WorkersScreen, QueuesScreen, QueueScreen, FailuresScreen, ControlLogScreen,
        TaskScreen, WorkerScreen, RepliesScreen, HelpScreen, EventsScreen, EventScreen, FlowsScreen,
        FlowScreen, SchedulesScreen,
    )
}  # fmt: skip


@pytest.mark.parametrize("screen", CLASSES)
def test_every_action_offered_on_a_screen_can_be_performed_there(screen: str) -> None:
    for action in available(screen, read_only=False):
        method = f"do_{action.name}"
        assert hasattr(CLASSES[screen], method) or hasattr(ConsoleApp, method), action.name


@pytest.mark.parametrize("screen", CLASSES)
def test_no_key_means_two_things_on_one_screen(screen: str) -> None:
    own = [key for a in available(screen, False) if a.screens for key in a.keys]
    assert not [key for key, number in Counter(own).items() if number > 1]


def test_every_numbered_screen_exists() -> None:
    assert {name for _, name, _, _ in SCREENS} <= set(CLASSES)


def test_upper_case_acts_and_read_only_removes_it() -> None:
    for action in ACTIONS:
        if action.acts:
            assert not action.keys[0].islower() or action.keys[0] in ("plus", "underscore")
    for screen in CLASSES:
        assert not [action for action in available(screen, read_only=True) if action.acts]
    assert for_key("tasks", "C", read_only=True) is None
    assert for_key("tasks", "C", read_only=False) is named("revoke")


def test_actions_are_named_by_a_unique_beginning() -> None:
    assert named("rev") is named("revoke")
    assert named("p") is None
    assert named("nothing") is None


def test_command_lines_are_what_a_shell_needs() -> None:
    assert control_line("revoke", {"task_id": "a b"}, None) == "tq control revoke 'a b'"
    assert (
        control_line("pool_grow", {"n": 2}, ["w1@n", "w2@n"])
        == "tq control pool_grow 2 -d w1@n,w2@n"
    )
    assert control_line("ping", {}, ["w1@n"], 4.0) == "tq inspect ping -d w1@n -t 4"
    terminate = {"task_id": "x", "terminate": True, "signal": "SIGKILL"}
    assert control_line("revoke", terminate, None) == "tq control terminate SIGKILL x"


def test_the_prompt_reads_screens_actions_and_control_commands() -> None:
    assert parse_command("tasks state:failure").rest == "state:failure"
    assert parse_command("wor").screen == "workers"
    assert parse_command("q").action is named("quit")
    control = parse_command("ctl rate_limit task_name=a.b rate_limit=10/s -d w1@n").control
    assert control == ("rate_limit", {"task_name": "a.b", "rate_limit": "10/s"}, ["w1@n"])
    assert parse_command("ctl pool_grow n=2").control == ("pool_grow", {"n": 2}, None)


@pytest.mark.parametrize("line", ["nonsense", "ctl", "ctl ping x", "ctl 'open", "revoke"])
def test_the_prompt_refuses_what_it_cannot_do(line: str) -> None:
    with pytest.raises(CommandError):
        parse_command(line, read_only=True)
