"""What users need to test their tasks: a worker inside the test, and an application in memory.

start_worker(app)     a real worker in this process for the length of a `with` block
isolate(app)          an application's broker and results in memory for the length of a block
temporary_app()       an application of its own, in memory, for the length of a block

`tq.testing.plugin` offers them as pytest fixtures: `tq_app`, `tq_worker` and the rest.
For tests without a worker, set `task_always_eager`.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tq.testing.apps import isolate as isolate
    from tq.testing.apps import temporary_app as temporary_app
    from tq.testing.workers import RunningWorker as RunningWorker
    from tq.testing.workers import start_worker as start_worker

__all__ = ["RunningWorker", "isolate", "start_worker", "temporary_app"]

_HOMES = {
    "RunningWorker": "workers",
    "isolate": "apps",
    "start_worker": "workers",
    "temporary_app": "apps",
}


def __getattr__(name: str) -> Any:
    """Import a public name on first use: pytest loads this room before coverage can look."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"tq.testing.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
