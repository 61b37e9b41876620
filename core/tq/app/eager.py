"""Calls that run in the caller instead of a worker.

Source: celery/app/task.py, `Task.apply`.
"""

from typing import Any

from tq.errors import Reject, Retry
from tq.execution.context import Context
from tq.execution.runner import run_task
from tq.results import EagerResult
from tq.states import FAILURE, PROPAGATE_STATES, RETRY

__all__ = ["run_eagerly"]


def run_eagerly(task: Any, context: Context, throw: bool) -> EagerResult:
    """Run a call; a retry it asks for follows at once.

    Args:
        task: The task.
        context: The call.
        throw: Raise what the task raises.
    """
    execution = run_task(task.app, context)
    if execution.state == RETRY and isinstance(execution.exc, Retry) and execution.exc.sig:
        again = execution.exc.sig
        result: EagerResult = again.apply(retries=context.retries + 1, throw=throw)
        return result
    if execution.meta is not None:
        task.app.backend.store([execution.meta])
    value = execution.retval if execution.exc is None else execution.exc
    if throw and execution.state in PROPAGATE_STATES and execution.exc is not None:
        raise execution.exc
    state = FAILURE if isinstance(execution.exc, Reject) else execution.state
    return EagerResult(
        context.id or "", value, state, traceback=execution.traceback, name=task.name
    )
