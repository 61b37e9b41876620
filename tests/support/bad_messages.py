"""Task messages that make no sense, as bytes in a Redis list, by the names of the catalogue.

Source: RELIABILITY 6.1.
"""

import base64
import bz2
import json
import pickle
import zlib
from typing import Any

import pytest

EMBED = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}
BODY = [[2, 3], {}, EMBED]
MISSING = object()


def headers(**changes: Any) -> dict[str, Any]:
    wire = {
        "lang": "py",
        "task": "tasks.add",
        "id": "c189604e-dd73-496e-bfcc-3fa058132103",
        "shadow": None,
        "eta": None,
        "expires": None,
        "group": None,
        "group_index": None,
        "retries": 0,
        "timelimit": [None, None],
        "root_id": "c189604e-dd73-496e-bfcc-3fa058132103",
        "parent_id": None,
        "argsrepr": "(2, 3)",
        "kwargsrepr": "{}",
        "origin": "gen1@host",
        "ignore_result": False,
        "replaced_task_nesting": 0,
        "stamped_headers": None,
        "stamps": {},
        **changes,
    }
    return {key: value for key, value in wire.items() if value is not MISSING}


def properties(**changes: Any) -> dict[str, Any]:
    found = {
        "correlation_id": "c189604e-dd73-496e-bfcc-3fa058132103",
        "reply_to": "d999b0be-7e0d-3862-bb81-32e65630b1ba",
        "delivery_mode": 2,
        "delivery_info": {"exchange": "", "routing_key": "celery"},
        "priority": 0,
        "body_encoding": "base64",
        "delivery_tag": "dc8123f4-8cbc-427e-bb86-44514cce9e43",
        **changes,
    }
    return {key: value for key, value in found.items() if value is not MISSING}


def envelope(**changes: Any) -> bytes:
    found = {
        "body": b64(json.dumps(BODY).encode()),
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": headers(),
        "properties": properties(),
    }
    found.update({name.replace("_", "-"): value for name, value in changes.items()})
    return json.dumps({k: v for k, v in found.items() if v is not MISSING}).encode()


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def with_body(body: Any, **changes: Any) -> bytes:
    return envelope(body=b64(json.dumps(body).encode()), **changes)


def with_bytes(data: bytes, **changes: Any) -> bytes:
    return envelope(body=b64(data), **changes)


def with_headers(**changes: Any) -> bytes:
    return envelope(headers=headers(**changes))


def with_properties(**changes: Any) -> bytes:
    return envelope(properties=properties(**changes))


def nested(levels: int) -> Any:
    return json.loads("[" * levels + "]" * levels)


GOOD = envelope()
PICKLED = pickle.dumps(tuple(BODY))
BIG = bytes(200_000_000)


