"""`tq purge`."""

import sys

import click

from tq.errors import CommandRefused
from tqconsole.cli.options import Globals, app_options, load_app, some_names, split_names
from tqconsole.cli.trail import audited

__all__ = ["command"]


@click.command("purge", context_settings={"help_option_names": ["-h", "--help"]})
@click.option("-f", "--force", "-y", "--yes", "force", is_flag=True, help="Do not ask.")
@click.option(
    "-Q", "--queues", multiple=True, metavar="A,B", callback=some_names, help="Only these queues."
)
@click.option("-X", "--exclude-queues", multiple=True, metavar="A,B", help="All but these queues.")
@click.option("--dry-run", is_flag=True, help="Say what would go, and delete nothing.")
@app_options
def command(
    given: Globals,
    force: bool,
    queues: tuple[str, ...],
    exclude_queues: tuple[str, ...],
    dry_run: bool,
) -> None:
    """Delete all messages that wait in the queues. They cannot be brought back."""
    app = load_app(given)
    names = split_names(queues) or list(app.queues.consume_from)
    names = [name for name in names if name not in split_names(exclude_queues)]
    depths = app.broker.depths(names)
    waiting = sum(depths.values())
    listed = ", ".join(f"{name} ({depths.get(name, 0)})" for name in names)
    if dry_run:
        click.echo(f"Would purge {_messages(waiting)} from {listed}.")
        return
    if given.read_only:
        raise CommandRefused("purge: refused, this is a read-only session")
    if not force:
        if not sys.stdin.isatty():
            raise CommandRefused("purge: not confirmed; give --force where nobody can be asked")
        click.echo(
            f"This deletes {_messages(waiting)} from {listed} on {app.broker.url}.", err=True
        )
        if not click.confirm("Purge?", default=False, err=True):
            raise CommandRefused("purge: not confirmed, nothing was deleted")
    line = ["purge", "-Q", ",".join(names)]
    with audited(app, line, "purge", {"queues": dict(depths)}) as act:
        purged = sum(app.broker.purge(name) for name in names)
        act.answered("broker", f"purged {_messages(purged)}")
    if purged:
        click.echo(f"Purged {_messages(purged)} from {_count(len(names), 'known task queue')}.")
    else:
        click.echo(f"No messages purged from {_count(len(names), 'queue')}.")


def _messages(count: int) -> str:
    return _count(count, "message")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
