"""Values to bytes and back: serializers, Celery's JSON type markers, compression.

Source: PROTOCOL 5; kombu/serialization.py, kombu/utils/json.py, kombu/compression.py.
"""

import base64
import json
import pickle
from collections.abc import Callable, Iterable
from datetime import date, datetime, time
from decimal import Decimal, InvalidOperation
from json.encoder import encode_basestring_ascii
from typing import Any, NoReturn
from uuid import UUID

import msgspec

from tq.errors import ConfigError, ContentDisallowed, DecodeError, EncodeError
from tq.saferepr import saferepr
from tq.wire.compression import compress, decompress
from tq.wire.limits import LIMITS, Limits

__all__ = [
    "CONTENT_TYPES",
    "JSON_ONLY",
    "LIMITS",
    "Limits",
    "accept_types",
    "compress",
    "decompress",
    "dumps",
    "dumps_json",
    "is_flat",
    "loads",
    "loads_json",
]

CONTENT_TYPES = {
    "json": ("application/json", "utf-8"),
    "msgpack": ("application/x-msgpack", "binary"),
    "yaml": ("application/x-yaml", "utf-8"),
    "pickle": ("application/x-python-serialize", "binary"),
    "raw": ("application/data", "binary"),
}
JSON_ONLY = frozenset({"application/json"})

_PICKLE = CONTENT_TYPES["pickle"][0]
_MIME_TYPES = frozenset(mime for mime, _ in CONTENT_TYPES.values())
# What msgspec and the JSON module write alike. Floats are not among them: msgspec turns NaN into
# null; nor are the types that msgspec knows and Celery marks (datetime, UUID, bytes, ...).
_FLAT = frozenset({str, int, bool, type(None)})
_TEXT = frozenset({str})
_MARKER = b"__type__"
_UTF8_NAMES = frozenset({"utf-8", "utf8", "binary", "us-ascii", "ascii", "", None})
# The interpreter refuses to convert longer integers (CVE-2020-10735).
_INT_DIGITS = 4300

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode
_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder().decode


def accept_types(names: Iterable[str], *, insecure: bool = False) -> frozenset[str]:
    """Turn `accept_content` into the set of content types that `loads` takes.

    Args:
        names: Serializer names or MIME types.
        insecure: Pickle may be among them; unpickling runs whatever code the sender likes.

    Raises:
        ConfigError: An unknown name, or pickle without `insecure`.
    """
    types = set()
    for name in names:
        mime = CONTENT_TYPES[name][0] if name in CONTENT_TYPES else name
        if mime not in _MIME_TYPES:
            known = ", ".join(CONTENT_TYPES)
            raise ConfigError(f"accept_content: unknown serializer {name!r}; known: {known}")
        if mime == _PICKLE and not insecure:
            raise ConfigError("accept_content: pickle needs the insecure switch as well")
        types.add(mime)
    return frozenset(types)


def is_flat(values: Iterable[Any]) -> bool:
    """Tell whether all values are texts, integers, booleans or None: no marker can be needed."""
    return _FLAT.issuperset(map(type, values))


def dumps(data: Any, serializer: str, *, insecure: bool = False) -> tuple[str, str, bytes]:
    """Serialize a value.

    Args:
        data: What to write.
        serializer: `json`, `msgpack`, `yaml`, `pickle` or `raw`.
        insecure: Allow pickle.

    Returns:
        Content type, content encoding, bytes.

    Raises:
        EncodeError: The serializer is unknown, not allowed, not installed, or refuses the value.
    """
    if serializer == "json":
        return "application/json", "utf-8", dumps_json(data)
    write = _WRITERS.get(serializer)
    if write is None:
        raise EncodeError(f"unknown serializer {serializer!r}; known: {', '.join(CONTENT_TYPES)}")
    if serializer == "pickle" and not insecure:
        raise EncodeError("the pickle serializer needs the insecure switch")
    mime, encoding = CONTENT_TYPES[serializer]
    if serializer == "raw" and isinstance(data, str):
        encoding = "utf-8"
    try:
        return mime, encoding, write(data)
    except EncodeError:
        raise
    except Exception as exc:  # values of users may raise anything while they are written
        raise EncodeError(f"{serializer} cannot write {saferepr(data, 200)}: {exc}") from exc


def dumps_json(data: Any, *, flat: bool = False) -> bytes:
    """Serialize to JSON with Celery's type markers.

    Args:
        data: What to write.
        flat: The caller has seen to it (`is_flat`) that no part of `data` needs a marker.

    Raises:
        EncodeError: A value has no JSON form.
    """
    kind = type(data)
    if not flat:
        flat = kind in _FLAT or (
            ((kind is list or kind is tuple) and is_flat(data))
            or (kind is dict and is_flat(data.values()) and _TEXT.issuperset(map(type, data)))
        )
    if flat:
        try:
            return _encode(data)
        except (ValueError, OverflowError, TypeError, msgspec.MsgspecError, RecursionError):
            pass  # lone surrogates, integers over 64 bits: the JSON module writes them
    try:
        return "".join(_marking_encoder(data, 0)).encode("ascii")
    except EncodeError:
        raise
    except (TypeError, ValueError, RecursionError) as exc:
        raise EncodeError(f"json cannot write {saferepr(data, 200)}: {exc}") from exc


