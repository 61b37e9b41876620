"""`tq inspect`."""

import difflib
import time
from collections.abc import Callable
from typing import Any

import click

from tq.wire.command import Reply
from tqconsole.cli.options import Globals, app_options, load_app
from tqconsole.cli.output import Printer, output_options
from tqconsole.cli.remote import Row, ask, exit_code, print_answers, remote_options

__all__ = ["COMMANDS", "command"]

_YES = {"yes", "true", "1", "on", "y"}


def _task_rows(reply: Reply) -> list[Row]:
    return [_task_row(reply.node, task) for task in _list(reply.value)]


def _task_row(node: str, task: Row) -> Row:
    began = task.get("time_start")
    return {
        **task,
        "worker": node,
        "elapsed": f"{time.time() - began:.1f}s" if isinstance(began, int | float) else None,
        "pid": task.get("worker_pid"),
    }


def _scheduled_rows(reply: Reply) -> list[Row]:
    return [
        {**_task_row(reply.node, entry.get("request") or {}), "eta": entry.get("eta")}
        for entry in _list(reply.value)
    ]


def _queue_rows(reply: Reply) -> list[Row]:
    return [
        {
            **queue,
            "worker": reply.node,
            "queue": queue.get("name"),
            "exchange": (queue.get("exchange") or {}).get("name"),
            "type": (queue.get("exchange") or {}).get("type"),
        }
        for queue in _list(reply.value)
    ]


def _stats_rows(reply: Reply) -> list[Row]:
    stats = reply.value if isinstance(reply.value, dict) else {}
    pool = stats.get("pool") or {}
    return [
        {
            **stats,
            "worker": reply.node,
            "pool": str(pool.get("implementation", "")).rpartition(".")[2].rpartition(":")[2],
            "slots": pool.get("max-concurrency"),
            "prefetch": stats.get("prefetch_count"),
            "tasks": sum(count for count in (stats.get("total") or {}).values()),
        }
    ]


def _query_rows(reply: Reply) -> list[Row]:
    found = reply.value if isinstance(reply.value, dict) else {}
    return [
        {**_task_row(reply.node, task), "id": task_id, "state": state}
        for task_id, (state, task) in found.items()
    ]


def _ok_rows(reply: Reply) -> list[Row]:
    value = reply.value
    text = value.get("ok", value) if isinstance(value, dict) else value
    return [{"worker": reply.node, "reply": text, "ms": f"{reply.elapsed * 1000:.0f}"}]


def _named(column: str) -> Callable[[Reply], list[Row]]:
    def rows(reply: Reply) -> list[Row]:
        return [{"worker": reply.node, column: value} for value in _list(reply.value)]

    return rows


def _value_rows(reply: Reply) -> list[Row]:
    if isinstance(reply.value, dict):
        return [{"worker": reply.node, "key": k, "value": v} for k, v in reply.value.items()]
    return [{"worker": reply.node, "key": "", "value": reply.value}]


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


_TASK = ("worker", "id", "name", "elapsed", "pid", "args", "kwargs")

# name -> (columns, rows of one reply, arguments on the command line, what it tells)
COMMANDS: dict[str, tuple[tuple[str, ...], Callable[[Reply], list[Row]], str, str]] = {
    "active": (_TASK, _task_rows, "", "tasks that run"),
    "reserved": (_TASK, _task_rows, "", "tasks taken, not started"),
    "scheduled": (
        ("worker", "eta", "id", "name", "args", "kwargs"),
        _scheduled_rows,
        "",
        "tasks that wait for their time",
    ),
    "revoked": (("worker", "id"), _named("id"), "", "ids of revoked tasks"),
    "registered": (("worker", "task"), _named("task"), "[ATTR]...", "tasks a worker knows"),
    "active_queues": (
        ("worker", "queue", "exchange", "type", "routing_key"),
        _queue_rows,
        "",
        "queues a worker takes from",
    ),
    "stats": (
        ("worker", "pool", "slots", "tasks", "prefetch", "uptime", "pid"),
        _stats_rows,
        "",
        "pool, counters, resources",
    ),
    "query_task": (("state", *_TASK), _query_rows, "ID...", "where these tasks are"),
    "ping": (("worker", "reply", "ms"), _ok_rows, "", "who is there"),
    "report": (("worker", "reply"), _ok_rows, "", "versions and settings, for a bug report"),
    "clock": (("worker", "key", "value"), _value_rows, "", "the logical clock"),
    "conf": (("worker", "key", "value"), _value_rows, "[DEFAULTS]", "settings; with defaults: yes"),
    "memsample": (("worker", "key", "value"), _value_rows, "", "memory in use"),
    "memdump": (("worker", "reply"), _ok_rows, "[N]", "memory samples taken so far"),
    "objgraph": (("worker", "key", "value"), _value_rows, "[TYPE [N [DEPTH]]]", "object graph"),
}


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
        raise click.UsageError(f"{name} takes {'at most ' if name == 'conf' else 'no '}arguments")
    return {}


def number(name: str, word: str) -> int:
    """Return a word as a whole number, or fail with one line."""
    try:
        return int(word)
    except ValueError:
        raise click.UsageError(f"{name}: {word!r} is not a whole number") from None


def unknown(kind: str, name: str, known: list[str]) -> click.UsageError:
    """Build the error for a misspelt command."""
    near = difflib.get_close_matches(name, known, n=1)
    hint = f" Did you mean '{near[0]}'?" if near else f" There are: {', '.join(sorted(known))}"
    return click.UsageError(f"No such {kind} command '{name}'.{hint}")


def list_commands(ctx: click.Context, _param: click.Parameter, value: bool) -> None:
    """Print the commands and stop (`--list`)."""
    if not value or ctx.resilient_parsing:
        return
    for name, (_, _, arguments, text) in COMMANDS.items():
        click.echo(f"{f'{name} {arguments}'.strip():<34} {text}")
    ctx.exit()


@click.command("inspect", context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--list",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=list_commands,
    help="List the commands.",
)
@click.argument("name", metavar="COMMAND")
@click.argument("words", metavar="[ARGS]...", nargs=-1)
@remote_options
@output_options
@app_options
def command(
    given: Globals,
    name: str,
    words: tuple[str, ...],
    destination: tuple[str, ...],
    timeout: float,
    expect: str | None,
    output: str | None,
    as_json: bool,
) -> int:
    """Ask workers what they do and know; changes nothing.

    COMMAND is one of active, reserved, scheduled, revoked, registered, active_queues, stats,
    query_task, ping, report, clock, conf, memsample, memdump, objgraph.
    """
    if name not in COMMANDS:
        raise unknown("inspect", name, list(COMMANDS))
    columns, rows, _, _ = COMMANDS[name]
    arguments = arguments_of(name, words)
    answers = ask(load_app(given), name, arguments, destination, timeout)
    code = exit_code(answers, expect)
    print_answers(answers, Printer(output, as_json), columns, rows, quiet=given.quiet)
    return code
