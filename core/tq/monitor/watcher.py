"""Watches a cluster: events, what workers answer, and queue depths, joined into one state.

Source: CONSOLE 5.4, 5.5, 7.
"""

import logging
import threading
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from tq.brokers.base import Broker
from tq.clock import Clock, LamportClock, SystemClock
from tq.control.control import Control
from tq.control.mailbox import Call
from tq.errors import TQError
from tq.events.receiver import Gap, Receiver
from tq.monitor.cluster import ClusterState
from tq.wire.command import Reply

__all__ = ["Aged", "ClusterWatcher", "QueueInfo", "WatchStatus", "WorkerDetail"]

_log = logging.getLogger(__name__)

Listener = Callable[[Sequence[Mapping[str, Any]], float, Mapping[str, int] | None], None]

_COMMANDS = ("stats", "active_queues", "registered", "active")
_POLL = 0.2
_RETRY = 1.0
_LONGEST_CALL = 5.0
_MOST_QUEUES = 1_000
_REPLIES_KEPT = 20_000


class Aged(msgspec.Struct, frozen=True):
    """A value, and when it was true.

    Attributes:
        at: Wall timestamp.
    """

    value: Any
    at: float

    def age(self, now: float) -> float:
        """Return how old it is, in seconds."""
        return max(0.0, now - self.at)


class WorkerDetail(msgspec.Struct):
    """What one worker answered to inspect commands; None until it did.

    Attributes:
        active: The tasks it runs.
        stats: Its statistics (PROTOCOL 8.4).
        active_queues: The queues it takes from.
        registered: The tasks it knows.
        errors: Error texts by command, where it answered with one.
        elapsed: Seconds its last answer took.
    """

    active: Aged | None = None
    stats: Aged | None = None
    active_queues: Aged | None = None
    registered: Aged | None = None
    errors: dict[str, str] = {}
    elapsed: float | None = None


class QueueInfo(msgspec.Struct):
    """A queue that workers take from, or that was asked for.

    Attributes:
        depth: Ready messages, or None until counted.
        workers: Node names of the workers that said they take from it.
    """

    name: str
    depth: Aged | None = None
    workers: set[str] = set()


class WatchStatus(msgspec.Struct, frozen=True):
    """Whether what is shown can be trusted.

    Attributes:
        connected: Events are being received.
        since: Wall timestamp since when that is so.
        gaps: Times in which events were missed, newest last.
        lag: Seconds that the oldest event not yet applied has waited.
        dropped: Events dropped because nobody drained in time.
        invalid: Events and messages left out, by reason.
        error: Why queue depths or replies are missing, or None.
    """

    connected: bool
    since: float
    gaps: tuple[Gap, ...]
    lag: float
    dropped: int
    invalid: dict[str, int]
    error: str | None


