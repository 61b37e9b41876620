"""Every captured task message: read it, write it again, compare."""

import json
import pickle
from base64 import b64decode
from pathlib import Path
from typing import Any

import pytest

from tq.errors import ContentDisallowed
from tq.wire.envelope import Message, decode_envelope, encode_envelope
from tq.wire.message import TaskBody, TaskHeaders, encode_task, read_body, read_headers
from tq.wire.serialization import accept_types, dumps_json, loads_json

FIXTURES = Path(__file__).parents[2] / "fixtures"
ALL = accept_types(["json", "msgpack", "yaml", "pickle"], insecure=True)
SERIALIZERS = {
    "application/json": "json",
    "application/x-msgpack": "msgpack",
    "application/x-yaml": "yaml",
    "application/x-python-serialize": "pickle",
}


def redis_messages() -> list[Any]:
    cases = []
    for path in sorted((FIXTURES / "task-messages-redis").glob("*.json")):
        for index, message in enumerate(json.loads(path.read_text()).get("messages", [])):
            if "raw" in message:
                cases.append(pytest.param(message, id=f"{path.stem}-{index}"))
    return cases


def amqp_messages() -> list[Any]:
    cases = []
    for path in sorted((FIXTURES / "task-messages-amqp").glob("*.json")):
        for index, message in enumerate(json.loads(path.read_text())["task_messages"]):
            cases.append(pytest.param(message, id=f"{path.stem}-{index}"))
    return cases


def is_signed(message: Message) -> bool:
    return message.content_type == "application/data"


def written_again(message: Message, headers: TaskHeaders, body: TaskBody) -> Message:
    protocol = 2 if "task" in message.headers else 1
    return encode_task(
        headers,
        body,
        serializer=SERIALIZERS[message.content_type],
        compression=headers.compression,
        protocol=protocol,
        insecure=True,
        exchange=message.exchange,
        exchange_type=message.exchange_type,
        routing_key=message.routing_key,
        priority=message.priority,
        reply_to=message.reply_to,
        delivery_mode=message.delivery_mode,
        expiration=message.expiration,
        properties=message.properties,
    )


def normal(value: Any) -> Any:
    """Lists and tuples alike: JSON has no tuples."""
    return json.loads(dumps_json(value))


@pytest.mark.parametrize("case", redis_messages())
def test_redis_envelope_is_written_as_it_was_read(case: dict[str, Any]) -> None:
    message = decode_envelope(case["raw"].encode())
    original = json.loads(case["raw"])
    tag = original["properties"]["delivery_tag"]

    again = json.loads(encode_envelope(message, tag))

    assert again == original
    if message.properties is None:
        assert list(again["properties"]) == list(original["properties"])
        assert list(again["headers"]) == list(original["headers"])
        assert list(again) == list(original)


@pytest.mark.parametrize("case", redis_messages())
def test_redis_task_is_written_as_it_was_read(case: dict[str, Any]) -> None:
    message = decode_envelope(case["raw"].encode())
    if is_signed(message):
        with pytest.raises(ContentDisallowed):
            read_body(message, ALL)
        return
    headers, body = read_headers(message, ALL), read_body(message, ALL)
    assert headers.defaulted == ()

    again = written_again(message, headers, body)

    assert again.headers == message.headers
    assert [k for k in again.headers if k != "compression"] == [
        k for k in message.headers if k != "compression"
    ]
    assert read_headers(again, ALL) == headers
    assert normal(_plain(read_body(again, ALL))) == normal(_plain(body))
    assert again.correlation_id == message.correlation_id == headers.id
    assert (again.content_type, again.content_encoding) == (
        message.content_type,
        message.content_encoding,
    )


@pytest.mark.parametrize("case", redis_messages())
def test_redis_body_means_what_the_capture_says(case: dict[str, Any]) -> None:
    message = decode_envelope(case["raw"].encode())
    expected = case.get("decoded_body")
    if is_signed(message) or expected is None:
        return
    body = read_body(message, ALL)
    found = [body.args, body.kwargs, _plain(body)]
    if message.content_type == "application/x-python-serialize":
        args, kwargs, embed = pickle.loads(message.body)
        assert repr((args, kwargs, embed)) == expected["repr"]
        assert (body.args, body.kwargs) == (args, kwargs)
        return
    if message.content_type == "application/x-yaml":
        assert body.args == [1, 2]
        return
    if message.content_type == "application/x-msgpack":
        expected = expected["msgpack_decoded"]
    if isinstance(expected, dict):
        assert normal(body.args) == expected["args"]
        assert normal(body.kwargs) == expected["kwargs"]
        for name in ("callbacks", "errbacks", "chord"):
            assert normal(_plain(body)[name]) == expected[name]
        return
    assert normal(found) == expected


def _plain(body: TaskBody) -> dict[str, Any]:
    return {
        "callbacks": body.callbacks,
        "errbacks": body.errbacks,
        "chain": body.chain,
        "chord": body.chord,
    }


@pytest.mark.parametrize("case", amqp_messages())
def test_amqp_task_is_written_as_it_was_read(case: dict[str, Any]) -> None:
    properties = case["properties"]
    body_text = case["body"]
    # Bytes that are no UTF-8 are captured as base64.
    raw_body = body_text.encode() if isinstance(body_text, str) else b64decode(body_text["base64"])
    message = Message(
        body=raw_body,
        headers=properties["headers"],
        content_type=properties["content_type"],
        content_encoding=properties["content_encoding"],
        exchange=case["exchange"],
        routing_key=case["routing_key"],
        priority=properties["priority"],
        correlation_id=properties["correlation_id"],
        reply_to=properties["reply_to"],
        delivery_mode=properties["delivery_mode"],
        expiration=properties.get("expiration"),
    )
    headers, body = read_headers(message, ALL), read_body(message, ALL)
    again = written_again(message, headers, body)
    assert headers.defaulted == ()
    assert again.headers == message.headers
    assert read_body(again, ALL) == body
    if headers.compression is None and message.content_type == "application/json":
        assert loads_json(again.body) == loads_json(message.body)
    again.body = message.body
    assert again == message


def test_plain_call_has_exactly_the_captured_fields() -> None:
    case = json.loads((FIXTURES / "task-messages-redis" / "plain_delay.json").read_text())
    original = json.loads(case["messages"][0]["raw"])
    wire = original["headers"]
    message = encode_task(
        TaskHeaders(
            task=wire["task"],
            id=wire["id"],
            argsrepr=wire["argsrepr"],
            kwargsrepr=wire["kwargsrepr"],
            origin=wire["origin"],
        ),
        TaskBody(args=(2, 3)),
        routing_key="celery",
        reply_to=original["properties"]["reply_to"],
    )
    again = json.loads(encode_envelope(message, original["properties"]["delivery_tag"]))
    assert {**again, "body": None} == {**original, "body": None}
    assert list(again["headers"]) == list(wire)
    assert json.loads(message.body) == case["messages"][0]["decoded_body"]
