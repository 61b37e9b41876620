"""What is known besides events: inspected workers, queues, gaps, and the state of the link."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from urllib.parse import urlsplit

__all__ = ["Gap", "LinkState", "QueueFacts", "TimeLimit", "WorkerFacts", "context_of"]


def context_of(url: str) -> str:
    """Name a cluster after its broker's host, or what stands for one; names its audit file too."""
    host = urlsplit(url).hostname
    return host if host and host not in ("localhost", "127.0.0.1", "::1") else "local"


@dataclass(frozen=True, slots=True)
class WorkerFacts:
    """What a worker said of itself when asked.

    Attributes:
        pool: Kind of pool in a few letters, such as `prefork` or `threads`.
        size: Number of slots.
        prefetch: Messages it may hold.
        queues: Names of the queues it consumes.
        rss: Resident memory in bytes.
        uptime: Seconds since its start.
        registered: Names of the tasks it knows.
        as_of: Wall timestamp of the answer.
        stats: The whole answer to `stats`; nothing of it is checked.
    """

    pool: str | None = None
    size: int | None = None
    prefetch: int | None = None
    queues: tuple[str, ...] | None = None
    rss: int | None = None
    uptime: float | None = None
    registered: tuple[str, ...] | None = None
    as_of: float = 0.0
    stats: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class QueueFacts:
    """A queue of the broker.

    Attributes:
        ready: Messages waiting, over all priorities.
        unacked: Messages handed out and not acknowledged, where the broker tells.
        parked: Messages that wait for their time, where the broker tells.
        dead: Dead letters of this queue, where the broker tells.
        consumers: How many workers said that they take from it.
        workers: The names of these.
        priorities: Messages waiting by priority step, where the broker splits them.
        heads: Ids of the tasks that come next, where the broker tells.
        held: Workers that were told here to take no more from it.
        as_of: Wall timestamp of the figures.
    """

    name: str
    ready: int | None = None
    unacked: int | None = None
    parked: int | None = None
    dead: int | None = None
    consumers: int | None = None
    workers: tuple[str, ...] = ()
    priorities: tuple[tuple[int, int], ...] = ()
    heads: tuple[str, ...] = ()
    held: tuple[str, ...] = ()
    as_of: float = 0.0


@dataclass(frozen=True, slots=True)
class Gap:
    """A time in which nothing was observed, as wall timestamps."""

    begin: float
    end: float


@dataclass(frozen=True, slots=True)
class LinkState:
    """The connection to the broker.

    Attributes:
        connected: Whether events arrive.
        since: Wall timestamp of the last change of `connected`.
        attempt: Number of the present attempt to reconnect, from 1.
        error: Why it is not connected.
        dropped: Events that were counted but not kept, because there were too many.
        lag: Seconds between an event and its arrival here, or None when unknown.
        gaps: Times in which nothing was observed, oldest first.
    """

    connected: bool = False
    since: float = 0.0
    attempt: int = 0
    error: str | None = None
    dropped: int = 0
    lag: float | None = None
    gaps: tuple[Gap, ...] = field(default_factory=tuple)


class TimeLimit(NamedTuple):
    """A task's time limits in seconds, as its worker registered it; a call may set others."""

    hard: float | None = None
    soft: float | None = None

    @property
    def nearest(self) -> float | None:
        """The limit that strikes first."""
        limits = [limit for limit in self if limit is not None]
        return min(limits, default=None)

    @property
    def kind(self) -> str:
        """Which of the two that is."""
        return "soft" if self.soft is not None and self.soft == self.nearest else "hard"
