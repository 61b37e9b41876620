"""What is in and around queues, and the tasks that wait in them; nothing is taken.

Source: CONSOLE 4 (queues), 5.4.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import msgspec

from tq.brokers.base import Broker, Glimpse, QueueSight, Surveyor
from tq.brokers.failover import FailoverBroker
from tq.errors import BrokerError, DecodeError
from tq.saferepr import safe_text, saferepr
from tq.wire.task_reader import read_body, read_headers

__all__ = ["QueueSight", "WaitingTask", "find_waiting", "parked", "peek", "survey"]

_SHOWN_RAW = 200  # bytes shown of what cannot be read
_MOST_SEARCHED = 500  # messages of one queue among which a task is looked for


class WaitingTask(msgspec.Struct, frozen=True, kw_only=True):
    """A message in a queue, read as far as that is possible.

    Attributes:
        id: Empty when the message is no task, or cannot be read.
        args: Text of the arguments, or of what cannot be read.
        call: Arguments and keyword arguments as values; None when they are not plain JSON.
        size: Bytes in the queue.
        step: The priority step it lies in.
        redelivered: A worker had it before.
        reason: Why it cannot be read, in one word.
    """

    queue: str
    size: int
    id: str = ""
    name: str | None = None
    args: str = ""
    kwargs: str = ""
    call: tuple[list[Any], dict[str, Any]] | None = None
    eta: str | None = None
    expires: str | None = None
    retries: int = 0
    root_id: str | None = None
    step: int = 0
    redelivered: bool = False
    reason: str | None = None


def _surveyor(broker: Broker) -> Surveyor | None:
    """Return the broker if it can look around; of several servers, the one in use."""
    if isinstance(broker, FailoverBroker):
        broker = broker.in_use()
    return broker if isinstance(broker, Surveyor) else None


def survey(broker: Broker, queues: Sequence[str]) -> Mapping[str, QueueSight]:
    """Say what is in and around queues, as far as this broker can tell.

    Raises:
        BrokerConnectionError: No answer.
    """
    surveyor = _surveyor(broker)
    if surveyor is not None:
        return surveyor.survey(queues)
    return {name: QueueSight(ready=ready) for name, ready in broker.depths(queues).items()}


def peek(broker: Broker, queue: str, limit: int) -> list[WaitingTask]:
    """Read up to `limit` tasks of a queue, the one that is taken next first.

    Raises:
        BrokerError: There is no answer, or the broker cannot show messages without giving them
            away.
    """
    surveyor = _surveyor(broker)
    if surveyor is None:
        raise BrokerError(f"{broker.driver} cannot show messages without giving them away")
    return [_read(glimpse) for glimpse in surveyor.peek(queue, limit)]


def find_waiting(
    broker: Broker, ids: Collection[str], queues: Sequence[str]
) -> dict[str, WaitingTask]:
    """Look for tasks among the messages that come next in queues.

    Raises:
        BrokerConnectionError: No answer.
    """
    found: dict[str, WaitingTask] = {}
    surveyor = _surveyor(broker)
    if surveyor is None or not surveyor.shows_messages:
        return found
    for queue in queues:
        for glimpse in surveyor.peek(queue, _MOST_SEARCHED):
            message = glimpse.message
            if message is not None and message.headers.get("id") in ids:
                task = _read(glimpse)
                found[task.id] = task
    return found


def parked(broker: Broker, limit: int) -> tuple[int, list[tuple[float, WaitingTask]]] | None:
    """Return how many tasks a broker holds until their time, and when those due first are due.

    Args:
        broker: Redis and Valkey tell; of others nobody can.
        limit: Most tasks to read.

    Returns:
        None when this broker cannot tell.

    Raises:
        BrokerConnectionError: No answer.
    """
    if isinstance(broker, FailoverBroker):
        broker = broker.in_use()
    look = getattr(broker, "parked", None)
    if look is None:
        return None
    total, entries = look(limit)
    return total, [(due, _read(glimpse)) for due, glimpse in entries]


def _read(glimpse: Glimpse) -> WaitingTask:
    """Read a message; what is wrong with it becomes its reason."""
    place: dict[str, Any] = {
        "queue": glimpse.queue,
        "size": len(glimpse.raw),
        "step": glimpse.step,
        "redelivered": glimpse.redelivered,
    }
    message = glimpse.message
    if message is None:
        text = glimpse.raw[:_SHOWN_RAW].decode("utf-8", "backslashreplace")
        return WaitingTask(**place, args=safe_text(text), reason=glimpse.reason)
    try:
        headers = read_headers(message)
    except DecodeError as error:
        text = message.body[:_SHOWN_RAW].decode("utf-8", "backslashreplace")
        return WaitingTask(**place, args=safe_text(text), reason=error.reason)
    about: dict[str, Any] = {
        "id": headers.id,
        "name": headers.task,
        "eta": headers.eta,
        "expires": headers.expires,
        "retries": headers.retries,
        "root_id": headers.root_id,
    }
    try:
        body = read_body(message)
    except DecodeError as error:
        # not JSON, mostly: what the sender wrote about it must do
        args, kwargs = headers.argsrepr or "", headers.kwargsrepr or ""
        return WaitingTask(
            **place, **about, args=safe_text(args), kwargs=safe_text(kwargs), reason=error.reason
        )
    call = (list(body.args), dict(body.kwargs))
    args, kwargs = saferepr(tuple(body.args)), saferepr(body.kwargs)
    return WaitingTask(**place, **about, args=safe_text(args), kwargs=safe_text(kwargs), call=call)
