"""`tq resend`."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from tq.errors import CommandRefused
from tqconsole.cli import exits
from tqconsole.cli.confirm import confirm, refuse_when_read_only, yes_option
from tqconsole.cli.options import Globals, app_options, load_app
from tqconsole.cli.remote import remote_options
from tqconsole.cli.task import find_held, find_record
from tqconsole.cli.trail import audited

if TYPE_CHECKING:
    from tq import TQ

__all__ = ["RESEND_HEADER", "command"]

RESEND_HEADER = "tq-resend-of"


@dataclass(frozen=True)
class _Source:
    """A call, and how we know that its arguments are the real ones and not their text."""

    name: str
    args: list[Any]
    kwargs: dict[str, Any]
    queue: str | None
    root_id: str | None
    proof: str


@click.command("resend", context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("task_id", metavar="ID")
@click.option("--queue", help="Queue to send to; the task's own by default.")
@click.option("--countdown", type=click.FloatRange(min=0), help="Seconds from now to run.")
@click.option("--dry-run", is_flag=True, help="Say what would be sent, and send nothing.")
@yes_option
@remote_options
@app_options
def command(
    given: Globals,
    task_id: str,
    queue: str | None,
    countdown: float | None,
    dry_run: bool,
    yes: bool,
    destination: tuple[str, ...],
    timeout: float,
    expect: str | None,
) -> int:
    """Send a task again under a new id, with the arguments it had; prints the new id.

    The arguments must be known for certain: from the result backend (with result_extended) or from
    the worker that holds the task now. Events carry only their text, which is not enough.
    """
    app = load_app(given)
    source = _recorded(app, task_id) or _held(app, task_id, destination, timeout)
    if source is None:
        raise CommandRefused(
            f"{task_id}: its arguments are not known for certain: the result backend has no record "
            "with them (result_extended), and no worker holds it"
        )
    what = f"{source.name}, {len(source.args)} args, {len(source.kwargs)} kwargs {source.proof}"
    where = f" to {queue or source.queue}" if queue or source.queue else ""
    if dry_run:
        click.echo(f"would resend {task_id}{where}: {what}")
        return exits.OK
    refuse_when_read_only(given, "resend")
    confirm("resend", f"resend {task_id}{where}: {what}?", yes)
    options: dict[str, Any] = {"queue": queue or source.queue, "countdown": countdown}
    options = {name: value for name, value in options.items() if value is not None}
    line = ["resend", task_id, *(f"--{name}={value}" for name, value in options.items())]
    act_on = {"task_id": task_id, "name": source.name, **options}
    with audited(app, line, "resend", act_on) as act:
        sent = app.send_task(
            source.name,
            source.args,
            source.kwargs,
            root_id=source.root_id or task_id,
            headers={RESEND_HEADER: task_id},
            **options,
        )
        act.answered("broker", f"sent as {sent.id}")
    click.echo(sent.id)
    return exits.OK


def _recorded(app: "TQ", task_id: str) -> _Source | None:
    record = find_record(app, task_id)
    extended = record.extended if record is not None else None
    if not extended:
        return None
    return _source(
        extended.get("name"),
        extended.get("args"),
        extended.get("kwargs"),
        extended.get("queue"),
        None,
        "from its result",
    )


def _held(app: "TQ", task_id: str, destination: tuple[str, ...], timeout: float) -> _Source | None:
    held = find_held(app, task_id, destination, timeout)
    if held is None:
        return None
    _, worker, request = held
    info = request.get("delivery_info")
    return _source(
        request.get("name"),
        request.get("args"),
        request.get("kwargs"),
        info.get("routing_key") if isinstance(info, dict) else None,
        request.get("root_id"),
        f"from {worker}, which holds it",
    )


def _source(
    name: Any, args: Any, kwargs: Any, queue: Any, root_id: Any, proof: str
) -> _Source | None:
    """Return a source when what was found are values; Celery may have kept only their text."""
    if not (isinstance(name, str) and isinstance(args, list | tuple) and isinstance(kwargs, dict)):
        return None
    return _Source(
        name,
        list(args),
        kwargs,
        queue if isinstance(queue, str) and queue else None,
        root_id if isinstance(root_id, str) else None,
        proof,
    )
