"""`tq result`."""

import difflib
import json
from typing import Any

import click

from tq.errors import TQError
from tq.saferepr import safe_text
from tqconsole.cli import exits
from tqconsole.cli.durations import Duration
from tqconsole.cli.main import leave
from tqconsole.cli.options import Globals, app_options, load_app

__all__ = ["command"]


@click.command("result", context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("task_id", metavar="ID")
@click.option("-t", "--task", help="Name of the task, for its own backend.")
@click.option("--traceback", is_flag=True, help="Print the traceback instead of the value.")
@click.option("--timeout", type=Duration(), help="Most seconds to wait; for ever by default.")
@click.option("-j", "--json", "as_json", is_flag=True, help="Print the whole record as JSON.")
@app_options
def command(
    given: Globals,
    task_id: str,
    task: str | None,
    traceback: bool,
    timeout: float | None,
    as_json: bool,
) -> None:
    """Print the result of task ID, waiting for it if it is not there yet."""
    app = load_app(given)
    if task and task not in app.tasks:
        near = difflib.get_close_matches(task, list(app.tasks), n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise click.UsageError(f"--task: no task is called {task!r}{hint}")
    result = app.tasks[task].AsyncResult(task_id) if task else app.AsyncResult(task_id)
    value = result.get(timeout=timeout, propagate=False)
    if as_json:
        click.echo(json.dumps(_record(result), default=str))
    elif traceback:
        click.echo(safe_text(result.traceback or "", single_line=False))
    elif result.failed() or isinstance(value, BaseException):
        click.echo(f"tq: task {task_id} {result.state}: {describe(value)}", err=True)
        leave(exits.FAILED)
    else:
        click.echo(safe_text(value if isinstance(value, str) else repr(value), single_line=False))


def describe(value: Any) -> str:
    """Say in one line what a failed task left behind."""
    if isinstance(value, TQError | Exception):
        return safe_text(f"{type(value).__name__}: {value}")
    return safe_text(str(value))


def _record(result: Any) -> dict[str, Any]:
    value = result.result
    return {
        "id": result.id,
        "state": result.state,
        "result": describe(value) if isinstance(value, BaseException) else value,
        "traceback": result.traceback,
        "date_done": result.date_done,
    }
