"""Where the console's data comes from; the only module that calls tq beyond its data classes."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from tq.monitor import ClusterState
from tqconsole.tui.model.facts import LinkState, QueueFacts, WorkerFacts
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
    def link(self) -> LinkState:
        """The connection to the broker."""
        ...

    @property
    def queues(self) -> Sequence[QueueFacts]:
        """The broker's queues, by name."""
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

    def expected(self, destination: Sequence[str] | None) -> tuple[str, ...]:
        """Return the nodes that should answer a command."""
        ...
