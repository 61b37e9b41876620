"""Listening to a cluster for a moment: what lists of tasks, workers and queues are made from."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import click

from tq.control import Control
from tq.events import Receiver
from tq.monitor import ClusterState, ClusterWatcher, QueueInfo, TaskInfo, WorkerDetail
from tqconsole.cli.durations import Duration
from tqconsole.cli.held import Held
from tqconsole.tui.model.task_fields import Context

if TYPE_CHECKING:
    from tq import TQ

__all__ = ["Seen", "for_option", "listen", "receiver"]

_POLL = 0.05
_STOP_WITHIN = 3.0
_LONGEST_ANSWER = 2.0  # until then nothing is judged; later answers are taken in all the same

for_option = click.option(
    "--for",
    "seconds",
    type=Duration(0.1, 86400),
    default=2.0,
    show_default=True,
    help="Seconds to listen to events, besides asking the workers.",
)


@dataclass
class Seen:
    """What was seen of a cluster.

    Attributes:
        tasks: By id: from events, and with `tasks` what workers said that they hold.
        depths: Ready messages of queues that were counted besides.
        connected: Events were received up to the end, without a gap.
        interrupted: The user did not want to wait any longer.
    """

    state: ClusterState
    tasks: dict[str, TaskInfo] = field(default_factory=dict)
    workers: dict[str, WorkerDetail] = field(default_factory=dict)
    queues: dict[str, QueueInfo] = field(default_factory=dict)
    depths: dict[str, int] = field(default_factory=dict)
    now: float = 0.0
    connected: bool = True
    interrupted: bool = False

    @property
    def context(self) -> Context:
        """What filters need besides a task."""
        return Context(self.now, status=self.state.status)


def receiver(app: "TQ") -> Receiver:
    """Make what receives the events of an application's cluster."""
    return app.events.receiver()


def listen(
    app: "TQ",
    seconds: float,
    *,
    tasks: bool = False,
    queues: Sequence[str] = (),
    enough: Callable[[Seen], bool] | None = None,
) -> Seen:
    """Listen to events, and ask the workers, for some seconds.

    Args:
        app: Gives the broker.
        seconds: How long.
        tasks: Ask also which tasks the workers hold.
        queues: Queues to count besides those that workers and the application name.
        enough: Ends it early; asked when the workers have answered, or had the time to.

    Raises:
        BrokerConnectionError: The broker does not answer.
    """
    app.broker.ping(app.conf.broker_connection_timeout or 4.0)
    control = Control(app, read_only=True)
    watcher = ClusterWatcher(
        app.broker,
        control=control,
        receiver=receiver(app),
        queues=tuple({**dict.fromkeys(app.queues.consume_from), **dict.fromkeys(queues)}),
        commands=("stats", "active_queues"),
        depth_interval=0.5,
    )
    seen = Seen(watcher.state, workers=watcher.workers_info, queues=watcher.queues)
    watcher.start()
    end = time.monotonic() + seconds
    try:
        held = Held(control, min(seconds, _LONGEST_ANSWER)) if tasks else None
        while True:
            seen.now = time.time()
            watcher.drain(seen.now)
            if held is not None:
                for node in held.poll(seen.now):
                    seen.state.answered(node, seen.now)
                seen.tasks = held.join(watcher.state)
            else:
                seen.tasks = watcher.state.tasks
            known = held is None or held.done
            if time.monotonic() >= end or (known and enough is not None and enough(seen)):
                break
            time.sleep(_POLL)
    except KeyboardInterrupt:
        seen.interrupted = True
    finally:
        seen.connected = watcher.receiver.connected and not watcher.receiver.gaps
        watcher.stop(time.monotonic() + _STOP_WITHIN)
    return seen
