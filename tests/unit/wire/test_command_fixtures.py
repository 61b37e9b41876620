"""Every captured control request and reply; and requests that make no sense."""

import json
import pickle
from pathlib import Path
from typing import Any

import pytest

from tq.errors import ContentDisallowed, DecodeError
from tq.wire.command import (
    Command,
    Reply,
    decode_command,
    decode_reply,
    encode_command,
    encode_reply,
)
from tq.wire.envelope import Message, decode_envelope, encode_envelope

FIXTURES = Path(__file__).parents[2] / "fixtures"
FOLDERS = ("control-inspect-redis", "control-control-redis", "control-amqp")


def cases(part: str) -> list[Any]:
    found = []
    for folder in FOLDERS:
        for path in sorted((FIXTURES / folder).glob("*.json")):
            data = json.loads(path.read_text()).get(part) or []
            for index, item in enumerate(data if isinstance(data, list) else [data]):
                if "raw" in item or "body" in item:
                    found.append(pytest.param(item, id=f"{folder}-{path.stem}-{index}"))
    return found


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


@pytest.mark.parametrize("case", cases("request"))
def test_request_is_written_as_captured(case: dict[str, Any]) -> None:
    message = message_of(case)
    again = encode_command(decode_command(message), message.exchange)
    assert json.loads(again.body) == json.loads(message.body)
    assert again.headers == message.headers
    assert again.delivery_mode == message.delivery_mode
    assert (again.exchange, again.routing_key) == (message.exchange, message.routing_key)
    if "raw" in case:
        tag = json.loads(case["raw"])["properties"]["delivery_tag"]
        again.body = message.body
        assert json.loads(encode_envelope(again, tag)) == json.loads(case["raw"])


@pytest.mark.parametrize("case", cases("replies"))
def test_reply_is_written_as_captured(case: dict[str, Any]) -> None:
    message = message_of(case)
    again = encode_reply(decode_reply(message), message.exchange, message.routing_key)
    assert json.loads(again.body) == json.loads(message.body)
    again.body = message.body
    assert again == message


def test_there_are_requests_and_replies() -> None:
    assert len(cases("request")) > 70
    assert len(cases("replies")) > 70


PING = {"method": "ping", "arguments": {}, "destination": None}
REFUSED = {
    "ctl_null": (None, "bad_body"),
    "ctl_list": ([], "bad_body"),
    "ctl_empty_object": ({}, "bad_method"),
    "ctl_no_method": ({"arguments": {}}, "bad_method"),
    "ctl_method_number": ({**PING, "method": 5}, "bad_method"),
    "ctl_method_long": ({**PING, "method": "x" * 10_000}, "bad_method"),
    "ctl_args_list": ({**PING, "arguments": [1]}, "bad_arguments"),
    "ctl_destination_number": ({**PING, "destination": 5}, "bad_destination"),
    "ctl_destination_text": ({**PING, "destination": "a@b"}, "bad_destination"),
    "ctl_destination_numbers": ({**PING, "destination": [1]}, "bad_destination"),
    "ctl_pattern_number": ({**PING, "pattern": 5}, "bad_pattern"),
    "ctl_matcher_unknown": ({**PING, "pattern": "*", "matcher": "magic"}, "bad_matcher"),
    "ctl_matcher_list": ({**PING, "pattern": "*", "matcher": []}, "bad_matcher"),
    "ctl_ticket_huge": ({**PING, "ticket": "t" * 1_000_000}, "bad_ticket"),
    "ctl_reply_to_garbage": ({**PING, "reply_to": "me"}, "bad_reply_to"),
    "ctl_reply_to_missing_keys": ({**PING, "reply_to": {"exchange": "x"}}, "bad_reply_to"),
    "ctl_reply_to_numbers": (
        {**PING, "reply_to": {"exchange": 1, "routing_key": 2}},
        "bad_reply_to",
    ),
}


@pytest.mark.parametrize(("body", "reason"), REFUSED.values(), ids=REFUSED)
def test_a_command_that_makes_no_sense_is_refused(body: Any, reason: str) -> None:
    message = Message(body=json.dumps(body).encode())
    with pytest.raises(DecodeError) as caught:
        decode_command(message)
    assert caught.value.reason == reason
    assert caught.value.raw == message.body


ACCEPTED = {
    "ctl_args_null": ({**PING, "arguments": None}, {}),
    "ctl_unknown_method": ({**PING, "method": "no_such"}, {}),
    "ctl_revoke_100k": ({**PING, "arguments": {"task_id": ["i" * 36] * 100_000}}, {}),
    "ctl_destination_100k": ({**PING, "destination": ["a@b"] * 100_000}, {}),
    "ctl_time_limit_garbage": ({**PING, "arguments": {"soft": float("nan")}}, {}),
    "ctl_clock_negative": (PING, {"clock": -1}),
    "ctl_clock_huge": (PING, {"clock": 1 << 63}),
    "ctl_clock_text": (PING, {"clock": "9"}),
    "ctl_expires_garbage": (PING, {"expires": "soon"}),
    "ctl_expires_nan": (PING, {"expires": float("nan")}),
}


@pytest.mark.timeout(5)
@pytest.mark.parametrize(("body", "headers"), ACCEPTED.values(), ids=ACCEPTED)
def test_a_command_with_a_bad_side_issue_is_read(body: Any, headers: dict[str, Any]) -> None:
    command = decode_command(Message(body=json.dumps(body).encode(), headers=headers))
    assert isinstance(command.arguments, dict)
    assert (command.clock, command.expires) == (0, 0.0)


def test_pickled_command_is_not_decoded() -> None:
    message = Message(body=pickle.dumps(PING), content_type="application/x-python-serialize")
    with pytest.raises(ContentDisallowed):
        decode_command(message)


@pytest.mark.parametrize("raw", [b"", b"not json", b"\xff\xfe", b"[" * 100_000])
def test_a_command_that_is_no_json_is_refused(raw: bytes) -> None:
    with pytest.raises(DecodeError):
        decode_command(Message(body=raw))


@pytest.mark.parametrize("body", [{}, {"a": 1, "b": 2}, [1], None, "text", {"": 1}])
def test_a_reply_that_is_none_is_refused(body: Any) -> None:
    with pytest.raises(DecodeError):
        decode_reply(Message(body=json.dumps(body).encode()))


def test_a_command_without_reply_carries_no_ticket() -> None:
    body = json.loads(encode_command(Command(method="ping", ticket="t")).body)
    assert "ticket" not in body
    assert "reply_to" not in body


def test_a_reply_keeps_any_value() -> None:
    message = encode_reply(Reply(node="a@b", value=None, ticket="t", clock=3), "x", "k")
    assert decode_reply(message) == Reply(node="a@b", value=None, ticket="t", clock=3)
