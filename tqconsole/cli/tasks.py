"""`tq tasks`."""

from typing import Any

import click

from tq.monitor import TaskInfo
from tqconsole.cli import exits
from tqconsole.cli.listening import Seen, for_option, listen
from tqconsole.cli.moments import iso
from tqconsole.cli.options import Globals, app_options, load_app
from tqconsole.cli.output import Printer, note, output_options
from tqconsole.cli.select import Choice, select_options
from tqconsole.tui.model.masking import masked
from tqconsole.tui.model.task_fields import age_of, runtime_of, tries_of

__all__ = ["command", "task_row"]

_COLUMNS = ("state", "id", "name", "worker", "queue", "age", "runtime", "args", "kwargs")


@click.command("tasks", context_settings={"help_option_names": ["-h", "--help"]})
@for_option
@select_options
@output_options
@app_options
def command(
    given: Globals, seconds: float, output: str | None, as_json: bool, choice: Choice
) -> int:
    """List tasks: those that workers hold now, and those that events told of meanwhile.

    Filters are the console's: --where 'state:failure name:billing.* runtime>5s'.
    """
    test = choice.filter.test  # read before anything is asked
    seen = listen(load_app(given), seconds, tasks=True)
    context = seen.context
    rows = [task_row(task, seen) for task in seen.tasks.values() if test(task, context)]
    code = choice.show(Printer(output, as_json, color=given.wants_color), _COLUMNS, rows)
    note(f"{len(rows)} of {len(seen.tasks)} tasks seen in {seconds:g} s", given.quiet)
    return exits.INTERRUPTED if seen.interrupted else code


def task_row(task: TaskInfo, seen: Seen) -> dict[str, Any]:
    """Return a task as a row, the values of secret arguments masked."""
    now = seen.now
    return {
        "state": seen.context.state(task),
        "id": task.uuid,
        "name": task.name,
        "worker": task.worker,
        "queue": task.queue or task.routing_key,
        "age": _rounded(age_of(task, now)),
        "runtime": _rounded(runtime_of(task, now)),
        "args": masked(task.args) or None,
        "kwargs": masked(task.kwargs) or None,
        "retries": tries_of(task),
        "result": masked(task.result) or None,
        "exception": masked(task.exception) or None,
        "eta": task.eta,
        "pid": task.pid,
        "root_id": task.root_id,
        "parent_id": task.parent_id,
        "sent": iso(task.sent),
        "received": iso(task.received),
        "started": iso(task.started),
        "ended": iso(task.ended),
    }


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)
