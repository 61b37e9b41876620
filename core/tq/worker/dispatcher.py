"""Decides what becomes of each delivery and of each thing a pool tells; performs nothing.

Source: PROTOCOL 6; celery/worker/strategy.py, `default`; celery/worker/request.py.
"""

import logging
import signal
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Sequence

from tq.brokers.base import Delivery, Settlement
from tq.errors import (
    DecodeError,
    NotRegistered,
    Retry,
    TaskRevokedError,
    TimeLimitExceeded,
    WorkerLostError,
)
from tq.pools.base import Accepted, Finished, Job, Lost, PoolEvent, Returned, TimedOut
from tq.states import FAILURE, IGNORED, REJECTED, RETRY, REVOKED, SUCCESS
from tq.wire.message import TaskHeaders, parse_time, read_headers
from tq.wire.serialization import JSON_ONLY
from tq.worker.actions import Actions, Conclusion, Report, ReportKind
from tq.worker.effects import Effects
from tq.worker.limits import RevokedIds, RevokedStamps, TokenBucket
from tq.worker.outcome import REQUEUE, UNREADABLE, Assignment, Record, encode_assignment
from tq.worker.request import Request, TaskPolicy

__all__ = ["PARKED_LIMIT", "Dispatcher"]

logger = logging.getLogger(__name__)

PARKED_LIMIT = 1_000  # parked tasks remembered for `inspect scheduled`; the broker holds them all

_KINDS: dict[str, ReportKind] = {
    SUCCESS: "succeeded",
    FAILURE: "failed",
    RETRY: "retried",
    IGNORED: "ignored",
    REJECTED: "rejected",
    REVOKED: "revoked",
}


