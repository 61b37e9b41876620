"""The columns of the Tasks screen: what each shows of a task, and how it sorts."""

import time

from tq.monitor import TaskInfo
from tqconsole.tui.model.columns import Column
from tqconsole.tui.model.format import UNKNOWN, Cell, Glyphs, age, clock, duration, state_style
from tqconsole.tui.model.masking import masked
from tqconsole.tui.model.task_fields import Context, age_of, runtime_of, tries_of

__all__ = ["short_id", "task_columns"]


def short_id(task_id: str) -> str:
    """Return the part of an id that fits a column."""
    return task_id[:8]


def task_columns(context: Context, symbols: Glyphs, times: str) -> list[Column[TaskInfo]]:
    """Return the columns of the Tasks screen.

    Args:
        context: What the cells look at beside the task; read at each drawing.
        symbols: The glyphs in use.
        times: How the age column is shown: `age`, `local` or `utc`.
    """

    def state(task: TaskInfo) -> Cell:
        name = context.state(task)
        return Cell(f"{symbols.state(name)} {name}", state_style(name))

    def name(task: TaskInfo) -> Cell:
        return Cell(task.name, "") if task.name else Cell(UNKNOWN, "muted")

    def run(task: TaskInfo) -> Cell:
        seconds = runtime_of(task, context.now)
        if seconds is None:
            return Cell("-", "muted")
        if context.state(task) == "ORPHAN":
            return Cell(f">{duration(seconds)}", "error")
        return Cell(duration(seconds), "started" if task.state == "STARTED" else "")

    def first_seen(task: TaskInfo) -> Cell:
        seconds = age_of(task, context.now)
        if times == "age" or seconds is None:
            return Cell(age(seconds), "muted")
        moment = context.now - seconds
        shift = time.localtime(moment).tm_gmtoff if times == "local" else 0
        return Cell(clock(moment, shift), "muted")

    def tries(task: TaskInfo) -> Cell:
        number = tries_of(task)
        return Cell(str(number), "retry" if number else "muted")

    def arguments(task: TaskInfo) -> Cell:
        kwargs = "" if task.kwargs in (None, "{}") else f" {masked(task.kwargs)}"
        return Cell(f"  {masked(task.args) or UNKNOWN}{kwargs}", "muted")

    def text(value: str | None) -> Cell:
        return Cell(value) if value else Cell(UNKNOWN, "muted")

    return [
        Column("state", "  STATE", state, 10, rank=1, sort=lambda task: context.state(task)),
        Column("name", "NAME", name, 10, 60, rank=0, sort=lambda task: task.name or ""),
        Column("id", "ID", lambda task: Cell(short_id(task.uuid), "muted"), 8, rank=4),
        Column(
            "worker",
            "WORKER",
            lambda task: text(task.worker),
            8,
            40,
            rank=2,
            sort=lambda task: task.worker or "",
        ),
        Column(
            "queue",
            "QUEUE",
            lambda task: text(task.queue),
            5,
            24,
            rank=5,
            sort=lambda task: task.queue or "",
        ),
        Column(
            "age",
            {"age": "AGE", "local": "SEEN", "utc": "SEEN Z"}[times],
            first_seen,
            6 if times == "age" else 8,
            rank=3,
            right=True,
        ),
        Column(
            "run",
            "RUN",
            run,
            6,
            7,
            rank=2,
            right=True,
            sort=lambda task: -(runtime_of(task, context.now) or -1.0),
        ),
        Column("tries", "TRY", tries, 3, rank=6, right=True, sort=lambda task: -tries_of(task)),
        Column("args", "  ARGS", arguments, 12, 60, rank=9, extra=True),
    ]
