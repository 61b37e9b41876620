"""What can be done to tasks, from the list and from the detail."""

from collections.abc import Callable
from dataclasses import replace

from tq.monitor import TaskInfo
from tqconsole.tui.model.acts import Act, breakdown, counted, listing
from tqconsole.tui.model.equivalents import control_line
from tqconsole.tui.model.format import Cell, clip
from tqconsole.tui.model.masking import masked
from tqconsole.tui.model.task_columns import short_id
from tqconsole.tui.screens.resend_acts import ResendActs
from tqconsole.tui.widgets.prompt import Question, Typing

__all__ = ["TaskActs"]

_SIGNALS = {"t": "SIGTERM", "k": "SIGKILL", "i": "SIGINT", "q": "SIGQUIT", "u": "SIGUSR1"}
_OVER = frozenset({"SUCCESS", "FAILURE", "REVOKED"})


class TaskActs(ResendActs):
    """Revoke, terminate, resend, rate limit and copy; `targets` says for which tasks."""

    def current(self) -> TaskInfo | None:
        """Return the task that actions on one task mean."""
        raise NotImplementedError

    def targets(self) -> list[TaskInfo]:
        """Return the tasks that actions on many mean."""
        raise NotImplementedError

    def chosen_by_filter(self) -> bool:
        """Tell whether a filter chose them, and not the user one by one."""
        return False

    def nothing_chosen(self, noun: str) -> None:
        """Say that there is nothing to act on."""
        self.say(f"nothing to act on: no {noun} is known here")

    def _chosen(self) -> list[TaskInfo]:
        tasks = self.targets()
        if not tasks:
            self.nothing_chosen("task")
        return tasks

    def resend_targets(self) -> list[TaskInfo]:
        """Return the tasks that would be sent again."""
        return self._chosen()

    # Revoke

    def do_revoke(self) -> None:
        """Ask, then tell workers not to run the tasks."""
        tasks = self._chosen()
        if not tasks:
            return
        over = [task for task in tasks if task.state in _OVER]
        if len(over) == len(tasks):
            what = short_id(tasks[0].uuid) if len(tasks) == 1 else f"all {len(tasks)}"
            self.say(f"{what} already over ({tasks[0].state}): nothing to revoke")
            return
        tasks = [task for task in tasks if task.state not in _OVER]
        ids: object = tasks[0].uuid if len(tasks) == 1 else [task.uuid for task in tasks]
        tier = 2 if len(tasks) > 1 or tasks[0].state == "STARTED" else 1
        self._ask("revoke", tasks, {"task_id": ids, "terminate": False}, tier, _REVOKE_EFFECT)

    def _ask(
        self,
        verb: str,
        tasks: list[TaskInfo],
        arguments: dict[str, object],
        tier: int,
        effect: tuple[str, ...],
    ) -> None:
        """Ask, then send a revocation of the tasks as they are now."""
        console, first = self.console, tasks[0]
        state, now = console.source.state, console.now
        single = len(tasks) == 1
        act = Act(
            tier=tier,
            question=f"{verb} {short_id(first.uuid)} ({first.name})?",
            title=f"{verb.upper()} {counted(len(tasks))}",
            lines=tuple(breakdown(tasks, state, now, console.symbols.ellipsis)),
            effect=effect,
            equivalent=control_line("revoke", arguments, None),
            word=short_id(first.uuid) if single else str(len(tasks)),
            listing=() if single else listing(tasks, state, now),
        )
        if tier > 2:
            act = replace(act, word=console.source.context)
        self.ask_first(act, lambda: console.act("revoke", arguments, None))

    # Terminate

    def do_terminate(self) -> None:
        """Ask for the signal, then in a window, then kill the processes that run the tasks."""
        tasks = [task for task in self._chosen() if task.state not in _OVER]
        if not tasks:
            if self.targets():
                self.say("already over: nothing to terminate")
            return
        cells = [Cell(f" terminate {counted(len(tasks))} with ", "warning-bold")]
        for letter, signal in _SIGNALS.items():
            cells += [Cell(f" {letter}", "key"), Cell(f" {signal}", "muted")]
        answers: dict[str, Callable[[], None]] = {
            letter: self._terminator(tasks, signal) for letter, signal in _SIGNALS.items()
        }
        answers["enter"] = answers["t"]
        self.prompt.ask(Question(tuple(cells), answers, self.not_sent))

    def _terminator(self, tasks: list[TaskInfo], signal: str) -> Callable[[], None]:
        ids: object = tasks[0].uuid if len(tasks) == 1 else [task.uuid for task in tasks]
        arguments: dict[str, object] = {"task_id": ids, "terminate": True, "signal": signal}
        effect = (
            f"The pool process that runs the task gets {signal}; what it did",
            "so far is not undone. Tasks not started yet are revoked.",
            "Thread and asyncio pools cannot kill a task by signal.",
        )
        tier = 3 if self.chosen_by_filter() else 2
        return lambda: self._ask("terminate", tasks, arguments, tier, effect)

    # Rate limit

    def do_rate_limit(self) -> None:
        """Let the user type a rate for the task's name, then ask."""
        task = self.current()
        if task is None or not task.name:
            self.nothing_chosen("task")
            return
        name = task.name
        self.note = Cell("such as 10/s, 100/m, 5/h; 0 lifts the limit", "muted")
        self.prompt.type_line(
            Typing(
                mark=f"rate limit of {clip(name, 40)}:",
                done=lambda text: self._rate(name, text),
                cancelled=self.not_sent,
            )
        )
        self.draw_frame()

    def _rate(self, name: str, text: str) -> None:
        rate = text.strip()
        number, _, unit = rate.partition("/")
        if not number.replace(".", "", 1).isdigit() or (unit and unit not in ("s", "m", "h")):
            self.say(f"{rate!r} is no rate: 10/s, 100/m, 5/h, or 0 for none", "error")
            self.refocus()
            return
        arguments = {"task_name": name, "rate_limit": rate}
        act = Act(
            tier=1,
            question=f"limit {name} to {rate} per worker?",
            title="RATE LIMIT",
            lines=(),
            effect=(),
            equivalent=control_line("rate_limit", arguments, None),
            word=name,
        )
        self.ask_first(act, lambda: self.console.act("rate_limit", arguments, None))

    # Copy

    def do_failure_group(self) -> None:
        """Go to the group of this task's failure."""
        task = self.current()
        group = self.console.insight.failures.of(task) if task is not None else None
        if group is None:
            self.say("this task has not failed")
            return
        if self.key == "task":
            self.dismiss()
        self.console.show_row("failures", group.key)

    def ask_copy(self, task: TaskInfo) -> None:
        """Ask what to copy of a task."""
        choices = {
            "i": ("id", task.uuid),
            "a": ("args", f"{masked(task.args)} {masked(task.kwargs)}".strip()),
            "t": ("traceback", masked(task.traceback)),
            "c": ("command", f"tq result {task.uuid}"),
        }
        self.ask_what_to_copy(choices, "i")


_REVOKE_EFFECT = (
    "Workers keep these ids in memory and skip the tasks when they come.",
    "Tasks already started are NOT stopped (X terminates those).",
    "Not undoable. Workers that join later learn it from the others.",
)
