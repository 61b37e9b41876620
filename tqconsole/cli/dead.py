"""`tq dead`."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from tq.monitor.task import TaskInfo
from tq.saferepr import safe_text
from tqconsole.cli import exits
from tqconsole.cli.confirm import confirm, plural, refuse_when_read_only, yes_option
from tqconsole.cli.moments import iso
from tqconsole.cli.options import Globals, app_options, load_app, split_names
from tqconsole.cli.output import Printer, note, output_options
from tqconsole.cli.redis_only import redis_broker
from tqconsole.cli.select import Choice, read_filter, select_options, where_option
from tqconsole.cli.trail import audited
from tqconsole.tui.model.masking import masked
from tqconsole.tui.model.task_fields import Context

if TYPE_CHECKING:
    from tq.brokers.redis.dead_letters import DeadLetter

__all__ = ["command"]

_COLUMNS = ("id", "time", "reason", "queue", "name", "task_id", "size", "start")
_START = 60  # characters of a message in a list
_SHOWN = 4000


@click.group("dead", context_settings={"help_option_names": ["-h", "--help"]})
def command() -> None:
    """Look after the dead letters: messages that were given up.

    A message ends there when it cannot be read, or when workers were lost with it too often.
    """


def _chosen_options(function: Callable[..., Any]) -> Callable[..., Any]:
    for option in (
        click.option("--dry-run", is_flag=True, help="Say what would happen, and do nothing."),
        yes_option,
        click.option("--all", "everything", is_flag=True, help="All of them."),
        where_option,
        click.option("--reason", multiple=True, metavar="A,B", help="Only with these reasons."),
        click.argument("ids", nargs=-1, metavar="[ID]..."),
    ):
        function = option(function)
    return function


@command.command("list")
@click.option("--reason", multiple=True, metavar="A,B", help="Only with these reasons.")
@select_options
@output_options
@app_options
def list_(
    given: Globals, reason: tuple[str, ...], output: str | None, as_json: bool, choice: Choice
) -> int:
    """List the dead letters, newest first."""
    wanted = _wanted(split_names(reason), choice.where)
    letters = redis_broker(load_app(given)).dead_letters()
    found = [letter for letter in letters.read() if wanted(letter)]
    printer = Printer(output, as_json, color=given.wants_color)
    return choice.show(printer, _COLUMNS, [_row(letter) for letter in found])


@command.command("show")
@click.argument("letter_id", metavar="ID")
@output_options
@app_options
def show(given: Globals, letter_id: str, output: str | None, as_json: bool) -> int:
    """Show one dead letter whole; ID is its own, its start, or the task's."""
    for letter in redis_broker(load_app(given)).dead_letters().read():
        if _is_named(letter, letter_id):
            text = letter.dead.raw.decode("utf-8", "backslashreplace")
            shown = {**_row(letter), "start": None, "message": safe_text(masked(text), _SHOWN)}
            del shown["start"]
            printer = Printer(output, as_json)
            if printer.form in ("json", "jsonl"):
                printer.line(shown)
            else:
                printer.rows(("key", "value"), [{"key": k, "value": v} for k, v in shown.items()])
            return exits.OK
    raise click.exceptions.Exit(_nothing(letter_id))


@command.command("requeue")
@_chosen_options
@app_options
def requeue(given: Globals, **options: Any) -> int:
    """Put messages back on their queues, as if they had never been lost."""
    return _act(given, "requeue", "requeued", **options)


@command.command("drop")
@_chosen_options
@app_options
def drop(given: Globals, **options: Any) -> int:
    """Delete dead letters. They cannot be brought back."""
    return _act(given, "drop", "dropped", **options)


