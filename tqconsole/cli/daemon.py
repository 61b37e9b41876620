"""What commands that run for long share: pid file, background, another user.

Source: CLI 2 (daemon options), 4.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from tq.errors import ConfigError
from tqconsole.cli import exits
from tqconsole.cli.output import note

__all__ = ["daemon_options", "default_logfile", "launch", "node_name"]

_LONGEST_NAME = 200  # names of files and keys are made of it

_OPTIONS = [
    click.option("--uid", metavar="USER", help="Become this user; needs root."),
    click.option("--gid", metavar="GROUP", help="Become this group; needs root."),
    click.option("--umask", metavar="OCTAL", help="Umask of the files that are written."),
]


def daemon_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--uid`, `--gid` and `--umask`."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


def node_name(given: str | None, default: str = "celery") -> str:
    """Return the full node name that `-n` means.

    Raises:
        ConfigError: It cannot be one: others could not address it, or its files would go astray.
    """
    from tq import nodename  # deferred: `--help` needs none of it

    name = nodename.make(given, default=default)
    if any(ord(char) < 32 or char in "/,\x7f" for char in name):
        raise ConfigError(f"--hostname: control characters, / and , do not belong in {name!r}")
    if len(name.encode()) > _LONGEST_NAME:
        raise ConfigError(f"--hostname: longer than {_LONGEST_NAME} bytes: {name[:40]!r}...")
    return name


def default_logfile(node: str, quiet: bool) -> str:
    """Return where a program in the background logs when nobody says, and say so."""
    from tq import nodename
    from tq.brokers.embedded import state_folder  # deferred: loads the Redis driver
    from tq.process import private_folder

    path = private_folder(state_folder()) / "log"
    path.mkdir(mode=0o700, exist_ok=True)
    chosen = path / "%n%I.log"
    note(f"logs to {nodename.expand_path(str(chosen), node)}", quiet)
    return str(chosen)


def launch(
    run: Callable[[Callable[[], None]], int],
    *,
    node: str,
    detach: bool,
    pidfile: str | None,
    uid: str | None,
    gid: str | None,
    umask: str | None,
) -> int:
    """Run a program as its daemon options say, and return the exit code.

    Args:
        run: The program; called with a function that it calls when it is ready.
        node: Name that the pid file's codes expand to.
        detach: Run it in the background.
        pidfile: Path with the codes of CLI 5; none is written when empty.
        uid: User to become.
        gid: Group to become.
        umask: In octal.
    """
    from tq import daemon, nodename  # deferred: `--help` needs none of it

    mask = daemon.read_umask(umask)
    path = Path(nodename.expand_path(pidfile, node)).absolute() if pidfile else None

    def program(on_ready: Callable[[], None]) -> int:
        daemon.become(uid, gid, mask)
        if path is None:
            return run(on_ready)
        held = daemon.PidFile(path)
        if held.acquire():
            note(f"{path} was left behind by a process that is gone")
        try:
            return run(on_ready)
        finally:
            held.release()

    if not detach:
        try:
            return program(daemon.tell_systemd)
        except daemon.PidFileTaken as exc:
            note(f"tq: {exc}")
            return exits.CANNOT_CREATE
    if path is not None and not path.parent.is_dir():
        raise ConfigError(f"the folder of the pid file, {path.parent}, does not exist")
    code, reason = daemon.detach(program)
    if reason:
        note(f"tq: {reason}")
    return code
