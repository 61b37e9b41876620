"""What a result backend is."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

from tq.brokers.base import Broker, ChordPart, Message, StoredResult
from tq.wire.result import ResultMeta

__all__ = ["Backend", "GroupRecord"]

GroupRecord = dict[str, Any]


class Backend(Protocol):
    """Where results rest; safe to share between threads, reconnects by itself after a fork.

    Attributes:
        url: The address with its password masked.
        location: As `Broker.location`; when equal to the broker's, results are written by the
            settle step and `store` is not called for final states.
        supports_native_join: Whether many results can be awaited at once.
        supports_chords: Whether `chord_part` works; else the app falls back to polling.
    """

    url: str
    location: str | None
    supports_native_join: bool
    supports_chords: bool

    def reply_to(self) -> str | None:
        """Return the queue that results of this process's calls are sent to, made ready.

        Only `rpc://` has one: publish the task with it as `reply_to`. None elsewhere.
        """
        ...

    def store(
        self, results: Sequence[ResultMeta], *, reply_to: Mapping[str, str] | None = None
    ) -> None:
        """Write records in one round trip, and wake whoever waits for them.

        A record whose stored state is SUCCESS is not overwritten.

        Args:
            results: The records, of any state.
            reply_to: Task id -> the `reply_to` of its message; only `rpc://` needs it.

        Raises:
            ResultNotStored: The backend is away or refuses; nothing may be assumed written.
        """
        ...

    def effect(self, result: ResultMeta) -> StoredResult:
        """Encode a record for the settle step (only where `location` is not None)."""
        ...

    def fetch(self, ids: Sequence[str]) -> dict[str, ResultMeta]:
        """Read records in one round trip; ids without a record are absent (PENDING)."""
        ...

    def wait(
        self,
        ids: Iterable[str],
        on_result: Callable[[ResultMeta], None],
        *,
        timeout: float | None,
        until: Callable[[], bool],
        on_interval: Callable[[], None] | None = None,
    ) -> None:
        """Deliver every record written for `ids`, those already there first, until `until()`.

        Args:
            ids: Task ids; more may come in later calls, all share one subscription.
            on_result: Called in the waiting thread for each record, also non-final ones.
            timeout: Seconds in all; None waits for ever.
            until: Asked after each record; True ends the wait.
            on_interval: Called about twice a second while waiting.

        Raises:
            ResultTimeout: `timeout` passed first.
            BackendError: The backend went away and did not come back.
        """
        ...

    def watch(
        self,
        ids: Iterable[str],
        on_result: Callable[[ResultMeta], None],
        on_error: Callable[[BaseException], None] | None = None,
    ) -> Callable[[], None]:
        """Call `on_result` for every record of `ids`, those already written first.

        Returns at once; the calls come from the backend's own thread and must not block. `wait`,
        `then` and `await` stand on this.

        Args:
            ids: Task ids; an id is dropped by itself after its final record.
            on_result: Gets each record; the same one may come twice.
            on_error: Gets the error when the backend went away and did not come back; no more
                calls follow.

        Returns:
            What stops the calls.
        """
        ...

    def forget(self, ids: Sequence[str]) -> None:
        """Delete records."""
        ...

    def save_group(self, group_id: str, record: GroupRecord) -> None:
        """Keep a group's structure (`{"result": <tuple form>}`, PROTOCOL 10)."""
        ...

    def restore_group(self, group_id: str) -> GroupRecord | None:
        """Read a group's structure."""
        ...

    def delete_group(self, group_id: str) -> None:
        """Delete a group's structure."""
        ...

    def set_chord_size(self, group_id: str, size: int) -> None:
        """Say how many parts a chord's header has; also clears the dispatch claim."""
        ...

    def set_chord_sizes(self, sizes: Mapping[str, int]) -> None:
        """Do `set_chord_size` for several groups, in one round trip where the server allows."""
        ...

    def add_to_chord(self, group_id: str, count: int) -> None:
        """Say that a header got `count` more parts while it runs."""
        ...

    def chord_part(
        self, group_id: str, result: ResultMeta, group_index: int | None = None
    ) -> ChordPart:
        """Encode one finished part for the settle step, or for `count_chord_part`.

        Args:
            group_id: The header's group.
            result: The part's final record.
            group_index: The part's place in the header; None puts it last.
        """
        ...

    def count_chord_part(self, part: ChordPart) -> str | None:
        """Count a part outside the settle step; returns the claim token when it was the last."""
        ...

    def claim_chord(self, group_id: str, token: str, seconds: float) -> bool:
        """Extend a claim; False when it is no longer ours and the body must not be sent."""
        ...

    def chord_parts(self, group_id: str) -> list[tuple[str, str, Any]]:
        """Read the counted parts in order: (task id, state, result as stored)."""
        ...

    def finish_chord(
        self,
        group_id: str,
        token: str,
        messages: Sequence[Message] = (),
        broker: Broker | None = None,
    ) -> bool:
        """Publish the body, remove the counters and mark the chord done, if the claim is ours.

        In one step where backend and broker are one Redis or Valkey; elsewhere whoever dies between
        publishing and marking has the body sent again.

        Args:
            group_id: The header's group.
            token: The claim.
            messages: The body's; may be none.
            broker: Where they go.

        Returns:
            False when the claim had passed to somebody else.

        Raises:
            BrokerConnectionError: It is not known whether they were published; call again.
            BackendError: The same.
            BrokerError: They cannot be published.
        """
        ...

    def close(self) -> None:
        """Close every connection; a later call opens new ones."""
        ...


Connect = Callable[[str, Mapping[str, Any]], Backend]
