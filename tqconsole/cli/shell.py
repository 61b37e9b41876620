"""`tq shell`."""

import code
import importlib
import importlib.util
import traceback
from typing import Any

import click

from tq import canvas
from tqconsole.cli import exits
from tqconsole.cli.options import Globals, app_options, load_app

__all__ = ["command"]

_CANVAS = ("chain", "chord", "chunks", "group", "signature", "xmap", "xstarmap")


@click.command("shell", context_settings={"help_option_names": ["-h", "--help"]})
@click.option("-I", "--ipython", is_flag=True, help="Use IPython.")
@click.option("-B", "--bpython", is_flag=True, help="Use bpython.")
@click.option("--python", is_flag=True, help="Use plain Python, the default without IPython.")
@click.option("-T", "--without-tasks", is_flag=True, help="Do not add the tasks as names.")
@click.option("--gevent", is_flag=True, help="Patch Python for gevent first.")
@click.option("--eventlet", is_flag=True, help="Patch Python for eventlet first.")
@click.option("-c", "--command", "program", metavar="CODE", help="Run this code instead.")
@app_options
def command(
    given: Globals,
    ipython: bool,
    bpython: bool,
    python: bool,
    without_tasks: bool,
    gevent: bool,
    eventlet: bool,
    program: str | None,
) -> int:
    """Open a Python shell with `app`, its tasks by their short names, and the canvas."""
    # --gevent and --eventlet were seen to before anything else was imported.
    app = load_app(given)
    names: dict[str, Any] = {"app": app, "celery": app}
    names |= {name: getattr(canvas, name) for name in _CANVAS if hasattr(canvas, name)}
    if not without_tasks:
        tasks = app.tasks.items()
        names |= {
            name.rpartition(".")[2]: task for name, task in tasks if not name.startswith("celery.")
        }
    if program is not None:
        return _run(program, names)
    for wanted, name in ((ipython, "IPython"), (bpython, "bpython")):
        if wanted and importlib.util.find_spec(name) is None:
            option, package = f"--{name.lower()}", name.lower()
            raise click.UsageError(f"{option}: {name} is not installed: pip install {package}")
    if bpython:
        embed: Any = importlib.import_module("bpython").embed
        embed(locals_=names)
        return exits.OK
    if not python and importlib.util.find_spec("IPython") is not None:
        start: Any = importlib.import_module("IPython").start_ipython
        start(argv=[], user_ns=names)
        return exits.OK
    banner = f"tq shell: app is {app!r}; tasks and the canvas are defined"
    code.interact(banner=banner, local=names, exitmsg="")
    return exits.OK


def _run(program: str, names: dict[str, Any]) -> int:
    """Run a program as Python's own -c does; returns the exit code."""
    try:
        exec(compile(program, "<tq shell -c>", "exec"), names)
    except Exception as error:
        # The program's own frames only: ours tell nobody anything.
        own = error.__traceback__.tb_next if error.__traceback__ else None
        traceback.print_exception(error.with_traceback(own))
        return exits.FAILED
    return exits.OK
