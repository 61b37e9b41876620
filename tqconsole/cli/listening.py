"""Listening to a cluster for a moment: what lists of tasks, workers and queues are made from."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import click

from tq.control import Control
from tq.events import Receiver
from tq.monitor import ClusterState, ClusterWatcher, QueueInfo, TaskInfo, WorkerDetail
from tq.saferepr import saferepr
from tqconsole.tui.model.task_fields import Context

if TYPE_CHECKING:
    from tq import TQ

__all__ = ["Seen", "for_option", "listen", "receiver"]

_POLL = 0.05
_STOP_WITHIN = 3.0
_HELD = {"active": "STARTED", "reserved": "RECEIVED", "scheduled": "RECEIVED"}

for_option = click.option(
    "--for",
    "seconds",
    type=click.FloatRange(min=0.1, max=86400),
    default=2.0,
    show_default=True,
    help="Seconds to listen to events, besides asking the workers.",
)


@dataclass
class Seen:
    """What was seen of a cluster.

    Attributes:
        tasks: By id: from events, and what workers said that they hold.
        depths: Ready messages of queues that were counted besides.
        interrupted: The user did not want to wait any longer.
    """

    state: ClusterState
    tasks: dict[str, TaskInfo] = field(default_factory=dict)
    workers: dict[str, WorkerDetail] = field(default_factory=dict)
    queues: dict[str, QueueInfo] = field(default_factory=dict)
    depths: dict[str, int] = field(default_factory=dict)
    now: float = 0.0
    interrupted: bool = False

    @property
    def context(self) -> Context:
        """What filters need besides a task."""
        return Context(self.now, status=self.state.status)


def receiver(app: "TQ") -> Receiver:
    """Make what receives the events of an application's cluster."""
    conf = app.conf
    return Receiver(
        app.broker,
        exchange=conf.event_exchange,
        queue_prefix=conf.event_queue_prefix,
        queue_ttl=conf.event_queue_ttl,
        queue_expires=conf.event_queue_expires,
        control_exchange=conf.control_exchange,
    )


def listen(
    app: "TQ",
    seconds: float,
    *,
    tasks: bool = False,
    enough: Callable[[Seen], bool] | None = None,
) -> Seen:
    """Listen to events, and ask the workers, for some seconds.

    Args:
        app: Gives the broker.
        seconds: How long.
        tasks: Ask also which tasks the workers hold.
        enough: Ends it early.

    Raises:
        BrokerConnectionError: The broker does not answer.
    """
    app.broker.ping(app.conf.broker_connection_timeout or 4.0)
    control = Control(app, read_only=True)
    watcher = ClusterWatcher(
        app.broker,
        control=control,
        receiver=receiver(app),
        queues=tuple(app.queues.consume_from),
        commands=("stats", "active_queues"),
        depth_interval=0.5,
    )
    seen = Seen(watcher.state, workers=watcher.workers_info, queues=watcher.queues)
    watcher.start()
    end = time.monotonic() + seconds
    try:
        names = tuple(_HELD) if tasks else ()
        calls = [(name, control.start(name, timeout=seconds)) for name in names]
        while True:
            seen.now = time.time()
            watcher.drain(seen.now)
            for name, call in calls:
                for reply in call.poll():
                    _take_held(seen, name, reply.node, reply.value)
            if time.monotonic() >= end or (enough is not None and enough(seen)):
                break
            time.sleep(_POLL)
    except KeyboardInterrupt:
        seen.interrupted = True
    finally:
        watcher.stop(time.monotonic() + _STOP_WITHIN)
    # Events know more of a task than the worker that holds it.
    seen.tasks.update(watcher.state.tasks)
    return seen


def _take_held(seen: Seen, command: str, node: str, value: Any) -> None:
    """Take in the tasks that a worker says it holds."""
    seen.state.answered(node, seen.now)
    for entry in value if isinstance(value, list) else ():
        held = entry.get("request") if command == "scheduled" else entry
        if not isinstance(held, dict) or not isinstance(held.get("id"), str):
            continue
        task = _held_task(held, node, _HELD[command], seen.now)
        # A task that moved on while the answers came is told of twice: the later state counts.
        if task.uuid not in seen.tasks or command == "active":
            seen.tasks[task.uuid] = task


def _held_task(held: dict[str, Any], node: str, state: str, now: float) -> TaskInfo:
    info = held.get("delivery_info")
    queue = info.get("routing_key") if isinstance(info, dict) else None
    began = held.get("time_start")
    started = float(began) if isinstance(began, int | float) else None
    return TaskInfo(
        uuid=held["id"],
        name=held.get("name") if isinstance(held.get("name"), str) else None,
        state=state,
        worker=node,
        args=_shown(held.get("args")),
        kwargs=_shown(held.get("kwargs")),
        queue=queue if isinstance(queue, str) else None,
        pid=held.get("worker_pid") if isinstance(held.get("worker_pid"), int) else None,
        started=started if state == "STARTED" else None,
        timestamp=started,
        local_received=now,
    )


def _shown(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else saferepr(value)