class ClusterWatcher:
    """Joins events, inspect replies and queue depths.

    Two threads of its own receive; what they received is applied by `drain`, in the thread that
    owns the state. Nothing here ever waits for a worker.

    Attributes:
        state: What is known; read and changed only in the thread that calls `drain`.
        workers_info: What workers answered, by node name; likewise.
        queues: Queues by name; likewise.
        control: For commands of the owner's own; safe to use from any thread.
        listener: Called by `drain` with each batch's events, the wall time of their arrival, and
            the events by type that were dropped before; None for nobody.
    """

    name = "cluster watcher"

    def __init__(
        self,
        broker: Broker,
        *,
        control: Control | None = None,
        state: ClusterState | None = None,
        clock: Clock | None = None,
        receiver: Receiver | None = None,
        queues: Collection[str] = (),
        commands: Collection[str] = _COMMANDS,
        inspect_interval: float = 10.0,
        depth_interval: float = 2.0,
    ) -> None:
        """Prepare; `start` begins to watch.

        Args:
            broker: The connection to watch through.
            control: What sends commands; one that refuses all changes by default.
            state: Where events are applied; a new one by default.
            clock: Another clock, for tests.
            receiver: What receives events; one for all events by default.
            queues: Queues to count besides those that workers name.
            commands: Which of `stats`, `active_queues`, `registered`, `active` to ask regularly.
            inspect_interval: Seconds between rounds of questions; 0 asks nothing.
            depth_interval: Seconds between counts of queues; 0 counts nothing.
        """
        self.broker = broker
        self.control = control or Control(broker=broker, read_only=True)
        self.state = state or ClusterState()
        self.receiver = receiver or Receiver(broker, clock=LamportClock())
        self.workers_info: dict[str, WorkerDetail] = {}
        self.queues: dict[str, QueueInfo] = {name: QueueInfo(name) for name in queues}
        self.inspect_interval = inspect_interval
        self.depth_interval = depth_interval
        self.listener: Listener | None = None
        self._commands = tuple(commands)
        self._time = clock or SystemClock()
        self._replies: deque[tuple[str, Reply, float]] = deque(maxlen=_REPLIES_KEPT)
        self._depths: deque[tuple[dict[str, int], float]] = deque(maxlen=16)
        self._counted: tuple[str, ...] = tuple(queues)
        self._live: frozenset[str] = frozenset()
        self._error: str | None = None
        self._stopping = threading.Event()
        self._asked_for = threading.Event()
        self._thread: threading.Thread | None = None
        if self.control.known is None:
            self.control.known = self.live_workers

    def start(self) -> None:
        """Begin to watch; returns when events are received, or after 5 s without a broker."""
        self.receiver.start()
        if self._thread is None:
            self._stopping.clear()
            self._thread = threading.Thread(target=self._poll, name=self.name, daemon=True)
            self._thread.start()

    def stop(self, deadline: float) -> None:
        """End, leaving nothing behind in the broker; `deadline` is monotonic."""
        self._stopping.set()
        self._asked_for.set()
        self.receiver.stop(deadline)
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.join(max(0.0, deadline - self._time.monotonic()))
        self.control.close()

    def fileno(self) -> int:
        """Return a descriptor that turns readable when `drain` has events to apply."""
        return self.receiver.fileno()

    def live_workers(self) -> frozenset[str]:
        """Return the workers that could be expected to answer at the last `drain`."""
        return self._live

    def refresh(self) -> None:
        """Ask the workers anew now instead of after the interval."""
        self._asked_for.set()

    def status(self, now: float) -> WatchStatus:
        """Say whether what is shown can be trusted."""
        receiver = self.receiver
        return WatchStatus(
            connected=receiver.connected,
            since=receiver.since,
            gaps=tuple(receiver.gaps),
            lag=receiver.lag(now),
            dropped=receiver.dropped,
            invalid=dict(receiver.invalid),
            error=self._error,
        )

    def drain(self, now: float, limit: int = 100_000) -> int:
        """Apply what has arrived, in the caller's thread; never waits.

        Args:
            now: Wall-clock time.
            limit: Most events to apply in this call, about.

        Returns:
            How many events were applied.
        """
        applied = 0
        known = len(self.state.workers)
        for batch in self.receiver.drain(limit):
            if batch.skipped:
                self.state.count_skipped(batch.skipped, batch.arrived)
            if self.listener is not None:
                self.listener(batch.events, batch.arrived, batch.skipped)
            applied += self.state.apply_many(batch.events, batch.arrived)
        if len(self.state.workers) > known:
            # Somebody new: ask at once, so that a screen is complete within a second.
            self._asked_for.set()
        while self._replies:
            command, reply, at = self._replies.popleft()
            self._apply_reply(command, reply, at)
        while self._depths:
            self._apply_depths(*self._depths.popleft())
        self.state.tick(now)
        self._live = frozenset(self.state.live_workers(now))
        return applied

    def _apply_reply(self, command: str, reply: Reply, at: float) -> None:
        """Take in one worker's answer."""
        worker = self.state.answered(reply.node, at)
        if reply.node not in self.workers_info and len(self.workers_info) >= self.state.max_workers:
            self._forget_workers()
        detail = self.workers_info.setdefault(reply.node, WorkerDetail())
        detail.elapsed = reply.elapsed
        value = reply.value
        if isinstance(value, dict) and set(value) == {"error"}:
            detail.errors[command] = str(value["error"])[:1000]
            return
        detail.errors.pop(command, None)
        setattr(detail, command, Aged(value, at))
        if command == "stats":
            worker.pool = _pool_of(value)
        elif command == "active_queues":
            self._apply_queues(reply.node, value)

    def _forget_workers(self) -> None:
        """Forget what workers answered that the state no longer keeps."""
        for name in self.workers_info.keys() - self.state.workers.keys():
            del self.workers_info[name]

    def _apply_queues(self, node: str, value: Any) -> None:
        """Take in which queues a worker takes from."""
        names = set(_names_of(value))
        for name in names - self.queues.keys():
            if len(self.queues) < _MOST_QUEUES:
                self.queues[name] = QueueInfo(name)
        for queue in self.queues.values():
            if queue.name in names:
                queue.workers.add(node)
            else:
                queue.workers.discard(node)
        self._counted = tuple(self.queues)

    def _apply_depths(self, depths: dict[str, int], at: float) -> None:
        """Take in a count of queues."""
        for name, count in depths.items():
            queue = self.queues.get(name)
            if queue is not None:
                queue.depth = Aged(count, at)

    def _poll(self) -> None:
        """Ask and count until told to stop; runs in the watcher's thread."""
        calls: list[tuple[str, Call]] = []
        ask_at = count_at = self._time.monotonic()
        while not self._stopping.is_set():
            try:
                now = self._time.monotonic()
                if self.inspect_interval and (now >= ask_at or self._asked_for.is_set()):
                    self._asked_for.clear()
                    calls = [(name, self._ask(name)) for name in self._commands]
                    ask_at = now + self.inspect_interval
                if self.depth_interval and now >= count_at:
                    self._count_queues()
                    count_at = now + self.depth_interval
                self._collect(calls)
                self._error = None
                self._pause(calls)
            except TQError as error:
                if self._error is None:
                    _log.warning("workers and queues cannot be asked: %s", error)
                self._error = str(error)
                calls = []
                self._stopping.wait(_RETRY)

    def _ask(self, command: str) -> Call:
        """Send one question, without waiting for answers."""
        return self.control.start(command, timeout=_LONGEST_CALL, expect=())

    def _collect(self, calls: list[tuple[str, Call]]) -> None:
        """Hand over the answers that have arrived, with the time of their arrival."""
        for command, call in calls:
            for reply in call.poll():
                self._replies.append((command, reply, self._time.time()))

    def _pause(self, calls: list[tuple[str, Call]]) -> None:
        """Wait for answers while any are due, else for something to do."""
        if any(not call.done for _, call in calls):
            self.control.mailbox.pump(_POLL)
        else:
            self._asked_for.wait(_POLL)

    def _count_queues(self) -> None:
        """Count the ready messages of the known queues."""
        names = self._counted
        if names:
            counts = dict(self.broker.depths(names))
            self._depths.append((counts, self._time.time()))


def _pool_of(stats: Any) -> str | None:
    """Read the kind of pool from a worker's `stats`, such as `solo` or `prefork`."""
    pool = stats.get("pool") if isinstance(stats, dict) else None
    implementation = pool.get("implementation") if isinstance(pool, dict) else None
    if not isinstance(implementation, str):
        return None
    return implementation.partition(":")[0].rpartition(".")[2][:64]


def _names_of(queues: Any) -> Iterator[str]:
    """Read queue names from a reply to `active_queues`."""
    for queue in queues if isinstance(queues, list) else ():
        name = queue.get("name") if isinstance(queue, dict) else None
        if isinstance(name, str):
            yield name
