"""One task in full."""

from typing import ClassVar

from tq.monitor import TaskInfo
from tqconsole.tui.model.detail import (
    argument_lines,
    heading,
    summary_lines,
    timeline_lines,
    traceback_lines,
)
from tqconsole.tui.model.format import Cell, duration, state_style
from tqconsole.tui.model.task_columns import short_id
from tqconsole.tui.model.task_fields import Context, runtime_of
from tqconsole.tui.screens.base import Console
from tqconsole.tui.screens.sections import SectionsScreen
from tqconsole.tui.screens.task_acts import TaskActs

__all__ = ["TaskScreen"]


class TaskScreen(SectionsScreen, TaskActs):
    """Summary, timeline, arguments, result and traceback of a task on one page."""

    key: ClassVar[str] = "task"
    sections = (
        ("1", "summary", "Summary"),
        ("2", "timeline", "Timeline"),
        ("3", "arguments", "Args/Result"),
        ("4", "traceback", "Traceback"),
    )

    def __init__(self, console: Console, task_id: str, section: str = "summary") -> None:
        """Show the task with this id, from `section` on."""
        super().__init__(console, section)
        self.task_id = task_id
        self.folded = True
        self.wrap = True
        self._starts: dict[str, int] = {}
        self._shown: object = None
        self._jump = True
        self._last: TaskInfo | None = console.source.state.tasks.get(task_id)

    def tab_of(self) -> str:
        """Belong to Tasks."""
        return "tasks"

    def crumbs(self) -> tuple[str, ...]:
        """Name the task."""
        task = self.current()
        return ("tasks", f"{short_id(self.task_id)} {(task.name if task else None) or ''}".strip())

    def current(self) -> TaskInfo | None:
        """Return the task; the last that was known of it when the state has dropped it."""
        if not self.console.paused:
            self._last = self.console.source.state.tasks.get(self.task_id, self._last)
        return self._last

    def targets(self) -> list[TaskInfo]:
        """Return the task."""
        task = self.current()
        return [task] if task is not None else []

    def draw_body(self) -> None:
        """Write the page again if the task changed or runs."""
        task = self.current()
        without = ("traceback",) if task is not None and not task.traceback else ()
        self.show_sections(self._news(task), without=without)
        if task is None:
            self.pager.show([[Cell(" this task is not known any more", "warning")]])
            return
        second = int(self.console.now)
        shown = (task.version, self.folded, self.wrap, self.pager.size.width, second)
        if shown == self._shown:
            return
        self._shown = shown
        self.pager.show(self._page(task))
        if self._jump:
            self._jump = False
            self.do_section(self.section)

    def _page(self, task: TaskInfo) -> list[list[Cell]]:
        symbols, width = self.console.symbols, max(20, self.pager.size.width - 1)
        source = self.console.source
        context = Context(self.console.now, source.state.status, limits=source.limits)
        lines: list[list[Cell]] = []
        self._starts = {"summary": 0}
        lines.extend(summary_lines(task, context, width, symbols))
        self._begin(lines, "timeline", "timeline", width)
        lines.extend(timeline_lines(task, symbols, width))
        self._begin(lines, "arguments", "arguments and result", width)
        lines.extend(argument_lines(task, width))
        wrap = width if self.wrap else None
        trace, hidden = traceback_lines(task.traceback, self.folded, symbols, wrap)
        total = (task.traceback or "").count("\n") + 1 if task.traceback else 0
        note = f"{total} lines" + (f", {hidden} frames folded" if hidden else "")
        self._begin(lines, "traceback", "traceback", width, note if trace else "")
        lines.extend(trace or [[Cell(" none: the task has not failed", "muted")]])
        return lines

    def _begin(
        self, lines: list[list[Cell]], name: str, title: str, width: int, note: str = ""
    ) -> None:
        lines.append([])
        self._starts[name] = len(lines)
        lines.append(heading(title, width, self.console.symbols, note))

    def _news(self, task: TaskInfo | None) -> list[Cell]:
        """Say how the task stands."""
        if task is None:
            return []
        state = self.console.source.state.status(task, self.console.now)
        news = [Cell(f"   {self.console.symbols.state(state)} {state}", state_style(state))]
        seconds = runtime_of(task, self.console.now)
        return news if seconds is None else [*news, Cell(f"  {duration(seconds)}")]

    def do_section(self, name: str) -> None:
        """Go to a section of the page."""
        self.pager.scroll_ends(end=False)
        self.pager.scroll_lines(self._starts.get(name, 0))

    def do_fold(self) -> None:
        """Fold or show the frames of libraries."""
        self.folded = not self.folded
        self.tick()

    def do_wrap(self) -> None:
        """Break long lines, or let them run on."""
        self.wrap = not self.wrap
        self.pager.scrolled = 0
        self.tick()

    def do_copy(self) -> None:
        """Ask what to copy of the task."""
        task = self.current()
        if task is not None:
            self.ask_copy(task)
