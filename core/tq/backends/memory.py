"""Results in this process, for tests and eager programs."""

import secrets
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from tq.backends.base import GroupRecord
from tq.backends.encoding import Encoding
from tq.backends.watchers import OnError, OnResult, Watchers, wait_with
from tq.brokers.base import Broker, ChordPart, Message, StoredResult
from tq.clock import Clock, SystemClock
from tq.errors import BackendError
from tq.states import SUCCESS
from tq.wire.result import ResultMeta

__all__ = ["MemoryBackend"]


class _Chord:
    """One chord's counters."""

    def __init__(self) -> None:
        self.size: int | None = None
        self.extra = 0
        self.parts: list[tuple[float, int, bytes]] = []
        self.marks: set[str] = set()
        self.claim: tuple[str, float] | None = None
        self.done = False


class MemoryBackend:
    """Keeps what Redis would keep, encoded the same way, so that values come back as from there.

    Safe to share between threads; other processes see nothing of it. Callbacks run in the thread
    that stores.
    """

    supports_native_join = True
    supports_chords = True
    location: str | None = None

    def __init__(
        self,
        url: str = "memory://",
        options: Mapping[str, Any] | None = None,
        clock: Clock | None = None,
    ) -> None:
        """Start empty; `options` as for Redis."""
        self.url = url
        self._encoding = Encoding(options or {})
        self._clock = clock or SystemClock()
        self._lock = threading.Lock()
        self._records: dict[str, tuple[bytes, float]] = {}
        self._groups: dict[str, bytes] = {}
        self._chords: dict[str, _Chord] = {}
        self._watchers = Watchers()

    def reply_to(self) -> str | None:
        """Return None: results do not travel as messages."""
        return None

    def store(
        self, results: Sequence[ResultMeta], *, reply_to: Mapping[str, str] | None = None
    ) -> None:
        """Write records; see `Backend.store`."""
        written = []
        now = self._clock.time()
        encoded = [(r, self._encoding.encode(r), self._encoding.ttl_of(r)) for r in results]
        with self._lock:
            for result, raw, ttl in encoded:
                stored = self._read(result.task_id, now)
                if stored is not None and stored.status == SUCCESS:
                    continue
                self._records[result.task_id] = (raw, now + ttl if ttl else float("inf"))
                written.append(self._encoding.decode(raw, result.task_id))
        for record in written:
            self._watchers.deliver(record)

    def effect(self, result: ResultMeta) -> StoredResult:
        """Refuse: no broker settles into this process' memory.

        Raises:
            BackendError: Always; `location` is None.
        """
        raise BackendError("the memory backend shares no settle step: call store")

    def _read(self, task_id: str, now: float) -> ResultMeta | None:
        found = self._records.get(task_id)
        if found is None:
            return None
        raw, expires = found
        if expires <= now:
            del self._records[task_id]
            return None
        return self._encoding.decode(raw, task_id)

    def fetch(self, ids: Sequence[str]) -> dict[str, ResultMeta]:
        """Read records; see `Backend.fetch`."""
        now = self._clock.time()
        with self._lock:
            found = {task_id: self._read(task_id, now) for task_id in ids}
        return {task_id: record for task_id, record in found.items() if record is not None}

    def wait(
        self,
        ids: Iterable[str],
        on_result: OnResult,
        *,
        timeout: float | None,
        until: Callable[[], bool],
        on_interval: Callable[[], None] | None = None,
    ) -> None:
        """Deliver records until `until()`; see `Backend.wait`."""
        wait_with(self.watch, ids, on_result, timeout=timeout, until=until, on_interval=on_interval)

    def watch(
        self, ids: Iterable[str], on_result: OnResult, on_error: OnError | None = None
    ) -> Callable[[], None]:
        """Call back for every record of `ids`; see `Backend.watch`."""
        wanted = list(ids)
        watchers = self._watchers
        watcher = watchers.add(wanted, on_result, on_error)
        # Read after registering: a record stored in between is delivered twice rather than never.
        for record in self.fetch(wanted).values():
            if record.task_id in watcher.ids:
                watchers.deliver(record)

        def cancel() -> None:
            watchers.remove(watcher)

        return cancel

    def forget(self, ids: Sequence[str]) -> None:
        """Delete records."""
        with self._lock:
            for task_id in ids:
                self._records.pop(task_id, None)

    def save_group(self, group_id: str, record: GroupRecord) -> None:
        """Keep a group's structure."""
        self._groups[group_id] = self._encoding.dump(record)

    def restore_group(self, group_id: str) -> GroupRecord | None:
        """Read a group's structure."""
        raw = self._groups.get(group_id)
        return None if raw is None else self._encoding.load_group(raw)

    def delete_group(self, group_id: str) -> None:
        """Delete a group's structure."""
        self._groups.pop(group_id, None)

    def set_chord_size(self, group_id: str, size: int) -> None:
        """Say how many parts a header has; clears the claim of an earlier run."""
        with self._lock:
            chord = self._chords.setdefault(group_id, _Chord())
            chord.size, chord.claim, chord.done = size, None, False

    def set_chord_sizes(self, sizes: Mapping[str, int]) -> None:
        """Do `set_chord_size` for several groups, in one round trip where the server allows."""
        for group_id, size in sizes.items():
            self.set_chord_size(group_id, size)

    def add_to_chord(self, group_id: str, count: int) -> None:
        """Say that a header got `count` more parts while it runs."""
        with self._lock:
            self._chords.setdefault(group_id, _Chord()).extra += count

    def chord_part(
        self, group_id: str, result: ResultMeta, group_index: int | None = None
    ) -> ChordPart:
        """Encode one finished part."""
        part = self._encoding.chord_part(group_id, result, group_index)
        return ChordPart(
            group_key=group_id,
            member=part.member,
            mark=part.mark,
            score=part.score,
            ordered=part.ordered,
            claim_ttl=part.claim_ttl,
        )

    def count_chord_part(self, part: ChordPart) -> str | None:
        """Count a part; returns the claim when it was the last. Same rules as chord_part.lua."""
        now = self._clock.time()
        with self._lock:
            chord = self._chords.setdefault(part.group_key, _Chord())
            if chord.done:
                return None
            if part.mark not in chord.marks:
                chord.marks.add(part.mark)
                place = float("inf") if part.score is None or not part.ordered else part.score
                chord.parts.append((place, len(chord.parts), part.member))
            if chord.size is None or chord.size + chord.extra != len(chord.parts):
                return None
            if chord.claim is not None and chord.claim[1] > now:
                return None
            token = secrets.token_hex(16)
            chord.claim = (token, now + part.claim_ttl)
            return token

    def claim_chord(self, group_id: str, token: str, seconds: float) -> bool:
        """Extend a claim, or take an expired one while the counters remain."""
        now = self._clock.time()
        with self._lock:
            chord = self._chords.get(group_id)
            if chord is None or chord.done:
                return False
            held = chord.claim is not None and chord.claim[1] > now
            if held and chord.claim is not None and chord.claim[0] != token:
                return False
            chord.claim = (token, now + seconds)
            return True

    def chord_parts(self, group_id: str) -> list[tuple[str, str, Any]]:
        """Read the counted parts in order."""
        with self._lock:
            chord = self._chords.get(group_id)
            parts = sorted(chord.parts) if chord is not None else []
        return [self._encoding.read_part(raw) for _, _, raw in parts]

    def finish_chord(
        self,
        group_id: str,
        token: str,
        messages: Sequence[Message] = (),
        broker: Broker | None = None,
    ) -> bool:
        """Publish the body and mark the chord done, if the claim is still ours."""
        with self._lock:
            chord = self._chords.get(group_id)
            if chord is None or chord.claim is None or chord.claim[0] != token:
                return False
            if messages and broker is not None:
                broker.publish(messages)
            self._chords[group_id] = _Chord()
            self._chords[group_id].done = True
            return True

    def close(self) -> None:
        """Do nothing: what is stored stays while the object lives."""