class Dispatcher:
    """All the state of the tasks this worker holds. Owned by the loop thread; pure.

    Args:
        policy: Gives a task's policy, or None for a name that is not registered.
        read_outcome: Turns what a pool gives back into a `Record`, with the effects that are
            left to the worker to settle.
        parse: Turns ISO text into a wall timestamp.
        soft_limit: The worker's default soft limit in seconds.
        hard_limit: The worker's default hard limit.
        delivery_limit: Deaths after which a message goes to the dead letters; 0 for never.
        settles_itself: The pool's children settle, early acks included.
        accept: Content types that may be decoded (protocol 1 has its headers in the body).
    """

    def __init__(
        self,
        policy: Callable[[str], TaskPolicy | None],
        read_outcome: Callable[[Finished], tuple[Record, Effects | None]],
        *,
        parse: Callable[[str], float] = lambda text: parse_time(text, None),
        soft_limit: float | None = None,
        hard_limit: float | None = None,
        delivery_limit: int = 5,
        settles_itself: bool = False,
        accept: frozenset[str] = JSON_ONLY,
    ) -> None:
        """Begin with nothing in flight."""
        self._policy = policy
        self._read_outcome = read_outcome
        self._parse = parse
        self._soft_limit = soft_limit
        self._hard_limit = hard_limit
        self._delivery_limit = delivery_limit
        self._settles_itself = settles_itself
        self._accept = accept
        self.consumer_id = ""
        self._buckets: dict[str, TokenBucket] = {}
        self.requests: dict[str, Request] = {}
        self.parked: OrderedDict[str, tuple[float, Request]] = OrderedDict()
        self.revoked = RevokedIds()
        self.revoked_stamps = RevokedStamps()
        self.total: Counter[str] = Counter()
        self.processed = 0
        self.lost_leases = 0
        self.defaulted: Counter[str] = Counter()
        self.buried: Counter[str] = Counter()
        self.reports = False
        self.stopping = False
        self.cancelling = False

    def reserved(self) -> list[Request]:
        """Return what was taken and has not started."""
        return [request for request in self.requests.values() if request.time_start is None]

    def active(self) -> list[Request]:
        """Return what runs."""
        return [request for request in self.requests.values() if request.time_start is not None]

    def scheduled(self, now: float) -> list[tuple[float, Request]]:
        """Return `(eta, request)` of what this worker parked and is not due yet."""
        return [entry for entry in self.parked.values() if entry[0] > now]

    def set_rate(self, name: str, rate: float) -> None:
        """Limit a task's starts to `rate` per second; 0 lifts the limit."""
        self._buckets.pop(name, None)
        if rate > 0:
            self._buckets[name] = TokenBucket(rate)

    def accept(self, deliveries: Sequence[Delivery], now: float) -> Actions:
        """Decide about messages that were fetched.

        Args:
            deliveries: What the consumer gave.
            now: Wall-clock timestamp.
        """
        actions = Actions()
        for delivery in deliveries:
            try:
                self._accept_one(delivery, now, actions)
            except DecodeError as exc:
                self._bury(delivery, exc, actions)
            except Exception as exc:  # whatever a message holds, the next one must be served
                logger.exception("a message of queue %s cannot be accepted", delivery.queue)
                self._bury(delivery, exc, actions, "unprocessable")
        return actions

    def _accept_one(self, delivery: Delivery, now: float, actions: Actions) -> None:
        headers = read_headers(delivery.message, self._accept)
        if headers.defaulted:
            self.defaulted.update(headers.defaulted)
        policy = self._policy(headers.task)
        if policy is None:
            self._refuse(delivery, headers, now, actions)
            return
        request = Request(delivery=delivery, headers=headers, policy=policy, received=now)
        self._admit(request, now, actions)

    def _admit(self, request: Request, now: float, actions: Actions) -> None:
        headers = request.headers
        try:
            if self._is_revoked(request, now, actions):
                return
            eta = self._parse(headers.eta) if headers.eta is not None else 0.0
        except (DecodeError, ValueError) as exc:
            self._bury(request.delivery, exc, actions)
            return
        if self.reports and headers.id not in self.parked:
            actions.reports.append(Report("received", request))
        if eta > now:
            self._park(request, eta, actions)
            return
        if self._buckets:
            bucket = self._buckets.get(headers.task)
            wait = bucket.take(now) if bucket is not None else 0.0
            if wait > 0:
                self._park(request, now + wait, actions)
                return
        if self.parked:
            self.parked.pop(headers.id, None)
        self._submit(request, actions)

    def _submit(self, request: Request, actions: Actions) -> None:
        delivery, headers, policy = request.delivery, request.headers, request.policy
        message = delivery.message
        payload = encode_assignment(
            Assignment(
                tag=delivery.tag,
                queue=delivery.queue,
                headers=headers,
                body=message.body,
                content_type=message.content_type,
                content_encoding=message.content_encoding,
                exchange=message.exchange,
                routing_key=message.routing_key,
                priority=message.priority,
                correlation_id=message.correlation_id,
                reply_to=message.reply_to,
                delivery_mode=message.delivery_mode,
                properties=message.properties,
                redelivered=delivery.redelivered,
                deliveries=delivery.deliveries,
                consumer=self.consumer_id,
                reports=self.reports,
            )
        )
        hard, soft = headers.timelimit
        self.requests[delivery.tag] = request
        actions.submit.append(
            Job(
                delivery.tag,
                payload,
                soft if soft is not None else policy.soft_limit or self._soft_limit,
                hard if hard is not None else policy.hard_limit or self._hard_limit,
            )
        )

    def _park(self, request: Request, until: float, actions: Actions) -> None:
        actions.park.append((request.delivery.tag, until))
        self.parked[request.id] = (until, request)
        self.parked.move_to_end(request.id)
        if len(self.parked) > PARKED_LIMIT:
            self.parked.popitem(last=False)

    def _is_revoked(self, request: Request, now: float, actions: Actions) -> bool:
        headers = request.headers
        expired = headers.expires is not None and self._parse(headers.expires) <= now
        if not expired and headers.id not in self.revoked:
            stamps = self.revoked_stamps
            if not stamps or not stamps.match(headers.stamped_headers, headers.stamps):
                return False
        if expired:
            self.revoked.add((headers.id,), now)
        self.parked.pop(headers.id, None)
        self._revoke(request, "expired" if expired else "revoked", actions, expired=expired)
        return True

    @staticmethod
    def _revoke(
        request: Request,
        reason: str,
        actions: Actions,
        *,
        expired: bool = False,
        signum: int | None = None,
    ) -> None:
        actions.conclude.append(Conclusion(request, REVOKED, TaskRevokedError(reason)))
        fields = {"terminated": signum is not None, "signum": signum, "expired": expired}
        actions.reports.append(Report("revoked", request, None, fields))

    def _refuse(
        self, delivery: Delivery, headers: TaskHeaders, now: float, actions: Actions
    ) -> None:
        request = Request(
            delivery=delivery, headers=headers, policy=TaskPolicy(name=headers.task), received=now
        )
        error = NotRegistered(headers.task)
        actions.conclude.append(Conclusion(request, FAILURE, error))
        actions.reports.append(Report("unknown", request, None, {"error": error}))

    def _bury(
        self, delivery: Delivery, exc: Exception, actions: Actions, reason: str = "bad_time"
    ) -> None:
        if isinstance(exc, DecodeError):
            reason = exc.reason
        self.buried[reason] += 1
        actions.bury.append((delivery.tag, reason))
        fields = {
            "reason": reason,
            "queue": delivery.queue,
            "error": exc,
            "message": delivery.message,
        }
        actions.reports.append(Report("unreadable", None, None, fields))

    def collected(self, events: Iterable[PoolEvent], now: float) -> Actions:
        """Decide about what a pool told.

        Args:
            events: What `Pool.collect` returned.
            now: Wall-clock timestamp.
        """
        actions = Actions()
        for event in events:
            if isinstance(event, Finished):
                self._finished(event, actions)
            elif isinstance(event, Accepted):
                self._accepted(event, actions)
            elif isinstance(event, Lost):
                self._lost(event, actions)
            elif isinstance(event, TimedOut):
                self._timed_out(event, actions)
            else:
                self._returned(event, now, actions)
        return actions

    def _accepted(self, event: Accepted, actions: Actions) -> None:
        request = self.requests.get(event.job_id)
        if request is None or request.time_start is not None:
            return
        request.time_start = event.timestamp
        request.pid = event.pid
        self.total[request.headers.task] += 1
        if not request.policy.acks_late:
            request.acknowledged = True
            if not self._settles_itself:
                early = Effects(Settlement(tag=event.job_id, started=True))
                actions.effects.append(early)
        if self.reports:
            actions.reports.append(Report("started", request))

    def _finished(self, event: Finished, actions: Actions) -> None:
        request = self.requests.pop(event.job_id, None)
        if request is None:
            return
        if request.time_start is None:
            self.total[request.headers.task] += 1
        self.processed += 1
        record, effects = self._read_outcome(event)
        if event.salvaged and effects is None and self._was_unrecorded(request, record, actions):
            return
        self._end_delivery(event, record, effects, actions)
        if record.lost:
            self.lost_leases += 1
        if record.state == UNREADABLE:
            self._unreadable(request, record, actions)
        elif record.state == REQUEUE:
            actions.reports.append(Report("requeued", request, record))
        elif self.reports or record.state != SUCCESS:
            actions.reports.append(Report(_KINDS.get(record.state, "failed"), request, record))

    def _was_unrecorded(self, request: Request, record: Record, actions: Actions) -> bool:
        """Take a job that ended in a child as lost when the child died before recording its end.

        The result, the chord part and what follows died with the child: an ack would lose them. A
        delivery that was settled after all is refused by its tag, and only forgotten.
        """
        nothing_to_record = record.state in (UNREADABLE, REQUEUE) or record.bury is not None
        if nothing_to_record or request.acknowledged:
            return False
        error = WorkerLostError("Worker exited before it recorded the end of the task.")
        self._give_back(request, error, actions)
        return True

    @staticmethod
    def _end_delivery(
        event: Finished, record: Record, effects: Effects | None, actions: Actions
    ) -> None:
        """Say what becomes of the message of a job that ended."""
        tag = event.job_id
        if record.state == UNREADABLE:
            actions.bury.append((tag, record.text or "undecodable"))
        elif record.state == REQUEUE or (record.state == REJECTED and record.requeue):
            actions.requeue.append(tag)
        elif record.bury is not None:
            if effects is not None:
                actions.record.append(effects)
            actions.bury.append((tag, record.bury))
        elif effects is not None:
            actions.effects.append(effects)
        elif event.outcome.settled:
            actions.forget.append(tag)
        else:
            actions.ack.append(tag)

    def _unreadable(self, request: Request, record: Record, actions: Actions) -> None:
        reason = record.text or "undecodable"
        self.buried[reason] += 1
        fields = {
            "reason": reason,
            "queue": request.delivery.queue,
            "error": DecodeError(f"body of {request.name}[{request.id}]: {record.traceback}"),
            "message": request.delivery.message,
        }
        actions.reports.append(Report("unreadable", request, None, fields))

    def _lost(self, event: Lost, actions: Actions) -> None:
        request = self.requests.pop(event.job_id, None)
        if request is None:
            return
        self.processed += 1
        if self.cancelling or request.cancelled:
            self._cancel(request, actions)
            return
        signum = event.terminated if event.terminated is not None else request.terminated
        if signum is not None:
            self._revoke(request, "terminated", actions, signum=signum)
            return
        error = WorkerLostError(f"Worker exited prematurely: {_exit_words(event.exitcode)}.")
        if request.policy.retry_on_worker_lost:
            self._send_again(request, error, actions)
        elif request.acknowledged or not request.policy.reject_on_worker_lost:
            self._fail(request, error, actions)
        else:
            self._give_back(request, error, actions)

    @staticmethod
    def _cancel(request: Request, actions: Actions) -> None:
        """Give back what a cold stop cut off; what was acknowledged early is recorded as RETRY."""
        if request.acknowledged:
            actions.conclude.append(Conclusion(request, RETRY, Retry("cancelled by a cold stop")))
        else:
            actions.requeue.append(request.delivery.tag)
        actions.reports.append(Report("cancelled", request))

    def _timed_out(self, event: TimedOut, actions: Actions) -> None:
        request = self.requests.get(event.job_id)
        if request is None:
            return
        if event.soft:
            actions.reports.append(Report("soft_timeout", request, None, {"limit": event.limit}))
            return
        del self.requests[event.job_id]
        self.processed += 1
        error = TimeLimitExceeded(event.limit)
        if request.acknowledged or request.policy.acks_on_timeout:
            self._fail(request, error, actions)
        else:
            self._give_back(request, error, actions)

    def _returned(self, event: Returned, now: float, actions: Actions) -> None:
        request = self.requests.pop(event.job_id, None)
        if request is None:
            return
        if self.stopping:
            actions.requeue.append(event.job_id)
        elif not self._is_revoked(request, now, actions):
            self._submit(request, actions)

    def _fail(
        self, request: Request, error: Exception, actions: Actions, bury: str | None = None
    ) -> None:
        actions.conclude.append(Conclusion(request, FAILURE, error, bury))
        record = Record(FAILURE, None, repr(error))
        actions.reports.append(Report("failed", request, record))

    def _send_again(self, request: Request, error: Exception, actions: Actions) -> None:
        """Retry what its process did not survive; without a retry left it has failed."""
        limit = request.policy.max_retries
        if limit is not None and request.headers.retries >= limit:
            self._fail(request, error, actions)
            return
        actions.conclude.append(Conclusion(request, RETRY, error, again=True))
        actions.reports.append(Report("retried", request, Record(RETRY, None, repr(error))))

    def _give_back(self, request: Request, error: Exception, actions: Actions) -> None:
        """Requeue what its process did not survive, unless it happened too often already."""
        if 0 < self._delivery_limit <= request.delivery.deliveries:
            self.buried["delivery_limit"] += 1
            self._fail(request, error, actions, bury="delivery_limit")
            return
        actions.lost.append(request)
        fields = {"error": error}
        actions.reports.append(Report("requeued", request, None, fields))


def _exit_words(exitcode: int) -> str:
    """Describe how a process ended, in Celery's words."""
    if exitcode >= 0:
        return f"exitcode {exitcode}"
    try:
        name = signal.Signals(-exitcode).name
    except ValueError:
        return f"signal {-exitcode}"
    return f"signal {-exitcode} ({name})"
