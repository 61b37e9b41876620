"""`tq flows`."""

from typing import Any

import click

from tqconsole.cli import exits
from tqconsole.cli.listening import Seen, for_option, listen
from tqconsole.cli.moments import iso
from tqconsole.cli.options import Globals, app_options, load_app
from tqconsole.cli.output import Printer, note, output_options
from tqconsole.cli.select import Choice, select_options
from tqconsole.tui.model.flow_index import Flow, FlowIndex
from tqconsole.tui.model.flows import name_of_flow, state_of_flow
from tqconsole.tui.model.lineage import LineageBook

__all__ = ["command"]

_COLUMNS = (
    "state", "id", "name", "tasks", "waiting", "running", "succeeded", "failed", "revoked", "age",
)  # fmt: skip


@click.command("flows", context_settings={"help_option_names": ["-h", "--help"]})
@for_option
@select_options
@output_options
@app_options
def command(
    given: Globals, seconds: float, output: str | None, as_json: bool, choice: Choice
) -> int:
    """List flows: chains, groups and chords, each with how far its tasks have come.

    Made of the tasks that workers hold and that events tell of meanwhile. --where chooses the
    flows that have a task which matches.
    """
    test = choice.filter.test
    seen = listen(load_app(given), seconds, tasks=True)
    for uuid, task in seen.tasks.items():
        # What workers hold from before is known to no event.
        seen.state.tasks.setdefault(uuid, task)
    index, book = FlowIndex(), LineageBook()
    index.update(seen.state, book)
    context = seen.context
    flows = [
        flow
        for flow in {id(flow): flow for flow in index.flows.values()}.values()
        if flow.total and any(test(seen.state.tasks[t], context) for t in flow.tasks())
    ]
    rows = [_row(flow, seen, book) for flow in sorted(flows, key=lambda flow: flow.first)]
    code = choice.show(Printer(output, as_json, color=given.wants_color), _COLUMNS, rows)
    note(f"{len(rows)} flows seen in {seconds:g} s", given.quiet)
    return exits.INTERRUPTED if seen.interrupted else code


def _row(flow: Flow, seen: Seen, book: LineageBook) -> dict[str, Any]:
    waiting, running, succeeded, failed, revoked = flow.counts
    root = flow.root()
    return {
        "state": state_of_flow(flow, book),
        "id": root or next(flow.tasks()),
        "name": name_of_flow(flow, seen.state, book),
        "tasks": flow.total,
        "waiting": waiting,
        "running": running,
        "succeeded": succeeded,
        "failed": failed,
        "revoked": revoked,
        "age": round(max(0.0, seen.now - flow.first), 3) if flow.first else None,
        "began": iso(flow.first or None),
        "last": iso(flow.last or None),
        "groups": sorted(flow.groups),
    }
