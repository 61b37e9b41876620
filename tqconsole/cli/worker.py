"""`tq worker`."""

import os
from collections.abc import Callable
from typing import Any

import click

from tq.errors import ConfigError
from tqconsole.cli.daemon import daemon_options, default_logfile, launch, node_name
from tqconsole.cli.options import LEVELS, Globals, app_options, load_app

__all__ = ["command"]


class _Concurrency(click.ParamType[Any]):
    """A positive number of slots, or `auto` for one per processor this process may use."""

    name = "N"

    def convert(self, value: Any, param: Any, ctx: Any) -> int | str:
        """Return the number or `auto`, or fail with one line."""
        if str(value).lower() == "auto":
            return "auto"
        try:
            number = int(value)
        except ValueError:
            self.fail(f"{value!r} is neither a number nor 'auto'", param, ctx)
        if not 1 <= number <= 10_000:
            self.fail(f"{number} is not between 1 and 10000", param, ctx)
        return number


class _Autoscale(click.ParamType[Any]):
    """`MAX,MIN`, or MAX alone."""

    name = "MAX,MIN"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[int, int]:
        """Return (max, min)."""
        try:
            parts = [int(part) for part in str(value).split(",")]
        except ValueError:
            self.fail(f"{value!r} is not MAX,MIN", param, ctx)
        if len(parts) > 2 or parts[0] < 1 or (len(parts) == 2 and not 0 <= parts[1] <= parts[0]):
            self.fail(f"{value!r} is not MAX,MIN with MAX >= MIN >= 0", param, ctx)
        return parts[0], parts[1] if len(parts) == 2 else 0


_POSITIVE = click.IntRange(min=1)
_SECONDS = click.FloatRange(min=0, min_open=True, max=1e9)


@click.command("worker", context_settings={"help_option_names": ["-h", "--help"]})
@click.option("-n", "--hostname", metavar="NAME", help="Node name; %h %n %d expand.")
@click.option("-c", "--concurrency", type=_Concurrency(), help="Slots; a number or auto.")
@click.option(
    "-P", "--pool", metavar="POOL", help="prefork, threads, asyncio, gevent, eventlet or solo."
)
@click.option("-Q", "--queues", metavar="A,B", help="Consume only these queues.")
@click.option("-X", "--exclude-queues", metavar="A,B", help="Consume all but these queues.")
@click.option("-I", "--include", metavar="A,B", help="More modules to import.")
@click.option(
    "-l",
    "--loglevel",
    type=click.Choice(LEVELS, case_sensitive=False),
    default="WARNING",
    show_default=True,
)
@click.option("-f", "--logfile", metavar="PATH", help="Log file; %n %h %I %p expand.")
@click.option(
    "-E", "--task-events", "--events", is_flag=True, default=None, help="Send task events."
)
@click.option(
    "--prefetch-multiplier", type=click.IntRange(min=0), help="Most messages reserved per slot."
)
@click.option(
    "--disable-prefetch",
    is_flag=True,
    default=None,
    help="Take a message only when a slot is free.",
)
@click.option(
    "--pool-start-method", type=click.Choice(["fork", "spawn"]), help="How children are started."
)
@click.option(
    "--max-tasks-per-child", type=_POSITIVE, help="Replace a child after this many tasks."
)
@click.option(
    "--max-memory-per-child", type=_POSITIVE, metavar="KIB", help="Replace a child above this size."
)
@click.option("--time-limit", type=_SECONDS, help="Seconds after which a task is killed.")
@click.option("--soft-time-limit", type=_SECONDS, help="Seconds after which a task is interrupted.")
@click.option("--autoscale", type=_Autoscale(), help="Grow and shrink the pool.")
@click.option("--purge", "--discard", is_flag=True, help="Empty the queues first.")
@click.option("-D", "--detach", is_flag=True, help="Run in the background.")
@click.option("--pidfile", metavar="PATH", help="Write the process id here; %n %h %p expand.")
@click.option("-B", "--beat", is_flag=True, help="Send periodic tasks too, as `tq beat` does.")
@click.option(
    "-s",
    "--schedule",
    "--schedule-filename",
    "schedule",
    metavar="PATH",
    help="File of beat's progress, with -B.",
)
@click.option("--scheduler", metavar="CLASS", help="Scheduler class of your own, with -B.")
@click.option("-S", "--statedb", metavar="PATH", help="Keep revoked ids here.")
@click.option("--without-gossip", is_flag=True, help="Do not listen to other workers.")
@click.option("--without-mingle", is_flag=True, help="Do not ask other workers at start.")
@click.option("--without-heartbeat", is_flag=True, help="Send no heartbeat events.")
@click.option("--heartbeat-interval", type=_SECONDS, help="Seconds between heartbeat events.")
@click.option(
    "-O", "--optimization", type=click.Choice(["default", "fair"]), help="Accepted; both are fair."
)
@daemon_options
@app_options
def command(given: Globals, loglevel: str, **options: Any) -> int:
    """Start a worker.

    Takes tasks from the queues, runs them in a pool and answers remote control. TERM ends it when
    the running tasks are done, QUIT at once.
    """
    for name in ("queues", "exclude_queues", "include"):
        options[name] = _names(name, options[name])
    options.pop("optimization")
    daemon = {name: options.pop(name) for name in ("detach", "uid", "gid", "umask")}
    options["pidfile"] = options["pidfile"] or None
    node = node_name(options["hostname"])
    if daemon["detach"] and not options["logfile"]:
        options["logfile"] = default_logfile(node, given.quiet)
        # SIGHUP begins the program anew without --detach, which must not lose the log.
        os.environ["TQ_WORKER_LOGFILE"] = options["logfile"]

    def program(on_ready: Callable[[], None]) -> int:
        return _work(given, loglevel.upper(), options, on_ready)

    # The worker holds its pid file itself.
    return launch(program, node=node, pidfile=None, **daemon)


