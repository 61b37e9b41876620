"""Serializers, type markers, compression, times and ids."""

import datetime
import uuid
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kombu.utils.json import dumps as kombu_dumps
from kombu.utils.json import loads as kombu_loads

from tq.errors import ConfigError, ContentDisallowed, DecodeError, EncodeError
from tq.wire.compression import compress, decompress
from tq.wire.message import format_time, new_id, parse_time
from tq.wire.serialization import accept_types, dumps, dumps_json, loads, loads_json

UTC = datetime.timezone.utc  # noqa: UP017
MARKED = [
    datetime.datetime(2025, 1, 2, 3, 4, 5, 6, tzinfo=UTC),
    datetime.datetime(2025, 1, 2),
    datetime.date(2025, 1, 2),
    datetime.time(3, 4, 5),
    Decimal("1.50"),
    uuid.UUID(int=7),
    b"bytes",
    b"\xff\xfe",
]


@pytest.mark.parametrize("value", MARKED, ids=repr)
def test_markers_are_kombus(value: Any) -> None:
    nested = [{"k": (value,)}, value]
    assert msgspec.json.decode(dumps_json(nested)) == msgspec.json.decode(kombu_dumps(nested))
    assert loads_json(dumps_json(nested)) == kombu_loads(kombu_dumps(nested))


def test_an_object_says_its_own_json_form() -> None:
    class Point:
        def __json__(self) -> dict[str, int]:
            return {"x": 1}

    assert dumps_json([Point()]) == b'[{"x": 1}]'


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(alphabet=st.characters())
    | st.binary()
    | st.datetimes(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(alphabet=st.characters()), inner),
    max_leaves=20,
)


@given(JSON)
def test_json_survives_here_and_at_kombu(value: Any) -> None:
    raw = dumps_json(value)
    assert loads_json(raw) == value or _has_marker_keys(value)
    if not _has_marker_keys(value):
        assert kombu_loads(raw) == value
        assert loads_json(kombu_dumps(value).encode()) == value


def _has_marker_keys(value: Any) -> bool:
    if isinstance(value, dict):
        return "__type__" in value or any(map(_has_marker_keys, value.values()))
    return isinstance(value, list) and any(map(_has_marker_keys, value))


@pytest.mark.parametrize("value", [object(), {1, 2}, [object()], {"a": {1}}, 1j])
def test_values_without_json_form_are_refused(value: Any) -> None:
    with pytest.raises(EncodeError):
        dumps_json(value)


def test_a_cycle_is_refused() -> None:
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(EncodeError):
        dumps_json(loop)


@pytest.mark.parametrize("name", ["json", "msgpack", "yaml"])
def test_each_serializer_reads_what_it_wrote(name: str) -> None:
    value = {"a": [1, None, "é", 1.5], "b": {"c": True}}
    mime, encoding, raw = dumps(value, name)
    assert loads(raw, mime, encoding, accept_types([name])) == value
    with pytest.raises(ContentDisallowed):
        loads(raw, mime, encoding, frozenset())


def test_raw_takes_bytes_and_text() -> None:
    accept = accept_types(["raw"])
    assert loads(*_turned(dumps(b"\xff", "raw")), accept) == b"\xff"
    assert loads(*_turned(dumps("é", "raw")), accept) == "é"
    with pytest.raises(EncodeError):
        dumps(5, "raw")


def _turned(written: tuple[str, str, bytes]) -> tuple[bytes, str, str]:
    mime, encoding, raw = written
    return raw, mime, encoding


def test_pickle_needs_both_switches() -> None:
    with pytest.raises(ConfigError):
        accept_types(["pickle"])
    with pytest.raises(EncodeError):
        dumps([1], "pickle")
    mime, encoding, raw = dumps([1], "pickle", insecure=True)
    assert loads(raw, mime, encoding, accept_types(["pickle"], insecure=True)) == [1]
    with pytest.raises(ContentDisallowed):
        loads(raw, mime, encoding)


def test_unknown_names_are_refused() -> None:
    with pytest.raises(ConfigError):
        accept_types(["klingon"])
    with pytest.raises(EncodeError):
        dumps(1, "klingon")
    with pytest.raises(EncodeError):
        compress(b"x", "klingon")


@pytest.mark.parametrize("data", [b"\xc1", b"", b"\x91"])
def test_bad_msgpack_is_refused(data: bytes) -> None:
    with pytest.raises(DecodeError):
        loads(data, "application/x-msgpack", "binary", accept_types(["msgpack"]))


def test_yaml_makes_no_objects() -> None:
    with pytest.raises(DecodeError):
        loads(
            b"!!python/object/apply:os.getcwd []",
            "application/x-yaml",
            "utf-8",
            accept_types(["yaml"]),
        )


def test_text_in_another_encoding_is_read() -> None:
    assert loads('"é"'.encode("latin-1"), "application/json", "latin-1") == "é"


@pytest.mark.parametrize("name", ["gzip", "bzip2", "lzma", "zstd"])
def test_compression_has_a_limit_and_notices_cuts(name: str) -> None:
    data = b"abc" * 100_000
    mime, packed = compress(data, name)
    assert decompress(packed, mime) == data
    assert decompress(packed, name, len(data)) == data
    with pytest.raises(DecodeError) as caught:
        decompress(packed, mime, len(data) - 1)
    assert caught.value.reason == "too_large"
    for bad in (packed[: len(packed) // 2], b"garbage"):
        with pytest.raises(DecodeError) as caught:
            decompress(bad, mime)
        assert caught.value.reason == "bad_compression"


def test_times_go_both_ways() -> None:
    assert parse_time("2026-11-22T07:11:55.918792+00:00") == 1795331515.918792
    assert parse_time("2026-11-22T09:11:55+02:00") == parse_time("2026-11-22T07:11:55")
    zone = datetime.timezone(datetime.timedelta(hours=5))
    assert parse_time("2026-11-22T12:11:55", zone) == parse_time("2026-11-22T07:11:55Z")
    assert format_time(1795331515.918792) == "2026-11-22T07:11:55.918792+00:00"
    assert parse_time(format_time(1e30)) == parse_time("9999-12-31T23:59:59+00:00")
    with pytest.raises(DecodeError):
        parse_time("soon")


def test_ids_are_random_uuids() -> None:
    ids = {new_id() for _ in range(1000)}
    assert len(ids) == 1000
    for text in ids:
        parsed = uuid.UUID(text)
        assert (str(parsed), parsed.version, parsed.variant) == (text, 4, uuid.RFC_4122)
