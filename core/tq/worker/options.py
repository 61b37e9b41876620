"""What a worker was told, with what the settings say where it was told nothing.

Source: CLI 2 (worker); SETTINGS (worker).
"""

import math
import os
from collections.abc import Iterable
from typing import Any

import msgspec

from tq import nodename
from tq.errors import ConfigError
from tq.pools.base import PoolOptions
from tq.pools.make import check, pool_name

__all__ = ["WorkerOptions", "available_cpus", "names", "resolve"]

_CONCURRENCY_LIMIT = 10_000
_MANY_AT_ONCE = ("asyncio", "gevent", "eventlet")
_ASYNC_CONCURRENCY = 1_000  # coroutines at once, when nobody says; a slot is a few hundred bytes
_DEFAULT_MULTIPLIER = 4


class WorkerOptions(msgspec.Struct, frozen=True, kw_only=True):
    """A worker's options, checked and complete.

    Attributes:
        hostname: The full node name.
        prefetch_limit: Most deliveries held at once, or None when the pool alone decides.
        autoscale: `(max, min)`, or None.
        exclude_queues: Names not to consume.
        task_events: Task events from the start on, not to be switched off.
        pidfile: Path of the pid file, its codes expanded.
        statedb: Path of the state file, its codes expanded.
        colour: None colours a terminal.
        heartbeat_interval: Seconds between heartbeat events.
        gossip: Listen to the other workers' events.
        mingle: Greet the other workers at the start.
        soft_shutdown: Seconds of grace before a cold stop ends running tasks.
    """

    hostname: str
    pool: str
    pool_options: PoolOptions
    queues: tuple[str, ...] = ()
    exclude_queues: tuple[str, ...] = ()
    loglevel: str | int | None = None
    logfile: str | None = None
    task_events: bool = False
    prefetch_limit: int | None = None
    prefetch_count: int = 0
    autoscale: tuple[int, int] | None = None
    purge: bool = False
    pidfile: str | None = None
    statedb: str | None = None
    colour: bool | None = None
    heartbeat: bool = True
    heartbeat_interval: float = 2.0
    gossip: bool = True
    mingle: bool = True
    soft_shutdown: float = 0.0
    delivery_limit: int = 5


def available_cpus() -> int:
    """Count the processors this process may use: the affinity mask and the container's quota."""
    try:
        count = len(os.sched_getaffinity(0))
    except AttributeError:  # macOS
        count = os.cpu_count() or 1
    try:
        with open("/sys/fs/cgroup/cpu.max", encoding="ascii") as quota:
            limit, period = quota.read().split()[:2]
        if limit != "max":
            count = min(count, max(1, math.ceil(int(limit) / int(period))))
    except (OSError, ValueError):
        return max(1, count)
    return max(1, count)


def resolve(settings: Any, given: dict[str, Any]) -> WorkerOptions:
    """Complete and check a worker's options.

    Args:
        settings: The application's settings.
        given: Options of the command line or the caller; None stands for not given.

    Raises:
        ConfigError: A value makes no sense; names the option.
    """
    pool = pool_name(str(_first(given.get("pool"), settings.worker_pool)))
    autoscale = _autoscale(given.get("autoscale"))
    concurrency = _concurrency(
        _first(given.get("concurrency"), settings.worker_concurrency), pool, autoscale
    )
    limit = _prefetch_limit(settings, given, concurrency)
    hostname = nodename.make(given.get("hostname"))
    pool_options = _pool_options(settings, given, concurrency)
    check(pool_options)
    return WorkerOptions(
        hostname=hostname,
        pool=pool,
        pool_options=pool_options,
        queues=names(given.get("queues")),
        exclude_queues=names(given.get("exclude_queues")),
        loglevel=given.get("loglevel"),
        logfile=given.get("logfile"),
        task_events=bool(_first(given.get("task_events"), settings.worker_send_task_events)),
        prefetch_limit=limit,
        prefetch_count=limit or concurrency * _DEFAULT_MULTIPLIER,
        autoscale=autoscale,
        purge=bool(given.get("purge")),
        pidfile=_path("--pidfile", given.get("pidfile"), hostname),
        statedb=_path("--statedb", given.get("statedb") or settings.worker_state_db, hostname),
        colour=False if given.get("no_color") else settings.worker_log_color,
        heartbeat=not given.get("without_heartbeat"),
        heartbeat_interval=_seconds("--heartbeat-interval", given.get("heartbeat_interval")) or 2.0,
        gossip=not given.get("without_gossip"),
        mingle=not given.get("without_mingle"),
        soft_shutdown=settings.worker_soft_shutdown_timeout or 0.0,
        delivery_limit=settings.task_delivery_limit,
    )


