"""`tq beat`."""

from collections.abc import Callable
from typing import Any

import click

from tqconsole.cli.daemon import daemon_options, default_logfile, launch, node_name
from tqconsole.cli.options import Globals, app_options, load_app

__all__ = ["command"]

_LEVELS = ["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL", "FATAL"]
_SECONDS = click.FloatRange(min=0.05, max=86400)


@click.command("beat", context_settings={"help_option_names": ["-h", "--help"]})
@click.option("-D", "--detach", is_flag=True, help="Run in the background.")
@click.option("-s", "--schedule", metavar="PATH", help="File that keeps the progress of entries.")
@click.option(
    "-S", "--scheduler", metavar="CLASS", help="Scheduler class of your own: module:Class."
)
@click.option("--max-interval", type=_SECONDS, help="Longest sleep in seconds.")
@click.option(
    "--enable-remote-control/--no-enable-remote-control",
    "remote_control",
    default=None,
    help="Answer `inspect ping`.",
)
@click.option("-n", "--hostname", metavar="NAME", help="Node name for that: celerybeat@%h.")
@click.option(
    "-l",
    "--loglevel",
    type=click.Choice(_LEVELS, case_sensitive=False),
    default="WARNING",
    show_default=True,
)
@click.option("-f", "--logfile", metavar="PATH", help="Log file; %n %h %p expand.")
@click.option(
    "--pidfile",
    metavar="PATH",
    default="celerybeat.pid",
    show_default=True,
    help="Write the process id here; empty for no file.",
)
@daemon_options
@app_options
def command(given: Globals, loglevel: str, **options: Any) -> int:
    """Send the tasks of the schedule when they are due.

    On Redis and Valkey several beats may run: one sends, the others take over within the lease
    when it dies, and each slot is sent once. Elsewhere run exactly one.
    """
    node = node_name(options["hostname"], default="celerybeat")
    if options["detach"] and not options["logfile"]:
        options["logfile"] = default_logfile(node, given.quiet)

    def program(on_ready: Callable[[], None]) -> int:
        from tq.beat import Beat  # deferred: must load nothing that starts threads before a fork

        beat = Beat(
            load_app(given, required=True),
            loglevel=loglevel.upper(),
            logfile=options["logfile"],
            schedule=options["schedule"],
            scheduler=options["scheduler"],
            max_interval=options["max_interval"],
            hostname=options["hostname"],
            remote_control=options["remote_control"],
        )
        return beat.run(on_ready)

    names = ("detach", "pidfile", "uid", "gid", "umask")
    return launch(program, node=node, **{name: options[name] for name in names})
