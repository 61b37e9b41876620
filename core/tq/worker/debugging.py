"""SIGUSR2 opens a debugger in the running task, where the environment allows that.

Source: CLI 3; celery/apps/worker.py, `install_rdb_handler`.
"""

import importlib
import logging
import os
import signal
from collections.abc import Callable
from types import FrameType

from tq.errors import ConfigError
from tq.execution.context import current_context

__all__ = ["Handler", "debug_handlers"]

Handler = Callable[[int, FrameType | None], None]

logger = logging.getLogger(__name__)


def debug_handlers(*, runs_tasks: bool) -> dict[int, Handler]:
    """Return the handler of SIGUSR2, by its number; none unless `CELERY_RDBSIG` is set.

    Args:
        runs_tasks: Whether tasks run in the main thread; otherwise it keeps their leases.
    """
    if not os.environ.get("CELERY_RDBSIG"):
        return {}
    return {signal.SIGUSR2: _debug if runs_tasks else _refuse}


def _debug(_number: int, frame: FrameType | None) -> None:
    """Debug the task that the signal interrupted."""
    context = current_context()
    if context is None or frame is None:
        logger.warning("SIGUSR2: no task runs in this process now")
        return
    logger.warning("SIGUSR2: task %s[%s] is to be debugged", context.task, context.id)
    # A room above this one, looked up by name; and pdb costs 20 ms that few ever need.
    debugger = importlib.import_module("tq.contrib.rdb")
    try:
        debugger.attach(frame)
    except ConfigError as exc:
        logger.error("%s", exc)


def _refuse(_number: int, _frame: FrameType | None) -> None:
    """Say where the signal belongs: a lease that is not kept costs the task."""
    logger.warning(
        "SIGUSR2: this thread runs no tasks and must not wait; send it to the process that "
        "`tq inspect active` names, or call tq.contrib.rdb.set_trace() in the task"
    )
