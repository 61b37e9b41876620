"""The `tq` group: global options, commands loaded on demand, one line for each error."""

import difflib
import importlib
import os
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

import click

from tq import errors
from tqconsole.cli import exits, omissions
from tqconsole.cli.options import Globals, global_options, load_app

__all__ = ["cli", "run"]

# name -> (module, one line of help): listed here so that `tq --help` imports no command.
COMMANDS: dict[str, tuple[str, str]] = {
    "worker": ("worker", "Start a worker."),
    "beat": ("beat", "Send periodic tasks when they are due."),
    "schedules": ("schedules", "List periodic tasks: when next, when last, how often."),
    "multi": ("multi", "Start, stop and restart many workers on this machine."),
    "events": ("events", "Watch a cluster: full-screen console, or --dump for a stream of lines."),
    "status": ("status", "Show which workers answer, and how they are."),
    "inspect": ("inspect", "Ask workers what they do and know (read-only)."),
    "control": ("control", "Tell workers what to do."),
    "tasks": ("tasks", "List tasks: what workers hold, and what events tell."),
    "workers": ("workers", "List workers: who answers, and how they are."),
    "queues": ("queues", "List queues: what waits, and who takes from them."),
    "flows": ("flows", "List chains, groups and chords, and how far they have come."),
    "failures": ("failures", "List what fails, grouped by cause."),
    "task": ("task", "Show one task: its result, and where it is."),
    "revoke": ("revoke", "Do not run tasks, by id or by filter."),
    "resend": ("resend", "Send a task again, with the same arguments."),
    "call": ("call", "Send a task and print its id."),
    "result": ("result", "Print a task's result, waiting for it."),
    "dead": ("dead", "List, requeue and drop the messages that were given up."),
    "watch": ("watch", "Wait until something is so, or fail: a gate for deployments."),
    "purge": ("purge", "Delete all waiting messages of the queues."),
    "migrate": ("migrate", "Copy or move waiting messages to another broker."),
    "list": ("list", "List the bindings of queues and exchanges."),
    "report": ("report", "Print versions and settings, for a bug report."),
    "doctor": ("doctor", "Find what endangers tasks: broker, workers, settings."),
    "acl": ("acl", "Print what a Redis user must be allowed: console, worker, producer."),
    "shell": ("shell", "Open a Python shell with the application and its tasks."),
    "completion": ("completion", "Print what makes a shell complete tq's commands."),
    "broker": ("broker", "Start, stop and inspect the embedded broker."),
    "demo": ("demo", "Start a broker, two workers and a load, and watch them."),
}
ALIASES = {"top": "events"}


