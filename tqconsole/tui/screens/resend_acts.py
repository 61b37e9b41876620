"""Sending tasks again: from the list, from the detail, and for a whole group of failures."""

from collections.abc import Sequence

from tq.errors import TQError
from tq.monitor import TaskInfo
from tqconsole.tui.model.acts import counted, tally
from tqconsole.tui.model.resending import Refusal, Resend, Verdict, resend_act, resend_line
from tqconsole.tui.model.task_columns import short_id
from tqconsole.tui.screens.base import ConsoleScreen

__all__ = ["ResendActs"]


class ResendActs(ConsoleScreen):
    """Finds out what is known of the arguments, asks, and sends again."""

    def resend_targets(self) -> Sequence[TaskInfo]:
        """Return the tasks to send again; says so itself when there are none."""
        raise NotImplementedError

    def do_resend(self) -> None:
        """Look for the tasks' arguments, then ask, then send the tasks again."""
        tasks = self.resend_targets()
        if not tasks:
            return
        self.say(f"looking for the arguments of {counted(len(tasks))}", "muted")
        try:
            self.console.source.find_calls(tasks, lambda found: self._judged(tasks, found))
        except TQError as error:
            self.console.refuse(resend_line([task.uuid for task in tasks]), str(error))

    def _judged(self, tasks: Sequence[TaskInfo], verdicts: Sequence[Verdict]) -> None:
        """Ask, now that it is known which tasks can be sent again."""
        if self.app.screen is not self or self.prompt.is_open:
            return  # the user has gone on to something else
        good = [verdict for verdict in verdicts if isinstance(verdict, Resend)]
        bad = [verdict for verdict in verdicts if isinstance(verdict, Refusal)]
        if not good:
            what = short_id(bad[0].task_id) if len(bad) == 1 else f"none of {len(bad)}"
            reasons = "; ".join(dict.fromkeys(refusal.reason for refusal in bad[:100]))
            self.say(f"not replayable: {what}: {reasons}", "error")
            return
        state, now = self.console.source.state, self.console.now
        states = tally(state.status(task, now).lower() for task in tasks)
        act = resend_act(verdicts, states)
        self.unsay()
        self.ask_first(
            act,
            lambda: self.console.begin(lambda: self.console.source.resend(good), act.equivalent),
        )
