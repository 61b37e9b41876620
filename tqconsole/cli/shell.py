"""`tq shell`."""

import code
import importlib
import importlib.util
from typing import Any

import click

from tq import canvas
from tqconsole.cli import exits
from tqconsole.cli.options import Globals, app_options, load_app

__all__ = ["command"]

_CANVAS = ("chain", "chord", "chunks", "group", "signature", "xmap", "xstarmap")


@click.command("shell", context_settings={"help_option_names": ["-h", "--help"]})
@click.option("-I", "--ipython", is_flag=True, help="Use IPython.")
@click.option("--python", is_flag=True, help="Use plain Python, the default without IPython.")
@click.option("-T", "--without-tasks", is_flag=True, help="Do not add the tasks as names.")
@click.option("-c", "--command", "program", metavar="CODE", help="Run this code instead.")
@app_options
def command(
    given: Globals, ipython: bool, python: bool, without_tasks: bool, program: str | None
) -> int:
    """Open a Python shell with `app`, its tasks by their short names, and the canvas."""
    app = load_app(given)
    names: dict[str, Any] = {"app": app, "celery": app}
    names |= {name: getattr(canvas, name) for name in _CANVAS if hasattr(canvas, name)}
    if not without_tasks:
        tasks = app.tasks.items()
        names |= {
            name.rpartition(".")[2]: task for name, task in tasks if not name.startswith("celery.")
        }
    if program is not None:
        exec(compile(program, "<tq shell -c>", "exec"), names)
        return exits.OK
    has_ipython = importlib.util.find_spec("IPython") is not None
    if ipython and not has_ipython:
        raise click.UsageError("--ipython: IPython is not installed: pip install ipython")
    if has_ipython and not python:
        start: Any = importlib.import_module("IPython").start_ipython
        start(argv=[], user_ns=names)
        return exits.OK
    banner = f"tq shell: app is {app!r}; tasks and the canvas are defined"
    code.interact(banner=banner, local=names, exitmsg="")
    return exits.OK
