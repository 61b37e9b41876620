"""What the dispatcher decides; `performer.py` does it."""

from typing import Any, Literal

import msgspec

from tq.pools.base import Job
from tq.worker.effects import Effects
from tq.worker.outcome import Record
from tq.worker.request import Request

__all__ = ["Actions", "Conclusion", "Report", "ReportKind"]

ReportKind = Literal[
    "received",
    "started",
    "succeeded",
    "failed",
    "retried",
    "ignored",
    "rejected",
    "revoked",
    "unknown",
    "unreadable",
    "soft_timeout",
    "requeued",
    "cancelled",
]


class Report(msgspec.Struct):
    """Something to tell in events, in the log and through signals.

    Attributes:
        request: None only for `unreadable` messages and `unknown` tasks without policy.
        fields: More about it: `expired`, `terminated`, `signum`, `reason`, `queue`, ...
    """

    kind: ReportKind
    request: Request | None
    record: Record | None = None
    fields: dict[str, Any] = {}


class Conclusion(msgspec.Struct):
    """A task that ends without having been run to its end by a pool.

    Attributes:
        state: FAILURE, REVOKED or RETRY.
        error: The exception to record.
        bury: Why the message goes to the dead letters; None acknowledges it.
        again: Send the task once more, as a retry.
    """

    request: Request
    state: str
    error: BaseException
    bury: str | None = None
    again: bool = False


class Actions(msgspec.Struct):
    """A batch of decisions; what a list holds is independent of the other lists.

    Attributes:
        submit: Jobs for the pool.
        park: `(tag, wall timestamp)` to hold back in the broker.
        bury: `(tag, reason)` for the dead letters.
        requeue: Tags that go back to the head of their queue, without a mark.
        lost: Tags that go back because their process died: counted as a failed delivery.
        effects: What the pool left to the worker to settle, in order.
        record: Effects to write without an ack; their messages are buried after that.
        ack: Tags to acknowledge; their effects are recorded already.
        forget: Tags that children have settled.
        conclude: Tasks to record as ended.
        reports: What to tell.
    """

    submit: list[Job] = []
    park: list[tuple[str, float]] = []
    bury: list[tuple[str, str]] = []
    requeue: list[str] = []
    lost: list[Request] = []
    effects: list[Effects] = []
    record: list[Effects] = []
    ack: list[str] = []
    forget: list[str] = []
    conclude: list[Conclusion] = []
    reports: list[Report] = []
