"""Run one task anywhere: its context, its outcome, and what its end sets off.

context.build_context(headers, body, message, *, hostname, redelivered, deliveries) -> Context
runner.run_task(app, context, body) -> Execution
await runner.run_task_async(app, context, body) -> Execution
"""

from typing import Any

__all__ = [
    "Context",
    "Execution",
    "build_context",
    "current_context",
    "current_task",
    "run_task",
    "run_task_async",
]

_HOMES = {
    "Context": "context",
    "build_context": "context",
    "current_context": "context",
    "current_task": "context",
    "Execution": "outcome",
    "run_task": "runner",
    "run_task_async": "runner",
}


def __getattr__(name: str) -> Any:
    """Import a public name on first use: the runner needs canvas, which clients may not."""
    import importlib

    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"tq.execution.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
