"""The parts of a running worker, as control commands see them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from tq.brokers.base import Queue
from tq.clock import Clock, LamportClock
from tq.pools.base import Pool
from tq.worker.dispatcher import Dispatcher
from tq.worker.request import Request

__all__ = ["Autoscaling", "EventSwitch", "Intake", "Recorder", "WorkerState"]


class Intake(Protocol):
    """Where deliveries come from (`fetcher.Fetcher`)."""

    @property
    def queues(self) -> Mapping[str, Queue]:
        """Return the consumed queues by name."""
        ...

    @property
    def prefetch_count(self) -> int:
        """Return how many deliveries may be held."""
        ...

    def add(self, queue: Queue) -> None:
        """Begin to take from a queue."""
        ...

    def cancel(self, name: str) -> None:
        """Stop taking from a queue."""
        ...


class EventSwitch(Protocol):
    """Task events on or off, and heartbeats (`heartbeat.Heartbeat`)."""

    @property
    def task_events(self) -> bool:
        """Tell whether task events are sent."""
        ...

    @property
    def always(self) -> bool:
        """Tell whether the worker was started with task events, which then stay on."""
        ...

    def switch(self, on: bool) -> None:
        """Switch task events."""
        ...

    def beat_once(self) -> None:
        """Send the short heartbeat that answers a new monitor."""
        ...


class Autoscaling(Protocol):
    """Grows and shrinks the pool (`autoscale.Autoscaler`)."""

    def update(self, maximum: int | None, minimum: int | None) -> tuple[int, int]:
        """Change the bounds; returns `(max, min)`."""
        ...

    def info(self) -> dict[str, int]:
        """Describe for `inspect stats`."""
        ...


class Recorder(Protocol):
    """Records ends of tasks that this worker need not hold (`settler.Settler`)."""

    def record_revoked(self, ids: list[str]) -> None:
        """Store REVOKED for ids that wait anywhere, a few at a time."""
        ...


@dataclass(kw_only=True)
class WorkerState:
    """What commands read and steer. Owned by the loop thread.

    Attributes:
        app: The application.
        hostname: The node's name.
        accept: Content types this worker decodes.
        request_stop: Asks the worker to stop, by `warm` or `cold`.
        restart_pool: Replaces the pool's processes; None when that is not permitted.
        share_revoked: Tells the broker's server of revoked ids, where it remembers them.
        stand: Stands for election; None without gossip.
        started: Monotonic time of the start.
    """

    app: Any
    hostname: str
    clock: Clock
    lamport: LamportClock
    dispatcher: Dispatcher
    pool: Pool
    intake: Intake
    events: EventSwitch
    recorder: Recorder
    read_arguments: Callable[[Request], tuple[Any, Any]]
    request_stop: Callable[[str], None]
    refresh: Callable[[], None]
    restart_pool: Callable[[], None] | None = None
    share_revoked: Callable[[list[str]], None] = lambda _ids: None
    stand: Callable[[str, str, Any], None] | None = None
    autoscaler: Autoscaling | None = None
    started: float = 0.0
    extra: dict[str, Any] = field(default_factory=dict)
