"""One worker in full: its pool, tasks, queues, registered tasks and configuration."""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from tq.errors import TQError
from tq.monitor import WorkerInfo
from tqconsole.tui.model.advice import explain_silence
from tqconsole.tui.model.format import Cell, heartbeat_age
from tqconsole.tui.model.sent import SentCommand
from tqconsole.tui.model.worker_pages import (
    conf_lines,
    pool_lines,
    queue_lines,
    registered_lines,
    task_lines,
)
from tqconsole.tui.model.workers import status_cell
from tqconsole.tui.screens.base import Console
from tqconsole.tui.screens.sections import SectionsScreen

__all__ = ["WorkerScreen"]

# What each page asks the worker when it is opened, besides what is asked all the time.
_ASKED = {"tasks": ("reserved", "scheduled", "revoked"), "conf": ("conf",)}
_ASK_AGAIN = 30.0


class WorkerScreen(SectionsScreen):
    """What a worker said of itself, on five pages."""

    key: ClassVar[str] = "worker"
    sections = (
        ("1", "pool", "Pool"),
        ("2", "tasks", "Tasks"),
        ("3", "queues", "Queues"),
        ("4", "registered", "Registered"),
        ("5", "conf", "Conf"),
    )

    def __init__(self, console: Console, hostname: str, section: str = "pool") -> None:
        """Show the worker of this node name."""
        super().__init__(console, section)
        self.hostname = hostname
        self._asked: dict[str, SentCommand] = {}

    def tab_of(self) -> str:
        """Belong to Workers."""
        return "workers"

    def crumbs(self) -> tuple[str, ...]:
        """Name the worker."""
        return ("workers", self.hostname)

    def current(self) -> WorkerInfo | None:
        """Return the worker, if it is still known."""
        return self.console.source.state.workers.get(self.hostname)

    def draw_body(self) -> None:
        """Write the page as things stand."""
        console = self.console
        worker = self.current()
        self.show_sections(self._news(worker), self.section)
        if console.paused:
            return
        if worker is None:
            self.pager.show([[], [Cell(" this worker is not known any more", "warning")]])
            return
        self._ask_for(self.section)
        width = max(20, self.pager.size.width - 1)
        pages: Mapping[str, Callable[[WorkerInfo, int], list[list[Cell]]]] = {
            "pool": self._pool,
            "tasks": self._tasks,
            "queues": self._queues,
            "registered": self._registered,
            "conf": self._conf,
        }
        self.pager.show(pages[self.section](worker, width))

    def _pool(self, worker: WorkerInfo, width: int) -> list[list[Cell]]:
        console = self.console
        return pool_lines(
            worker,
            console.source.state.worker_status(worker, console.now),
            console.source.facts(self.hostname),
            console.now,
            width,
            console.symbols,
        )

    def _tasks(self, worker: WorkerInfo, width: int) -> list[list[Cell]]:
        console = self.console
        replies = {name: self._reply(name) for name in _ASKED["tasks"]}
        running = console.insight.running.of_worker(self.hostname)
        return task_lines(running, replies, console.now, width, console.symbols)

    def _queues(self, worker: WorkerInfo, width: int) -> list[list[Cell]]:
        facts = self.console.source.facts(self.hostname)
        return queue_lines(facts, self.console.source.queues, width, self.console.symbols)

    def _registered(self, worker: WorkerInfo, width: int) -> list[list[Cell]]:
        facts = self.console.source.facts(self.hostname)
        state = self.console.source.state
        return registered_lines(facts, state.names, width, self.console.symbols)

    def _conf(self, worker: WorkerInfo, width: int) -> list[list[Cell]]:
        return conf_lines(self._reply("conf"), width)

    # Asking

    def _ask_for(self, section: str) -> None:
        """Ask the worker what the page shows and nobody has asked lately."""
        now = self.console.now
        for method in _ASKED.get(section, ()):
            sent = self._asked.get(method)
            if sent is not None and now - sent.sent_at < _ASK_AGAIN:
                continue
            arguments: dict[str, Any] = {"with_defaults": False} if method == "conf" else {}
            try:
                self._asked[method] = self.console.source.send(method, arguments, [self.hostname])
            except TQError as error:
                self.say(f"{method}: {error}", "error")
                return

    def _reply(self, method: str) -> tuple[Any, str]:
        """Return what was answered to a question, or why there is nothing to show."""
        sent = self._asked.get(method)
        if sent is None:
            return None, "not asked yet"
        for answer in sent.answers:
            if answer.node == self.hostname:
                return (answer.value, "") if answer.ok else (None, answer.text)
        if sent.error:
            return None, sent.error
        now = self.console.now
        if not sent.overdue(now):
            return None, "asking"
        why = explain_silence(self.hostname, self.console.source.state, now)
        return None, f"no reply in {sent.timeout:g}s: {why}"

    def do_refresh(self) -> None:
        """Ask the worker again now."""
        self._asked.clear()
        self.console.source.refresh()
        self.say("asked the worker again", "muted")

    # Pages

    def _news(self, worker: WorkerInfo | None) -> list[Cell]:
        """Say how the worker is."""
        if worker is None:
            return []
        status = self.console.source.state.worker_status(worker, self.console.now)
        mark = status_cell(status, self.console.symbols)
        beat = heartbeat_age(worker.silence(self.console.now))
        return [
            Cell(f"   {mark.text} {status.value}", mark.style),
            Cell(f"  heartbeat {beat} ago", "muted"),
        ]

    def do_section(self, name: str) -> None:
        """Show a page."""
        self.section = name
        self.pager.scroll_ends(end=False)
        self.tick()

    def do_next_pane(self) -> None:
        """Go to the next page; after the last to the first."""
        names = [name for _, name, _ in self.sections]
        self.do_section(names[(names.index(self.section) + 1) % len(names)])

    def do_worker_tasks(self) -> None:
        """Show the tasks that the events told of this worker."""
        hostname = self.hostname
        self.dismiss()
        self.console.show_tasks(f'worker="{hostname}"')

    def do_copy(self) -> None:
        """Copy the page's text."""
        self.console.copy_text(self.hostname, "node name")