def _mark(kind: str, value: Any) -> dict[str, Any]:
    return {"__type__": kind, "__value__": value}


def _marked(value: Any) -> Any:
    """Return the JSON form of a value that JSON lacks."""
    as_json = getattr(value, "__json__", None)
    if callable(as_json):
        return as_json()
    for kind, name, write in _MARKERS:
        if isinstance(value, kind):
            return _mark(name, write(value))
    if isinstance(value, bytes):
        try:
            return _mark("bytes", value.decode())
        except UnicodeDecodeError:
            return _mark("base64", base64.b64encode(value).decode("ascii"))
    raise EncodeError(f"json cannot write {type(value).__qualname__}: {saferepr(value, 200)}")


# A datetime is a date too, so it comes first.
_MARKERS: tuple[tuple[type, str, Callable[[Any], Any]], ...] = (
    (datetime, "datetime", datetime.isoformat),
    (date, "date", date.isoformat),
    (time, "time", time.isoformat),
    (Decimal, "decimal", str),
    (UUID, "uuid", lambda value: {"hex": value.hex}),
)


def _make_marking_encoder() -> Callable[[Any, int], Iterable[str]]:
    """Build the JSON module's encoder once; `json.dumps` builds one for each call (2 us)."""
    make: Any = json.encoder.c_make_encoder  # type: ignore[attr-defined]  # not in typeshed
    if make is None:  # an interpreter without the C encoder
        return lambda data, _: (json.dumps(data, default=_marked, check_circular=False),)
    # Without `markers`, which threads would share, a cycle ends in RecursionError.
    encoder: Callable[[Any, int], Iterable[str]] = make(
        None, _marked, encode_basestring_ascii, None, ": ", ", ", False, False, True
    )
    return encoder


_marking_encoder = _make_marking_encoder()


def loads(
    data: bytes,
    content_type: str,
    content_encoding: str | None,
    accept: frozenset[str] = JSON_ONLY,
    limits: Limits = LIMITS,
) -> Any:
    """Deserialize bytes of an accepted content type.

    Raises:
        ContentDisallowed: `content_type` is not in `accept`; nothing was decoded.
        DecodeError: The bytes are not what the content type says, or exceed a limit.
    """
    if content_type not in accept:
        shown = saferepr(content_type, 100)
        raise ContentDisallowed(f"content type {shown} is not accepted here", raw=data)
    if len(data) > limits.inflated:
        raise DecodeError(f"body of {len(data)} bytes is too large", reason="too_large", raw=data)
    if content_type == "application/json":
        return loads_json(_as_utf8(data, content_encoding), limits.depth)
    read = _READERS.get(content_type)
    if read is None:
        raise ContentDisallowed(f"content type {content_type!r} is unknown", raw=data)
    try:
        value = read(data, content_encoding)
    except DecodeError:
        raise
    except Exception as exc:  # yaml and pickle raise errors of many kinds, pickle any at all
        raise DecodeError(
            f"not readable as {content_type}: {exc}", reason="undecodable", raw=data
        ) from exc
    if _deeper_than(value, limits.depth):
        _too_deep(data)
    return value


def loads_json(data: bytes, depth: int = LIMITS.depth) -> Any:
    """Deserialize UTF-8 JSON, turning Celery's type markers into values.

    Raises:
        DecodeError: `not_json`, `too_deep`, `bad_marker` or `not_utf8`.
    """
    try:
        value = (
            _decode(data) if _MARKER not in data else json.loads(data.decode(), object_hook=_unmark)
        )
    except msgspec.DecodeError:
        value = _loads_lenient(data)
    except RecursionError:
        _too_deep(data)
    except DecodeError as exc:
        exc.raw = data
        raise
    except UnicodeDecodeError as exc:
        raise DecodeError(f"not UTF-8: {exc}", reason="not_utf8", raw=data) from exc
    except ValueError:
        value = _loads_lenient(data)
    # Counting is cheap; only what might be too deep is walked.
    if data.count(b"[") + data.count(b"{") > depth and _deeper_than(value, depth):
        _too_deep(data)
    return value


