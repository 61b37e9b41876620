"""Tells what happened to tasks: in events, in the log, and to receivers of signals.

Source: PROTOCOL 7.3; celery/worker/request.py (`on_success`, `on_failure`, `revoked`),
celery/app/trace.py (`TraceInfo`).
"""

import logging
from collections.abc import Callable, Sequence
from typing import Any

from tq import signals
from tq.events import Emitter
from tq.saferepr import safe_text
from tq.worker.actions import Report
from tq.worker.outcome import Record
from tq.worker.request import Request

__all__ = ["Reporter"]

logger = logging.getLogger(__name__)

_FIELD = 2000  # characters of any one field in a log line


class Reporter:
    """Turns reports into events, log lines and signals. Owned by the loop thread."""

    def __init__(self, app: Any, emitter: Emitter, schedule_flush: Callable[[], None]) -> None:
        """Keep where to tell it.

        Args:
            app: Its `tasks` are the senders of signals.
            emitter: Takes the events.
            schedule_flush: Called when events wait to be published.
        """
        self._app = app
        self._emitter = emitter
        self._schedule_flush = schedule_flush
        self._tellers: dict[str, Callable[[Report], None]] = {
            "received": self._received,
            "started": self._started,
            "succeeded": self._succeeded,
            "failed": self._failed,
            "retried": self._retried,
            "ignored": self._ignored,
            "rejected": self._rejected,
            "revoked": self._revoked,
            "unknown": self._unknown,
            "unreadable": self._unreadable,
            "soft_timeout": self._soft_timeout,
            "requeued": self._requeued,
            "cancelled": self._cancelled,
        }

    @property
    def wanted(self) -> bool:
        """Tell whether anybody listens to the course of ordinary tasks."""
        return (
            self._emitter.wants("task")
            or logger.isEnabledFor(logging.INFO)
            or bool(signals.task_received.receivers)
        )

    def tell(self, reports: Sequence[Report]) -> None:
        """Tell each report."""
        for report in reports:
            self._tellers[report.kind](report)
        if self._emitter.pending:
            self._schedule_flush()

    def _received(self, report: Report) -> None:
        request, headers = _of(report), _of(report).headers
        self._event(
            request,
            "task-received",
            name=request.name,
            args=headers.argsrepr,
            kwargs=headers.kwargsrepr,
            root_id=headers.root_id or headers.id,
            parent_id=headers.parent_id,
            retries=headers.retries,
            eta=headers.eta,
            expires=headers.expires,
            **headers.membership(),
        )
        if logger.isEnabledFor(logging.INFO):
            logger.info("Task %s received", _label(request))
        signals.task_received.send(sender=self._app, request=request)

    def _started(self, report: Report) -> None:
        request = _of(report)
        # Starts are read from shared memory now and then: the event tells when it was.
        self._event(request, "task-started", timestamp=request.time_start)
        logger.debug("Task accepted: %s pid:%r", request.name, request.pid)

    def _succeeded(self, report: Report) -> None:
        request, record = _of(report), _record(report)
        self._event(request, "task-succeeded", result=record.text, runtime=record.runtime)
        if logger.isEnabledFor(logging.INFO):
            logger.info(
                "Task %s succeeded in %ss: %s",
                _label(request),
                record.runtime,
                safe_text(record.text, _FIELD),
            )

    def _failed(self, report: Report) -> None:
        request, record = _of(report), _record(report)
        self._event(request, "task-failed", exception=record.text, traceback=record.traceback)
        text = safe_text(record.text, _FIELD)
        if record.expected:
            logger.info("Task %s raised expected: %s", _label(request), text)
        else:
            traceback = _traceback_lines(record)
            logger.error("Task %s raised unexpected: %s%s", _label(request), text, traceback)

    def _retried(self, report: Report) -> None:
        request, record = _of(report), _record(report)
        self._event(request, "task-retried", exception=record.text, traceback=record.traceback)
        logger.info("Task %s retry: %s", _label(request), safe_text(record.text, _FIELD))

    def _ignored(self, report: Report) -> None:
        logger.info("Task %s ignored", _label(_of(report)))

    def _rejected(self, report: Report) -> None:
        request, record = _of(report), _record(report)
        if record.requeue is False:
            self._event(request, "task-failed", exception=record.text, traceback=record.traceback)
        if not request.acknowledged:
            self._event(request, "task-rejected", requeue=bool(record.requeue))
        logger.warning("Task %s: %s", _label(request), safe_text(record.text, _FIELD))

    def _revoked(self, report: Report) -> None:
        request, fields = _of(report), report.fields
        if not fields:  # the task itself was revoked while it ran (`record.state` REVOKED)
            fields = {"terminated": False, "signum": None, "expired": False}
        self._event(request, "task-revoked", **fields)
        how = "expired" if fields["expired"] else "revoked"
        if fields["terminated"]:
            logger.error("Task %s terminated by signal %s", _label(request), fields["signum"])
        else:
            logger.info("Discarding %s task: %s", how, _label(request))
        signals.task_revoked.send(sender=self._sender(request), request=request, **fields)

    def _unknown(self, report: Report) -> None:
        request, error = _of(report), report.fields["error"]
        self._event(request, "task-failed", exception=repr(error))
        logger.error(
            "Received unregistered task of type %s (id %s); the message was dropped. Is the "
            "module that defines it imported by this worker?",
            safe_text(repr(request.headers.task), 300),
            safe_text(request.id, 100),
        )
        signals.task_unknown.send(
            sender=self._app,
            message=request.delivery.message,
            exc=error,
            name=request.headers.task,
            id=request.id,
        )

    def _unreadable(self, report: Report) -> None:
        fields = report.fields
        signals.task_rejected.send(sender=self._app, message=fields["message"], exc=fields["error"])
        logger.error(
            "Message from queue %s went to the dead letters (%s): %s",
            safe_text(fields["queue"], 200),
            fields["reason"],
            safe_text(str(fields["error"]), 500),
        )

    @staticmethod
    def _soft_timeout(report: Report) -> None:
        limit = report.fields["limit"]
        logger.warning("Soft time limit (%ss) exceeded for %s", limit, _label(_of(report)))

    def _requeued(self, report: Report) -> None:
        request, error = _of(report), report.fields.get("error", "it did not end here")
        self._event(request, "task-rejected", requeue=True)
        logger.warning("Task %s goes back to its queue: %s", _label(request), error)

    def _cancelled(self, report: Report) -> None:
        request = _of(report)
        self._event(request, "task-cancelled")
        logger.warning("Task %s was cancelled by a cold shutdown", _label(request))

    def _event(self, request: Request, kind: str, **fields: Any) -> None:
        """Send an event about a task, unless the task wants none (`send_events`)."""
        if request.policy.send_events:
            self._emitter.send(kind, uuid=request.id, **fields)

    def _sender(self, request: Request) -> Any:
        return self._app.tasks.get(request.headers.task) or request.headers.task


def _of(report: Report) -> Request:
    """Return the report's request; only `unreadable` reports have none."""
    assert report.request is not None
    return report.request


def _record(report: Report) -> Record:
    return report.record or Record("")


def _label(request: Request) -> str:
    return f"{safe_text(request.name, 300)}[{safe_text(request.id, 200)}]"


def _traceback_lines(record: Record) -> str:
    if not record.traceback:
        return ""
    return "\n" + safe_text(record.traceback, 50_000, single_line=False)
