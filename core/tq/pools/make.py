"""Pick a pool by its name; the only place that knows the implementations."""

from importlib import import_module
from importlib.util import find_spec

from tq.errors import ConfigError
from tq.pools.base import Pool, PoolOptions, Runner

__all__ = ["POOL_NAMES", "check", "make", "pool_name"]

_ALIASES = {"processes": "prefork", "thread": "threads", "aio": "asyncio"}
_IMPLEMENTATIONS = {
    "prefork": ("tq.pools.prefork.pool", "PreforkPool"),
    "threads": ("tq.pools.threads", "ThreadsPool"),
    "asyncio": ("tq.pools.aio", "AsyncioPool"),
    "solo": ("tq.pools.solo", "SoloPool"),
    "gevent": ("tq.pools.green_gevent", "GeventPool"),
    "eventlet": ("tq.pools.green_eventlet", "EventletPool"),
}
_LIBRARIES = {"gevent": "gevent", "eventlet": "eventlet"}
POOL_NAMES = (*_IMPLEMENTATIONS, "processes")


def make(name: str, runner: Runner, options: PoolOptions) -> Pool:
    """Build the pool called `name`; it starts with `start()`.

    Args:
        name: One of `POOL_NAMES`, in any case.
        runner: What runs the jobs; `spawn` needs one that can be pickled.
        options: Size, limits and recycling; `solo` has one slot whatever the size says.

    Raises:
        ConfigError: No such pool, or options that make no sense.
    """
    wanted = pool_name(name)
    check(options)
    module, attribute = _IMPLEMENTATIONS[wanted]
    # Imported on demand: `-P prefork` must not load asyncio, nor the others prefork's machinery.
    pool: Pool = getattr(import_module(module), attribute)(runner, options)
    return pool


def pool_name(name: str) -> str:
    """Return the proper name of the pool that a user's word stands for.

    Raises:
        ConfigError: No such pool, or one whose library is not installed.
    """
    wanted = name.strip().lower()
    wanted = _ALIASES.get(wanted, wanted)
    if wanted not in _IMPLEMENTATIONS:
        raise ConfigError(_unknown(name), name=name)
    library = _LIBRARIES.get(wanted)
    if library is not None and find_spec(library) is None:
        raise ConfigError(
            f"the pool {wanted!r} needs a library that is missing: "
            f"pip install 'tqconsole[{library}]'",
            name=name,
        )
    return wanted


def _unknown(name: str) -> str:
    """Say which pools exist and which one was probably meant."""
    # Only an error needs it, and it costs 2 ms to import.
    from difflib import get_close_matches

    near = get_close_matches(name.lower(), [*POOL_NAMES, *_ALIASES], n=1, cutoff=0.5)
    hint = f", did you mean {near[0]!r}?" if near else ""
    return f"no pool is called {name!r}{hint} (choose from {', '.join(POOL_NAMES)})"


def check(options: PoolOptions) -> None:
    """Refuse numbers that no pool could honour.

    Raises:
        ConfigError: Names the field.
    """
    if options.size < 1:
        raise ConfigError(f"a pool needs at least one slot, not {options.size}")
    if options.start_method not in ("fork", "spawn"):
        raise ConfigError(f"start method {options.start_method!r} is neither 'fork' nor 'spawn'")
    positive = {
        "soft_limit": options.soft_limit,
        "hard_limit": options.hard_limit,
        "max_jobs_per_child": options.max_jobs_per_child,
        "max_memory_kib": options.max_memory_kib,
        "start_timeout": options.start_timeout,
        "batch_seconds": options.batch_seconds,
    }
    for field, value in positive.items():
        if value is not None and not value > 0:  # written so that NaN fails too
            raise ConfigError(f"{field} must be greater than 0, not {value}")
