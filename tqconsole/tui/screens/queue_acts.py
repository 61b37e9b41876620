"""What can be done to a queue, from the list and from its page."""

from tqconsole.tui.model.acts import Act, counted
from tqconsole.tui.model.equivalents import control_line, purge_line
from tqconsole.tui.model.facts import QueueFacts
from tqconsole.tui.screens.base import ConsoleScreen

__all__ = ["QueueActs"]


class QueueActs(ConsoleScreen):
    """Hold, resume and purge; `queue` says which queue."""

    def queue(self) -> QueueFacts | None:
        """Return the queue that is meant; says so itself when there is none."""
        raise NotImplementedError

    def do_queue_tasks(self) -> None:
        """Show the tasks of the queue."""
        queue = self.queue()
        if queue is not None:
            self.console.show_tasks(f'queue="{queue.name}"')

    def do_copy(self) -> None:
        """Copy the queue's name."""
        queue = self.queue()
        if queue is not None:
            self.console.copy_text(queue.name, "queue name")

    def do_hold(self) -> None:
        """Ask, then tell the queue's workers to take no more from it, or to go on."""
        queue = self.queue()
        if queue is None:
            return
        if queue.workers:
            self._move(queue, "hold", "cancel_consumer", queue.workers, 2, _HOLD_EFFECT)
        elif queue.held:
            self._move(queue, "resume", "add_consumer", queue.held, 1, ())
        else:
            self.say(
                f"no worker takes from {queue.name}, and none was told to stop here: "
                f":ctl add_consumer queue={queue.name} -d WORKER"
            )

    def _move(
        self,
        queue: QueueFacts,
        verb: str,
        method: str,
        workers: tuple[str, ...],
        tier: int,
        effect: tuple[str, ...],
    ) -> None:
        arguments = {"queue": queue.name}
        act = Act(
            tier=tier,
            question=f"{verb} {queue.name} on {counted(len(workers), 'worker')}?",
            title=f"{verb.upper()} {queue.name}",
            lines=(
                ("queue", queue.name),
                ("waiting", counted(queue.ready or 0, "message")),
                ("workers", "  ".join(workers)),
            ),
            effect=effect,
            equivalent=control_line(method, arguments, workers),
            word=queue.name,
            listing=workers,
        )
        self.ask_first(act, lambda: self.console.act(method, arguments, list(workers)))

    def do_purge(self) -> None:
        """Ask for the queue's name, then delete what waits in it."""
        queue = self.queue()
        if queue is None:
            return
        if queue.ready == 0:
            self.say(f"nothing waits in {queue.name}: nothing to delete")
            return
        act = Act(
            tier=3,
            question="",
            title=f"PURGE {queue.name}",
            lines=(
                ("queue", queue.name),
                ("deletes", f"{counted(queue.ready or 0, 'message')}, as counted now"),
                ("leaves", "what workers hold, what is parked, and dead letters"),
            ),
            effect=_PURGE_EFFECT,
            equivalent=purge_line(queue.name),
            word=queue.name,
        )
        source = self.console.source
        self.ask_first(
            act, lambda: self.console.begin(lambda: source.purge(queue.name), act.equivalent)
        )


_HOLD_EFFECT = (
    "These workers take nothing more from it; what they hold already they still run.",
    "Workers started later take from it again. H resumes on the same workers.",
)
_PURGE_EFFECT = (
    "All messages that wait are deleted for good, also those that arrive meanwhile.",
    "Their senders are not told, and results they wait for never come.",
)