class Bang:
    """Unpickling this would be seen."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (pytest.fail, ("a pickle was loaded",))


# Refused, with the reason.
REFUSED: dict[str, tuple[Any, str]] = {
    "env_not_json": (b"this is not json", "not_json"),
    "env_empty": (b"", "not_json"),
    "env_binary": (bytes(range(256)), "not_utf8"),
    "env_truncated": (GOOD[: len(GOOD) // 2], "not_json"),
    "env_null": (b"null", "bad_envelope"),
    "env_list": (b"[]", "bad_envelope"),
    "env_number": (b"5", "bad_envelope"),
    "env_string": (b'"text"', "bad_envelope"),
    "env_bom": (b"\xef\xbb\xbf" + GOOD, "not_json"),
    "env_empty_object": (b"{}", "bad_properties"),
    "no_properties": (envelope(properties=MISSING), "bad_properties"),
    "properties_null": (envelope(properties=None), "bad_properties"),
    "properties_list": (envelope(properties=[1]), "bad_properties"),
    "no_body": (envelope(body=MISSING), "no_body"),
    "body_null": (envelope(body=None), "no_body"),
    "body_number": (envelope(body=5), "no_body"),
    "no_content_type": (envelope(content_type=MISSING), "bad_content_type"),
    "no_headers": (envelope(headers=MISSING), "no_task"),
    "headers_null": (envelope(headers=None), "no_task"),
    "headers_empty": (envelope(headers={}), "no_task"),
    "headers_list": (envelope(headers=[]), "bad_headers"),
    "deep_headers": (with_headers(x=nested(200)), "too_deep"),
    "deep_nesting_env": (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "too_deep"),
    "bad_base64": (envelope(body="!!! not base64 !!!"), "bad_body_encoding"),
    "body_encoding_unknown": (with_properties(body_encoding="rot13"), "bad_body_encoding"),
    "body_encoding_list": (with_properties(body_encoding=["base64"]), "bad_body_encoding"),
    "body_not_utf8": (with_bytes(b"\xff\xfe\xfd"), "not_utf8"),
    "body_not_json": (with_bytes(b"{nope"), "not_json"),
    "body_empty": (with_bytes(b""), "not_json"),
    "body_string": (with_body("text"), "bad_body"),
    "body_number_json": (with_body(5), "bad_body"),
    "body_empty_list": (with_body([]), "bad_body"),
    "body_two_items": (with_body([[], {}]), "bad_body"),
    "body_four_items": (with_body([*BODY, 1]), "bad_body"),
    "body_dict": (with_body({"x": 1}), "bad_body"),
    "body_50MB": (with_bytes(bytes(50_000_000)), "too_large"),
    "args_not_list": (with_body([{"a": 1}, {}, EMBED]), "bad_args"),
    "args_string": (with_body(["abc", {}, EMBED]), "bad_args"),
    "args_null": (with_body([None, {}, EMBED]), "bad_args"),
    "kwargs_not_dict": (with_body([[], [1], EMBED]), "bad_kwargs"),
    "embed_not_dict": (with_body([[], {}, "x"]), "bad_embed"),
    "callbacks_garbage": (with_body([[], {}, {**EMBED, "callbacks": "x"}]), "bad_callbacks"),
    "callbacks_numbers": (with_body([[], {}, {**EMBED, "callbacks": [1]}]), "bad_callbacks"),
    "errbacks_garbage": (with_body([[], {}, {**EMBED, "errbacks": [{}]}]), "bad_errbacks"),
    "chain_garbage": (with_body([[], {}, {**EMBED, "chain": 7}]), "bad_chain"),
    "chord_garbage": (with_body([[], {}, {**EMBED, "chord": [1]}]), "bad_chord"),
    "task_null": (with_headers(task=None), "bad_task"),
    "task_number": (with_headers(task=5), "bad_task"),
    "task_list": (with_headers(task=["a"]), "bad_task"),
    "task_empty": (with_headers(task=""), "bad_task"),
    "task_long": (with_headers(task="x" * 200_000), "bad_task"),
    "id_missing": (with_headers(id=MISSING), "bad_id"),
    "id_null": (with_headers(id=None), "bad_id"),
    "id_number": (with_headers(id=5), "bad_id"),
    "id_list": (with_headers(id=["a"]), "bad_id"),
    "id_long": (with_headers(id="x" * 1_000_000), "bad_id"),
    "pickle_body": (
        with_bytes(pickle.dumps(Bang()), content_type="application/x-python-serialize"),
        "content_disallowed",
    ),
    "pickle_labelled_json": (with_bytes(PICKLED), "not_utf8"),
    "yaml_body": (
        with_bytes(b"!!python/object/apply:os.system [id]", content_type="application/x-yaml"),
        "content_disallowed",
    ),
    "content_type_unknown": (envelope(content_type="application/klingon"), "content_disallowed"),
    "content_type_number": (envelope(content_type=5), "bad_content_type"),
    "content_encoding_unknown": (envelope(content_encoding="klingon"), "bad_encoding"),
    "eta_garbage": (with_headers(eta="tomorrow"), "bad_eta"),
    "eta_number": (with_headers(eta=1795331760), "bad_eta"),
    "expires_garbage": (with_headers(expires="never"), "bad_expires"),
    "expires_list": (with_headers(expires=[1]), "bad_expires"),
    "compression_garbage": (
        with_headers(compression="application/x-gzip"),
        "bad_compression",
    ),
    "compression_unknown": (with_headers(compression="application/x-nope"), "unknown_compression"),
    "compression_number": (with_headers(compression=5), "unknown_compression"),
    "datetime_marker_garbage": (
        with_body([[{"__type__": "datetime", "__value__": "noon"}], {}, EMBED]),
        "bad_marker",
    ),
    "type_marker_unknown": (
        with_body([[{"__type__": "os.system", "__value__": "id"}], {}, EMBED]),
        "bad_marker",
    ),
    "type_marker_list": (
        with_body([[{"__type__": [1], "__value__": "id"}], {}, EMBED]),
        "bad_marker",
    ),
    "uuid_marker_garbage": (
        with_body([[{"__type__": "uuid", "__value__": {"int": 5}}], {}, EMBED]),
        "bad_marker",
    ),
    "decimal_marker_garbage": (
        with_body([[{"__type__": "decimal", "__value__": "1..2"}], {}, EMBED]),
        "bad_marker",
    ),
    "deep_nesting_body": (with_bytes(b"[" * 100_000 + b"]" * 100_000), "too_deep"),
    "deep_nesting_body_500": (with_body([nested(500), {}, EMBED]), "too_deep"),
    "gzip_bomb_200MB": (
        with_bytes(zlib.compress(BIG, 1), headers=headers(compression="gzip")),
        "too_large",
    ),
    "zlib_bomb_200MB": (
        with_bytes(zlib.compress(BIG, 1), headers=headers(compression="application/x-gzip")),
        "too_large",
    ),
    "bz2_bomb_100MB": (
        with_bytes(bz2.compress(BIG[:100_000_000], 1), headers=headers(compression="bzip2")),
        "too_large",
    ),
    "zlib_truncated": (
        with_bytes(
            zlib.compress(json.dumps(BODY).encode())[:-6], headers=headers(compression="gzip")
        ),
        "bad_compression",
    ),
}
# Read, with the fields that got their default.
READ: dict[str, tuple[bytes, tuple[str, ...]]] = {
    "env_nan": (with_headers(x=float("nan")), ()),
    "env_dup_keys": (GOOD[:-1] + b', "content-type": "application/json"}', ()),
    "no_delivery_tag": (with_properties(delivery_tag=MISSING), ()),
    "delivery_tag_dict": (with_properties(delivery_tag={}), ()),
    "no_delivery_info": (with_properties(delivery_info=MISSING), ()),
    "delivery_info_null": (with_properties(delivery_info=None), ()),
    "delivery_info_no_exchange": (with_properties(delivery_info={}), ()),
    "embed_null": (with_body([[], {}, None]), ()),
    "kwargs_bad_key": (with_body([[], {"not an identifier!": 1, "": 2}, EMBED]), ()),
    "wrong_arity": (with_body([[1] * 50, {}, EMBED]), ()),
    "unknown_task": (with_headers(task="no.such.task"), ()),
    "task_ansi": (with_headers(task="\x1b[31mred"), ()),
    "task_newlines": (with_headers(task="a\nb\r\nc"), ()),
    "argsrepr_ansi": (with_headers(argsrepr="\x1b]52;c;x\x07"), ()),
    "argsrepr_number": (with_headers(argsrepr=5), ("argsrepr",)),
    "eta_year_9999": (with_headers(eta="9999-12-31T23:59:59+00:00"), ()),
    "eta_year_1": (with_headers(eta="0001-01-01T00:00:00"), ()),
    "retries_string": (with_headers(retries="three"), ("retries",)),
    "retries_negative": (with_headers(retries=-1), ("retries",)),
    "retries_huge": (with_headers(retries=10**30), ("retries",)),
    "nesting_negative": (with_headers(replaced_task_nesting=-1), ("replaced_task_nesting",)),
    "timelimit_garbage": (with_headers(timelimit="soon"), ("timelimit",)),
    "timelimit_strings": (with_headers(timelimit=["1", "2"]), ("timelimit",)),
    "timelimit_negative": (with_headers(timelimit=[-1, None]), ("timelimit",)),
    "timelimit_nan": (with_headers(timelimit=[float("nan"), None]), ("timelimit",)),
    "timelimit_infinite": (with_headers(timelimit=[None, float("inf")]), ("timelimit",)),
    "timelimit_short": (with_headers(timelimit=[1]), ("timelimit",)),
    "id_path": (with_headers(id="../../etc/passwd"), ()),
    "id_newline": (with_headers(id="a\nb"), ()),
    "priority_string": (with_properties(priority="high"), ()),
    "priority_huge": (with_properties(priority=10**9), ()),
    "priority_negative": (with_properties(priority=-5), ()),
    "reply_to_dict": (with_properties(reply_to={}), ()),
    "correlation_id_number": (with_properties(correlation_id=5), ()),
    "origin_number": (with_headers(origin=5), ("origin",)),
    "group_number": (with_headers(group=5), ("group",)),
    "group_index_string": (with_headers(group_index="0"), ("group_index",)),
    "root_id_number": (with_headers(root_id=5), ("root_id",)),
    "stamps_garbage": (with_headers(stamps="x"), ("stamps",)),
    "stamped_headers_garbage": (with_headers(stamped_headers=[1]), ("stamped_headers",)),
    "ignore_result_string": (with_headers(ignore_result="no"), ("ignore_result",)),
    "two_bad_fields": (with_headers(retries="x", stamps=5), ("retries", "stamps")),
    "reserved_names": (with_headers(custom=5, defaulted="x"), ()),
    "surrogate": (with_headers(x="\ud800"), ()),
    "surrogate_in_args": (with_body([["\ud800"], {}, EMBED]), ()),
    "big_int": (with_bytes(b"[[" + b"9" * 100_000 + b"],{},{}]"), ()),
    "same_tag_twice": (GOOD, ()),
}

# The catalogue's own names.
CELERY_CASES = [
    "no_body",
    "body_null",
    "no_content_type",
    "body_empty_list",
    "body_two_items",
    "body_dict",
    "task_list",
    "timelimit_garbage",
    "timelimit_strings",
    "id_list",
    "stamps_garbage",
    "env_not_json",
    "env_empty",
    "env_binary",
    "env_truncated",
    "env_null",
    "env_list",
    "env_number",
    "env_string",
    "env_bom",
    "properties_null",
    "properties_list",
    "body_number",
    "headers_list",
    "delivery_tag_dict",
    "bad_base64",
    "body_encoding_unknown",
    "deep_nesting_env",
    "deep_headers",
    "id_missing",
    "body_50MB",
    "env_empty_object",
    "env_dup_keys",
    "no_properties",
    "no_delivery_tag",
    "no_delivery_info",
    "delivery_info_null",
    "delivery_info_no_exchange",
    "env_nan",
    "no_headers",
    "headers_null",
    "headers_empty",
    "body_not_utf8",
    "body_not_json",
    "body_string",
    "args_not_list",
    "args_string",
    "kwargs_not_dict",
    "kwargs_bad_key",
    "embed_not_dict",
    "callbacks_garbage",
    "chain_garbage",
    "chord_garbage",
    "errbacks_garbage",
    "wrong_arity",
    "unknown_task",
    "task_null",
    "task_number",
    "task_long",
    "task_ansi",
    "task_newlines",
    "argsrepr_ansi",
    "argsrepr_number",
    "pickle_body",
    "pickle_labelled_json",
    "content_type_unknown",
    "content_encoding_unknown",
    "yaml_body",
    "eta_garbage",
    "eta_number",
    "eta_year_9999",
    "eta_year_1",
    "expires_garbage",
    "expires_list",
    "retries_string",
    "retries_negative",
    "timelimit_negative",
    "id_null",
    "id_number",
    "id_path",
    "id_newline",
    "priority_string",
    "priority_huge",
    "reply_to_dict",
    "origin_number",
    "group_number",
    "root_id_number",
    "compression_garbage",
    "compression_unknown",
    "datetime_marker_garbage",
    "type_marker_unknown",
    "surrogate",
    "big_int",
    "deep_nesting_body",
    "same_tag_twice",
    "gzip_bomb_200MB",
    "zlib_bomb_200MB",
]
