"""Where the console's data comes from; the only module that calls tq beyond its data classes."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from tq.monitor import ClusterState, TaskInfo, WaitingTask
from tqconsole.tui.model.event_log import EventLog
from tqconsole.tui.model.facts import LinkState, QueueFacts, TimeLimit, WorkerFacts
from tqconsole.tui.model.lineage import LineageBook
from tqconsole.tui.model.resending import Resend, Verdict
from tqconsole.tui.model.schedule_book import ScheduleBook
from tqconsole.tui.model.sent import SentCommand

__all__ = ["READS", "Source"]

# What a read-only console may send; the connection itself refuses the rest as well.
READS = frozenset(
    {"ping", "active", "reserved", "scheduled", "revoked", "registered", "stats", "conf",
     "active_queues", "query_task", "report"}
)  # fmt: skip


class Source(Protocol):
    """A cluster to look at and, unless it is read-only, to command. Owned by the event loop.

    Nothing here waits: whatever takes time runs in the source's own threads, and `drain` takes in
    what they have brought.
    """

    @property
    def context(self) -> str:
        """Short name of the cluster."""
        ...

    @property
    def url(self) -> str:
        """The broker's URL without its password."""
        ...

    @property
    def read_only(self) -> bool:
        """Whether commands that change anything are refused."""
        ...

    @property
    def state(self) -> ClusterState:
        """What the events told."""
        ...

    @property
    def events(self) -> EventLog:
        """The newest events themselves."""
        ...

    @property
    def lineage(self) -> LineageBook:
        """What results told of how tasks belong together."""
        ...

    @property
    def schedules(self) -> ScheduleBook:
        """What waits for its time, as of the last look."""
        ...

    @property
    def link(self) -> LinkState:
        """The connection to the broker."""
        ...

    @property
    def queues(self) -> Sequence[QueueFacts]:
        """The broker's queues, by name."""
        ...

    @property
    def limits(self) -> Mapping[str, TimeLimit]:
        """The time limits that workers registered, by task name."""
        ...

    @property
    def commands(self) -> Sequence[SentCommand]:
        """The commands sent, oldest first."""
        ...

    def start(self) -> None:
        """Begin to listen."""
        ...

    def stop(self) -> None:
        """Stop listening and leave nothing behind in the broker."""
        ...

    def drain(self, now: float) -> bool:
        """Take in what arrived; returns whether anything did.

        Args:
            now: Wall timestamp.
        """
        ...

    def facts(self, hostname: str) -> WorkerFacts | None:
        """Return what a worker said of itself when last asked."""
        ...

    def read_lineage(self, tasks: Sequence[str], groups: Sequence[str]) -> None:
        """Read the results of finished tasks, and how far chords are, into `lineage`."""
        ...

    def read_schedules(self) -> None:
        """Look into `schedules` again."""
        ...

    def refresh(self) -> None:
        """Ask the workers and the broker again now."""
        ...

    def send(
        self,
        method: str,
        arguments: Mapping[str, Any],
        destination: Sequence[str] | None = None,
        timeout: float | None = None,
    ) -> SentCommand:
        """Send a command to some workers, or to all; the answers appear in what is returned.

        Without `timeout` the source chooses how many seconds to wait.

        Raises:
            CommandRefused: The source is read-only, and the command changes something.
        """
        ...

    def purge(self, queue: str) -> SentCommand:
        """Delete the messages that wait in a queue; the answer appears in what is returned.

        Raises:
            CommandRefused: The source is read-only.
            BrokerConnectionError: There is no connection.
        """
        ...

    def peek(
        self, queue: str, limit: int, done: Callable[[Sequence[WaitingTask] | str], None]
    ) -> None:
        """Read the messages that come next in a queue, and leave them there.

        Args:
            queue: Its name.
            limit: Most messages.
            done: Called by `drain` with them, or with why none can be shown.
        """
        ...

    def find_calls(
        self, tasks: Sequence[TaskInfo], done: Callable[[Sequence[Verdict]], None]
    ) -> None:
        """Find out which tasks can be sent again; `drain` calls `done` with a verdict on each."""
        ...

    def resend(self, calls: Sequence[Resend]) -> SentCommand:
        """Send calls again under new ids; the answers appear in what is returned.

        Raises:
            CommandRefused: The source is read-only.
            BrokerConnectionError: There is no connection.
        """
        ...

    def expected(self, destination: Sequence[str] | None) -> tuple[str, ...]:
        """Return the nodes that should answer a command."""
        ...
