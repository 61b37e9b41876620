"""Calls go out: declare, signal, publish with retries, report; or are collected for later.

Source: celery/app/amqp.py, `send_task_message`; PROTOCOL 7.3 (`task-sent`).
"""

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Protocol

from tq import signals
from tq.app.calls import Call, origin
from tq.brokers.base import Broker, BulkBroker, Queue
from tq.clock import LamportClock
from tq.config import Settings
from tq.errors import BrokerConnectionError
from tq.wire.envelope import Message
from tq.wire.event import encode_events, utc_offset

__all__ = ["BATCH", "Producer", "capture"]

BATCH = 1000
"""Most messages published in one round trip."""

# Drivers on which a message for a plain queue needs no declaration and events use a fanout.
_LIST_DRIVERS = frozenset({"redis", "memory"})

_captured: ContextVar[list[Message] | None] = ContextVar("tq_captured_messages", default=None)


@contextmanager
def capture() -> Iterator[list[Message]]:
    """Collect what is published inside, in this thread or coroutine, instead of sending it.

    The runner does this with what a task's end sets off, so that it goes out in the step that
    acknowledges the task.
    """
    box: list[Message] = []
    token = _captured.set(box)
    try:
        yield box
    finally:
        _captured.reset(token)


class Host(Protocol):
    """What the producer needs of its application."""

    clock: LamportClock

    @property
    def broker(self) -> Broker:
        """Return the connection for publishing."""
        ...


class Producer:
    """Publishes calls of one application. Any thread may use it."""

    def __init__(self, host: Host) -> None:
        """Publish through `host.broker`, which is opened by the first call."""
        self._host = host
        # Names only grow with the program's queues; a second declaration does no harm.
        self._declared: set[str] = set()

    def forget_declarations(self) -> None:
        """Declare every queue again before its next message: the connection is another one."""
        self._declared.clear()

    def publish(
        self, calls: Sequence[Call], settings: Settings, options: Mapping[str, Any] | None = None
    ) -> None:
        """Publish calls, at most `BATCH` in one round trip; they share `options`.

        Args:
            calls: As `calls.prepare` made them.
            settings: The application's.
            options: `retry` and `retry_policy` of the call, if given.

        Raises:
            BrokerConnectionError: The broker did not answer and the policy allows no more tries.
        """
        box = _captured.get()
        options = options or {}
        if signals.before_task_publish:
            for call in calls:
                _signal_before(call, settings, options)
        if box is not None:
            self._declare(calls, captured=True)
            box.extend(call.message for call in calls)
        else:
            self._send(calls, settings, options)
        if signals.after_task_publish or signals.task_sent:
            for call in calls:
                _signal_after(call)
        if settings.task_send_sent_event:
            self._report(calls, settings)

    def send_raw(self, messages: Sequence[Message]) -> None:
        """Publish messages that are no calls (events), never collected, never retried."""
        self._host.broker.publish(messages)

    def _send(self, calls: Sequence[Call], settings: Settings, options: Mapping[str, Any]) -> None:
        if len(calls) <= BATCH:
            self._send_batch(calls, settings, options)
            return
        for first in range(0, len(calls), BATCH):
            self._send_batch(calls[first : first + BATCH], settings, options)

    def _send_batch(
        self, calls: Sequence[Call], settings: Settings, options: Mapping[str, Any]
    ) -> None:
        def send() -> None:
            self._declare(calls, captured=False)
            self._host.broker.publish([call.message for call in calls])

        _with_retries(send, settings, options)

    def takes_openings(self) -> bool:
        """Tell whether `publish_openings` may be called: the broker's kind, and no capture."""
        return _captured.get() is None and isinstance(self._host.broker, BulkBroker)

    def publish_openings(
        self,
        lots: Mapping[tuple[str, int], Sequence[bytes]],
        queues: Sequence[Queue],
        settings: Settings,
    ) -> None:
        """Publish calls that a form wrote, in one round trip.

        Args:
            lots: `(queue's name, priority)` -> openings.
            queues: The queues among them.
            settings: The application's.

        Raises:
            BrokerConnectionError: The broker did not answer and the policy allows no more tries.
        """

        def send() -> None:
            broker = self._host.broker
            assert isinstance(broker, BulkBroker), "`takes_openings` looked"
            missing = [queue for queue in queues if queue.name not in self._declared]
            if missing:
                broker.declare(missing)
                self._declared.update(queue.name for queue in missing)
            broker.publish_openings(lots)

        _with_retries(send, settings, {})

    def _declare(self, calls: Sequence[Call], captured: bool) -> None:
        missing: dict[str, Queue] = {}
        for call in calls:
            queue = call.destination.queue
            if queue is not None and queue.name not in self._declared:
                missing[queue.name] = queue
        if not missing:
            return
        broker = self._host.broker
        if captured and broker.driver in _LIST_DRIVERS:
            plain = {call.destination.routing_key for call in calls if not call.message.exchange}
            missing = {name: queue for name, queue in missing.items() if name not in plain}
        if missing:
            broker.declare(list(missing.values()))
            self._declared.update(missing)

    def _report(self, calls: Sequence[Call], settings: Settings) -> None:
        """Publish `task-sent` for each call."""
        broker = self._host.broker
        kind = "fanout" if broker.driver in _LIST_DRIVERS else "topic"
        events = [self._sent_event(call) for call in calls]
        broker.publish(
            [
                encode_events(
                    [event],
                    event["hostname"],
                    settings.event_exchange,
                    kind,
                    settings.event_serializer,
                )
                for event in events
            ]
        )

    def _sent_event(self, call: Call) -> dict[str, Any]:
        headers, destination = call.headers, call.destination
        return {
            "type": "task-sent",
            "hostname": origin(),
            "pid": os.getpid(),
            "clock": self._host.clock.forward(),
            "timestamp": time.time(),
            "utcoffset": utc_offset(),
            "uuid": headers.id,
            "root_id": headers.root_id,
            "parent_id": headers.parent_id,
            "name": headers.task,
            "args": headers.argsrepr,
            "kwargs": headers.kwargsrepr,
            "retries": headers.retries,
            "eta": headers.eta,
            "expires": headers.expires,
            "queue": destination.queue.name if destination.queue else None,
            "exchange": destination.exchange,
            "routing_key": destination.routing_key,
            **headers.membership(),
        }


