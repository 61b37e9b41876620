"""What can be done to tasks, from the list and from the detail."""

from collections import Counter
from collections.abc import Callable, Iterable

from tq.monitor import TaskInfo
from tqconsole.tui.model.equivalents import control_line
from tqconsole.tui.model.format import Cell, age, clip, count
from tqconsole.tui.model.masking import masked
from tqconsole.tui.model.task_columns import short_id
from tqconsole.tui.model.task_fields import age_of
from tqconsole.tui.screens.base import ConsoleScreen
from tqconsole.tui.screens.confirm import Confirmation, ConfirmScreen
from tqconsole.tui.widgets.prompt import Question, Typing

__all__ = ["TaskActs"]

_SIGNALS = {"t": "SIGTERM", "k": "SIGKILL", "i": "SIGINT", "q": "SIGQUIT", "u": "SIGUSR1"}
_OVER = frozenset({"SUCCESS", "FAILURE", "REVOKED"})


class TaskActs(ConsoleScreen):
    """Revoke, terminate, rate limit and copy; `targets` says for which tasks."""

    def current(self) -> TaskInfo | None:
        """Return the task that actions on one task mean."""
        raise NotImplementedError

    def targets(self) -> list[TaskInfo]:
        """Return the tasks that actions on many mean."""
        raise NotImplementedError

    def _chosen(self) -> list[TaskInfo]:
        tasks = self.targets()
        if not tasks:
            self.say("no task chosen: j or a click chooses one")
        return tasks

    def refocus(self) -> None:
        """Give the focus back to the screen's main widget."""
        widget = self.main()
        if widget is not None:
            widget.focus()

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
        arguments = {"task_id": [task.uuid for task in tasks], "terminate": False}
        if len(tasks) > 1 or tasks[0].state == "STARTED":
            self._confirm_many("REVOKE", "revoke", tasks, arguments, _REVOKE_EFFECT)
            return
        task = tasks[0]
        single = {"task_id": task.uuid, "terminate": False}
        self._ask(f"revoke {short_id(task.uuid)} ({task.name})?", "revoke", single)

    def _ask(self, question: str, method: str, arguments: dict[str, object]) -> None:
        """Ask on one line, with the equivalent command line below."""
        cells = (
            Cell(f" {question} ", "warning-bold"),
            Cell("y", "key"),
            Cell("/", "muted"),
            Cell("N", "bold"),
        )
        self.note = Cell(f"$ {control_line(method, arguments, None)}", "muted")
        self.prompt.ask(
            Question(cells, {"y": lambda: self._send(method, arguments)}, self._not_sent)
        )
        self.draw_frame()

    def _send(self, method: str, arguments: dict[str, object]) -> None:
        self.unsay()
        self.refocus()
        self.console.act(method, arguments, None)

    def _not_sent(self) -> None:
        self.refocus()
        self.say("cancelled, nothing was sent", "muted")

    def _confirm_many(
        self,
        verb: str,
        method: str,
        tasks: list[TaskInfo],
        arguments: dict[str, object],
        effect: tuple[str, ...],
    ) -> None:
        """Ask in a window that says what will be touched."""
        confirmation = Confirmation(
            title=f"{verb} {_tasks(len(tasks))}",
            context=self.console.source.context,
            lines=tuple(self._breakdown(tasks)),
            effect=effect,
            equivalent=control_line(method, arguments, None),
            word=str(len(tasks)) if len(tasks) > 1 else short_id(tasks[0].uuid),
        )

        def decided(yes: bool | None) -> None:
            if yes:
                self._send(method, arguments)
            else:
                self._not_sent()

        self.app.push_screen(
            ConfirmScreen(confirmation, self.console.palette, self.console.symbols), decided
        )

    def _breakdown(self, tasks: list[TaskInfo]) -> list[tuple[str, str]]:
        """Count what will be touched, and show two of it."""
        state = self.console.source.state
        now = self.console.now
        lines = [
            ("by state", _counts(state.status(task, now).lower() for task in tasks)),
            ("by worker", _counts(task.worker or "?" for task in tasks)),
            ("by name", _counts(task.name or "?" for task in tasks)),
        ]
        if len(tasks) == 1:
            task = tasks[0]
            lines = [
                ("task", task.name or "?"),
                ("id", task.uuid),
                ("state", state.status(task, now)),
                ("worker", task.worker or "?"),
            ]
        for number, task in enumerate(tasks[:2]):
            words = f"{clip(masked(task.args) or '?', 30)}  {age(age_of(task, now))} old"
            if len(tasks) == 1:
                lines.append(("args", words))
                continue
            if number == 1 and len(tasks) > 2:
                words += f"   {self.console.symbols.ellipsis} {count(len(tasks) - 2)} more"
            lines.append(("first" if number == 0 else "", f"{short_id(task.uuid)}  {words}"))
        return lines

    # Terminate

    def do_terminate(self) -> None:
        """Ask for the signal, then in a window, then kill the processes that run the tasks."""
        tasks = [task for task in self._chosen() if task.state not in _OVER]
        if not tasks:
            if self.targets():
                self.say("already over: nothing to terminate")
            return
        cells = [Cell(f" terminate {_tasks(len(tasks))} with ", "warning-bold")]
        for letter, signal in _SIGNALS.items():
            cells += [Cell(f" {letter}", "key"), Cell(f" {signal}", "muted")]
        answers: dict[str, Callable[[], None]] = {
            letter: self._terminator(tasks, signal) for letter, signal in _SIGNALS.items()
        }
        answers["enter"] = answers["t"]
        self.prompt.ask(Question(tuple(cells), answers, self._not_sent))

    def _terminator(self, tasks: list[TaskInfo], signal: str) -> Callable[[], None]:
        ids: object = tasks[0].uuid if len(tasks) == 1 else [task.uuid for task in tasks]
        arguments: dict[str, object] = {"task_id": ids, "terminate": True, "signal": signal}
        effect = (
            f"The pool process that runs the task gets {signal}; what it did",
            "so far is not undone. Tasks not started yet are revoked.",
            "Thread and asyncio pools cannot kill a task by signal.",
        )
        return lambda: self._confirm_many("TERMINATE", "revoke", tasks, arguments, effect)

    # Rate limit

    def do_rate_limit(self) -> None:
        """Let the user type a rate for the task's name, then ask."""
        task = self.current()
        if task is None or not task.name:
            self.say("no task chosen: j or a click chooses one")
            return
        name = task.name
        self.note = Cell("such as 10/s, 100/m, 5/h; 0 lifts the limit", "muted")
        self.prompt.type_line(
            Typing(
                mark=f"rate limit of {clip(name, 40)}:",
                done=lambda text: self._rate(name, text),
                cancelled=self._not_sent,
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
        self._ask(
            f"limit {name} to {rate} per worker?",
            "rate_limit",
            {"task_name": name, "rate_limit": rate},
        )

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
            "t": ("traceback", task.traceback or ""),
            "c": ("command", f"tq result {task.uuid}"),
        }
        cells = [Cell(" copy ", "bold")]
        answers: dict[str, Callable[[], None]] = {}
        for letter, (what, text) in choices.items():
            if text:
                cells += [Cell(f" {letter}", "key"), Cell(f" {what}", "muted")]
                answers[letter] = self._copier(text, what)
        answers["y"] = answers["i"]
        self.prompt.ask(Question(tuple(cells), answers, self.refocus))

    def _copier(self, text: str, what: str) -> Callable[[], None]:
        def copy() -> None:
            self.refocus()
            self.console.copy_text(text, what)

        return copy


_REVOKE_EFFECT = (
    "Workers keep these ids in memory and skip the tasks when they come.",
    "Tasks already started are NOT stopped (X terminates those).",
    "Not undoable. Workers that join later learn it from the others.",
)


def _tasks(number: int) -> str:
    return "1 task" if number == 1 else f"{count(number)} tasks"


def _counts(values: Iterable[str]) -> str:
    found = Counter(values).most_common()
    words = [f"{value} {count(number)}" for value, number in found[:4]]
    if len(found) > 4:
        words.append(f"and {len(found) - 4} others")
    return "   ".join(words)
