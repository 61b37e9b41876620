"""The cluster as it is: what `tq.monitor` watches and `tq.control` commands."""

import logging
import threading
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from tq.control import Control
from tq.errors import BrokerConnectionError, CommandRefused, TQError
from tq.monitor import ClusterState, ClusterWatcher, WorkerDetail, WorkerStatus
from tqconsole.tui.commander import Commander
from tqconsole.tui.model.equivalents import control_line
from tqconsole.tui.model.facts import Gap, LinkState, QueueFacts, WorkerFacts
from tqconsole.tui.model.sent import SentCommand
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
        self.url = "the broker"
        self.context = context or ""
        self.link = LinkState()
        self.queues: Sequence[QueueFacts] = ()
        self.commands: list[SentCommand] = []
        self._given_context = context
        self._watcher: ClusterWatcher | None = None
        self._commander: Commander | None = None
        self._facts: dict[str, tuple[tuple[float, float, float], WorkerFacts]] = {}
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
            except TQError as error:
                self._failure = str(error)
                self._stopping.wait(min(_RETRY * self._attempt, 5.0))
                continue
            self._failure = None
            self._commander = Commander(control)
            self._commander.start()
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
            self.context = _context_of(self.url)
        applied = watcher.drain(now)
        self._take_status(watcher, now)
        self._take_queues(watcher)
        if self._commander is not None:
            self._commander.drain()
        return applied > 0

    def _set_link(self, link: LinkState) -> None:
        if link != self.link:
            self.link = link
        if not self.context:
            self.context = _context_of(self.url)

    def _take_status(self, watcher: ClusterWatcher, now: float) -> None:
        status = watcher.status(now)
        self._was_connected = self._was_connected or status.connected
        closed = tuple(Gap(gap.start, gap.end) for gap in status.gaps if gap.end is not None)
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
            gaps=closed,
        )
        self._set_link(link)

    def _take_queues(self, watcher: ClusterWatcher) -> None:
        queues = []
        for name in sorted(watcher.queues):
            queue = watcher.queues[name]
            depth = queue.depth
            queues.append(
                QueueFacts(
                    name=name,
                    ready=depth.value if depth else None,
                    consumers=len(queue.workers),
                    as_of=depth.at if depth else 0.0,
                )
            )
        self.queues = queues

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
        facts = _read_facts(detail)
        self._facts[hostname] = ((times[0], times[1], times[2]), facts)
        return facts

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
        self._numbers += 1
        wait = timeout if timeout is not None else self._patience()
        sent = SentCommand(
            number=self._numbers,
            method=method,
            arguments=dict(arguments),
            destination=destination,
            equivalent=control_line(method, arguments, destination, wait),
            sent_at=time.time(),
            timeout=wait,
            expected=self.expected(destination),
        )
        self.commands.append(sent)
        del self.commands[:-_COMMANDS_KEPT]
        self._commander.send(sent)
        return sent

    def _patience(self) -> float:
        """Return how long to wait: three times the slowest of the latest answers, 1 to 10 s."""
        slowest = max((a.after for sent in self.commands[-10:] for a in sent.answers), default=0.0)
        return round(max(1.0, min(_LONGEST_WAIT, 3.0 * slowest)), 1)


def _shown_url(app: "TQ", url: str) -> str:
    """Return what the header says of the broker: a private server's socket tells nothing."""
    given = app.conf.broker_url
    first = given if isinstance(given, str) or given is None else next(iter(given), None)
    if not first or first.startswith(("embedded:", "tq:")):
        return "embedded"
    return url


def _context_of(url: str) -> str:
    """Name a cluster after its broker's host, or what stands for one."""
    host = urlsplit(url).hostname
    return host if host and host not in ("localhost", "127.0.0.1", "::1") else "local"


def _read_facts(detail: WorkerDetail) -> WorkerFacts:
    """Read what a worker answered; nothing of it is trusted to have the right shape."""
    stats = _mapping(detail.stats.value if detail.stats else None)
    pool = _mapping(stats.get("pool"))
    implementation = pool.get("implementation")
    kind = None
    if isinstance(implementation, str):
        kind = _pool_kind(implementation)
    queues = detail.active_queues.value if detail.active_queues else None
    names = None
    if isinstance(queues, list):
        names = tuple(
            str(queue["name"]) for queue in queues if isinstance(queue, dict) and "name" in queue
        )
    registered = detail.registered.value if detail.registered else None
    rss = _mapping(stats.get("rusage")).get("maxrss")
    return WorkerFacts(
        pool=kind,
        size=_whole(pool.get("max-concurrency")),
        prefetch=_whole(stats.get("prefetch_count")),
        queues=names,
        rss=rss * 1024 if isinstance(rss, int) else None,
        uptime=stats.get("uptime") if isinstance(stats.get("uptime"), int | float) else None,
        registered=tuple(map(str, registered)) if isinstance(registered, list) else None,
        as_of=max(aged.at if aged else 0.0 for aged in (detail.stats, detail.active_queues)),
        stats=stats,
    )


def _pool_kind(implementation: str) -> str:
    """Read the kind of pool from its class: Celery's `celery.concurrency.prefork:TaskPool`."""
    module = implementation.partition(":")[0]
    word = module.rpartition(".")[2] or module
    return {
        "thread": "threads",
        "aio": "asyncio",
        "pool": module.split(".")[-2] if "." in module else "pool",
    }.get(word, word)[:12]


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
