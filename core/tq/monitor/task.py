"""One task as the event stream tells of it, and the rules by which events change it.

Source: PROTOCOL 7.4; celery/events/state.py, `Task.event`, `Task.merge_rules`.
"""

from typing import Any

import msgspec

from tq import states

__all__ = ["TaskDetail", "TaskInfo"]


class TaskDetail(msgspec.Struct, gc=False):
    """What most tasks never have: an error, retries, a late start, foreign fields.

    Attributes:
        tries: Timestamps of the `task-retried` events, oldest first, the newest 50.
        extra: Fields of events that have no attribute of their own (`terminated`, `signum`,
            `expired`, `requeue`, a custom event's fields), at most 32.
    """

    failed: float | None = None
    retried: float | None = None
    revoked: float | None = None
    rejected: float | None = None
    exception: str | None = None
    traceback: str | None = None
    eta: str | None = None
    expires: str | None = None
    tries: tuple[float, ...] = ()
    extra: dict[str, Any] = {}


_NOTHING = TaskDetail()


class TaskInfo(msgspec.Struct, gc=False, eq=False):
    """A task, under the field names of Celery's event state. Owned by its `ClusterState`.

    Everything is None until an event tells it. Rare fields live in `more`, so that a plain task
    stays small; they are read as attributes like the others.

    Attributes:
        state: A built-in state or any other upper-case text; `PENDING` after `task-sent` alone.
        worker: Node name of the worker that reported last.
        client: Node name of the sender, from `task-sent`.
        args: Text, as the sender or worker represented it (at most 4 KB, as all texts here).
        runtime: Seconds.
        timestamp: When the state was reached, by the sender's clock; a late event that is not
            `task-received` sets it too, as in Celery. `sent`, `received`, `started`, `succeeded`,
            `failed`, `retried`, `revoked` and `rejected` are the timestamps of these events.
        local_received: When its last event arrived here.
        version: The cluster state's version when this task last changed.
        more: Rare fields, or None.
    """

    uuid: str
    name: str | None = None
    state: str = states.PENDING
    worker: str | None = None
    client: str | None = None
    args: str | None = None
    kwargs: str | None = None
    result: str | None = None
    runtime: float | None = None
    retries: int | None = None
    root_id: str | None = None
    parent_id: str | None = None
    queue: str | None = None
    exchange: str | None = None
    routing_key: str | None = None
    pid: int | None = None
    clock: int = 0
    timestamp: float | None = None
    sent: float | None = None
    received: float | None = None
    started: float | None = None
    succeeded: float | None = None
    local_received: float = 0.0
    version: int = 0
    more: TaskDetail | None = None

    @property
    def id(self) -> str:
        """The task's id, under its shorter name."""
        return self.uuid

    @property
    def failed(self) -> float | None:
        """When the task failed."""
        return (self.more or _NOTHING).failed

    @property
    def retried(self) -> float | None:
        """When the task asked for its last retry."""
        return (self.more or _NOTHING).retried

    @property
    def revoked(self) -> float | None:
        """When the task was revoked."""
        return (self.more or _NOTHING).revoked

    @property
    def rejected(self) -> float | None:
        """When the task was rejected."""
        return (self.more or _NOTHING).rejected

    @property
    def exception(self) -> str | None:
        """The exception's text, after a failure or retry."""
        return (self.more or _NOTHING).exception

    @property
    def traceback(self) -> str | None:
        """The traceback's text, after a failure or retry."""
        return (self.more or _NOTHING).traceback

    @property
    def eta(self) -> str | None:
        """When the task may start, ISO 8601 text."""
        return (self.more or _NOTHING).eta

    @property
    def expires(self) -> str | None:
        """When the task expires, ISO 8601 text."""
        return (self.more or _NOTHING).expires

    @property
    def tries(self) -> tuple[float, ...]:
        """When each retry was asked for, oldest first."""
        return (self.more or _NOTHING).tries

    @property
    def extra(self) -> dict[str, Any]:
        """Fields without an attribute of their own; not to be changed."""
        return (self.more or _NOTHING).extra

    @property
    def ready(self) -> bool:
        """Whether the task ended."""
        return self.state in states.READY_STATES

    @property
    def ended(self) -> float | None:
        """When the task ended, or None while it has not."""
        if self.state == states.SUCCESS:
            return self.succeeded
        if self.state == states.FAILURE:
            return self.failed
        return self.revoked if self.state == states.REVOKED else None

    @property
    def waited(self) -> float | None:
        """Seconds from `received` (or `sent`) to `started`, if both are known."""
        begin = self.received if self.received is not None else self.sent
        if begin is None or self.started is None:
            return None
        return max(0.0, self.started - begin)

    def timeline(self) -> list[tuple[str, float]]:
        """List what happened and when, in the order of time."""
        more = self.more or _NOTHING
        moments = [
            ("sent", self.sent),
            ("received", self.received),
            ("started", self.started),
            *(("retried", moment) for moment in more.tries),
            ("succeeded", self.succeeded),
            ("failed", more.failed),
            ("revoked", more.revoked),
            ("rejected", more.rejected),
        ]
        return sorted(
            ((what, moment) for what, moment in moments if moment is not None),
            key=lambda item: round(item[1], 3),  # within a millisecond, in the order of a life
        )
