"""The cluster as it is: what `tq.monitor` watches and `tq.control` commands."""

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tq.control import Control
from tq.errors import BrokerConnectionError, CommandRefused, TQError
from tq.monitor import (
    ClusterState,
    ClusterWatcher,
    TaskInfo,
    WaitingTask,
    WatchStatus,
    WorkerStatus,
)
from tqconsole.tui.commander import Commander
from tqconsole.tui.errands import Errands
from tqconsole.tui.lookups import Lookups
from tqconsole.tui.model.equivalents import control_line, purge_line
from tqconsole.tui.model.event_log import EventLog
from tqconsole.tui.model.facts import Gap, LinkState, QueueFacts, TimeLimit, WorkerFacts, context_of
from tqconsole.tui.model.lineage import LineageBook
from tqconsole.tui.model.resending import Resend, Verdict, resend_line
from tqconsole.tui.model.schedule_book import ScheduleBook
from tqconsole.tui.model.sent import SentCommand
from tqconsole.tui.model.worker_facts import read_facts
from tqconsole.tui.source import READS

if TYPE_CHECKING:
    from tq import TQ

__all__ = ["LiveSource"]

_log = logging.getLogger(__name__)

_LONGEST_WAIT = 10.0
_RETRY = 1.0
_STOP_WITHIN = 3.0
_LOST_STILL_ASKED = 300.0  # seconds for which a lost worker is still listed as silent
_COMMANDS_KEPT = 200
_IDS_A_SECOND = 5_000  # of a command that goes out in parts


