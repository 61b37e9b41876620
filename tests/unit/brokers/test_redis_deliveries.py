"""Marking lost deliveries without touching anything else."""

import json
from typing import Any

import pytest

from tq.brokers.redis.deliveries import count_loss, read_dead, read_dead_letter, read_delivery
from tq.errors import DecodeError
from tq.wire.envelope import Message, encode_envelope
from tq.wire.limits import LIMITS


def held(raw: bytes, queue: str = "q") -> bytes:
    return b"[" + raw + b',"",' + json.dumps(queue).encode() + b"]"


def test_a_loss_is_counted_in_the_headers() -> None:
    raw = encode_envelope(Message(body=b"[]", headers={"id": "1"}, priority=6), "tag")
    for expected in (1, 2, 3):
        returned = count_loss(held(raw, 'a"b'))
        assert (returned.deliveries, returned.queue, returned.priority) == (expected, 'a"b', 6)
        raw = returned.raw
    delivery = read_delivery("t", "q", raw, LIMITS)
    assert (delivery.redelivered, delivery.deliveries) == (True, 3)
    assert delivery.message.headers["id"] == "1"


def test_nothing_else_of_the_envelope_changes() -> None:
    source: dict[str, Any] = {
        "body": "x", "unknown": {"a": 1e308, "b": "\u00e9"}, "content-type": "a",
        "headers": {"big": 10**60, "deep": [[]]},
        "properties": {"delivery_info": {"exchange": "e", "routing_key": "r"}, "delivery_tag": "t"},
    }  # fmt: skip
    after = json.loads(count_loss(held(json.dumps(source).encode())).raw)
    assert after["headers"].pop("redelivered") is True
    assert after["headers"].pop("x-tq-deliveries") == 1
    assert after["properties"]["delivery_info"].pop("redelivered") is True
    assert after == source


def test_what_only_python_calls_json_is_counted_too() -> None:
    raw = b'{"body": "x", "headers": {"a": "\\ud800", "b": NaN}, "properties": {"priority": 3}}'
    returned = count_loss(held(raw))
    assert (returned.deliveries, returned.priority) == (1, 3)
    headers = json.loads(returned.raw)["headers"]
    assert headers["b"] is None
    assert headers["x-tq-deliveries"] == 1


@pytest.mark.parametrize("count", ['"5"', "-1", "null", "1e3", "[]", "99999999999999999999"])
def test_a_count_that_is_no_small_number_starts_again(count: str) -> None:
    raw = b'{"headers": {"x-tq-deliveries": %s}, "properties": {}}' % count.encode()
    assert count_loss(held(raw)).deliveries == 1


@pytest.mark.parametrize(
    "value", [b"", b"x", b"[]", b"[1,2,3]", b'[[],"","q"]', b'[{"headers":5},"","q"]', b"\xff"]
)
def test_what_is_no_envelope_is_a_decode_error(value: bytes) -> None:
    with pytest.raises(DecodeError):
        count_loss(value)
    assert read_dead("t", value, "why", LIMITS, 1.0).reason == "why"


@pytest.mark.parametrize("entry", [b"", b"x", b"{}\n", b'{"reason": 1}\nraw'])
def test_a_foreign_dead_letter_is_a_decode_error(entry: bytes) -> None:
    with pytest.raises(DecodeError):
        read_dead_letter(entry, LIMITS)
