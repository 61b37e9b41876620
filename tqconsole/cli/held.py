"""What workers say they hold: the tasks that began before anybody listened."""

import time
from typing import TYPE_CHECKING, Any

from tq.errors import BrokerError
from tq.monitor import ClusterState, TaskDetail, TaskInfo
from tq.saferepr import saferepr

if TYPE_CHECKING:
    from tq.control import Control

__all__ = ["Held"]

_LATE = 5.0  # seconds after the timeout in which answers are still taken
_STATES = {"active": "STARTED", "reserved": "RECEIVED", "scheduled": "RECEIVED"}


class Held:
    """Asks all workers which tasks they hold, and takes in the answers as they come.

    Attributes:
        tasks: By id.
        workers: Names of those that answered.
    """

    def __init__(self, control: "Control", timeout: float) -> None:
        """Send the questions; answers are waited for `timeout` seconds at most.

        Raises:
            BrokerConnectionError: They could not be sent.
        """
        self.tasks: dict[str, TaskInfo] = {}
        self.workers: set[str] = set()
        self._calls = [(name, control.start(name, timeout=timeout)) for name in _STATES]
        self._listen_until = time.monotonic() + timeout + _LATE

    @property
    def done(self) -> bool:
        """Whether no further answer is waited for."""
        return all(call.done for _, call in self._calls)

    def poll(self, now: float) -> set[str]:
        """Take in what has arrived, at a wall timestamp; returns the workers that answered.

        A lost connection takes the answers along: events go on, and tell what happens from then.
        """
        answered = set()
        try:
            for command, call in self._calls:
                for reply in call.poll():
                    answered.add(reply.node)
                    self._take(command, reply.node, reply.value, now)
        except BrokerError:
            self._calls = []
        if time.monotonic() > self._listen_until:
            self._calls = []  # asking costs round trips
        self.workers |= answered
        return answered

    def join(self, state: ClusterState) -> dict[str, TaskInfo]:
        """Return all tasks: those from events, completed by what workers said, and the others."""
        for uuid, held in self.tasks.items():
            task = state.tasks.get(uuid)
            if task is not None and task.name is None:
                # It was received before we listened: events tell its end, and not what it was.
                task.name, task.args, task.kwargs = held.name, held.args, held.kwargs
                task.queue, task.root_id = task.queue or held.queue, task.root_id or held.root_id
                task.started = task.started or held.started
        return {**self.tasks, **state.tasks}

    def _take(self, command: str, node: str, value: Any, now: float) -> None:
        for entry in value if isinstance(value, list) else ():
            request = entry.get("request") if command == "scheduled" else entry
            if not isinstance(request, dict) or not isinstance(request.get("id"), str):
                continue
            task = _task(request, node, _STATES[command], now)
            if command == "scheduled" and isinstance(entry.get("eta"), str):
                task.more = TaskDetail(eta=entry["eta"])
            # A task that moved on while the answers came is told of twice: the later state counts.
            if task.uuid not in self.tasks or command == "active":
                self.tasks[task.uuid] = task


def _task(request: dict[str, Any], node: str, state: str, now: float) -> TaskInfo:
    info = request.get("delivery_info")
    began = request.get("time_start")
    started = float(began) if isinstance(began, int | float) else None
    return TaskInfo(
        uuid=request["id"],
        name=_text(request.get("name")),
        state=state,
        worker=node,
        args=_shown(request.get("args")),
        kwargs=_shown(request.get("kwargs")),
        queue=_text(info.get("routing_key")) if isinstance(info, dict) else None,
        root_id=_text(request.get("root_id")),
        pid=request.get("worker_pid") if isinstance(request.get("worker_pid"), int) else None,
        started=started if state == "STARTED" else None,
        timestamp=started,
        local_received=now,
    )


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _shown(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else saferepr(value)
