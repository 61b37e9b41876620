"""Every captured event message: read it, write it again, compare."""

import json
from pathlib import Path
from typing import Any

import pytest

from tq.errors import EncodeError
from tq.wire.envelope import Message, decode_envelope
from tq.wire.event import decode_events, encode_events

FIXTURES = Path(__file__).parents[2] / "fixtures"
NOW = 1795331760.0


def messages() -> list[Any]:
    cases = []
    for folder in ("events-redis", "events-amqp"):
        for path in sorted((FIXTURES / folder).glob("*.json")):
            data = json.loads(path.read_text())
            found = [data.get("message"), *data.get("events", [])]
            found.append(data.get("published_individually_example"))
            for index, item in enumerate(filter(None, found)):
                if "raw" in item or "body" in item:
                    cases.append(pytest.param(item, id=f"{folder}-{path.stem}-{index}"))
    return cases


def message_of(case: dict[str, Any]) -> Message:
    if "raw" in case:
        return decode_envelope(case["raw"].encode())
    properties = case["properties"]
    return Message(
        body=case["body"].encode(),
        headers=properties["headers"],
        exchange=case["exchange"],
        routing_key=case["routing_key"],
        delivery_mode=properties["delivery_mode"],
        content_type=properties["content_type"],
        content_encoding=properties["content_encoding"],
    )


@pytest.mark.parametrize("case", messages())
def test_events_are_read_as_captured(case: dict[str, Any]) -> None:
    message = message_of(case)
    expected = case.get("decoded_body") or json.loads(message.body)
    expected = expected if isinstance(expected, list) else [expected]
    found = decode_events(message, now=NOW, own_offset=0.0)
    assert found == [{**event, "local_received": NOW} for event in expected]


@pytest.mark.parametrize("case", messages())
def test_events_are_written_as_captured(case: dict[str, Any]) -> None:
    message = message_of(case)
    content = json.loads(message.body)
    again = encode_events(
        content if isinstance(content, list) else [content],
        message.headers["hostname"],
        "celeryev",
        message.exchange_type,
        batch=isinstance(content, list),
    )
    assert json.loads(again.body) == content
    again.body = message.body
    assert again == message


def test_there_are_events_of_every_form() -> None:
    forms = {type(json.loads(message_of(case.values[0]).body)) for case in messages()}
    assert forms == {list, dict}


def test_time_is_moved_to_the_receivers_zone() -> None:
    event = {"type": "task-started", "hostname": "a@b", "uuid": "u", "timestamp": 1000.0}
    east = encode_events([{**event, "utcoffset": -2.0}], "a@b")
    (found,) = decode_events(east, now=NOW, own_offset=-5.5)
    assert found["timestamp"] == 1000.0 - (-2.0 + 5.5) * 3600


def test_one_batch_holds_one_group_only() -> None:
    with pytest.raises(EncodeError):
        encode_events([{"type": "task-started"}, {"type": "worker-online"}], "a@b")


def test_values_that_json_lacks_are_marked_in_events() -> None:
    message = encode_events([{"type": "a-b", "hostname": "h", "data": b"x", "n": [1.5, 2]}], "h")
    assert json.loads(message.body)["data"] == {"__type__": "bytes", "__value__": "x"}
    assert decode_events(message, now=NOW)[0]["data"] == b"x"


ODD = [
    ({"timestamp": "noon"}, "timestamp", NOW),
    ({"timestamp": float("nan")}, "timestamp", NOW),
    ({"timestamp": -5}, "timestamp", NOW),
    ({"timestamp": 1e18}, "timestamp", NOW),
    ({"clock": "5"}, "clock", 0),
    ({"clock": -1}, "clock", 0),
    ({"clock": 1 << 63}, "clock", 0),
    ({"utcoffset": 1e6}, "utcoffset", 0.0),
    ({"utcoffset": None}, "utcoffset", 0.0),
    ({"type": "worker-heartbeat", "freq": -1}, "freq", 2.0),
    ({"type": "worker-heartbeat", "freq": "2"}, "freq", 2.0),
    ({"type": "worker-heartbeat", "loadavg": "high"}, "loadavg", None),
    ({"type": "worker-heartbeat", "active": "3"}, "active", None),
    ({"exception": {"a": 1}}, "exception", None),
    ({"traceback": ["line"] * 100_000}, "traceback", None),
    ({"name": 5}, "name", None),
    ({"runtime": "fast"}, "runtime", None),
    ({"runtime": float("inf")}, "runtime", None),
    ({"retries": -1}, "retries", None),
    ({"parent_id": "x" * 1_000_000}, "parent_id", None),
]


@pytest.mark.parametrize(("fields", "name", "expected"), ODD)
def test_odd_fields_get_a_default_or_are_left_out(
    fields: dict[str, Any], name: str, expected: Any
) -> None:
    event = {"type": "task-failed", "hostname": "a@b", "uuid": "u", "timestamp": 5.0, **fields}
    (found,) = decode_events(Message(body=json.dumps(event).encode()), now=NOW, own_offset=0.0)
    assert found.get(name) == expected


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"type": 5}, "bad_type"),
        ({"type": ""}, "bad_type"),
        ({"type": "task-" + "x" * 5000}, "bad_type"),
        ({"hostname": 5}, "bad_hostname"),
        ({"hostname": "h" * 5000}, "bad_hostname"),
        ({"uuid": None}, "bad_uuid"),
        ({"uuid": 7}, "bad_uuid"),
        ({"uuid": "u" * 1_000_000}, "bad_uuid"),
    ],
)
def test_useless_events_are_left_out_and_reported(fields: dict[str, Any], reason: str) -> None:
    good = {"type": "task-started", "hostname": "a@b", "uuid": "u", "timestamp": 5.0}
    reported: list[str] = []
    body = json.dumps([good, {**good, **fields}, 5, None, "junk", good]).encode()
    found = decode_events(Message(body=body), on_bad=lambda why, _: reported.append(why))
    assert len(found) == 2
    assert reported == [reason, "not_object", "not_object", "not_object"]


def test_long_text_is_cut() -> None:
    event = {"type": "task-succeeded", "hostname": "a@b", "uuid": "u", "result": "x" * 15_000_000}
    (found,) = decode_events(Message(body=json.dumps(event).encode()))
    assert len(found["result"]) < 70_000
