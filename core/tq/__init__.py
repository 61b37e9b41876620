"""tq: tasks, results, canvas, workers, remote control, events, beat, in Celery's wire formats."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tq import errors as errors
    from tq import signals as signals
    from tq import states as states
    from tq.app.application import TQ as TQ
    from tq.app.current import current_app as current_app
    from tq.app.current import current_task as current_task
    from tq.app.find import find_app as find_app
    from tq.app.shared import shared_task as shared_task
    from tq.app.task import Task as Task
    from tq.canvas import Signature as Signature
    from tq.canvas import maybe_signature as maybe_signature
    from tq.canvas import subtask as subtask
    from tq.canvas import xmap as xmap
    from tq.canvas import xstarmap as xstarmap
    from tq.canvas.chain import chain as chain
    from tq.canvas.chord import chord as chord
    from tq.canvas.chunks import chunks as chunks
    from tq.canvas.group import group as group
    from tq.canvas.signature import signature as signature
    from tq.errors import Ignore as Ignore
    from tq.errors import Reject as Reject
    from tq.errors import Retry as Retry
    from tq.results import AsyncResult as AsyncResult
    from tq.results import EagerResult as EagerResult
    from tq.results import GroupResult as GroupResult
    from tq.results import ResultSet as ResultSet
    from tq.schedules import crontab as crontab
    from tq.schedules import schedule as schedule
    from tq.schedules import solar as solar
    from tq.wire.exceptions import register_exceptions as register_exceptions
    from tq.wire.ids import new_id as uuid

__version__ = "0.1.0"

__all__ = [
    "TQ",
    "AsyncResult",
    "EagerResult",
    "GroupResult",
    "Ignore",
    "Reject",
    "ResultSet",
    "Retry",
    "Signature",
    "Task",
    "bugreport",
    "chain",
    "chord",
    "chunks",
    "crontab",
    "current_app",
    "current_task",
    "errors",
    "find_app",
    "group",
    "maybe_signature",
    "register_exceptions",
    "shared_task",
    "signals",
    "signature",
    "solar",
    "states",
    "subtask",
    "uuid",
    "xmap",
    "xstarmap",
]

_APP = {
    "TQ": "application",
    "Task": "task",
    "current_app": "current",
    "current_task": "current",
    "find_app": "find",
    "shared_task": "shared",
}
_HOMES = {
    **{name: f"tq.app.{module}" for name, module in _APP.items()},
    "register_exceptions": "tq.wire.exceptions",
    **dict.fromkeys(("crontab", "schedule", "solar"), "tq.schedules"),
    **dict.fromkeys(("Ignore", "Reject", "Retry"), "tq.errors"),
    **dict.fromkeys(("AsyncResult", "EagerResult", "GroupResult", "ResultSet"), "tq.results"),
    **dict.fromkeys(
        (
            "Signature",
            "chain",
            "chord",
            "chunks",
            "group",
            "maybe_signature",
            "signature",
            "subtask",
            "xmap",
            "xstarmap",
        ),
        "tq.canvas",
    ),
}


def __getattr__(name: str) -> Any:
    """Import a public name on first use: `import tq` itself loads next to nothing."""
    if name in ("errors", "signals", "states"):
        value: Any = importlib.import_module(f"tq.{name}")
    elif name == "uuid":
        value = importlib.import_module("tq.wire.ids").new_id
    elif name in _HOMES:
        if _HOMES[name] in ("tq.canvas", "tq.results"):
            # Installs the hooks through which these rooms find the current application.
            importlib.import_module("tq.app.hooks")
        value = getattr(importlib.import_module(_HOMES[name]), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def bugreport(app: Any = None) -> str:
    """Describe versions, broker, backend and settings of an application, for a bug report.

    Args:
        app: The application; the current one by default.
    """
    found: str = (app or importlib.import_module("tq.app.current").get_current_app()).bugreport()
    return found