def _loads_lenient(data: bytes) -> Any:
    """Read what msgspec refuses and Celery's reader takes: NaN, lone surrogates, big integers."""
    try:
        return json.loads(data.decode(), object_hook=_unmark, parse_int=_bounded_int)
    except RecursionError:
        _too_deep(data)
    except UnicodeDecodeError as exc:
        raise DecodeError(f"not UTF-8: {exc}", reason="not_utf8", raw=data) from exc
    except DecodeError as exc:
        exc.raw = data
        raise
    except ValueError as exc:
        raise DecodeError(f"not JSON: {exc}", reason="not_json", raw=data) from exc


def _bounded_int(digits: str) -> int | str:
    """Read an integer; one that is too long to convert stays text."""
    return int(digits) if len(digits) <= _INT_DIGITS else digits


def _unmark(data: dict[str, Any]) -> Any:
    """Turn a type marker into its value; other objects stay as they are."""
    if len(data) != 2 or "__type__" not in data or "__value__" not in data:
        return data
    kind = data["__type__"]
    read = _UNMARKERS.get(kind) if isinstance(kind, str) else None
    if read is None:
        raise DecodeError(f"unknown type marker {saferepr(kind, 100)}", reason="bad_marker")
    try:
        return read(data["__value__"])
    except (TypeError, ValueError, AttributeError, InvalidOperation, OverflowError) as exc:
        shown = saferepr(data["__value__"], 100)
        raise DecodeError(f"{shown} is no {kind}", reason="bad_marker") from exc


def _read_uuid(value: dict[str, str]) -> UUID:
    return UUID(hex=value["hex"]) if set(value) == {"hex"} else UUID(int=-1)


_UNMARKERS: dict[str, Callable[[Any], Any]] = {
    "datetime": datetime.fromisoformat,
    "date": lambda value: datetime.fromisoformat(value).date(),
    "time": time.fromisoformat,
    "decimal": Decimal,
    "uuid": _read_uuid,
    "bytes": lambda value: value.encode(),
    "base64": lambda value: base64.b64decode(value.encode("ascii")),
}


def _too_deep(data: bytes) -> NoReturn:
    raise DecodeError("nested too deeply", reason="too_deep", raw=data) from None


_CONTAINERS = (dict, list, tuple)  # the tuple: a union takes twice as long to ask for


def _deeper_than(value: Any, depth: int) -> bool:
    """Tell whether containers are nested more than `depth` levels; never recurses."""
    level = [value] if isinstance(value, _CONTAINERS) else []
    # A yaml document's aliases can blow up a walk, so each container counts once per level.
    for _ in range(depth + 1):
        below: dict[int, Any] = {}
        for item in level:
            for child in item.values() if isinstance(item, dict) else item:
                if isinstance(child, _CONTAINERS):
                    below[id(child)] = child
        if not below:
            return False
        level = list(below.values())
    return True


def _as_utf8(data: bytes, encoding: str | None) -> bytes:
    """Return text in another encoding as UTF-8."""
    try:
        if encoding in _UTF8_NAMES:
            return data
        return data.decode(str(encoding)).encode()
    except (LookupError, ValueError, TypeError) as exc:
        raise DecodeError(
            f"content encoding {saferepr(encoding, 100)}: {exc}", reason="bad_encoding", raw=data
        ) from exc


def _import_yaml() -> Any:
    try:
        import yaml  # noqa: PLC0415, RUF100 - an extra that few install
    except ImportError as exc:
        raise ConfigError("yaml needs an extra: pip install 'tqconsole[yaml]'") from exc
    return yaml


def _write_yaml(data: Any) -> bytes:
    text: str = _import_yaml().safe_dump(data, allow_unicode=True)
    return text.encode()


def _read_yaml(data: bytes, encoding: str | None) -> Any:
    return _import_yaml().safe_load(_as_utf8(data, encoding).decode())


def _read_msgpack(data: bytes, _: str | None) -> Any:
    return _unpack(data)


def _read_pickle(data: bytes, _: str | None) -> Any:
    return pickle.loads(data)  # only with `accept_types(..., insecure=True)`


def _write_raw(data: Any) -> bytes:
    if isinstance(data, str):
        return data.encode()
    if isinstance(data, bytes | bytearray | memoryview):
        return bytes(data)
    raise EncodeError(f"raw writes bytes and text, not {type(data).__qualname__}")


def _read_raw(data: bytes, encoding: str | None) -> Any:
    return data if encoding in ("binary", "", None) else _as_utf8(data, encoding).decode()


_WRITERS: dict[str, Callable[[Any], bytes]] = {
    "msgpack": _pack,
    "yaml": _write_yaml,
    "pickle": lambda data: pickle.dumps(data, protocol=4),
    "raw": _write_raw,
}
_READERS: dict[str, Callable[[bytes, str | None], Any]] = {
    "application/x-msgpack": _read_msgpack,
    "application/x-yaml": _read_yaml,
    "application/x-python-serialize": _read_pickle,
    "application/data": _read_raw,
}
