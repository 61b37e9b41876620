"""Result records.

Source: PROTOCOL 9.1; celery/backends/base.py (`_get_result_meta`, `prepare_exception`,
`exception_to_python`).
"""

from math import isfinite
from typing import Any

import msgspec

from tq.errors import DecodeError
from tq.saferepr import saferepr
from tq.wire.compression import compress, decompress
from tq.wire.exceptions import encode_exception, rebuild_exception, register_exceptions
from tq.wire.limits import LIMITS, Limits
from tq.wire.serialization import CONTENT_TYPES, JSON_ONLY, dumps, dumps_json, is_flat, loads

__all__ = [
    "ResultMeta",
    "decode_result",
    "encode_exception",
    "encode_result",
    "rebuild_exception",
    "register_exceptions",
]

_COMPRESSED = b"\x00celery-compressed\x00"
_MAX_NAME_CHARS = 1024
_EXTENDED = ("name", "args", "kwargs", "worker", "retries", "queue")
_KNOWN = frozenset(
    {
        "status",
        "result",
        "traceback",
        "children",
        "date_done",
        "task_id",
        "group_id",
        "parent_id",
        "stamped_headers",
        *_EXTENDED,
    }
)


class ResultMeta(msgspec.Struct, kw_only=True):
    """A task's stored record.

    Attributes:
        result: The return value; for FAILURE, RETRY and REVOKED the encoded exception
            (`exc_type`, `exc_message`, `exc_module`); for others whatever `update_state` was given.
        children: Tuple forms of what the task started, or None when written outside a run.
        date_done: ISO 8601 text for final states.
        extended: `name, args, kwargs, worker, retries, queue` with `result_extended`.
        stamps: Stamp values by name, with `stamped_headers`.
    """

    task_id: str
    status: str
    result: Any = None
    traceback: str | None = None
    children: list[Any] | None = None
    date_done: str | None = None
    group_id: str | None = None
    parent_id: str | None = None
    extended: dict[str, Any] | None = None
    stamped_headers: list[str] | None = None
    stamps: dict[str, Any] | None = None


def encode_result(
    meta: ResultMeta,
    serializer: str = "json",
    *,
    compression: str | None = None,
    insecure: bool = False,
) -> bytes:
    """Build the record as it is stored and published.

    Args:
        meta: The record.
        serializer: The setting `result_serializer`.
        compression: The setting `result_compression`.
        insecure: Allow the pickle serializer.

    Raises:
        EncodeError: The return value has no form in the serializer.
    """
    record: dict[str, Any] = {
        "status": meta.status,
        "result": meta.result,
        "traceback": meta.traceback,
        "children": meta.children,
        "date_done": meta.date_done,
    }
    if meta.group_id:
        record["group_id"] = meta.group_id
    if meta.parent_id:
        record["parent_id"] = meta.parent_id
    if meta.extended:
        record.update(meta.extended)
    if meta.stamped_headers:
        record["stamped_headers"] = meta.stamped_headers
        record.update(meta.stamps or {})
    record["task_id"] = meta.task_id
    if serializer == "json":
        flat = (
            _is_flat_value(meta.result)
            and not meta.children
            and not meta.extended
            and not meta.stamped_headers
        )
        data = dumps_json(record, flat=flat)
    else:
        data = dumps(record, serializer, insecure=insecure)[2]
    if compression:
        mime, packed = compress(data, compression)
        return b"".join((_COMPRESSED, mime.encode("ascii"), b"\x00", packed))
    return data


def _is_flat_value(value: Any) -> bool:
    kind = type(value)
    if kind is float:
        return isfinite(value)
    if kind is list or kind is tuple:
        return is_flat(value)
    return is_flat((value,))


def decode_result(
    raw: bytes,
    *,
    serializer: str = "json",
    accept: frozenset[str] = JSON_ONLY,
    task_id: str | None = None,
    limits: Limits = LIMITS,
) -> ResultMeta:
    """Read a record, compressed or not.

    Args:
        raw: As stored.
        serializer: What the record is written in; the record does not say.
        accept: Content types that may be decoded.
        task_id: The id that the record's key names, when known.
        limits: Bounds on size and nesting.

    Raises:
        DecodeError: It is no record, or the record of another task. Wrong optional fields become
            None.
    """
    data = raw
    if raw.startswith(_COMPRESSED):
        mime, _, packed = raw[len(_COMPRESSED) :].partition(b"\x00")
        data = decompress(packed, mime.decode("latin-1"), limits.inflated)
    content_type, encoding = CONTENT_TYPES.get(serializer, (serializer, "utf-8"))
    record = loads(data, content_type, encoding, accept, limits)
    if type(record) is not dict:
        raise DecodeError("the record is no object", reason="bad_result", raw=raw)
    status = record.get("status")
    if type(status) is not str or not 0 < len(status) <= _MAX_NAME_CHARS:
        raise DecodeError(f"status is {saferepr(status, 100)}", reason="bad_status", raw=raw)
    found_id = record.get("task_id", task_id)
    if (
        type(found_id) is not str
        or not 0 < len(found_id) <= _MAX_NAME_CHARS
        or (task_id is not None and found_id != task_id)
    ):
        shown = saferepr(found_id, 100)
        raise DecodeError(f"task_id is {shown}", reason="bad_task_id", raw=raw)
    return _meta(record, found_id, status)


def _meta(record: dict[str, Any], task_id: str, status: str) -> ResultMeta:
    get = record.get
    children = get("children")
    meta = ResultMeta(
        task_id=task_id,
        status=status,
        result=get("result"),
        traceback=_text(get("traceback")),
        children=children if isinstance(children, list) else None,
        date_done=_text(get("date_done")),
        group_id=_text(get("group_id")),
        parent_id=_text(get("parent_id")),
    )
    if "name" in record:
        meta.extended = {name: record[name] for name in _EXTENDED if name in record}
    stamped = get("stamped_headers")
    if isinstance(stamped, list) and all(type(name) is str for name in stamped):
        meta.stamped_headers = stamped
        meta.stamps = {n: record[n] for n in stamped if n in record and n not in _KNOWN}
    return meta


def _text(value: Any) -> str | None:
    return value if type(value) is str else None
