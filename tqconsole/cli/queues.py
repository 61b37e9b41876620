"""`tq queues`."""

from typing import Any

import click

from tq.monitor import QueueInfo
from tqconsole.cli import exits
from tqconsole.cli.listening import Seen, for_option, listen
from tqconsole.cli.options import Globals, app_options, load_app, some_names, split_names
from tqconsole.cli.output import Printer, output_options
from tqconsole.cli.select import Choice, select_options, task_of

__all__ = ["command"]

_COLUMNS = ("queue", "ready", "workers", "consumers")


@click.command("queues", context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "-Q", "--queues", multiple=True, metavar="A,B", callback=some_names, help="These queues too."
)
@for_option
@select_options
@output_options
@app_options
def command(
    given: Globals,
    queues: tuple[str, ...],
    seconds: float,
    output: str | None,
    as_json: bool,
    choice: Choice,
) -> int:
    """List queues: what waits in them, and which workers take from them.

    Those that workers name, those of the application, and those named with -Q.
    """
    test = choice.filter.test
    app = load_app(given)
    extra = split_names(queues)
    seen = listen(app, seconds)
    for name, count in app.broker.depths(extra).items():
        seen.queues.setdefault(name, QueueInfo(name))
        seen.depths[name] = count
    rows = [_row(seen.queues[name], seen) for name in sorted(seen.queues)]
    kept = [row for row in rows if test(task_of(row), seen.context)]
    code = choice.show(Printer(output, as_json, color=given.wants_color), _COLUMNS, kept)
    return exits.INTERRUPTED if seen.interrupted else code


def _row(queue: QueueInfo, seen: Seen) -> dict[str, Any]:
    counted = queue.depth.value if queue.depth else seen.depths.get(queue.name)
    return {
        "queue": queue.name,
        "ready": counted,
        "workers": len(queue.workers),
        "consumers": sorted(queue.workers),
    }
