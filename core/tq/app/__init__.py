"""Applications and tasks: what a program defines, configures and calls.

TQ(main, broker=..., backend=...)   the application; `@app.task`, `app.conf`, `app.send_task`
Task, shared_task, current_app, current_task, find_app("proj")
"""

from typing import Any

__all__ = [
    "TQ",
    "Task",
    "TaskRegistry",
    "current_app",
    "current_task",
    "find_app",
    "get_current_app",
    "shared_task",
]

_HOMES = {
    "TQ": "application",
    "Task": "task",
    "TaskRegistry": "registry",
    "current_app": "current",
    "current_task": "current",
    "find_app": "find",
    "get_current_app": "current",
    "shared_task": "shared",
}


def __getattr__(name: str) -> Any:
    """Import a public name on first use, so that importing one room's name stays fast."""
    import importlib

    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"tq.app.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
