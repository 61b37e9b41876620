"""The columns of the Tasks screen: what each shows of a task, and how it sorts."""

import time

from tq.monitor import TaskInfo
from tqconsole.tui.model.columns import Column
from tqconsole.tui.model.format import UNKNOWN, Cell, Glyphs, age, clock, duration, state_style
from tqconsole.tui.model.masking import masked
from tqconsole.tui.model.task_fields import (
    NEAR_LIMIT,
    Context,
    age_of,
    limit_share,
    runtime_of,
    tries_of,
)

__all__ = ["short_id", "task_columns"]


def short_id(task_id: str) -> str:
    """Return the part of an id that fits a column."""
    return task_id[:8]


class _Cells:
    """Makes the cells of tasks."""

    def __init__(self, context: Context, symbols: Glyphs, times: str) -> None:
        self._context = context
        self._symbols = symbols
        self._times = times

    def state(self, task: TaskInfo) -> Cell:
        name = self._context.state(task)
        return Cell(f"{self._symbols.state(name)} {name}", state_style(name))

    def run(self, task: TaskInfo) -> Cell:
        seconds = runtime_of(task, self._context.now)
        if seconds is None:
            return Cell("-", "muted")
        if self._context.state(task) == "ORPHAN":
            return Cell(f">{duration(seconds)}", "error")
        return Cell(duration(seconds), "started" if task.state == "STARTED" else "")

    def first_seen(self, task: TaskInfo) -> Cell:
        now = self._context.now
        seconds = age_of(task, now)
        if self._times == "age" or seconds is None:
            return Cell(age(seconds), "muted")
        moment = now - seconds
        shift = time.localtime(moment).tm_gmtoff if self._times == "local" else 0
        return Cell(clock(moment, shift), "muted")

    def wait(self, task: TaskInfo) -> Cell:
        begin = task.sent if task.sent is not None else task.received
        if begin is None or task.started is None:
            return Cell("-", "muted")
        spent = duration(max(0.0, task.started - begin))
        # without its sending only the wait in the worker's hands is known
        return Cell(spent) if task.sent is not None else Cell(f">{spent}", "muted")

    def limit(self, task: TaskInfo) -> Cell:
        share = limit_share(task, self._context.limits, self._context.now)
        if share is None:
            return Cell("-", "muted")
        return Cell(f"{share * 100:.0f}%", "warning" if share >= NEAR_LIMIT else "")


def _tries(task: TaskInfo) -> Cell:
    number = tries_of(task)
    return Cell(str(number), "retry" if number else "muted")


def _arguments(task: TaskInfo) -> Cell:
    kwargs = "" if task.kwargs in (None, "{}") else f" {masked(task.kwargs)}"
    return Cell(f"  {masked(task.args) or UNKNOWN}{kwargs}", "muted")


def _text(value: str | None) -> Cell:
    return Cell(value) if value else Cell(UNKNOWN, "muted")


def task_columns(context: Context, symbols: Glyphs, times: str) -> list[Column[TaskInfo]]:
    """Return the columns of the Tasks screen.

    Args:
        context: What the cells look at beside the task; read at each drawing.
        symbols: The glyphs in use.
        times: How the age column is shown: `age`, `local` or `utc`.
    """
    cells = _Cells(context, symbols, times)
    return [
        Column("state", "  STATE", cells.state, 10, rank=1, sort=lambda task: context.state(task)),
        Column(
            "name",
            "NAME",
            lambda task: _text(task.name),
            10,
            60,
            rank=0,
            sort=lambda task: task.name or "",
        ),
        Column("id", "ID", lambda task: Cell(short_id(task.uuid), "muted"), 8, rank=4),
        Column(
            "worker",
            "WORKER",
            lambda task: _text(task.worker),
            8,
            40,
            rank=2,
            sort=lambda task: task.worker or "",
        ),
        Column(
            "queue",
            "QUEUE",
            lambda task: _text(task.queue),
            5,
            24,
            rank=5,
            sort=lambda task: task.queue or "",
        ),
        Column(
            "age",
            {"age": "AGE", "local": "SEEN", "utc": "SEEN Z"}[times],
            cells.first_seen,
            6 if times == "age" else 8,
            rank=3,
            right=True,
        ),
        Column(
            "run",
            "RUN",
            cells.run,
            6,
            7,
            rank=2,
            right=True,
            sort=lambda task: -(runtime_of(task, context.now) or -1.0),
        ),
        Column("wait", "WAIT", cells.wait, 6, 7, rank=8, right=True),
        Column("limit", "%LIM", cells.limit, 4, rank=8, right=True, extra=True),
        Column("tries", "TRY", _tries, 3, rank=6, right=True, sort=lambda task: -tries_of(task)),
        Column("args", "  ARGS", _arguments, 12, 60, rank=9, extra=True),
    ]
