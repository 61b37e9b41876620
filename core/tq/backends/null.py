"""No results: what tasks return is dropped."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NoReturn

from tq.backends.base import GroupRecord
from tq.brokers.base import Broker, ChordPart, Message, StoredResult
from tq.errors import BackendError
from tq.wire.result import ResultMeta

__all__ = ["NullBackend"]


def _refuse() -> NoReturn:
    raise BackendError(
        "no result backend is configured: set result_backend, for instance to redis:// or rpc://"
    )


class NullBackend:
    """Accepts results and keeps none; whoever asks for one is told at once."""

    url = "disabled://"
    location: str | None = None
    supports_native_join = False
    supports_chords = False

    def reply_to(self) -> str | None:
        """Return None: results go nowhere."""
        return None

    def store(
        self, results: Sequence[ResultMeta], *, reply_to: Mapping[str, str] | None = None
    ) -> None:
        """Drop the records."""

    def effect(self, result: ResultMeta) -> StoredResult:
        """Refuse: there is nothing to settle with."""
        _refuse()

    def fetch(self, ids: Sequence[str]) -> dict[str, ResultMeta]:
        """Refuse: a caller who asks for a result would look at PENDING for ever."""
        _refuse()

    def wait(
        self,
        ids: Iterable[str],
        on_result: Callable[[ResultMeta], None],
        *,
        timeout: float | None,
        until: Callable[[], bool],
        on_interval: Callable[[], None] | None = None,
    ) -> None:
        """Refuse, rather than wait for ever."""
        _refuse()

    def watch(
        self,
        ids: Iterable[str],
        on_result: Callable[[ResultMeta], None],
        on_error: Callable[[BaseException], None] | None = None,
    ) -> Callable[[], None]:
        """Refuse, as `wait`."""
        _refuse()

    def forget(self, ids: Sequence[str]) -> None:
        """Do nothing: nothing is stored."""

    def save_group(self, group_id: str, record: GroupRecord) -> None:
        """Refuse: it could not be restored."""
        _refuse()

    def restore_group(self, group_id: str) -> GroupRecord | None:
        """Refuse, as `fetch`."""
        _refuse()

    def delete_group(self, group_id: str) -> None:
        """Do nothing: nothing is stored."""

    def set_chord_size(self, group_id: str, size: int) -> None:
        """Refuse: parts cannot be counted, so the body would never run."""
        _refuse()

    def set_chord_sizes(self, sizes: Mapping[str, int]) -> None:
        """Do `set_chord_size` for several groups, in one round trip where the server allows."""
        for group_id, size in sizes.items():
            self.set_chord_size(group_id, size)

    def add_to_chord(self, group_id: str, count: int) -> None:
        """Refuse, as `set_chord_size`."""
        _refuse()

    def chord_part(
        self, group_id: str, result: ResultMeta, group_index: int | None = None
    ) -> ChordPart:
        """Refuse, as `set_chord_size`."""
        _refuse()

    def count_chord_part(self, part: ChordPart) -> str | None:
        """Refuse, as `set_chord_size`."""
        _refuse()

    def claim_chord(self, group_id: str, token: str, seconds: float) -> bool:
        """Refuse, as `set_chord_size`."""
        _refuse()

    def chord_parts(self, group_id: str) -> list[tuple[str, str, Any]]:
        """Refuse, as `set_chord_size`."""
        _refuse()

    def finish_chord(
        self,
        group_id: str,
        token: str,
        messages: Sequence[Message] = (),
        broker: Broker | None = None,
    ) -> bool:
        """Refuse, as `set_chord_size`."""
        _refuse()

    def close(self) -> None:
        """Do nothing."""
