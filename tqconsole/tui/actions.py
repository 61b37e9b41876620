"""Everything the user can do: one table that feeds keys, footer, help, palette and prompt.

Lower case looks, UPPER CASE acts on the cluster.
"""

from collections.abc import Iterable
from dataclasses import dataclass

__all__ = ["ACTIONS", "SCREENS", "Action", "available", "for_key", "named"]

# number, name, short title for narrow terminals, title
SCREENS: tuple[tuple[str, str, str, str], ...] = (
    ("1", "overview", "Over", "Overview"),
    ("2", "tasks", "Task", "Tasks"),
    ("3", "workers", "Work", "Workers"),
    ("4", "queues", "Queu", "Queues"),
    ("5", "failures", "Fail", "Failures"),
    ("6", "schedules", "Sched", "Schedules"),
    ("7", "flows", "Flow", "Flows"),
    ("8", "events", "Event", "Events"),
    ("9", "log", "Log", "Control log"),
)

LISTS = frozenset(
    {"overview", "tasks", "workers", "queues", "failures", "schedules", "flows", "flow", "events"}
    | {"log"}
)
TASKS = frozenset({"tasks"})
TASKISH = frozenset({"tasks", "task"})
WORKERS = frozenset({"workers"})
QUEUEISH = frozenset({"queues", "queue"})
SORTED = frozenset({"tasks", "workers", "queues", "failures", "flows"})
PANES = frozenset({"overview", "worker", "schedules"})
COPIED = frozenset(
    {
        "overview",
        "tasks",
        "task",
        "workers",
        "worker",
        "queues",
        "queue",
        "failures",
        "replies",
        "log",
    }
    | {"schedules", "flows", "flow", "events", "event"}
)
PAGERS = frozenset({"task", "help", "worker", "replies", "event", "queue"})


@dataclass(frozen=True, slots=True)
class Action:
    """One thing the user can do.

    Attributes:
        name: What the prompt knows it by; the screen's or app's method is `do_<name>`.
        keys: Keys in textual's spelling, the first one is shown.
        text: What it does, in a word or two, for the footer.
        help: What it does, in a sentence.
        screens: Where it is offered; empty for everywhere.
        tier: 0 looks; 1 asks y/N; 2 asks in a window; 3 asks for a word to be typed.
        footer: Place in the footer, lowest first; 0 is left out.
    """

    name: str
    keys: tuple[str, ...]
    text: str
    help: str
    screens: frozenset[str] = frozenset()
    tier: int = 0
    footer: int = 0

    @property
    def acts(self) -> bool:
        """Whether it changes the cluster."""
        return self.tier > 0

    @property
    def key_text(self) -> str:
        """The first key as it is printed on a keyboard."""
        return _KEY_TEXT.get(self.keys[0], self.keys[0]) if self.keys else ""


_KEY_TEXT = {
    "slash": "/", "colon": ":", "question_mark": "?", "full_stop": ".", "backslash": "\\",
    "asterisk": "*", "left_square_bracket": "[", "right_square_bracket": "]", "minus": "-",
    "plus": "+", "underscore": "_", "escape": "esc",
}  # fmt: skip

