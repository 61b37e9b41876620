"""Sees to it that a pool of processes can have the open files that it needs."""

import resource

from tq.errors import ConfigError

__all__ = ["provide_descriptors"]

_BASE = 30  # broker, backend, control, events and the loop itself, with some to spare
_PER_CHILD = 3  # a socket pair's end, a pipe's end, and a handle on the process


def provide_descriptors(processes: int) -> None:
    """Raise the soft limit of open files where that many child processes need it.

    Raises:
        ConfigError: The hard limit does not allow it.
    """
    needed = _BASE + _PER_CHILD * processes
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return
    if hard != resource.RLIM_INFINITY and hard < needed:
        raise ConfigError(
            f"{processes} child processes need about {needed} open files, and the limit is {hard}:"
            " raise it (ulimit -n) or lower the concurrency"
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
