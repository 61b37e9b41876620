"""`tq task`."""

from typing import TYPE_CHECKING, Any

import click

from tq.errors import BackendError
from tq.saferepr import safe_text, saferepr
from tqconsole.cli import exits
from tqconsole.cli.options import Globals, app_options, load_app
from tqconsole.cli.output import Printer, note, output_options
from tqconsole.cli.remote import ask, remote_options
from tqconsole.tui.model.masking import masked

if TYPE_CHECKING:
    from tq import TQ
    from tq.wire.result import ResultMeta

__all__ = ["command", "find_held", "find_record"]


@click.command("task", context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("task_id", metavar="ID")
@remote_options
@output_options
@app_options
def command(
    given: Globals,
    task_id: str,
    destination: tuple[str, ...],
    timeout: float,
    expect: str | None,
    output: str | None,
    as_json: bool,
) -> int:
    """Show one task: what the result backend recorded, and which worker holds it now.

    Exit code 4 when neither knows it. A task that waits in a queue is known to nobody.
    """
    app = load_app(given)
    held = find_held(app, task_id, destination, timeout)
    facts: dict[str, Any] = {"id": task_id, "state": None, "where": None}
    if held is not None:
        state, worker, request = held
        facts |= _held_facts(request)
        facts |= {"state": "STARTED" if state == "active" else "RECEIVED", "worker": worker}
        facts["where"] = f"{state} on {worker}"
    record = find_record(app, task_id, given.quiet)
    if record is not None:
        facts |= {k: v for k, v in _recorded_facts(record).items() if v is not None}
        facts["where"] = facts["where"] or f"recorded in {app.backend.url}"
    if record is None and held is None:
        note(f"tq: nobody knows {safe_text(task_id)}: no result, and no worker holds it")
        return exits.NOTHING
    printer = Printer(output, as_json, color=given.wants_color)
    if printer.form in ("json", "jsonl"):
        printer.line(facts)
        return exits.OK
    shown = [{"key": k, "value": v} for k, v in facts.items() if v is not None]
    printer.rows(("key", "value"), shown)
    return exits.OK


def find_held(
    app: "TQ", task_id: str, destination: tuple[str, ...], timeout: float
) -> tuple[str, str, dict[str, Any]] | None:
    """Ask the workers for a task; returns its place, its worker and its request.

    Args:
        app: The application.
        task_id: Which task.
        destination: Ask only these workers.
        timeout: Seconds to wait.
    """
    answers = ask(app, "query_task", {"ids": [task_id]}, destination, timeout)
    for reply in answers.replies:
        found = reply.value.get(task_id) if isinstance(reply.value, dict) else None
        match found:
            case [str() as state, dict() as request]:
                return state, reply.node, request
    return None


def find_record(app: "TQ", task_id: str, quiet: bool = False) -> "ResultMeta | None":
    """Return what the result backend has of a task, or None; says so when it cannot be asked."""
    try:
        return app.backend.fetch([task_id]).get(task_id)
    except BackendError as error:
        note(f"the result backend cannot be asked: {error}", quiet)
        return None


def _held_facts(request: dict[str, Any]) -> dict[str, Any]:
    info = request.get("delivery_info")
    return {
        "name": request.get("name"),
        "args": _shown(request.get("args")),
        "kwargs": _shown(request.get("kwargs")),
        "queue": info.get("routing_key") if isinstance(info, dict) else None,
        "started": request.get("time_start"),
        "acknowledged": request.get("acknowledged"),
        "pid": request.get("worker_pid"),
    }


def _recorded_facts(record: "ResultMeta") -> dict[str, Any]:
    extended = record.extended or {}
    return {
        "state": record.status,
        "name": extended.get("name"),
        "args": _shown(extended.get("args")),
        "kwargs": _shown(extended.get("kwargs")),
        "worker": extended.get("worker"),
        "queue": extended.get("queue"),
        "retries": extended.get("retries"),
        "result": _shown(record.result),
        "traceback": masked(record.traceback) or None,
        "done": record.date_done,
        "parent_id": record.parent_id,
        "group_id": record.group_id,
    }


def _shown(value: Any) -> str | None:
    if value is None:
        return None
    return masked(value if isinstance(value, str) else saferepr(value))