def _work(
    given: Globals, loglevel: str, options: dict[str, Any], on_ready: Callable[[], None]
) -> int:
    # Deferred: in the background this runs in a forked process, which must start from little.
    from tq import signals
    from tq.worker import Worker

    beat = options.pop("beat")
    own = {"schedule_filename": options.pop("schedule"), "scheduler": options.pop("scheduler")}
    if any(own.values()) and not beat:
        raise ConfigError("--schedule and --scheduler are for the embedded beat: give --beat too")
    app = load_app(given, required=True)
    worker = Worker(app, loglevel=loglevel, no_color=given.no_color, **options)
    worker.restart_folder = _start_folder(given.workdir)
    if beat:
        from tq.beat import Service  # only with -B

        # Last, so that the pool's processes exist before its thread does.
        worker.services.append(Service(app, **own, embedded=True))

    def tell(**_signal: Any) -> None:
        on_ready()

    signals.worker_ready.connect(tell, weak=False)
    try:
        return worker.start()
    finally:
        signals.worker_ready.disconnect(tell)


def _start_folder(workdir: str | None) -> str | None:
    """Return where a restart must begin, so that a relative `--workdir` leads to the same place."""
    before = os.environ.get("PWD")
    if workdir is None or os.path.isabs(workdir) or before is None:
        return None
    target = os.path.join(before, workdir)
    return before if os.path.isdir(target) and os.path.samefile(target, os.curdir) else None


def _names(option: str, text: str | None) -> list[str] | None:
    if text is None:
        return None
    names = [part.strip() for part in text.split(",")]
    flag = "--" + option.replace("_", "-")
    if not all(names):
        raise ConfigError(f"{flag}: an empty name in {text!r}")
    if any(ord(char) < 32 or char == "\x7f" for char in text):
        raise ConfigError(f"{flag}: control characters in {text!r}")
    return names
