"""`tq control`."""

from typing import Any

import click

from tq.errors import CommandRefused
from tq.wire.command import Reply
from tqconsole.cli import exits
from tqconsole.cli.answers import Answers, exit_code
from tqconsole.cli.inspect import number, unknown
from tqconsole.cli.options import Globals, app_options, load_app
from tqconsole.cli.output import Printer, note, worker_output_options
from tqconsole.cli.remote import check_known, keywords, remote_options, tell
from tqconsole.cli.replies import Row, print_answers, print_as_celery, print_timings
from tqconsole.cli.signal_names import signal_name
from tqconsole.cli.worker_commands import own_commands, similar_task

__all__ = ["COMMANDS", "command"]

# name -> (names of the positional arguments, how many are required, what it does)
COMMANDS: dict[str, tuple[tuple[str, ...], int, str]] = {
    "revoke": (("ids",), 1, "do not run these tasks"),
    "terminate": (("signal", "ids"), 2, "end these tasks with a signal, also when they run"),
    "revoke_by_stamped_headers": (("headers",), 1, "do not run tasks with these stamps (k=v)"),
    "rate_limit": (("task_name", "rate_limit"), 2, "limit a task's starts (10/m; 0 lifts it)"),
    "time_limit": (("task_name", "soft", "hard"), 2, "set a task's time limits, in seconds"),
    "pool_grow": (("n",), 0, "add slots"),
    "pool_shrink": (("n",), 0, "take slots away"),
    "pool_restart": ((), 0, "restart the pool"),
    "autoscale": (("max", "min"), 0, "set the bounds of the pool's size"),
    "add_consumer": (("queue", "exchange", "exchange_type", "routing_key"), 1, "take from a queue"),
    "cancel_consumer": (("queue",), 1, "take no more from a queue"),
    "enable_events": ((), 0, "send task events"),
    "disable_events": ((), 0, "send no task events"),
    "heartbeat": ((), 0, "send a heartbeat event now"),
    "election": (("id", "topic", "action"), 2, "let the workers choose one of them"),
    "shutdown": ((), 0, "stop when the running tasks are done; never replies"),
}
_NUMBERS = {"n", "max", "min"}
_REST = {"ids", "headers"}


def arguments_of(name: str, words: tuple[str, ...]) -> dict[str, Any]:
    """Turn the words behind a command into its keyword arguments.

    Raises:
        UsageError: Too many, too few, or of the wrong kind.
    """
    parameters, required, _ = COMMANDS[name]
    if len(words) < required:
        wanted = " ".join(parameters[:required]).upper()
        raise click.UsageError(f"{name} needs {wanted}")
    if len(words) > len(parameters) and not (parameters and parameters[-1] in _REST):
        raise click.UsageError(f"{name} takes at most {len(parameters)} arguments")
    arguments: dict[str, Any] = {}
    for place, parameter in enumerate(parameters[: len(words)]):
        if parameter in _REST:
            arguments[parameter] = list(words[place:])
        else:
            arguments[parameter] = _convert(name, parameter, words[place])
    return _renamed(name, arguments)


def _convert(name: str, parameter: str, word: str) -> Any:
    if parameter in _NUMBERS:
        return number(name, word)
    if parameter in ("soft", "hard"):
        try:
            return float(word)
        except ValueError:
            raise click.UsageError(f"{name}: {word!r} is not a number of seconds") from None
    return signal_name(name, word) if parameter == "signal" else word


def _renamed(name: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """Give arguments the names that workers know (`revoke` takes ids as `task_id`)."""
    if "ids" in arguments:
        arguments["task_id"] = arguments.pop("ids")
    if "headers" in arguments:
        arguments["headers"] = _stamps(arguments["headers"])
    return arguments


def _stamps(pairs: list[str]) -> dict[str, list[str]]:
    """Read `key=value` pairs; a key given twice has both values."""
    stamps: dict[str, list[str]] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not (equals and key):
            raise click.UsageError(f"revoke_by_stamped_headers: {pair!r} is not key=value")
        stamps.setdefault(key, []).append(value)
    return stamps


def _rows(reply: Reply) -> list[Row]:
    value = reply.value
    text = value.get("ok", value) if isinstance(value, dict) else value
    return [{"worker": reply.node, "reply": text, "ms": f"{reply.elapsed * 1000:.0f}"}]


def list_commands(given: Globals, timeout: float) -> int:
    """Print the commands: tq's, then what the workers have of their own, where any answers."""
    for name, (parameters, required, text) in COMMANDS.items():
        words = [
            f"{p.upper()}{'...' if p in _REST else ''}" if i < required else f"[{p.upper()}]"
            for i, p in enumerate(parameters)
        ]
        click.echo(f"{' '.join([name, *words]):<52} {text}")
    for usage, text in own_commands(given, "control", set(COMMANDS), timeout):
        click.echo(f"{usage:<52} {text}")
    return exits.OK


@click.command("control", context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--list", "listing", is_flag=True, help="List the commands, the workers' own too.")
@click.argument("name", metavar="COMMAND", required=False)
@click.argument("words", metavar="[ARGS]...", nargs=-1)
@remote_options
@worker_output_options
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
) -> int:
    """Tell workers what to do. `tq control --list` shows the commands and their arguments.

    A command of the workers' own takes its arguments as key=value; values are JSON, else text.
    """
    if listing:
        return list_commands(given, timeout)
    if name is None:
        raise click.UsageError("which command? See --list")
    missing = unknown("control", name, list(COMMANDS))
    arguments = arguments_of(name, words) if name in COMMANDS else keywords(name, words, missing)
    if given.read_only:
        raise CommandRefused(f"{name}: refused, this is a read-only session")
    app = load_app(given)
    line = ["control", name, *words, *(f"-d{node}" for node in destination)]
    if timeout == 0 or name == "shutdown":
        return _cast(tell(app, line, name, arguments, destination, 0), name, given.quiet)
    answers = tell(app, line, name, arguments, destination, timeout)
    check_known(answers, name, missing)
    if given.verbose:
        print_timings(answers)
    printer = Printer(output, as_json, color=given.wants_color)
    if printer.form == "celery":
        return print_as_celery(answers, quiet=given.quiet, count=False)
    code = exit_code(answers, expect)
    if answers.errors and "task_name" in arguments:
        near = similar_task(app, arguments["task_name"], timeout)
        if near is not None:
            note(f"no worker knows {arguments['task_name']!r}: did you mean {near!r}?")
    if printer.form == "json":
        printer.value([{reply.node: reply.value} for reply in answers.replies])
        return code
    print_answers(answers, printer, ("worker", "reply", "ms"), _rows, quiet=given.quiet)
    return code


def _cast(answers: Answers, name: str, quiet: bool) -> int:
    """Say what became of a command that nobody answers; returns the exit code."""
    for pattern in answers.unknown:
        note(f"{pattern}: no worker of that name is known")
    if answers.unknown and not answers.expected:
        return exits.NOTHING
    note("shutdown sent; workers do not reply to it" if name == "shutdown" else "sent", quiet)
    return exits.PARTIAL if answers.unknown else exits.OK