def _with_retries(send: Callable[[], None], settings: Settings, options: Mapping[str, Any]) -> None:
    try:
        send()
        return
    except BrokerConnectionError as exc:
        lost = exc
    for delay in _delays(settings, options):
        time.sleep(delay)
        try:
            send()
            return
        except BrokerConnectionError as exc:
            lost = exc
    raise lost


def _delays(settings: Settings, options: Mapping[str, Any]) -> Iterator[float]:
    """Yield the seconds to wait before each further try of a publish."""
    if not options.get("retry", settings.task_publish_retry):
        return
    policy = {**settings.task_publish_retry_policy, **(options.get("retry_policy") or {})}
    most = policy.get("max_retries", 3)
    delay = float(policy.get("interval_start", 0) or 0)
    step, longest = float(policy.get("interval_step", 0.2)), float(policy.get("interval_max", 1))
    tries = 0
    while most is None or tries < most:
        yield min(delay, longest)
        delay += step
        tries += 1


def _signal_before(call: Call, settings: Settings, options: Mapping[str, Any]) -> None:
    """Let receivers see the call, and change its headers, before it is sent."""
    message = call.message
    queue = call.destination.queue
    signals.before_task_publish.send(
        sender=call.headers.task,
        body=_body_view(call),
        exchange=message.exchange,
        routing_key=message.routing_key,
        headers=message.headers,
        properties=_properties(message),
        declare=[queue] if queue is not None else [],
        retry_policy=options.get("retry_policy") or settings.task_publish_retry_policy,
    )


def _signal_after(call: Call) -> None:
    message = call.message
    signals.after_task_publish.send(
        sender=call.headers.task,
        body=_body_view(call),
        exchange=message.exchange,
        routing_key=message.routing_key,
        headers=message.headers,
        properties=_properties(message),
    )
    signals.task_sent.send(
        sender=call.headers.task,
        task_id=call.headers.id,
        task=call.headers.task,
        args=call.body.args,
        kwargs=call.body.kwargs,
        eta=call.headers.eta,
        taskset=call.headers.group,
    )


def _body_view(call: Call) -> tuple[Any, Any, dict[str, Any]]:
    body = call.body
    embed = {
        "callbacks": body.callbacks,
        "errbacks": body.errbacks,
        "chain": body.chain,
        "chord": body.chord,
    }
    return (body.args, body.kwargs, embed)


def _properties(message: Message) -> dict[str, Any]:
    return {
        "correlation_id": message.correlation_id,
        "reply_to": message.reply_to,
        "priority": message.priority,
        "delivery_mode": message.delivery_mode,
        "expiration": message.expiration,
    }