def _first(*values: Any) -> Any:
    return next((value for value in values if value is not None), None)


def _pool_options(settings: Any, given: dict[str, Any], size: int) -> PoolOptions:
    return PoolOptions(
        size=size,
        soft_limit=_seconds(
            "--soft-time-limit", given.get("soft_time_limit"), settings.task_soft_time_limit
        ),
        hard_limit=_seconds("--time-limit", given.get("time_limit"), settings.task_time_limit),
        max_jobs_per_child=_count(
            "--max-tasks-per-child",
            given.get("max_tasks_per_child"),
            settings.worker_max_tasks_per_child,
        ),
        max_memory_kib=_count(
            "--max-memory-per-child",
            given.get("max_memory_per_child"),
            settings.worker_max_memory_per_child,
        ),
        start_method=_first(given.get("pool_start_method"), settings.worker_pool_start_method),
    )


def _concurrency(value: Any, pool: str, autoscale: tuple[int, int] | None) -> int:
    if autoscale is not None:
        return max(1, autoscale[1])
    if value is None:
        return _ASYNC_CONCURRENCY if pool in _MANY_AT_ONCE else available_cpus()
    if isinstance(value, str) and value.strip().lower() == "auto":
        return available_cpus()
    try:
        number = int(value)
    except (TypeError, ValueError):
        number = 0
    if not 1 <= number <= _CONCURRENCY_LIMIT:
        raise ConfigError(
            f"--concurrency must be 'auto' or a number from 1 to {_CONCURRENCY_LIMIT}, "
            f"not {value!r}"
        )
    return number


def _autoscale(value: Any) -> tuple[int, int] | None:
    """Read `MAX,MIN` or `MAX`, or a pair; the bounds may stand in either order."""
    if value is None or value == "":
        return None
    parts = value.split(",") if isinstance(value, str) else value
    if isinstance(parts, int):
        parts = (parts, 0)
    try:
        numbers = [int(part) for part in parts]
    except (TypeError, ValueError):
        numbers = []
    if not 1 <= len(numbers) <= 2 or not all(0 <= n <= _CONCURRENCY_LIMIT for n in numbers):
        raise ConfigError(f"--autoscale must be MAX,MIN or MAX, not {value!r}")
    maximum, minimum = max(numbers), min(numbers) if len(numbers) == 2 else 0
    if maximum < 1:
        raise ConfigError(f"--autoscale needs a maximum of at least 1, not {value!r}")
    return maximum, minimum


def _prefetch_limit(settings: Any, given: dict[str, Any], concurrency: int) -> int | None:
    """Return the bound that somebody set, or None: the pool then asks for what it can use.

    Celery's default of 4 is no statement of the user's: the pool's own measure is better, since it
    never holds a task behind a long one and takes short ones in batches.
    """
    if _first(given.get("disable_prefetch"), settings.worker_disable_prefetch):
        return concurrency
    multiplier = given.get("prefetch_multiplier")
    value = _first(multiplier, settings.worker_prefetch_multiplier)
    if multiplier is None and value == _DEFAULT_MULTIPLIER:
        return None
    try:
        number = int(value)
    except (TypeError, ValueError):
        number = -1
    if number < 0:
        raise ConfigError(f"--prefetch-multiplier must be 0 or more, not {multiplier!r}")
    return number * concurrency or None


def _seconds(option: str, *values: Any) -> float | None:
    value = _first(*values)
    if value is None:
        return None
    try:
        seconds = float(value)
    except (TypeError, ValueError):
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise ConfigError(f"{option} must be a number of seconds above 0, not {value!r}")
    return seconds


def _count(option: str, *values: Any) -> int | None:
    value = _first(*values)
    if value is None:
        return None
    try:
        number = int(value)
    except (TypeError, ValueError):
        number = 0
    if number < 1:
        raise ConfigError(f"{option} must be at least 1, not {value!r}")
    return number


def _path(option: str, value: Any, hostname: str) -> str | None:
    """Expand the codes of a path; an empty one stands for none."""
    if value is None or str(value) == "":
        return None
    text = str(value)
    if not text.isprintable():
        raise ConfigError(f"{option}: a path cannot hold control characters: {text!r:.200}")
    return nodename.expand_path(text, hostname)


def names(value: str | Iterable[str] | None) -> tuple[str, ...]:
    """Split a comma-separated list of names of queues or modules.

    Raises:
        ConfigError: A name is empty, or holds characters that no name may hold.
    """
    if value is None:
        return ()
    given = value.split(",") if isinstance(value, str) else list(value)
    stripped = tuple(str(name).strip() for name in given)
    for name in stripped:
        if not name or not name.isprintable() or len(name) > 255:
            raise ConfigError(f"nothing can be called {name!r} (in {value!r:.200})")
    return stripped
