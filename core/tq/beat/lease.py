"""Who sends: of several beats on one Redis the one that holds the lease; elsewhere the only one.

Source: RELIABILITY 2 row 27, 3.1 (`tq:lock:beat`); F44.
"""

import logging
import os
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import msgspec

from tq.beat.entry import Progress
from tq.brokers.base import Broker
from tq.errors import BrokerConnectionError
from tq.nodename import host_name
from tq.wire.envelope import Message

__all__ = ["Leader", "Planned", "RedisLeader", "SingleLeader", "choose_leader"]

_log = logging.getLogger(__name__)

_CLAIM_SECONDS = 600.0
"""How long a slot stays claimed.

It must outlast a beat that asks again for what it does not know to be published: after a lost
reply, or with a clock that was set back.
"""
_NEVER = 3600.0
_SHORTEST_WAIT = 0.02


class Planned(msgspec.Struct):
    """A call that is ready to be sent.

    Attributes:
        name: The entry's name.
        task_id: The slot's id.
        progress: The entry's progress, once it is sent.
        send: Sends it at once.
        prepare: Returns the messages that make it up instead.
    """

    name: str
    task_id: str
    progress: Progress
    send: Callable[[], Any]
    prepare: Callable[[], list[Message]]


class Leader(Protocol):
    """Decides whether we send, and sends each slot once. Owned by the beat's thread."""

    def lead(self) -> bool:
        """Become or stay the leader.

        Raises:
            BrokerConnectionError: The broker does not answer.
        """
        ...

    def patience(self) -> float:
        """Return the seconds after which `lead` must be asked again."""
        ...

    def recall(self) -> dict[str, Progress]:
        """Return the progress of entries as the leader before us left it."""
        ...

    def note(self, progress: Mapping[str, Progress]) -> None:
        """Let the leader after us know from when entries count that never ran."""
        ...

    def send(self, calls: Sequence[Planned]) -> list[bool | Exception]:
        """Send calls; True for sent, False for sent before, or what went wrong with one.

        Raises:
            BrokerConnectionError: The broker does not answer, or we do not lead any more; all
                calls may be tried again.
        """
        ...

    def resign(self) -> None:
        """Let others lead at once."""
        ...


class SingleLeader:
    """Leads always: nobody else is asked."""

    def lead(self) -> bool:
        """Say yes."""
        return True

    def patience(self) -> float:
        """Return a long time."""
        return _NEVER

    def recall(self) -> dict[str, Progress]:
        """Return nothing: the store knows."""
        return {}

    def note(self, progress: Mapping[str, Progress]) -> None:
        """Do nothing."""

    def send(self, calls: Sequence[Planned]) -> list[bool | Exception]:
        """Send calls one by one."""
        answers: list[bool | Exception] = []
        for call in calls:
            try:
                call.send()
            except BrokerConnectionError:
                if not answers:
                    raise
                break  # those that were sent must be recorded; the rest is tried again
            except Exception as exc:  # arguments that cannot be encoded, a router that raises
                answers.append(exc)
            else:
                answers.append(True)
        return answers

    def resign(self) -> None:
        """Do nothing."""


