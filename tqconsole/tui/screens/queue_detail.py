"""One queue in full: its figures, its workers, and the messages that come next."""

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult

from tq.monitor import WaitingTask
from tqconsole.tui.model.detail import heading
from tqconsole.tui.model.facts import QueueFacts
from tqconsole.tui.model.format import Cell, age, count
from tqconsole.tui.model.queues import message_lines, queue_lines
from tqconsole.tui.screens.base import Console
from tqconsole.tui.screens.pager import PagerScreen
from tqconsole.tui.screens.queue_acts import QueueActs

__all__ = ["QueueScreen"]

_LIMITS = (20, 100, 500)  # messages shown, and after each `m`
_LOOK_AGAIN = 5.0
_SENT_SHOWN = 20


class QueueScreen(PagerScreen, QueueActs):
    """A queue's figures and its next messages, on one page."""

    key: ClassVar[str] = "queue"

    def __init__(self, console: Console, name: str) -> None:
        """Show the queue of this name."""
        super().__init__(console)
        self.name_of_queue = name
        self.limit = _LIMITS[0]
        self._messages: Sequence[WaitingTask] | str | None = None
        self._asked_at: float | None = None

    def body(self) -> ComposeResult:
        """Give the page."""
        yield self.pager

    def tab_of(self) -> str:
        """Belong to Queues."""
        return "queues"

    def crumbs(self) -> tuple[str, ...]:
        """Name the queue."""
        return ("queues", self.name_of_queue)

    def queue(self) -> QueueFacts | None:
        """Return the queue, as it was counted last."""
        name = self.name_of_queue
        return next((queue for queue in self.console.source.queues if queue.name == name), None)

    def draw_body(self) -> None:
        """Write the page as things stand."""
        console, queue = self.console, self.queue()
        if console.paused and self._messages is not None:
            return
        if queue is None:
            self.pager.show([[], [Cell(" this queue is not known any more", "warning")]])
            return
        if self._asked_at is None or console.now - self._asked_at >= _LOOK_AGAIN:
            self._asked_at = console.now
            console.source.peek(queue.name, self.limit, self._take)
        width = max(20, self.pager.size.width - 1)
        symbols, state = console.symbols, console.source.state
        lines = queue_lines(queue, console.insight, state, console.now, width, symbols)
        shown = len(self._messages) if isinstance(self._messages, list | tuple) else 0
        note = f"{count(shown)} of {count(queue.ready)}" if shown else ""
        lines += [[], heading("messages that come next", width, symbols, note)]
        lines += message_lines(self._messages, width, symbols)
        if isinstance(self._messages, str):
            lines += self._sent_lines(queue)
        elif shown and shown < (queue.ready or 0) and self.limit < _LIMITS[-1]:
            lines.append([Cell(" m", "key"), Cell(" shows more", "muted")])
        self.pager.show(lines)

    def _take(self, found: Sequence[WaitingTask] | str) -> None:
        self._messages = found

    def _sent_lines(self, queue: QueueFacts) -> list[list[Cell]]:
        """List the tasks that events tell of, where the messages themselves cannot be seen."""
        waiting = self.console.insight.trends.waiting(queue.name)
        if not waiting:
            return []
        tasks, now = self.console.source.state.tasks, self.console.now
        lines = [
            [Cell(f" events tell of {count(len(waiting))} sent here and not received:", "muted")]
        ]
        for task_id, sent in list(waiting.items())[:_SENT_SHOWN]:
            task = tasks.get(task_id)
            name = (task.name if task is not None else None) or "?"
            lines.append(
                [Cell(f" {task_id[:8]} ", "muted"), Cell(name), Cell(f"  {age(now - sent)}")]
            )
        return lines

    def do_more(self) -> None:
        """Show more messages."""
        self.limit = next((limit for limit in _LIMITS if limit > self.limit), self.limit)
        self._asked_at = None
        self.tick()

    def do_refresh(self) -> None:
        """Look at the queue again now."""
        self._asked_at = None
        self.console.source.refresh()
        self.say("looked again", "muted")