def _act(
    given: Globals,
    verb: str,
    done: str,
    *,
    ids: tuple[str, ...],
    reason: tuple[str, ...],
    where: str | None,
    everything: bool,
    yes: bool,
    dry_run: bool,
) -> int:
    """Requeue or drop what was chosen, and say so in one line."""
    what = f"dead {verb}"
    if not (ids or reason or where or everything):
        raise click.UsageError("which ones? Give ids, --reason, --where or --all")
    wanted = _wanted(split_names(reason), where)
    app = load_app(given)
    letters = redis_broker(app).dead_letters()
    found = [
        letter
        for letter in letters.read()
        if wanted(letter) and (not ids or any(_is_named(letter, name) for name in ids))
    ]
    lost = [name for name in ids if not any(_is_named(letter, name) for letter in found)]
    for name in lost:
        _nothing(name)
    skipped = [letter for letter in found if verb == "requeue" and not letter.readable]
    if skipped:
        note(f"{plural(len(skipped), 'message')} cannot be read, and would only come back: left")
        found = [letter for letter in found if letter.readable]
    if not found:
        note("no dead letter matches", given.quiet)
        return exits.NOTHING
    counted = f"{plural(len(found), 'dead letter')} ({_reasons(found)})"
    if dry_run:
        click.echo(f"would {verb} {counted} on {app.broker.url}")
        return exits.OK
    refuse_when_read_only(given, what)
    confirm(what, f"{verb} {counted} on {app.broker.url}?", yes)
    listed = ",".join(letter.id for letter in found[:20])
    line = ["dead", verb, *ids, *(f"--reason={text}" for text in reason)]
    line += [f"--where={where}"] if where else []
    with audited(app, line, what, {"count": len(found), "letters": listed}) as act:
        moved = letters.requeue(found) if verb == "requeue" else letters.drop(found)
        act.answered("broker", f"{done} {moved} of {counted}")
    more = f",+{len(found) - 20}" if len(found) > 20 else ""
    click.echo(f"{done} {moved} of {counted} on {app.broker.url}: {listed}{more}")
    return exits.OK if moved == len(found) and not lost and not skipped else exits.FAILED


def _wanted(reasons: list[str], where: str | None) -> "Callable[[DeadLetter], bool]":
    """Make a test of letters from `--reason` and `--where`."""
    test, context = read_filter(where).test, Context(time.time())
    return lambda letter: (
        (not reasons or letter.dead.reason in reasons)
        and (not where or test(_task(letter), context))
    )


def _is_named(letter: "DeadLetter", name: str) -> bool:
    return len(name) >= 4 and (letter.id.startswith(name) or _headers(letter).get("id") == name)


def _nothing(name: str) -> int:
    note(f"tq: no dead letter {name}")
    return exits.NOTHING


def _reasons(letters: "list[DeadLetter]") -> str:
    counts: dict[str, int] = {}
    for letter in letters:
        counts[letter.dead.reason] = counts.get(letter.dead.reason, 0) + 1
    return ", ".join(f"{reason} {count}" for reason, count in sorted(counts.items()))


def _headers(letter: "DeadLetter") -> dict[str, Any]:
    delivery = letter.dead.delivery
    return delivery.message.headers if delivery is not None else {}


def _text(value: Any) -> str | None:
    return safe_text(masked(value), 200) if isinstance(value, str) else None


def _row(letter: "DeadLetter") -> dict[str, Any]:
    dead, headers = letter.dead, _headers(letter)
    start = dead.raw[: 4 * _START].decode("utf-8", "backslashreplace")
    arguments = " ".join(
        text for name in ("argsrepr", "kwargsrepr") if (text := _text(headers.get(name)))
    )
    return {
        "id": letter.id,
        "time": iso(dead.timestamp),
        "reason": safe_text(dead.reason),
        "queue": safe_text(dead.queue),
        "name": _text(headers.get("task")),
        "task_id": _text(headers.get("id")),
        "size": len(dead.raw),
        "start": safe_text(arguments or masked(start), _START),
    }


def _task(letter: "DeadLetter") -> TaskInfo:
    """Show a letter to the filter as the task that was in it."""
    headers, dead = _headers(letter), letter.dead
    texts: dict[str, Any] = {
        field: value
        for field, name in (
            ("name", "task"), ("args", "argsrepr"), ("kwargs", "kwargsrepr"),
            ("root_id", "root_id"), ("parent_id", "parent_id"),
        )
        if isinstance(value := headers.get(name), str)
    }  # fmt: skip
    return TaskInfo(
        uuid=str(headers.get("id") or letter.id),
        state="REJECTED",
        queue=dead.queue,
        result=dead.reason,
        timestamp=dead.timestamp,
        sent=dead.timestamp,
        local_received=dead.timestamp,
        **texts,
    )
