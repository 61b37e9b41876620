"""One node: its command, its files, its process.

Source: CLI 2 (multi); celery/apps/multi.py, `Node`.
"""

import os
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tq import nodename
from tq.daemon import pid_of
from tq.errors import ConfigError
from tq.multi.names import Options, Plan, expand
from tq.process import is_alive, start_detached

__all__ = ["Node", "default_paths", "make_nodes"]

_RUN, _LOG = Path("/var/run/celery"), Path("/var/log/celery")
_PID_FILE, _LOG_FILE = "%n.pid", "%n%I.log"
# These stand before the command: Celery's users expect `-A proj worker`.
_BEFORE = ("-A", "--app", "-b", "--broker", "--result-backend", "--config", "--workdir", "-C",
           "--no-color")  # fmt: skip
_OURS = ("-n", "--hostname", "--pidfile", "-f", "--logfile", "-D", "--detach", "--executable",
         "--cmd", "--append")  # fmt: skip
_START_SECONDS = 60.0
_TAIL_BYTES = 4000
_TAIL_LINES = 12


class Node:
    """A worker that is, or will be, in the background.

    Attributes:
        name: The full node name.
        pidfile: Path of its pid file.
        logfile: Path of its main process's log file.
    """

    def __init__(self, name: str, command: Sequence[str], pidfile: str, logfile: str) -> None:
        """Keep what belongs to it.

        Args:
            name: The full node name.
            command: What starts it, in the background.
            pidfile: Path, with codes left for the worker.
            logfile: Path, likewise.
        """
        self.name = name
        self.command = list(command)
        self.pidfile = Path(nodename.expand_path(pidfile, name))
        self.logfile = Path(nodename.expand_path(logfile, name))

    @property
    def shell(self) -> str:
        """The command as it can be pasted into a shell."""
        return shlex.join(self.command)

    def pid(self) -> int:
        """Return the process's id; 0 when it does not run.

        Raises:
            ConfigError: The pid file cannot be read.
        """
        pid, held = pid_of(self.pidfile)
        if held:
            return pid
        # Celery's workers do not lock their pid files: ask the process what it is.
        return pid if pid and is_alive(pid) and self._is_ours(pid) else 0

    def is_stale(self) -> bool:
        """Tell whether a pid file was left behind by a process that is gone."""
        return self.pidfile.exists() and not self.pid()

    def _is_ours(self, pid: int) -> bool:
        try:
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except OSError:
            return False
        return b"worker" in words and any(self.name.encode() in word for word in words)

    def start(self) -> tuple[bool, str]:
        """Start it, and wait until it is ready.

        Returns:
            Whether it runs, and what is to be said: why not, with the end of its log.
        """
        for path, what in ((self.pidfile, "pid"), (self.logfile, "log")):
            if not path.parent.is_dir():
                return False, f"the folder of the {what} file, {path.parent}, does not exist"
        before = self.logfile.stat().st_size if self.logfile.exists() else 0
        try:
            code, said = start_detached(self.command, Path.cwd(), timeout=_START_SECONDS)
        except subprocess.TimeoutExpired:
            return False, f"it is not in the background after {_START_SECONDS:g} s"
        except OSError as exc:
            return False, f"{self.command[0]}: {exc.strerror}"
        if code == 0:
            return True, said
        reason = f"exit code {code}" + (f": {said}" if said else "")
        tail = self.log_tail(before)
        return False, f"{reason}\nits log {self.logfile} says:\n{tail}" if tail else reason

    def log_tail(self, after: int = 0) -> str:
        """Return the last lines of its log, of what was written behind the byte `after`."""
        try:
            with self.logfile.open("rb") as log:
                end = log.seek(0, os.SEEK_END)
                log.seek(max(after if after <= end else 0, end - _TAIL_BYTES))
                lines = log.read().decode("utf-8", "replace").splitlines()
        except OSError:
            return ""
        return "\n".join(lines[-_TAIL_LINES:])

    def signal(self, number: int) -> int:
        """Send a signal; returns the pid, or 0 when it does not run."""
        pid = self.pid()
        if pid:
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                return 0
            except PermissionError as exc:
                text = f"{self.name}: process {pid} belongs to another user"
                raise ConfigError(text) from exc
        return pid

    def clear(self) -> None:
        """Remove the pid file of a process that is gone."""
        if self.is_stale():
            self.pidfile.unlink(missing_ok=True)


def make_nodes(
    plans: Sequence[Plan], pidfile: str, logfile: str, *, before: Options | None = None
) -> list[Node]:
    """Turn plans into nodes with their commands.

    Args:
        plans: Names and options.
        pidfile: Default path, with codes.
        logfile: Default path, with codes.
        before: Options of `tq` itself.
    """
    return [_make_node(plan, pidfile, logfile, before or {}) for plan in plans]


def _make_node(plan: Plan, pidfile: str, logfile: str, before: Options) -> Node:
    given = {name: expand(value, plan.name) if value else value
             for name, value in plan.options.items()}  # fmt: skip
    pid = given.get("--pidfile") or expand(pidfile, plan.name)
    log = given.get("--logfile") or given.get("-f") or expand(logfile, plan.name)
    # The log level of Celery's init scripts is -L there and -l here.
    own = {("-l" if name == "-L" else name): value for name, value in given.items()}
    first = {**before, **{name: value for name, value in own.items() if name in _BEFORE}}
    later = {name: value for name, value in own.items() if name not in (*_BEFORE, *_OURS)}
    program = [own.get("--executable") or sys.executable, "-m", "tqconsole"]
    command = [*program, *_words(first), *(own.get("--cmd") or "worker").split(), "--detach"]
    command += _words(later)
    command += ["-n", plan.name, f"--pidfile={pid}", f"--logfile={log}"]
    command += [*shlex.split(own.get("--append") or ""), *plan.rest]
    return Node(plan.name, command, pid, log)


def _words(options: Options) -> list[str]:
    words: list[str] = []
    for name, value in options.items():
        if value is None:
            words.append(name)
        elif name.startswith("--"):
            words.append(f"{name}={value}")
        else:
            words += [name, value]
    return words


def default_paths(state: Path) -> tuple[str, str, bool]:
    """Return where pid and log files lie when nobody says.

    Args:
        state: The user's own folder, for who may not write below /var.

    Returns:
        The two paths, with codes, and whether they are below `state`.
    """
    if _may_use(_RUN) and _may_use(_LOG):
        return str(_RUN / _PID_FILE), str(_LOG / _LOG_FILE), False
    return str(state / "run" / _PID_FILE), str(state / "log" / _LOG_FILE), True


def _may_use(folder: Path) -> bool:
    there = folder if folder.exists() else folder.parent
    return os.access(there, os.W_OK | os.X_OK)
