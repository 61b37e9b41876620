"""`tq failures`."""

from typing import Any

import click

from tq.monitor import FailureGroup, FailureGroups
from tqconsole.cli import exits
from tqconsole.cli.listening import for_option, listen
from tqconsole.cli.moments import iso
from tqconsole.cli.options import Globals, app_options, load_app
from tqconsole.cli.output import Printer, note, output_options
from tqconsole.cli.select import Choice, select_options
from tqconsole.tui.model.masking import masked

__all__ = ["command"]

_COLUMNS = ("failed", "retried", "name", "exception", "frame", "workers", "last_seen", "message")


@click.command("failures", context_settings={"help_option_names": ["-h", "--help"]})
@for_option
@select_options
@output_options
@app_options
def command(
    given: Globals, seconds: float, output: str | None, as_json: bool, choice: Choice
) -> int:
    """List what fails while it listens, grouped by task, exception and innermost own frame.

    --where chooses among the failed tasks before they are grouped.
    """
    test = choice.filter.test
    seen = listen(load_app(given), seconds)
    groups = FailureGroups()
    groups.since = seen.now - seconds
    groups.take((t for t in seen.tasks.values() if test(t, seen.context)), seen.now)
    found = sorted(groups, key=lambda group: (-group.count, group.key))
    code = choice.show(
        Printer(output, as_json, color=given.wants_color), _COLUMNS, [_row(g) for g in found]
    )
    note(f"{len(found)} kinds of failure in {seconds:g} s", given.quiet)
    return exits.INTERRUPTED if seen.interrupted else code


def _row(group: FailureGroup) -> dict[str, Any]:
    return {
        "failed": group.failed,
        "retried": group.retried,
        "name": group.name,
        "exception": group.exception,
        "frame": group.frame.short if group.frame else None,
        "workers": sorted(group.workers),
        "first_seen": iso(group.first_seen),
        "last_seen": iso(group.last_seen),
        "message": masked(group.message),
        "samples": list(group.samples),
    }