ACTIONS: tuple[Action, ...] = (
    # move
    Action("move_down", ("j", "down"), "down", "Next row."),
    Action("move_up", ("k", "up"), "up", "Previous row."),
    Action("page_down", ("ctrl+d", "pagedown"), "page down", "Half a page down."),
    Action("page_up", ("ctrl+u", "pageup"), "page up", "Half a page up."),
    Action("first", ("g", "home"), "first", "First row; newest task."),
    Action("last", ("G", "end"), "last", "Last row."),
    Action("left", ("left",), "left", "Scroll to the left."),
    Action("right", ("right",), "right", "Scroll to the right."),
    # go
    Action("open", ("enter",), "open", "Open what is under the cursor.", LISTS, footer=1),
    Action("back", ("escape",), "back", "Clear marks, filter, then go back."),
    Action("previous", ("minus",), "previous screen", "Go to the screen shown before."),
    Action(
        "history_back",
        ("left_square_bracket",),
        "back in history",
        "Walk back through the screens.",
    ),
    Action("history_on", ("right_square_bracket",), "on in history", "Walk forward again."),
    Action("leave", ("q",), "back", "Go back; at the top, quit.", footer=90),
    Action("quit", ("ctrl+c", "ctrl+q"), "quit", "Quit at once."),
    Action(
        "worker_tasks",
        ("t",),
        "its tasks",
        "Show the tasks of the worker under the cursor.",
        frozenset({"workers", "worker"}),
        footer=3,
    ),
    Action(
        "queue_tasks",
        ("t",),
        "its tasks",
        "Show the tasks of the queue under the cursor.",
        QUEUEISH,
        footer=3,
    ),
    Action("more", ("m",), "more", "Show more messages.", frozenset({"queue"}), footer=4),
    Action("failure_group", ("x",), "failure group", "Go to the group of this failure.", TASKISH),
    Action("next_pane", ("tab",), "next part", "Go to the next part.", PANES, footer=4),
    # find
    Action(
        "filter",
        ("slash",),
        "filter",
        "Show only what matches; applied while you type.",
        frozenset({"tasks", "workers", "flows", "events"}),
        footer=2,
    ),
    Action("find", ("slash", "ctrl+f"), "find", "Find a text on this page.", PAGERS, footer=2),
    Action("find_next", ("n",), "next match", "Go to the next match.", PAGERS),
    Action("find_previous", ("N",), "previous match", "Go to the match before.", PAGERS),
    # view
    Action("pause", ("p",), "pause", "Freeze the view; capture goes on.", footer=5),
    Action(
        "follow",
        ("f",),
        "follow",
        "Stay with the newest rows, or hold what is shown.",
        frozenset({"tasks", "events"}),
        footer=9,
    ),
    Action(
        "sort",
        ("s",),
        "sort",
        "Choose the column to sort by; the same again reverses.",
        SORTED,
        footer=8,
    ),
    Action("wide", ("w",), "wide", "All columns; scroll sideways with the arrows.", TASKS),
    Action(
        "hide_finished",
        ("full_stop",),
        "hide finished",
        "Leave out what is over.",
        frozenset({"tasks", "flows"}),
        footer=24,
    ),
    Action(
        "hide_gone",
        ("full_stop",),
        "hide gone",
        "Leave out those that said good-bye.",
        WORKERS,
        footer=24,
    ),
    Action(
        "fold_workers",
        ("f",),
        "fold",
        "Show the workers of a host or a deployment as one row; enter opens it.",
        WORKERS,
        footer=23,
    ),
    Action(
        "preview",
        ("i",),
        "preview",
        "Show or hide the preview of the task under the cursor.",
        TASKS,
    ),
    Action("zoom", ("z",), "zoom", "Give the list or the preview the whole screen.", TASKS),
    Action(
        "traceback",
        ("t",),
        "traceback",
        "Open the task at its traceback.",
        frozenset({"tasks", "failures", "flow"}),
        footer=3,
    ),
    Action(
        "times",
        ("ctrl+t",),
        "times",
        "Show ages, local times or UTC.",
        frozenset({"tasks", "schedules", "events"}),
    ),
    Action(
        "hide_beats",
        ("full_stop",),
        "hide heartbeats",
        "Leave out heartbeats.",
        frozenset({"events"}),
        footer=24,
    ),
    Action(
        "culprit",
        ("x",),
        "what holds it up",
        "Go to the task that failed, or that all others wait for.",
        frozenset({"flow"}),
        footer=4,
    ),
    Action(
        "fold_flow",
        ("f",),
        "fold",
        "Fold parts that are alike, or show them all.",
        frozenset({"flow"}),
        footer=9,
    ),
    Action(
        "flow",
        ("u",),
        "flow",
        "Show the flow that the task belongs to: parent, children, group.",
        TASKISH | {"schedules"},
        footer=32,
    ),
    Action(
        "only_type",
        ("x",),
        "only this type",
        "Show only events of this type; again shows all.",
        frozenset({"events"}),
        footer=10,
    ),
    Action(
        "subject",
        ("t",),
        "its task",
        "Open the task or the worker that the event is about.",
        frozenset({"events", "event"}),
        footer=3,
    ),
    Action(
        "result", ("r",), "result", "Open the task at its arguments and result.", TASKS, footer=10
    ),
    Action(
        "fold",
        ("f",),
        "fold",
        "Fold or show the frames of libraries.",
        frozenset({"task"}),
        footer=3,
    ),
    Action(
        "wrap",
        ("w",),
        "wrap",
        "Break long lines or let them run on.",
        frozenset({"task"}),
        footer=4,
    ),
    Action("refresh", ("ctrl+r",), "ask again", "Ask workers and broker again now."),
    # select
    Action("mark", ("space",), "mark", "Mark the row for an action on many.", TASKS, footer=30),
    Action("mark_all", ("asterisk",), "mark all", "Mark all matching rows.", TASKS),
    Action("unmark", ("backslash",), "unmark", "Clear all marks.", TASKS),
    # copy
    Action(
        "copy",
        ("y",),
        "copy",
        "Copy an id, arguments, a traceback or the command line.",
        COPIED,
        footer=31,
    ),
    Action(
        "export", ("e",), "export", "Write these rows to a file, one JSON object a line.", LISTS
    ),
    Action("screenshot", ("ctrl+s",), "screenshot", "Write this screen to an SVG file."),
    # command
    Action(
        "prompt", ("colon",), "command", "Type a command: a screen, a filter, an action.", footer=7
    ),
    Action("palette", ("ctrl+p",), "palette", "Find an action by name."),
    Action("help", ("question_mark",), "help", "The keys of this screen.", footer=6),
    Action("theme", (), "theme", "Next colour theme."),
    Action("slowest", (), "slowest", "The tasks that ran longest, or run longest now."),
    Action("stuck", (), "stuck", "Tasks that a worker or a queue holds for minutes."),
    Action("unreceived", (), "unreceived", "Tasks sent and not received, the oldest first."),
    # replies
    Action(
        "ask_again",
        ("a",),
        "ask again",
        "Ask those who did not answer, and wait longer.",
        frozenset({"replies"}),
        footer=2,
    ),
    # acts on tasks
    Action(
        "resend",
        ("R",),
        "resend",
        "Send the task, the marked tasks or the group's failed tasks again, under new ids.",
        TASKISH | {"failures"},
        1,
        50,
    ),
    Action(
        "revoke",
        ("C", "c"),
        "revoke",
        "Tell workers not to run the task.",
        TASKISH | {"schedules"},
        1,
        50,
    ),
    Action(
        "terminate", ("X",), "terminate", "Kill the process that runs the task.", TASKISH, 2, 51
    ),
    Action(
        "rate_limit",
        ("L", "l"),
        "rate limit",
        "Limit how often workers start tasks of this name.",
        TASKISH,
        1,
        52,
    ),
    # acts on queues
    Action(
        "hold",
        ("H",),
        "hold/resume",
        "Tell the queue's workers to take no more from it; again tells them to go on.",
        QUEUEISH,
        2,
        50,
    ),
    Action("purge", ("P",), "purge", "Delete what waits in the queue.", QUEUEISH, 3, 51),
    # acts on workers
    Action("ping", ("I",), "ping", "Ask the worker whether it lives.", WORKERS, 0, 50),
    Action("grow", ("plus",), "grow", "Add a slot to the worker's pool.", WORKERS, 1, 51),
    Action(
        "shrink", ("underscore",), "shrink", "Remove a slot from the worker's pool.", WORKERS, 1, 52
    ),
    Action(
        "enable_events", ("V",), "events on", "Tell the worker to send task events.", WORKERS, 2, 53
    ),
    Action(
        "shutdown", ("K",), "shutdown", "Stop the worker after the tasks it runs.", WORKERS, 2, 54
    ),
)


def available(screen: str, read_only: bool) -> list[Action]:
    """Return the actions offered on a screen."""
    return [
        action
        for action in ACTIONS
        if (not action.screens or screen in action.screens) and not (read_only and action.acts)
    ]


def for_key(screen: str, key: str, read_only: bool) -> Action | None:
    """Return what a key does on a screen; what the screen says itself goes first."""
    found = [action for action in available(screen, read_only) if key in action.keys]
    return min(found, key=lambda action: not action.screens, default=None)


def named(name: str, actions: Iterable[Action] = ACTIONS) -> Action | None:
    """Return an action by its name or the unique beginning of it."""
    exact = [action for action in actions if action.name == name]
    begins = exact or [action for action in actions if action.name.startswith(name)]
    return begins[0] if len(begins) == 1 else None
