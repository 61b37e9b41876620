"""`tq revoke`."""

from typing import TYPE_CHECKING, Any

import click

from tqconsole.cli import exits
from tqconsole.cli.answers import error_of, exit_code
from tqconsole.cli.confirm import confirm, plural, refuse_when_read_only, yes_option
from tqconsole.cli.listening import for_option, listen
from tqconsole.cli.options import Globals, app_options, load_app
from tqconsole.cli.output import note
from tqconsole.cli.remote import remote_options, tell
from tqconsole.cli.replies import print_timings
from tqconsole.cli.select import read_filter, where_option
from tqconsole.cli.signal_names import signal_name

if TYPE_CHECKING:
    from tq import TQ

__all__ = ["command"]

_BATCH = 500  # ids in one command


@click.command("revoke", context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("ids", nargs=-1, metavar="[ID]...")
@where_option
@for_option
@click.option("--terminate", metavar="SIG", help="End those that run with this signal.")
@click.option("--dry-run", is_flag=True, help="List the tasks, and revoke nothing.")
@yes_option
@remote_options
@app_options
def command(
    given: Globals,
    ids: tuple[str, ...],
    where: str | None,
    seconds: float,
    terminate: str | None,
    dry_run: bool,
    yes: bool,
    destination: tuple[str, ...],
    timeout: float,
    expect: str | None,
) -> int:
    """Tell workers not to run tasks, by id or by filter; with --terminate also to end them.

    --where chooses among the tasks that workers hold or that events tell of during --for. Tasks
    that are over are left alone.
    """
    if bool(ids) == bool(where):
        raise click.UsageError("which tasks? Give ids or --where, not both")
    signal = signal_name("--terminate", terminate) if terminate is not None else None
    test = read_filter(where).test
    app = load_app(given)
    if where:
        seen = listen(app, seconds, tasks=True)
        context = seen.context
        found = [t for t in seen.tasks.values() if not t.ready and test(t, context)]
        chosen = [task.uuid for task in found]
        lines = [f"{t.uuid}\t{context.state(t)}\t{t.name or ''}\t{t.worker or ''}" for t in found]
    else:
        chosen = lines = list(dict.fromkeys(ids))
    if not chosen:
        note("no task matches", given.quiet)
        return exits.NOTHING
    verb = f"terminate with {signal}" if signal else "revoke"
    if dry_run:
        click.echo("\n".join(lines))
        note(f"would {verb} {plural(len(chosen), 'task')}", given.quiet)
        return exits.OK
    refuse_when_read_only(given, "revoke")
    if where or signal:
        confirm("revoke", f"{verb} {plural(len(chosen), 'task')} on {app.broker.url}?", yes)
    chosen_by = ["--where", where] if where else []
    line = ["revoke", *chosen_by, *(["--terminate", signal] if signal else [])]
    return _send(app, given, line, chosen, signal, destination, timeout, expect)


def _send(
    app: "TQ",
    given: Globals,
    line: list[str],
    ids: list[str],
    signal: str | None,
    destination: tuple[str, ...],
    timeout: float,
    expect: str | None,
) -> int:
    """Send the commands, and say what came of them in one line each."""
    worst = exits.OK
    arguments: dict[str, Any] = {"terminate": signal is not None, "signal": signal or "SIGTERM"}
    for start in range(0, len(ids), _BATCH):
        chunk = ids[start : start + _BATCH]
        command = {"task_id": chunk, **arguments}
        answers = tell(app, line, "revoke", command, destination, timeout)
        if given.verbose:
            print_timings(answers)
        worst = max(worst, exit_code(answers, expect))
        for reply in answers.errors:
            note(f"{reply.node}: error: {error_of(reply.value)}")
        nodes = ",".join(reply.node for reply in answers.replies)
        done = f"terminated ({signal})" if signal else "revoked"
        more = f",+{len(chunk) - 20}" if len(chunk) > 20 else ""
        listed = ",".join(chunk[:20]) + more
        click.echo(f"{done} {plural(len(chunk), 'task')} on {nodes or 'nobody'}: {listed}")
    return worst
