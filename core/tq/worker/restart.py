"""Begins the program anew in the same process, for SIGHUP.

Source: CLI 3 (HUP); celery/apps/worker.py, `_reload_current_worker`.
"""

import os
import signal
import sys
from collections.abc import Sequence
from typing import NoReturn

__all__ = ["restart_command", "restart_program"]


def restart_command(argv: Sequence[str], executable: str) -> list[str]:
    """Return the command that started this process, run by the same interpreter.

    Args:
        argv: `sys.orig_argv`, so that `-m tqconsole`, `-X` and `-W` are kept, which `sys.argv` has
            lost (Celery's worker does not come back from `python -m celery` for that reason).
        executable: `sys.executable`.
    """
    # It is in the background already, where its pid is known; once more would give it another.
    return [executable, *(one for one in argv[1:] if one not in ("-D", "--detach"))]


def restart_program(folder: str | None = None) -> NoReturn:
    """Replace this process by a new run of its program, under the same pid.

    Args:
        folder: Where the program was started, if that is not the present folder.
    """
    command = restart_command(sys.orig_argv, sys.executable)
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
    if folder is not None:
        os.chdir(folder)
    # Ignored signals stay ignored across the exec, so another one on its heels does no harm; the
    # new run installs its own handler.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    os.execv(command[0], command)
