"""The pool of gevent's green threads."""

from collections.abc import Callable
from typing import Any

import gevent
from gevent import monkey

from tq.errors import ConfigError
from tq.pools.base import PoolOptions, Runner
from tq.pools.green import GreenPool
from tq.pools.local import Run

__all__ = ["GeventPool"]


class GeventPool(GreenPool):
    """Up to `size` greenlets."""

    def __init__(self, runner: Runner, options: PoolOptions) -> None:
        """Make the pool.

        Raises:
            ConfigError: The process is not patched, so that one job that waits would stop all.
        """
        if not monkey.is_module_patched("socket"):
            raise ConfigError(
                "the pool 'gevent' needs gevent.monkey.patch_all() before anything is imported; "
                "`tq worker -P gevent` does it by itself"
            )
        super().__init__(runner, options)

    def _spawn(self, function: Callable[[Any], None], place: Any) -> Any:
        return gevent.spawn(function, place)

    def _call_soon(self, function: Callable[[Run], None], run: Run) -> None:
        gevent.get_hub().loop.run_callback(function, run)

    def _pause(self, seconds: float) -> None:
        gevent.sleep(seconds)