class LazyGroup(click.Group):
    """A group whose commands are imported when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """List the commands in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the module of a command and return what it defines as `command`."""
        name = ALIASES.get(cmd_name, cmd_name)
        if name not in COMMANDS:
            return None
        # Deferred: a command's start-up cost is paid only by who calls it.
        module = importlib.import_module(f"tqconsole.cli.{COMMANDS[name][0]}")
        command: click.Command = module.command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command, or suggest the nearest name."""
        name = args[0] if args else ""
        if name and not name.startswith("-") and self.get_command(ctx, name) is None:
            if name in omissions.COMMANDS:
                raise click.UsageError(f"tq has no '{name}': {omissions.COMMANDS[name]}", ctx)
            near = difflib.get_close_matches(name, [*COMMANDS, *ALIASES], n=1)
            hint = f" Did you mean '{near[0]}'?" if near else ""
            raise click.UsageError(f"No such command '{name}'.{hint}", ctx)
        return super().resolve_command(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[Any]:
        """Complete the names of commands from the table, importing none."""
        if incomplete.startswith("-"):
            return super().shell_complete(ctx, incomplete)
        from click.shell_completion import CompletionItem  # only when a shell asks

        names = {name: text for name, (_, text) in COMMANDS.items()}
        return [
            CompletionItem(name, help=text)
            for name, text in names.items()
            if name.startswith(incomplete)
        ]

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; whoever stops reading our output ends it quietly.

        Caught here because click would exit with 1 (`click.Command.main`, EPIPE).
        """
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
        except BrokenPipeError:
            _drop_stdout()
            leave(exits.OK)
        return result

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands from the table, importing none."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


def _version(ctx: click.Context, _param: click.Parameter, value: bool) -> None:
    if not value or ctx.resilient_parsing:
        return
    from importlib.metadata import version  # only here: it costs 20 ms

    click.echo(f"tq {version('tqconsole')}")
    ctx.exit()


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "auto_envvar_prefix": "TQ"},
    invoke_without_command=True,
)
@global_options
@click.option("--version", is_flag=True, expose_value=False, is_eager=True, callback=_version)
@click.pass_context
def cli(ctx: click.Context, /, **options: Any) -> None:
    """Run and watch a task queue: tq's own and Celery's.

    With no broker given, all tq processes of a user on one machine share an embedded one.
    """
    ctx.obj = Globals(**options)
    if ctx.obj.workdir:
        try:
            os.chdir(ctx.obj.workdir)
        except OSError as error:
            raise click.UsageError(f"--workdir: {error}", ctx) from None
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())
    elif ctx.obj.app:
        _add_user_options(ctx, ctx.invoked_subcommand)


def _add_user_options(ctx: click.Context, name: str) -> None:
    """Add the application's own options to a command, or to a group's, that has an application."""
    named = cli.get_command(ctx, name)
    commands = [named, *named.commands.values()] if isinstance(named, click.Group) else [named]
    for command in commands:
        if command is not None and any(param.name == "app" for param in command.params):
            # Only where there is an application: most of the start-up time is its import.
            from tqconsole.cli.user_options import add_user_options

            ctx.call_on_close(add_user_options(command, load_app(ctx.obj)))


def run(argv: Sequence[str]) -> int:
    """Run the command line and return its exit code; prints errors as one line."""
    try:
        result = cli.main(list(argv), prog_name="tq", standalone_mode=False)
        return result if isinstance(result, int) else exits.OK
    except click.exceptions.Exit as exc:
        return exc.exit_code
    except click.UsageError as exc:
        return _usage(exc)
    except click.ClickException as exc:
        return _fail(exc.format_message(), exc.exit_code)
    except (click.Abort, KeyboardInterrupt):
        return exits.INTERRUPTED
    except errors.TQError as exc:
        return _fail(str(exc), exit_code_of(exc))


def exit_code_of(exc: errors.TQError) -> int:
    """Return the exit code that stands for an error."""
    match exc:
        case errors.ConfigError():
            return exits.USAGE
        case errors.BrokerConnectionError() | errors.NoReplyError():
            return exits.UNAVAILABLE
        case errors.CommandRefused():
            return exits.REFUSED
        case _:
            return exits.FAILED


def _usage(exc: click.UsageError) -> int:
    command = exc.ctx.command_path if exc.ctx else "tq"
    message = exc.format_message()
    if isinstance(exc, click.NoSuchOption):
        message = omissions.reason_for(command[3:], exc.option_name) or message
        message = message if exc.option_name in message else f"{exc.option_name}: {message}"
    # click spreads some messages over lines.
    click.echo(f"{command}: {' '.join(message.split())}", err=True)
    if not isinstance(exc, click.exceptions.NoArgsIsHelpError):
        click.echo(f"Try '{command} --help'.", err=True)
    return exits.USAGE


def _fail(message: str, code: int) -> int:
    click.echo(f"tq: {message}", err=True)
    return code


def _drop_stdout() -> None:
    """Point stdout at nothing, so that the interpreter's last flush cannot fail again."""
    devnull = os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, sys.stdout.fileno())
    os.close(devnull)


def leave(code: int) -> NoReturn:
    """End the command with an exit code."""
    raise click.exceptions.Exit(code)
