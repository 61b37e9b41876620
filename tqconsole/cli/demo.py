"""`tq demo`."""

import sys

import click

from tqconsole.cli.options import Globals, app_options, load_app
from tqconsole.cli.output import note
from tqconsole.demo.cluster import APP, running

__all__ = ["command"]


@click.command("demo", context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--seconds",
    type=click.FloatRange(min=0.5),
    default=5.0,
    show_default=True,
    help="How long to print events where there is no terminal.",
)
@app_options
def command(given: Globals, seconds: float) -> int:
    """Start a broker, two workers and a load, and open the console on them.

    Without a terminal the events are printed for a few seconds instead. Everything that was
    started is stopped at the end; the embedded broker stays for `tq broker stop`.
    """
    given.app = APP
    app = load_app(given)
    app.broker.ping(10.0)
    note(f"demo: broker {app.broker.url}, workers are starting", given.quiet)
    with running(app):
        if sys.stdout.isatty() and sys.stdin.isatty():
            from tqconsole.tui import run  # deferred: the console is for terminals only

            return run(app)
        from tqconsole.cli.dump import Dump  # deferred: the console needs none of it

        return Dump(app, form="line").run(seconds=seconds)
