"""How jobs run: one interface, prefork, threads, asyncio, solo."""

from tq.pools.base import (
    Accepted,
    Finished,
    Job,
    Lost,
    Outcome,
    Pool,
    PoolEvent,
    PoolOptions,
    Returned,
    Runner,
    TimedOut,
)
from tq.pools.make import POOL_NAMES, make

__all__ = [
    "POOL_NAMES",
    "Accepted",
    "Finished",
    "Job",
    "Lost",
    "Outcome",
    "Pool",
    "PoolEvent",
    "PoolOptions",
    "Returned",
    "Runner",
    "TimedOut",
    "make",
]
