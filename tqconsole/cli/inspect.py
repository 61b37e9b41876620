"""`tq inspect`."""

import difflib
import time
from typing import Any

import click

from tq.errors import CommandRefused
from tqconsole.cli import exits
from tqconsole.cli.answers import Answers, exit_code
from tqconsole.cli.inspect_rows import COMMANDS, EMPTY
from tqconsole.cli.options import Globals, app_options, load_app
from tqconsole.cli.output import Printer, worker_output_options
from tqconsole.cli.remote import ask, check_known, keywords, remote_options
from tqconsole.cli.replies import Row, print_answers, print_as_celery, print_timings
from tqconsole.cli.select import Choice, select_options, task_of
from tqconsole.cli.worker_commands import own_commands
from tqconsole.tui.model.task_fields import Context

__all__ = ["COMMANDS", "arguments_of", "command", "number", "unknown"]

_YES = {"yes", "true", "1", "on", "y"}
# What only `tq control` may call, whatever a worker would do on `tq inspect`.
_CHANGES = frozenset(
    {
        "add_consumer", "autoscale", "cancel_consumer", "disable_events", "election",
        "enable_events", "heartbeat", "pool_grow", "pool_restart", "pool_shrink", "rate_limit",
        "revoke", "revoke_by_stamped_headers", "shutdown", "terminate", "time_limit",
    }
)  # fmt: skip


def arguments_of(name: str, words: tuple[str, ...]) -> dict[str, Any]:
    """Turn the words behind a command into its keyword arguments.

    Raises:
        UsageError: Too many, too few, or of the wrong kind.
    """
    if name == "query_task":
        if not words:
            raise click.UsageError("query_task: which tasks? Give their ids")
        return {"ids": list(words)}
    if name == "registered":
        return {"taskinfoitems": list(words)} if words else {}
    if name == "conf" and len(words) <= 1:
        return {"with_defaults": bool(words) and words[0].lower() in _YES}
    if name == "memdump" and len(words) <= 1:
        return {"samples": number(name, words[0])} if words else {}
    if name == "objgraph" and len(words) <= 3:
        kinds = zip(("type", "num", "max_depth"), words, strict=False)
        return {key: word if key == "type" else number(name, word) for key, word in kinds}
    if words:
        raise click.UsageError(f"{name}: too many arguments: {' '.join(words)}")
    return {}


def number(name: str, word: str) -> int:
    """Return a word as a whole number, or fail with one line."""
    try:
        return int(word)
    except ValueError:
        raise click.UsageError(f"{name}: {word!r} is not a whole number") from None


def unknown(kind: str, name: str, known: list[str]) -> click.UsageError:
    """Build the error for a misspelt command."""
    # Strict: the workers' own commands are unknown here, and `shout` must not suggest `shutdown`.
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.8)
    hint = f"Did you mean '{near[0]}'?" if near else f"There are: {', '.join(sorted(known))};"
    own = "" if near else " those of the workers' own take key=value"
    return click.UsageError(f"No such {kind} command '{name}'. {hint}{own}")


@click.command("inspect", context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--list", "listing", is_flag=True, help="List the commands, the workers' own too.")
@click.argument("name", metavar="COMMAND", required=False)
@click.argument("words", metavar="[ARGS]...", nargs=-1)
@remote_options
@worker_output_options
@select_options
@app_options
def command(
    given: Globals,
    listing: bool,
    name: str | None,
    words: tuple[str, ...],
    destination: tuple[str, ...],
    timeout: float,
    expect: str | None,
    output: str | None,
    as_json: bool,
    choice: Choice,
) -> int:
    """Ask workers what they do and know; changes nothing.

    COMMAND is one of active, reserved, scheduled, revoked, registered, active_queues, stats,
    query_task, ping, report, clock, conf, memsample, memdump, objgraph, or an inspect command of
    the workers' own with key=value arguments.
    """
    if listing:
        return list_commands(given, timeout)
    if name is None:
        raise click.UsageError("which command? See --list")
    matching = choice.filter  # read before anything is sent
    answers = _ask(given, name, words, destination, timeout)
    if given.verbose:
        print_timings(answers)
    printer = Printer(output, as_json, color=given.wants_color)
    if printer.form == "celery":
        return print_as_celery(answers, quiet=given.quiet)
    code = exit_code(answers, expect)
    columns, rows, _, _ = COMMANDS.get(name, COMMANDS["report"])

    def choose(found: list[Row]) -> list[Row]:
        context = Context(time.time())
        kept = [row for row in found if matching.test(task_of(row), context)]
        return choice.arranged(kept, columns)

    shown = choice.names or columns
    chooser = choose if choice.given else None
    empty = EMPTY.get(name, "answered with nothing")
    print_answers(answers, printer, shown, rows, quiet=given.quiet, empty=empty, choose=chooser)
    return code


def _ask(
    given: Globals,
    name: str,
    words: tuple[str, ...],
    destination: tuple[str, ...],
    timeout: float,
) -> Answers:
    """Send a command of ours, or one that perhaps the workers know."""
    if name in COMMANDS:
        arguments = arguments_of(name, words)
        return ask(load_app(given), name, arguments, destination, timeout)
    missing = unknown("inspect", name, list(COMMANDS))
    if name in _CHANGES:
        raise click.UsageError(f"{name} is a control command: tq control {name}")
    arguments = keywords(name, words, missing)
    if given.read_only:
        raise CommandRefused(f"{name}: refused, this is a read-only session")
    answers = ask(load_app(given), name, arguments, destination, timeout)
    check_known(answers, name, missing)
    return answers


def list_commands(given: Globals, timeout: float) -> int:
    """Print the commands: tq's, then what the workers have of their own, where any answers."""
    for name, (_, _, arguments, text) in COMMANDS.items():
        click.echo(f"{f'{name} {arguments}'.strip():<34} {text}")
    for usage, text in own_commands(given, "inspect", set(COMMANDS), timeout):
        click.echo(f"{usage:<34} {text}")
    return exits.OK
