"""`tq events`."""

import sys

import click

from tqconsole.cli.options import Globals, app_options, load_app, split_names

__all__ = ["command"]

_SCREENS = ["overview", "tasks", "workers", "queues", "failures", "log"]


@click.command("events", context_settings={"help_option_names": ["-h", "--help"]})
@click.option("-d", "--dump", is_flag=True, help="Print events as lines instead of the console.")
@click.option(
    "-o",
    "--output",
    type=click.Choice(["celery", "line", "jsonl"]),
    help="Form of the lines; implies --dump. Celery's own by default.",
)
@click.option("-j", "--json", "as_json", is_flag=True, help="Same as -o jsonl.")
@click.option("--types", multiple=True, metavar="A,B", help="Only these event types; * globs.")
@click.option("--limit", type=click.IntRange(min=1), help="Stop after so many events.")
@click.option("--for", "seconds", type=click.FloatRange(min=0), help="Stop after so many seconds.")
@click.option("--screen", type=click.Choice(_SCREENS), default="overview", help="First screen.")
@click.option("--theme", metavar="NAME", help="Colour theme of the console.")
@click.option("--ascii", "ascii_only", is_flag=True, help="No characters beyond ASCII.")
@click.option("--read-only", is_flag=True, help="Refuse whatever changes the cluster.")
@app_options
def command(
    given: Globals,
    dump: bool,
    output: str | None,
    as_json: bool,
    types: tuple[str, ...],
    limit: int | None,
    seconds: float | None,
    screen: str,
    theme: str | None,
    ascii_only: bool,
    read_only: bool,
) -> int:
    """Watch a cluster live: full-screen console, or a stream of lines with --dump.

    Needs nothing but the broker's URL, and works on Celery's clusters as on tq's.
    """
    app = load_app(given)
    streaming = dump or output or as_json or types or limit or seconds is not None
    if streaming or not (sys.stdout.isatty() and sys.stdin.isatty()):
        from tqconsole.cli.dump import Dump  # deferred: the console needs none of it

        form = "jsonl" if as_json else output or "celery"
        return Dump(app, form=form, types=split_names(types)).run(
            limit=limit, seconds=seconds, quiet=given.quiet
        )
    app.broker.ping(app.conf.broker_connection_timeout or 4.0)
    from tqconsole.tui import run  # deferred: loads textual, which only a screen needs

    return run(
        app,
        read_only=read_only or given.read_only,
        screen=screen,
        theme=theme,
        ascii=ascii_only,
    )
