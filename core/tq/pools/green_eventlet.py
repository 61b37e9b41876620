"""The pool of eventlet's green threads."""

from collections.abc import Callable, Sequence
from typing import Any

import eventlet
from eventlet import hubs, patcher

from tq import signals
from tq.errors import ConfigError
from tq.pools.base import Job, PoolOptions, Runner
from tq.pools.green import GreenPool
from tq.pools.local import Run

__all__ = ["EventletPool"]


class EventletPool(GreenPool):
    """Up to `size` green threads."""

    def __init__(self, runner: Runner, options: PoolOptions) -> None:
        """Make the pool.

        Raises:
            ConfigError: The process is not patched, so that one job that waits would stop all.
        """
        if not patcher.is_monkey_patched("socket"):
            raise ConfigError(
                "the pool 'eventlet' needs eventlet.monkey_patch(os=False) before anything else is "
                "imported; `tq worker -P eventlet` does it by itself"
            )
        super().__init__(runner, options)

    def start(self) -> None:
        """Prepare the runner; an error of its `setup` is raised here."""
        super().start()
        signals.eventlet_pool_started.send(sender=self)

    def stop(self, deadline: float) -> None:
        """Wait for running jobs until the monotonic `deadline`, then end them."""
        if not self._set_up:  # stopped before, or never started
            super().stop(deadline)
            return
        signals.eventlet_pool_preshutdown.send(sender=self)
        super().stop(deadline)
        signals.eventlet_pool_postshutdown.send(sender=self)

    def _enqueue(self, jobs: Sequence[Job]) -> None:
        if signals.eventlet_pool_apply:
            for job in jobs:
                signals.eventlet_pool_apply.send(
                    sender=self, target=self.runner.run, args=(job,), kwargs={}
                )
        super()._enqueue(jobs)

    def _spawn(self, function: Callable[[Any], None], place: Any) -> Any:
        return eventlet.spawn(function, place)

    def _call_soon(self, function: Callable[[Run], None], run: Run) -> None:
        hubs.get_hub().schedule_call_global(0, function, run)

    def _pause(self, seconds: float) -> None:
        eventlet.sleep(seconds)
