"""What became of one run.

`Execution.settlement(tag)` is all that the broker's settle step needs; `others` are records under
further ids and are stored beside it; `ExceptionInfo` is what handlers and signals get.
"""

import traceback as traceback_module
from types import TracebackType
from typing import Any

import msgspec

from tq.brokers.base import ChordPart, Settlement, StoredResult
from tq.wire.envelope import Message
from tq.wire.result import ResultMeta

__all__ = ["ExceptionInfo", "Execution", "PendingChord"]


class PendingChord(msgspec.Struct, kw_only=True):
    """The chord that a finished part belongs to.

    Attributes:
        group_id: The header's group.
        body: The body's signature.
        part: To be counted in the settle step, or by `Backend.count_chord_part`.
        others: Parts that fail with this one, where a chain that ends in a group failed before it;
            to be counted by `Backend.count_chord_part` first.
        task_id: The part's own id; the body's parent.
        root_id: The workflow's first task.
    """

    group_id: str
    body: Any
    part: ChordPart
    task_id: str
    root_id: str | None = None
    others: tuple[ChordPart, ...] = ()


class Execution(msgspec.Struct, kw_only=True):
    """One run's outcome: exactly one of success, retry, failure, ignore, reject.

    Attributes:
        state: SUCCESS, RETRY, FAILURE, IGNORED or REJECTED.
        retval: What the function returned.
        exc: What it raised; for RETRY the `Retry`, whose `exc` is the reason.
        traceback: As text.
        runtime: Seconds the function ran.
        result_repr: Return value or exception as events and logs show them.
        expected: The exception is among the task's `throws`.
        meta: The final record, None when it is not kept.
        effect: The same, encoded for the settle step, where backend and broker share a server.
        messages: What the end of the run sets off; goes out in the settle step.
        chord: The chord to count this part of.
        others: Records for later steps of a failed chain; store them before settling.
        reject: None, or what to do with the message: True puts it back, False drops it.
    """

    task_id: str
    name: str
    state: str
    retval: Any = None
    exc: BaseException | None = None
    traceback: str | None = None
    runtime: float = 0.0
    result_repr: str = ""
    expected: bool = False
    meta: ResultMeta | None = None
    effect: StoredResult | None = None
    messages: list[Message] = []
    chord: PendingChord | None = None
    others: list[ResultMeta] = []
    reject: bool | None = None

    def settlement(self, tag: str, *, shared: bool = True) -> Settlement:
        """Return what ends the delivery: its ack with every effect recorded in the same step.

        Args:
            tag: The delivery's.
            shared: Broker and backend are one server. Otherwise the caller stores `meta` and counts
                `chord.part` in the backend before it settles.
        """
        return Settlement(
            tag=tag,
            result=self.effect if shared else None,
            messages=tuple(self.messages),
            chord=self.chord.part if shared and self.chord is not None else None,
        )


class ExceptionInfo:
    """An exception with its traceback, as handlers and signals know it from Celery.

    Attributes:
        type: The exception's class.
        exception: The exception.
        traceback: The traceback as text.
        tb: The traceback.
        internal: It was not the task that raised.
    """

    def __init__(self, exception: BaseException, internal: bool = False) -> None:
        """Format the traceback, without the frames of whoever called the task."""
        self.type = type(exception)
        self.exception = exception
        self.tb = users_traceback(exception.__traceback__)
        self.internal = internal
        self.traceback = "".join(traceback_module.format_exception(self.type, exception, self.tb))

    def __str__(self) -> str:
        """Return the traceback as text."""
        return self.traceback

    def __repr__(self) -> str:
        """Show the exception."""
        return f"<ExceptionInfo: {self.exception!r}>"

    @property
    def exc_info(self) -> tuple[Any, BaseException, TracebackType | None]:
        """The three values that `logging` takes."""
        return self.type, self.exception, self.tb


def users_traceback(tb: TracebackType | None) -> TracebackType | None:
    """Return the traceback from the first frame that is not the runner's, or all of it."""
    found = tb
    while found is not None and found.tb_frame.f_globals.get("__package__") == "tq.execution":
        found = found.tb_next
    return found or tb
