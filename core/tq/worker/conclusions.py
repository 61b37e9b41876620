"""Records the ends of tasks that no pool ran to their end: refused, revoked, lost, timed out.

Source: PROTOCOL 6; celery/worker/request.py (`on_failure`, `on_timeout`, `_announce_revoked`),
celery/worker/control.py, `_revoke`.
"""

import logging
import queue
import threading
from collections.abc import Sequence
from typing import Any

from tq import signals
from tq.brokers.base import Dead, Message, Settlement
from tq.errors import (
    BackendError,
    DecodeError,
    NotRegistered,
    TaskRevokedError,
    TQError,
    WorkerLostError,
)
from tq.execution import build_context
from tq.execution.callbacks import call_errbacks, following_ids, pending_chord
from tq.execution.context import Context
from tq.execution.outcome import ExceptionInfo
from tq.execution.record import state_record
from tq.states import FAILURE, PENDING, RECEIVED, REJECTED, RETRY, REVOKED
from tq.wire.message import TaskBody, read_body, read_headers
from tq.wire.result import ResultMeta
from tq.worker.actions import Conclusion
from tq.worker.effects import Effects
from tq.worker.policies import body_limits
from tq.worker.settler import Settler

__all__ = ["Concluder"]

logger = logging.getLogger(__name__)

_BATCH = 200  # ids looked up in one round trip
_WAITING_BATCHES = 1_000  # 200,000 ids: more than a revoked set holds
_OVERWRITABLE = frozenset({PENDING, RECEIVED, RETRY, REJECTED})