class RedisLeader:
    """Leads while it holds `tq:lock:beat`.

    The lease ends by itself; each hold has a fence, a number that is never used twice. A call is
    published by a script that compares the fence, claims the slot and pushes the message in one
    step: a beat that was paused beyond its lease publishes nothing, and no slot is published twice.
    """

    def __init__(self, broker: Any, *, scope: str, lease: float) -> None:
        """Prepare; `lead` asks first.

        Args:
            broker: The application's Redis broker.
            scope: Beats of one scope elect one leader among them.
            lease: Seconds after which a silent leader is replaced.
        """
        # Loaded here alone: this room must be usable without the Redis driver.
        from tq.brokers.redis import publication, scripts

        self._broker = broker
        self._keys = broker.keys
        self._scope = f":{scope}" if scope else ""
        self._lease = lease
        self._call = scripts.call_script
        self._load = scripts.load
        self._arguments = publication.publication_arguments
        self._name = f"{host_name()}:{os.getpid()}:{secrets.token_hex(4)}"
        self._held = ""
        self._ask_at = 0.0
        self._announced = ""

    def _run(self, script: str, keys: Sequence[str], arguments: Sequence[Any]) -> Any:
        with self._broker.pool.lease() as connection:
            return self._call(connection, self._load(script), keys, arguments)

    def lead(self) -> bool:
        """Take the lease, extend it, or learn who holds it."""
        if self._held and time.monotonic() < self._ask_at:
            return True
        keys = [self._keys.beat_lock(self._scope), self._keys.beat_fence(self._scope)]
        before = self._held
        try:
            value, wait_ms, ours = self._run("lead", keys, [self._name, int(self._lease * 1000)])
        except BrokerConnectionError:
            self._held = ""
            raise
        held = value.decode("utf-8", "replace")
        self._held = held if ours else ""
        seconds = self._lease / 3 if ours else min(self._lease / 3, max(wait_ms, 0) / 1000)
        self._ask_at = time.monotonic() + max(seconds, _SHORTEST_WAIT)
        self._announce(held, before)
        return bool(ours)

    def _announce(self, held: str, before: str) -> None:
        if self._held and self._held != before:
            _log.warning("this beat leads (fence %s)", held.partition(" ")[0])
        elif before and not self._held:
            _log.warning("another beat leads now: %s", held)
        elif not self._held and held != self._announced:
            _log.warning("standing by, another beat leads: %s", held)
        self._announced = held

    def patience(self) -> float:
        """Return the seconds until the lease must be extended, or may be free."""
        return max(self._ask_at - time.monotonic(), _SHORTEST_WAIT)

    def holder(self) -> str | None:
        """Return the name of the beat that leads, `host:pid:number`; None when none does."""
        value = self._broker.pool.call("GET", self._keys.beat_lock(self._scope))
        return None if value is None else value.decode("utf-8", "replace").partition(" ")[2]

    def recall(self) -> dict[str, Progress]:
        """Read the progress that leaders share; what cannot be read is left out."""
        flat = self._broker.pool.call("HGETALL", self._keys.beat_progress(self._scope))
        found = {}
        for name, raw in zip(flat[::2], flat[1::2], strict=True):
            try:
                found[name.decode()] = msgspec.json.decode(raw, type=Progress)
            except (msgspec.MsgspecError, UnicodeDecodeError) as exc:
                _log.warning("progress of entry %r cannot be read: %s", name, exc)
        return found

    def note(self, progress: Mapping[str, Progress]) -> None:
        """Write progress of entries of which nothing is known yet."""
        key = self._keys.beat_progress(self._scope)
        self._broker.pool.pipeline(
            [("HSETNX", key, name, msgspec.json.encode(known)) for name, known in progress.items()]
        )

    def send(self, calls: Sequence[Planned]) -> list[bool | Exception]:
        """Publish calls in one step, fenced by our lease."""
        answers: list[bool | Exception] = [True] * len(calls)
        ready: list[tuple[int, list[Message]]] = []
        for index, call in enumerate(calls):
            try:
                ready.append((index, call.prepare()))
            except BrokerConnectionError:
                raise
            except Exception as exc:  # as above
                answers[index] = exc
        if ready:
            replies = self._publish([(calls[index], messages) for index, messages in ready])
            for (index, _), reply in zip(ready, replies, strict=True):
                answers[index] = _answer(reply)
        return answers

    def _publish(self, items: Sequence[tuple[Planned, list[Message]]]) -> list[Any]:
        keys = self._keys
        names = [
            keys.beat_lock(self._scope),
            keys.beat_progress(self._scope),
            keys.binding_deadlines(),
            *(keys.beat_slot(call.task_id) for call, _ in items),
        ]
        claim_ms = int(max(_CLAIM_SECONDS, 6 * self._lease) * 1000)
        arguments: list[Any] = [self._held, claim_ms, keys.prefix, keys.sep]
        for call, messages in items:
            progress = msgspec.json.encode(call.progress)
            arguments += (call.name, progress, call.task_id, len(messages))
            arguments += self._arguments(messages, keys)
        replies: list[Any] | None = self._run("slots", names, arguments)
        if replies is None:
            self._held, self._ask_at = "", 0.0
            raise BrokerConnectionError("another beat leads now; nothing was sent")
        return replies

    def resign(self) -> None:
        """Give up the lease, if we hold it."""
        held, self._held = self._held, ""
        if held:
            self._run("resign", [self._keys.beat_lock(self._scope)], [held])


def _answer(reply: Any) -> bool | Exception:
    if isinstance(reply, bytes):
        return RuntimeError(reply.decode("utf-8", "replace"))
    return bool(reply)


def choose_leader(broker: Broker, *, scope: str, lease: float) -> Leader:
    """Return how the beats on a broker agree on one that sends.

    Args:
        broker: The application's.
        scope: Which application's beats.
        lease: Seconds after which a silent leader is replaced.
    """
    if broker.driver == "redis":
        return RedisLeader(broker, scope=scope, lease=lease)
    if broker.driver != "memory":
        _log.warning(
            "beats cannot elect a leader on this broker (%s): run one beat only, or every task is "
            "sent by each",
            broker.driver,
        )
    return SingleLeader()
