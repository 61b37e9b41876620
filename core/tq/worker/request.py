"""The worker's view of a task it holds.

Source: PROTOCOL 8.4 (task info object); celery/worker/request.py, `Request.info`.
"""

from typing import Any

import msgspec

from tq.brokers.base import Delivery
from tq.wire.message import TaskHeaders

__all__ = ["Request", "TaskPolicy"]


class TaskPolicy(msgspec.Struct, kw_only=True):
    """What the dispatcher needs to know of a registered task, worked out once.

    Attributes:
        acks_late: The message is acknowledged after the run, not before.
        acks_on_timeout: With late acks: a hard timeout acknowledges; else it requeues.
        reject_on_worker_lost: With late acks: requeue when the process dies.
        retry_on_worker_lost: Send it again when the process dies, up to `max_retries` times; this
            goes before `reject_on_worker_lost`.
        max_retries: None for any number.
        send_events: Its course is told in events.
        soft_limit: The task's own soft limit in seconds, used when the message has none.
        hard_limit: The same for the hard limit.
        rate: Starts per second, 0 for no limit.
    """

    name: str
    acks_late: bool = True
    acks_on_timeout: bool = True
    reject_on_worker_lost: bool = True
    retry_on_worker_lost: bool = False
    max_retries: int | None = 3
    send_events: bool = True
    soft_limit: float | None = None
    hard_limit: float | None = None
    rate: float = 0.0


class Request(msgspec.Struct, kw_only=True):
    """A delivery that the worker accepted. Owned by the loop thread.

    Attributes:
        received: Wall timestamp of its arrival.
        time_start: Wall timestamp of its start, or None while it is reserved.
        pid: The process that runs it, or None.
        acknowledged: The message is gone from its queue.
        terminated: The signal number that `terminate` sent, or None.
        cancelled: Ended because its connection was lost; its message goes back.
    """

    delivery: Delivery
    headers: TaskHeaders
    policy: TaskPolicy
    received: float
    time_start: float | None = None
    pid: int | None = None
    acknowledged: bool = False
    terminated: int | None = None
    cancelled: bool = False

    @property
    def id(self) -> str:
        """Return the task's id."""
        return self.headers.id

    @property
    def name(self) -> str:
        """Return the name to show: the shadow, if there is one."""
        return self.headers.shadow or self.headers.task

    @property
    def stamped_headers(self) -> list[str]:
        """Return the names of the task's stamps; receivers of `task_received` read them here."""
        return self.headers.stamped_headers or []

    @property
    def stamps(self) -> dict[str, Any]:
        """Return the task's stamps by name."""
        return self.headers.stamps

    def delivery_info(self) -> dict[str, Any]:
        """Return where the message came from, as inspect replies and contexts show it."""
        message = self.delivery.message
        return {
            "exchange": message.exchange,
            "routing_key": message.routing_key or self.delivery.queue,
            "priority": message.priority,
            "redelivered": self.delivery.redelivered,
        }

    def info(self, node: str, args: Any, kwargs: Any) -> dict[str, Any]:
        """Return the task info object of inspect replies.

        Args:
            node: This worker's name.
            args: The positional arguments, or their repr.
            kwargs: The keyword arguments, or their repr.
        """
        return {
            "id": self.id,
            "name": self.name,
            "args": args,
            "kwargs": kwargs,
            "type": self.headers.task,
            "hostname": node,
            "time_start": self.time_start,
            "acknowledged": self.acknowledged,
            "delivery_info": self.delivery_info(),
            "worker_pid": self.pid,
        }