class Concluder:
    """Turns conclusions into effects. Owned by the loop thread.

    Revoked ids are looked up by a thread of its own, so that a command with 100,000 of them does
    not hold up anything else.
    """

    name = "concluder"

    def __init__(
        self, app: Any, hostname: str, settler: Settler, *, fused: bool, accept: frozenset[str]
    ) -> None:
        """Keep where to record.

        Args:
            app: The application.
            hostname: This node's name.
            settler: Takes the effects.
            fused: Results are written in the settle step.
            accept: Content types that may be decoded.
        """
        self._accept = accept
        self._limits = body_limits(app.conf.settings)
        self._app = app
        self._hostname = hostname
        self._settler = settler
        self._fused = fused
        self._revoked: queue.Queue[list[str] | None] = queue.Queue(_WAITING_BATCHES)
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Do nothing: the thread starts with the first revoke."""

    def stop(self, deadline: float) -> None:
        """Let the thread end with what it has at hand."""
        if self._thread is not None:
            self._revoked.put(None)
            self._thread.join(1.0)
            self._thread = None

    def conclude(self, conclusions: Sequence[Conclusion]) -> None:
        """Put the ends of tasks in line to be written."""
        for conclusion in conclusions:
            request = conclusion.request
            headers, message = request.headers, request.delivery.message
            tag = request.delivery.tag
            body = self._body(message)
            context = build_context(headers, body or TaskBody(), message, hostname=self._hostname)
            again = conclusion.again and body is not None
            state = FAILURE if conclusion.again and not again else conclusion.state
            effects = self._effects(tag, context, state, conclusion.error)
            if again:
                effects.messages.extend(self._again(context))
            if conclusion.bury is None:
                if self._fused:
                    self._fuse(effects)
                self._settler.settle([effects])
                continue
            # A buried message keeps its tag until it is moved, so its result is stored before.
            self._settler.add("record", [effects])
            self._settler.add("bury", [(tag, conclusion.bury)])

    def record_dead(self, dead: Dead) -> None:
        """Record the failure of a task that the broker gave up, if its message can be read."""
        if dead.delivery is None:
            return
        message = dead.delivery.message
        try:
            headers = read_headers(message, self._accept)
        except DecodeError:
            return  # it is among the dead letters for just that reason
        body = self._body(message) or TaskBody()
        context = build_context(headers, body, message, hostname=self._hostname)
        error = WorkerLostError(
            f"given up after {dead.delivery.deliveries} deliveries that ended unsettled"
        )
        self._settler.add("record", [self._effects(dead.delivery.tag, context, FAILURE, error)])

    def record_revoked(self, ids: list[str]) -> None:
        """Store REVOKED for ids that wait anywhere, a few at a time, in a thread."""
        if self._thread is None:
            self._thread = threading.Thread(
                target=self._record_all, name="revoked-ids", daemon=True
            )
            self._thread.start()
        for first in range(0, len(ids), _BATCH):
            try:
                self._revoked.put_nowait(ids[first : first + _BATCH])
            except queue.Full:
                logger.warning("results of %d revoked tasks are not stored", len(ids) - first)
                return

    def _record_all(self) -> None:
        while True:
            ids = self._revoked.get()
            if ids is None:
                return
            try:
                self._record_batch(ids)
            except BackendError as exc:
                logger.warning("results of %d revoked tasks are not stored: %s", len(ids), exc)

    def _record_batch(self, ids: list[str]) -> None:
        backend = self._app.backend
        found = backend.fetch(ids)
        error = TaskRevokedError("revoked")
        records = [
            state_record(self._app, Context(), task_id, REVOKED, error)
            for task_id in ids
            if task_id not in found or found[task_id].status in _OVERWRITABLE
        ]
        for record in records:
            record.children = None
        if records:
            backend.store(records)

    def _body(self, message: Any) -> TaskBody | None:
        """Read a body, if it can be read: what follows a task hangs on it."""
        try:
            return read_body(message, self._accept, self._limits)
        except DecodeError:
            return None

    def _effects(self, tag: str, context: Context, state: str, error: BaseException) -> Effects:
        app = self._app
        info = ExceptionInfo(error)
        record = state_record(app, context, context.id or "", state, error)
        effects = Effects(Settlement(tag=tag))
        if self._keeps(context, state):
            effects.results.append(record)
        if state == FAILURE and not isinstance(error, NotRegistered):
            self._follow_up(context, error, info, effects)
        elif state == REVOKED and effects.results:
            # Celery leaves the steps after a revoked one pending for ever.
            effects.results += self._fail_following(context, REVOKED, error)
        if state != RETRY:
            effects.chord = pending_chord(app.backend, context, record)
            effects.part = effects.chord.part if effects.chord is not None else None
        if context.reply_to:
            effects.reply_to = {item.task_id: context.reply_to for item in effects.results}
        return effects

    def _follow_up(
        self, context: Context, error: BaseException, info: ExceptionInfo, effects: Effects
    ) -> None:
        """Fail the steps that will not run, call errbacks, and tell receivers of the failure."""
        app = self._app
        if effects.results:
            effects.results += self._fail_following(context, FAILURE, error)
        if context.errbacks:
            try:
                with app.capture() as messages:
                    call_errbacks(app, context, context.errbacks, info)
                effects.messages.extend(messages)
            except (TQError, TypeError, ValueError):
                logger.exception("errbacks of %s[%s] cannot be sent", context.task, context.id)
        signals.task_failure.send(
            sender=app.tasks.get(context.task),
            task_id=context.id,
            exception=error,
            args=context.args,
            kwargs=context.kwargs,
            traceback=None,
            einfo=info,
        )

    def _again(self, context: Context) -> list[Message]:
        """Return the message that runs a task once more, after its `default_retry_delay`."""
        app = self._app
        task = app.tasks[context.task]
        sig = task.signature_from_request(
            context,
            countdown=task.default_retry_delay,
            retries=context.retries + 1,
            parent_id=context.parent_id,
            argsrepr=context.argsrepr,
            kwargsrepr=context.kwargsrepr,
        )
        # Not `apply_async`, which runs the task here where calls are eager.
        with app.capture() as messages:
            app.send(task.name, sig["args"], sig["kwargs"], sig["options"], task)
        return list(messages)

    def _fail_following(
        self, context: Context, state: str, error: BaseException
    ) -> list[ResultMeta]:
        """Return the records of a chain's later steps, which will never run."""
        return [
            state_record(self._app, Context(), task_id, state, error)
            for task_id in following_ids(context.chain)
        ]

    def _fuse(self, effects: Effects) -> None:
        """Move into the settle step what it can carry."""
        settlement = effects.settlement
        if effects.results:
            settlement.result = self._app.backend.effect(effects.results.pop(0))
        settlement.messages = tuple(effects.messages)
        effects.messages = []
        if effects.part is not None:
            settlement.chord, effects.part = effects.part, None

    def _keeps(self, context: Context, state: str) -> bool:
        task = self._app.tasks.get(context.task)
        settings = self._app.conf.settings
        ignored = context.ignore_result
        if ignored is None:
            ignored = bool(getattr(task, "ignore_result", None) or False)
        if not ignored:
            return True
        keeps_errors = getattr(task, "store_errors_even_if_ignored", None)
        if keeps_errors is None:
            keeps_errors = settings.task_store_errors_even_if_ignored
        return state == FAILURE and bool(keeps_errors)
