"""`tq events`."""

import logging
import sys

import click

from tqconsole.cli.durations import Duration
from tqconsole.cli.options import LEVELS, Globals, app_options, load_app, split_names
from tqconsole.cli.select import read_filter, where_option
from tqconsole.tui.actions import SCREENS

__all__ = ["command"]

_SCREENS = [name for _, name, _, _ in SCREENS]


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
@where_option
@click.option("--until", metavar="EXPR", help="Stop after an event whose task matches.")
@click.option("--limit", type=click.IntRange(min=1), help="Stop after so many events.")
@click.option("--for", "seconds", type=Duration(), help="Stop after this time: 30s, 5m.")
@click.option(
    "--stats", type=Duration(0.1, 3600), metavar="TIME", help="Print only rates, that often."
)
@click.option("--bootstrap", is_flag=True, help="Print first what workers hold, as events.")
@click.option("--record", metavar="FILE", help="Write the events into this new file too.")
@click.option("--replay", "recording", metavar="FILE", help="Print a file's events; - is stdin.")
@click.option(
    "-l",
    "--loglevel",
    type=click.Choice(LEVELS, case_sensitive=False),
    help="Level of tq's own log on stderr, beside the lines.",
)
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
    where: str | None,
    until: str | None,
    limit: int | None,
    seconds: float | None,
    stats: float | None,
    bootstrap: bool,
    record: str | None,
    recording: str | None,
    loglevel: str | None,
    screen: str,
    theme: str | None,
    ascii_only: bool,
    read_only: bool,
) -> int:
    """Watch a cluster live: full-screen console, or a stream of lines with --dump.

    Needs nothing but the broker's URL, and works on Celery's clusters as on tq's. Filters are the
    console's: --where 'state:failure name:billing.*' prints the events of tasks that match.
    """
    form = "jsonl" if as_json else output or "celery"
    asked = (dump, output, as_json, types, where, until, limit, stats, bootstrap, record, recording)
    if any(asked) or seconds is not None or not (sys.stdout.isatty() and sys.stdin.isatty()):
        from tqconsole.cli.dump import Dump, replay  # deferred: the console needs none of it
        from tqconsole.cli.event_choice import EventChoice

        if loglevel:
            logging.basicConfig(level=getattr(logging, loglevel.upper()), stream=sys.stderr)
        choice = EventChoice(
            split_names(types),
            read_filter(where) if where else None,
            read_filter(until, "--until") if until else None,
        )
        if recording:
            if stats or bootstrap or seconds is not None:
                raise click.UsageError("--replay goes without --stats, --bootstrap and --for")
            return replay(
                recording, form=form, choice=choice, limit=limit, record=record, quiet=given.quiet
            )
        if stats and limit:
            raise click.UsageError("--stats: prints no events, so --limit means nothing")
        made = Dump(
            load_app(given),
            form=form, choice=choice, stats=stats, record=record, bootstrap=bootstrap,
        )  # fmt: skip
        return made.run(limit=limit, seconds=seconds, quiet=given.quiet)
    app = load_app(given)
    app.broker.ping(app.conf.broker_connection_timeout or 4.0)
    from tqconsole.tui import run  # deferred: loads textual, which only a screen needs

    return run(
        app,
        read_only=read_only or given.read_only,
        screen=screen,
        theme=theme,
        ascii=ascii_only,
    )
