"""`tq schedules`."""

import time
from datetime import UTC, datetime

import click

from tqconsole.cli import exits
from tqconsole.cli.moments import span
from tqconsole.cli.options import Globals, app_options, load_app
from tqconsole.cli.output import Printer, note, output_options

__all__ = ["command"]

_COLUMNS = ("name", "schedule", "next", "last", "runs", "task")


@click.command("schedules", context_settings={"help_option_names": ["-h", "--help"]})
@click.option("-s", "--schedule", metavar="PATH", help="Beat's file, where Redis does not tell.")
@click.option("-S", "--scheduler", metavar="CLASS", help="Scheduler class of your own.")
@output_options
@app_options
def command(
    given: Globals,
    schedule: str | None,
    scheduler: str | None,
    output: str | None,
    as_json: bool,
) -> int:
    """List periodic tasks: when they are due next, when they ran last, how often.

    On Redis and Valkey this is what the beat that leads has done; elsewhere beat's file is read.
    """
    from tq.beat.overview import LATE, overview  # deferred: only this command needs it

    app = load_app(given, required=True)
    app.import_default_modules()
    now = time.time()
    found = overview(app, now, schedule, scheduler)
    rows = []
    for row in found.rows:
        late = row.next_due is not None and now - row.next_due > LATE
        rows.append(
            {
                "name": row.name,
                "schedule": row.schedule,
                "next": _until(row.next_due, now, late),
                "last": _since(row.last_run_at, now),
                "runs": row.total_run_count,
                "task": row.task,
                "next_due": _iso(row.next_due),
                "last_run_at": _iso(row.last_run_at),
                "late": late,
            }
        )
    Printer(output, as_json).rows(_COLUMNS, rows)
    if found.leader is None:
        note("no beat runs: nothing is sent", given.quiet)
    elif found.leader:
        note(f"sent by {found.leader}", given.quiet)
    return exits.OK


def _until(moment: float | None, now: float, late: bool) -> str:
    if moment is None:
        return "never"
    if late:
        return f"LATE {span(now - moment)}"
    return f"in {span(moment - now)}"


def _since(moment: float | None, now: float) -> str:
    return "never" if moment is None else f"{span(now - moment)} ago"


def _iso(moment: float | None) -> str | None:
    if moment is None:
        return None
    return datetime.fromtimestamp(moment, UTC).isoformat().replace("+00:00", "Z")
