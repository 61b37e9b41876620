"""One worker as its events tell of it.

Source: PROTOCOL 7.4; celery/events/state.py, `Worker`. CONSOLE 5.4 names the states.
"""

import math
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import msgspec

from tq.monitor.rates import Histogram, Rings

__all__ = ["WorkerInfo", "WorkerStatus"]

_HEARTBEATS_KEPT = 4
_DEFAULT_FREQ = 60.0
_BEATS_UNTIL_LOST = 3.0
_ANSWER_COUNTS = 30.0
_LONGEST_SOFTWARE = 64


class WorkerStatus(StrEnum):
    """Whether a worker can be counted on."""

    UP = "up"
    BUSY_SILENT = "busy-silent"
    LOST = "lost"
    GONE = "gone"
    NO_EVENTS = "no-events"


class WorkerInfo(msgspec.Struct, eq=False):
    """A worker, under the field names of Celery's event state. Owned by its `ClusterState`.

    Attributes:
        hostname: The node name.
        pid: Process id of the worker's parent process.
        freq: Seconds between heartbeats; 60 until the worker said so.
        heartbeats: Arrival times here of the last events, oldest first, at most 4.
        active: Tasks it runs, by its own count.
        processed: Tasks it accepted since it started, by its own count.
        loadavg: Load over 1, 5 and 15 minutes, or empty.
        first_seen: When the first event arrived here.
        last_seen: When the last event arrived here, or a reply (see `ClusterState.answered`).
        offline_at: When it said good-bye; None while it has not, or came back.
        goodbye: The same by its own clock; only later events can tell that it is back.
        online_at: Its own timestamp of `worker-online`, if that was seen.
        events: Task events seen from it.
        running: Tasks known here in state STARTED on it.
        started: `task-started` events seen; `succeeded`, `failed`, `retried` alike.
        expected: Tasks its `processed` counter says were accepted while we listened.
        covered: How many of these were seen to start.
        rates: Finished tasks per time, newest 60 s and 10 min.
        runtimes: Distribution of the run times reported.
        version: The cluster state's version when this worker last changed.
        pool: What runs its tasks (`prefork`, `solo`, ...), once `stats` told.
        accepted: Tasks accepted since we listen, restarts included; runs ahead of `expected` by one
            heartbeat, because the last tasks' events may still be under way.
        unlistened: `started` when the first heartbeat came.
    """

    hostname: str
    pid: int | None = None
    freq: float = _DEFAULT_FREQ
    heartbeats: list[float] = []
    clock: int = 0
    active: int | None = None
    processed: int | None = None
    loadavg: tuple[float, ...] = ()
    sw_ident: str | None = None
    sw_ver: str | None = None
    sw_sys: str | None = None
    first_seen: float = 0.0
    last_seen: float = 0.0
    answered_at: float | None = None
    offline_at: float | None = None
    goodbye: float = 0.0
    online_at: float | None = None
    events: int = 0
    running: int = 0
    started: int = 0
    succeeded: int = 0
    failed: int = 0
    retried: int = 0
    expected: int = 0
    covered: int = 0
    rates: Rings = msgspec.field(default_factory=Rings.short)
    runtimes: Histogram = msgspec.field(default_factory=Histogram)
    version: int = 0
    pool: str | None = None
    accepted: int = 0
    unlistened: int = 0

    @property
    def coverage(self) -> float | None:
        """Share of its tasks whose events were seen, 0..1; None when it ran none."""
        return min(1.0, self.covered / self.expected) if self.expected > 0 else None

    def beat(self, arrived: float) -> None:
        """Note an arrival as a sign of life."""
        beats = self.heartbeats
        if beats and arrived < beats[-1]:
            beats.append(arrived)
            beats.sort()
        else:
            beats.append(arrived)
        if len(beats) > _HEARTBEATS_KEPT:
            del beats[0]

    def describe(self, event: Mapping[str, Any]) -> None:
        """Take over what one of its own events says of a worker."""
        clock, freq, processed = event.get("clock"), event.get("freq"), event.get("processed")
        if type(clock) is int:
            self.clock = clock
        if isinstance(freq, int | float) and 0 < freq < math.inf:
            self.freq = float(freq)
        if type(processed) is int:
            self.count_processed(processed)
        load = event.get("loadavg")
        if isinstance(load, list | tuple):
            self.loadavg = tuple(item for item in load[:3] if isinstance(item, int | float))
        for name in ("pid", "active"):
            value = event.get(name)
            if type(value) is int:
                setattr(self, name, value)
        for name in ("sw_ident", "sw_ver", "sw_sys"):
            value = event.get(name)
            if type(value) is str:
                setattr(self, name, value[:_LONGEST_SOFTWARE])

    def status(self, now: float) -> WorkerStatus:
        """Tell whether it is up, busy-silent, lost, gone, or up without task events.

        Source: CONSOLE 5.4.
        """
        if self.offline_at is not None:
            return WorkerStatus.GONE
        silence = self.silence(now)
        if silence is not None and silence <= _BEATS_UNTIL_LOST * self.freq:
            # It ran tasks while we listened, and told of none.
            return WorkerStatus.NO_EVENTS if self.expected and not self.events else WorkerStatus.UP
        if self._answers_in_silence(now):
            return WorkerStatus.NO_EVENTS
        if self.running and self.pool == "solo":
            return WorkerStatus.BUSY_SILENT
        return WorkerStatus.LOST

    def _answers_in_silence(self, now: float) -> bool:
        """Tell whether it answered lately, and after its heartbeats had stopped.

        An answer from before says nothing: killed workers have answered as well.
        """
        answered = self.answered_at
        if answered is None or now - answered > _ANSWER_COUNTS:
            return False
        return not self.heartbeats or answered > self.heartbeats[-1] + self.freq

    def count_processed(self, processed: int) -> None:
        """Take in a heartbeat's counter of accepted tasks, which begins again at a restart."""
        if self.processed is None:
            self.unlistened = self.started
        else:
            self.expected = self.accepted
            self.covered = self.started - self.unlistened
            restarted = processed < self.processed
            self.accepted += processed if restarted else processed - self.processed
        self.processed = processed

    def alive(self, now: float) -> bool:
        """Tell whether the last sign of life is younger than two heartbeat intervals."""
        return bool(self.heartbeats) and now < self.heartbeats[-1] + 2.0 * self.freq

    def silence(self, now: float) -> float | None:
        """Return the seconds since the last sign of life, or None if there was none."""
        return max(0.0, now - self.heartbeats[-1]) if self.heartbeats else None
