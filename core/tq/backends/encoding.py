"""Records, groups and chord parts as bytes, by the backend's options."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from tq.brokers.base import ChordPart
from tq.errors import ConfigError, DecodeError
from tq.states import FAILURE
from tq.wire.result import ResultMeta, decode_result, encode_result
from tq.wire.serialization import CONTENT_TYPES, accept_types, dumps, loads

__all__ = ["Encoding", "group_key", "task_key"]

_TASK = "celery-task-meta-"
_GROUP = "celery-taskset-meta-"
_DEFAULT_EXPIRES = 86400


def task_key(prefix: str, task_id: str) -> str:
    """Name a record (Celery: `get_key_for_task`)."""
    return f"{prefix}{_TASK}{task_id}"


def group_key(prefix: str, group_id: str, part: str = "") -> str:
    """Name a group's record, or one of its chord's keys (Celery: `get_key_for_group`)."""
    return f"{prefix}{_GROUP}{group_id}{part}"


class Encoding:
    """How a backend writes and reads, from its options.

    Attributes:
        prefix: In front of every key.
        ttl: Seconds a record is kept; 0 for ever.
        failure_ttl: The same for FAILURE.
        chord_ttl: The same for a chord's counters.
        claim_ttl: Seconds a chord's claim is held.
        ordered: Parts of a chord keep the header's order.
    """

    def __init__(self, options: Mapping[str, Any]) -> None:
        """Check the options.

        Raises:
            ConfigError: One makes no sense.
        """
        self.prefix = _prefix(options.get("global_keyprefix"))
        self.ttl = _seconds(options, "expires", _DEFAULT_EXPIRES)
        self.failure_ttl = _seconds(options, "failure_expires", self.ttl)
        self.chord_ttl = _seconds(options, "chord_expires", self.ttl or _DEFAULT_EXPIRES)
        # Celery: max(5, 2 * result_chord_join_timeout), whose default is 3 s.
        self.claim_ttl = max(5, int(2 * (float(options.get("join_timeout") or 3.0))))
        self.ordered = bool(options.get("chord_ordered", True))
        self.serializer = str(options.get("serializer") or "json")
        if self.serializer not in CONTENT_TYPES:
            raise ConfigError(f"unknown result serializer {self.serializer!r}")
        self.compression = options.get("compression") or None
        self.insecure = bool(options.get("insecure", False))
        accept = options.get("accept") or (self.serializer,)
        self.accept = accept_types(accept, insecure=self.insecure)

    def encode(self, result: ResultMeta) -> bytes:
        """Write a record."""
        return encode_result(
            result, self.serializer, compression=self.compression, insecure=self.insecure
        )

    def decode(self, raw: bytes, task_id: str | None) -> ResultMeta:
        """Read a record; `task_id` is what its key says.

        Raises:
            DecodeError: It is no record of that task.
        """
        return decode_result(raw, serializer=self.serializer, accept=self.accept, task_id=task_id)

    def ttl_of(self, result: ResultMeta) -> int:
        """Return how long a record is kept."""
        return self.failure_ttl if result.status == FAILURE else self.ttl

    def dump(self, data: Any) -> bytes:
        """Write a group's record."""
        return dumps(data, self.serializer, insecure=self.insecure)[2]

    def load(self, raw: bytes) -> Any:
        """Read what `dump` wrote."""
        content_type, encoding = CONTENT_TYPES[self.serializer]
        return loads(raw, content_type, encoding, self.accept)

    def load_group(self, raw: bytes) -> dict[str, Any]:
        """Read a group's record.

        Raises:
            DecodeError: It is none.
        """
        record = self.load(raw)
        if not isinstance(record, dict) or "result" not in record:
            raise DecodeError("the record describes no group", reason="bad_group", raw=raw)
        return record

    def chord_part(self, group_id: str, result: ResultMeta, group_index: int | None) -> ChordPart:
        """Write one finished part, as Celery's `on_chord_part_return` does."""
        score = "+inf" if group_index is None else group_index
        return ChordPart(
            group_key=group_key(self.prefix, group_id),
            member=self.dump([1, result.task_id, result.status, result.result]),
            mark=f"{result.task_id}:{score}",
            score=None if group_index is None else float(group_index),
            chord_ttl=self.chord_ttl,
            result_ttl=self.ttl,
            ordered=self.ordered,
            claim_ttl=self.claim_ttl,
        )

    def read_part(self, raw: bytes) -> tuple[str, str, Any]:
        """Read a part as (task id, state, result).

        Raises:
            DecodeError: It is none.
        """
        part = self.load(raw)
        if not isinstance(part, list) or len(part) != 4:
            raise DecodeError("not a part of a chord", reason="bad_chord_part", raw=raw)
        return str(part[1]), str(part[2]), part[3]


def _prefix(value: Any) -> str:
    """Return the key prefix; Celery separates it with `_` unless it ends in a separator."""
    text = str(value or "")
    return text if not text or text[-1] in ":_-." else f"{text}_"


def _seconds(options: Mapping[str, Any], name: str, default: int) -> int:
    if name not in options:
        return default
    value = options[name]
    if value is None:
        return default if name != "expires" else 0
    if isinstance(value, timedelta):
        value = value.total_seconds()
    try:
        seconds = int(value)
    except (TypeError, ValueError):
        seconds = -1
    if seconds < 0 or seconds > 2**31:
        raise ConfigError(f"{name} must be seconds from 0 up, not {value!r}")
    return seconds
