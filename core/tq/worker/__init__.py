"""The worker's parent process: takes tasks, hands them to a pool, settles what became of them."""

from typing import TYPE_CHECKING, Any

from tq.worker.registry import Argument, CommandSpec, control_command, inspect_command

if TYPE_CHECKING:
    from tq.worker.worker import Worker

__all__ = ["Argument", "CommandSpec", "Worker", "control_command", "inspect_command"]


def __getattr__(name: str) -> Any:
    """Load `Worker`, and with it the pools and brokers, when it is first asked for."""
    if name == "Worker":
        # Deferred: a module that only declares control commands must not load a worker.
        from tq.worker.worker import Worker

        return Worker
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