class LiveSource:
    """Watches an application's broker. Owned by the event loop; connecting runs in a thread."""

    def __init__(self, app: "TQ", *, read_only: bool = False, context: str | None = None) -> None:
        """Prepare; `start` connects.

        Args:
            app: Gives broker and settings; its tasks are not needed.
            read_only: Refuse every command that changes anything.
            context: Short name of the cluster; the broker's host by default.
        """
        self.app = app
        self.read_only = read_only
        self.state = ClusterState()
        self.events = EventLog()
        self._lookups = Lookups(app)
        self.url = "the broker"
        self.context = context or ""
        self.link = LinkState()
        self.queues: Sequence[QueueFacts] = ()
        self.commands: list[SentCommand] = []
        self._given_context = context
        self._watcher: ClusterWatcher | None = None
        self._commander: Commander | None = None
        self._errands: Errands | None = None
        self._held: dict[str, tuple[str, ...]] = {}  # queue -> workers told to leave it alone
        self._moving: list[SentCommand] = []
        self._facts: dict[str, tuple[tuple[float, float, float], WorkerFacts]] = {}
        self._adopted: dict[str, float] = {}  # when each worker said last what it runs
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._failure: str | None = None
        self._attempt = 0
        self._was_connected = False
        self._opened_at = 0.0
        self._numbers = 0

    # Life

    def start(self) -> None:
        """Begin to connect and to listen, in a thread."""
        if self._thread is not None:
            return
        self._opened_at = time.time()
        self.link = LinkState(since=self._opened_at)
        self._thread = threading.Thread(target=self._open, name="console source", daemon=True)
        self._thread.start()

    def _open(self) -> None:
        """Connect, again and again until it succeeds."""
        while not self._stopping.is_set():
            self._attempt += 1
            try:
                broker = self.app.broker
                self.url = _shown_url(self.app, broker.url)
                broker.ping(5.0)
                if self._stopping.is_set():
                    return
                control = Control(self.app, read_only=self.read_only)
                watcher = ClusterWatcher(broker, control=control, state=self.state)
                watcher.listener = self.events.take
            except TQError as error:
                self._failure = str(error)
                self._stopping.wait(min(_RETRY * self._attempt, 5.0))
                continue
            self._failure = None
            self._commander = Commander(control)
            self._commander.start()
            self._errands = Errands(self.app, control)
            self._errands.start()
            self._watcher = watcher
            watcher.start()
            return

    def stop(self) -> None:
        """Stop listening and remove what was made in the broker."""
        self._stopping.set()
        deadline = time.monotonic() + _STOP_WITHIN
        if self._thread is not None:
            # it may be connecting, and whoever closes the application next must find the socket
            self._thread.join(_STOP_WITHIN)
        if self._commander is not None:
            self._commander.stop(deadline)
        if self._errands is not None:
            self._errands.stop(deadline)
        self._lookups.stop(deadline)
        if self._watcher is not None:
            try:
                self._watcher.stop(deadline)
            except TQError as error:
                # the broker is gone, and with it what would have been removed
                _log.info("the console's queues could not be removed: %s", error)

    # Taking in

    def drain(self, now: float) -> bool:
        """Take in events, replies and counts."""
        watcher = self._watcher
        if watcher is None:
            self._set_link(
                LinkState(
                    since=self._opened_at,
                    attempt=self._attempt if self._failure else 0,
                    error=self._failure,
                )
            )
            return False
        if not self.context:
            self.context = context_of(self.url)
        # a gap is over before anything behind it arrives
        self.events.note_gaps(_closed(watcher.status(now)))
        applied = watcher.drain(now)
        self._adopt(watcher, now)
        self._take_status(watcher, now)
        self._take_queues(watcher)
        if self._commander is not None:
            self._commander.drain()
        if self._errands is not None:
            self._errands.names = tuple(watcher.queues)
            self._errands.drain()
        self._lookups.drain()
        self._look_again(now)
        return applied > 0

    def _adopt(self, watcher: ClusterWatcher, now: float) -> None:
        """Show what ran before this console listened, as the workers tell of it."""
        for hostname, detail in watcher.workers_info.items():
            active = detail.active
            if active is not None and self._adopted.get(hostname) != active.at:
                self._adopted[hostname] = active.at
                if isinstance(active.value, list):
                    self.state.adopt(hostname, active.value, now)

    def _set_link(self, link: LinkState) -> None:
        if link != self.link:
            self.link = link
        if not self.context:
            self.context = context_of(self.url)

    def _take_status(self, watcher: ClusterWatcher, now: float) -> None:
        status = watcher.status(now)
        self._was_connected = self._was_connected or status.connected
        reason = next(
            (gap.reason for gap in reversed(status.gaps) if gap.end is None), status.error
        )
        attempt = 1 if self._was_connected and not status.connected else 0
        link = LinkState(
            connected=status.connected,
            since=status.since,
            attempt=attempt,
            error=reason,
            dropped=status.dropped,
            lag=round(status.lag, 1),
            gaps=_closed(status),
        )
        self._set_link(link)

    def _take_queues(self, watcher: ClusterWatcher) -> None:
        errands = self._errands
        sights = errands.sights if errands is not None else {}
        queues = []
        for name in sorted(watcher.queues):
            queue = watcher.queues[name]
            depth, sight = queue.depth, sights.get(name)
            held = self._held.get(name, ())
            facts = QueueFacts(
                name=name,
                ready=depth.value if depth else None,
                consumers=len(queue.workers),
                workers=tuple(sorted(queue.workers)),
                held=tuple(node for node in held if node not in queue.workers),
                as_of=depth.at if depth else 0.0,
            )
            if sight is not None and errands is not None and errands.seen_at >= facts.as_of:
                facts = replace(facts, ready=sight.ready, as_of=errands.seen_at)
            if sight is not None:
                facts = replace(
                    facts,
                    unacked=sight.unacked,
                    parked=sight.parked,
                    dead=sight.dead,
                    priorities=tuple(sorted(sight.priorities.items())),
                    heads=sight.heads,
                )
            queues.append(facts)
        self.queues = queues

    @property
    def limits(self) -> Mapping[str, TimeLimit]:
        """The time limits that workers registered, by task name."""
        return self._errands.limits if self._errands is not None else {}

    def facts(self, hostname: str) -> WorkerFacts | None:
        """Return what a worker said of itself when last asked."""
        watcher = self._watcher
        detail = watcher.workers_info.get(hostname) if watcher is not None else None
        if detail is None:
            return None
        times = tuple(
            aged.at if aged else 0.0
            for aged in (detail.stats, detail.active_queues, detail.registered)
        )
        kept = self._facts.get(hostname)
        if kept is not None and kept[0] == times:
            return kept[1]
        facts = read_facts(detail)
        self._facts[hostname] = ((times[0], times[1], times[2]), facts)
        return facts

    @property
    def lineage(self) -> LineageBook:
        """What results told of how tasks belong together."""
        return self._lookups.lineage

    @property
    def schedules(self) -> ScheduleBook:
        """What waits for its time, as of the last look."""
        return self._lookups.schedules

    def read_lineage(self, tasks: Sequence[str], groups: Sequence[str]) -> None:
        """Read results of finished tasks, and how far chords are; `drain` takes it in."""
        if self._watcher is not None:
            self._lookups.read_lineage(tasks, groups)

    def read_schedules(self) -> None:
        """Look what waits for its time; `drain` takes it in."""
        if self._watcher is not None:
            self._lookups.read_schedules()

    def refresh(self) -> None:
        """Ask the workers again now."""
        if self._watcher is not None:
            self._watcher.refresh()

    # Commanding

    def expected(self, destination: Sequence[str] | None) -> tuple[str, ...]:
        """Return the nodes that should answer: those named, else all that live or did just now."""
        if destination:
            return tuple(destination)
        now = time.time()
        nodes = []
        for name, worker in self.state.workers.items():
            status = self.state.worker_status(worker, now)
            long_lost = status is WorkerStatus.LOST and now - worker.last_seen > _LOST_STILL_ASKED
            if status is not WorkerStatus.GONE and not long_lost:
                nodes.append(name)
        return tuple(sorted(nodes))

    def send(
        self,
        method: str,
        arguments: Mapping[str, Any],
        destination: Sequence[str] | None = None,
        timeout: float | None = None,
    ) -> SentCommand:
        """Send a command; the answers appear in what is returned.

        Raises:
            CommandRefused: This source is read-only, and the command changes something.
            BrokerConnectionError: There is no connection.
        """
        if self.read_only and method not in READS:
            raise CommandRefused(
                f"{method} is refused: this console is read-only",
                command=method,
                reason="read_only",
            )
        if self._commander is None:
            raise BrokerConnectionError(f"not connected to {self.url}; nothing was sent")
        wait = timeout if timeout is not None else self._patience()
        ids = arguments.get("task_id")
        if timeout is None and isinstance(ids, list):
            wait += round(len(ids) / _IDS_A_SECOND, 1)
        sent = self._note(
            method=method,
            arguments=dict(arguments),
            destination=destination,
            equivalent=control_line(method, arguments, destination, wait),
            timeout=wait,
            expected=self.expected(destination),
        )
        if method in ("cancel_consumer", "add_consumer"):
            self._remember_hold(method, str(arguments.get("queue")), sent.expected or ())
            self._moving.append(sent)
        self._commander.send(sent)
        return sent

    def _note(self, **fields: Any) -> SentCommand:
        """Number a command and put it into the log."""
        self._numbers += 1
        sent = SentCommand(number=self._numbers, sent_at=time.time(), **fields)
        self.commands.append(sent)
        del self.commands[:-_COMMANDS_KEPT]
        return sent

    def _remember_hold(self, method: str, queue: str, nodes: Sequence[str]) -> None:
        """Remember who was told to leave a queue alone, so that they can be told to go on."""
        watcher = self._watcher
        known = watcher.queues.get(queue) if watcher is not None else None
        if method == "cancel_consumer":
            nodes = [node for node in nodes if known is not None and node in known.workers]
        held = set(self._held.pop(queue, ()))
        held = held | set(nodes) if method == "cancel_consumer" else held - set(nodes)
        if held:
            self._held[queue] = tuple(sorted(held))

    def _look_again(self, now: float) -> None:
        """Ask who takes from which queue once commands that change this were answered."""
        still = [sent for sent in self._moving if not (sent.complete or sent.overdue(now))]
        if len(still) < len(self._moving):
            self.refresh()
        self._moving = still

    # Errands

    def _on_errands(self, method: str) -> Errands:
        """Return who runs errands.

        Raises:
            CommandRefused: This source is read-only, and the errand changes something.
            BrokerConnectionError: There is no connection.
        """
        if self.read_only and method != "peek":
            raise CommandRefused(
                f"{method} is refused: this console is read-only",
                command=method,
                reason="read_only",
            )
        if self._errands is None:
            raise BrokerConnectionError(f"not connected to {self.url}; nothing was done")
        return self._errands

    def purge(self, queue: str) -> SentCommand:
        """Delete the messages that wait in a queue.

        Raises:
            CommandRefused: This source is read-only.
            BrokerConnectionError: There is no connection.
        """
        errands = self._on_errands("purge")
        sent = self._note(
            method="purge",
            arguments={"queue": queue},
            destination=None,
            equivalent=purge_line(queue),
            timeout=0.0,
            expected=("broker",),
            total=1,
        )
        errands.purge(queue, sent)
        return sent

    def peek(
        self, queue: str, limit: int, done: Callable[[Sequence[WaitingTask] | str], None]
    ) -> None:
        """Read the messages that come next in a queue; `drain` hands them to `done`."""
        if self._errands is None:
            done(f"not connected to {self.url}")
        else:
            self._errands.peek(queue, limit, done)

    def find_calls(
        self, tasks: Sequence[TaskInfo], done: Callable[[Sequence[Verdict]], None]
    ) -> None:
        """Find out which tasks can be sent again.

        Raises:
            CommandRefused: This source is read-only.
            BrokerConnectionError: There is no connection.
        """
        queues = [queue.name for queue in self.queues]
        self._on_errands("resend").find_calls(tasks, queues, done)

    def resend(self, calls: Sequence[Resend]) -> SentCommand:
        """Send calls again under new ids.

        Raises:
            CommandRefused: This source is read-only.
            BrokerConnectionError: There is no connection.
        """
        errands = self._on_errands("resend")
        ids = [call.task_id for call in calls]
        sent = self._note(
            method="resend",
            arguments={"task_id": ids},
            destination=None,
            equivalent=resend_line(ids),
            timeout=0.0,
            expected=(),
            total=len(calls),
        )
        errands.resend(calls, sent)
        return sent

    def _patience(self) -> float:
        """Return how long to wait: three times the slowest of the latest answers, 1 to 10 s."""
        slowest = max((a.after for sent in self.commands[-10:] for a in sent.answers), default=0.0)
        return round(max(1.0, min(_LONGEST_WAIT, 3.0 * slowest)), 1)


def _closed(status: WatchStatus) -> tuple[Gap, ...]:
    """Return the gaps that are over."""
    return tuple(Gap(gap.start, gap.end) for gap in status.gaps if gap.end is not None)


def _shown_url(app: "TQ", url: str) -> str:
    """Return what the header says of the broker: a private server's socket tells nothing."""
    given = app.conf.broker_url
    first = given if isinstance(given, str) or given is None else next(iter(given), None)
    if not first or first.startswith(("embedded:", "tq:")):
        return "embedded"
    return url
