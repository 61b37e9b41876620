"""Task messages that make no sense: each is refused with a reason, or read with defaults.

Nothing but `DecodeError` comes out, and nothing takes more than a moment.
Source: RELIABILITY 6.1, whose names the cases carry.
"""

from contextlib import suppress

import msgspec
import pytest

from tests.support.bad_messages import (
    CELERY_CASES,
    GOOD,
    READ,
    REFUSED,
    with_headers,
    with_properties,
)
from tq.errors import DecodeError
from tq.wire.envelope import decode_envelope, encode_envelope
from tq.wire.message import TaskBody, TaskHeaders, read_body, read_headers


def test_half_a_surrogate_pair_becomes_something_that_can_be_written() -> None:
    for raw in (READ["surrogate"][0], with_properties(correlation_id="\udc00", new=["\ud800x"])):
        message = decode_envelope(raw)
        msgspec.msgpack.encode(message)
    assert decode_envelope(READ["surrogate"][0]).headers["x"] == "\ufffd"
    assert decode_envelope(with_headers(x="\ud83d\ude00")).headers["x"] == "\U0001f600"


def read(raw: bytes) -> tuple[TaskHeaders, TaskBody]:
    message = decode_envelope(raw)
    found = read_headers(message), read_body(message)
    # What was read can be put back for others to read.
    again = decode_envelope(encode_envelope(message, "tag"))
    assert repr(again.headers) == repr(message.headers)
    assert again.body == message.body
    return found


@pytest.mark.timeout(5)
@pytest.mark.parametrize(("raw", "reason"), REFUSED.values(), ids=REFUSED)
def test_unusable_message_is_refused_with_its_bytes(raw: bytes, reason: str) -> None:
    with pytest.raises(DecodeError) as caught:
        read(raw)
    assert caught.value.reason == reason
    assert caught.value.raw or reason == "not_json"
    assert len(str(caught.value)) < 1000


@pytest.mark.timeout(5)
@pytest.mark.parametrize(("raw", "defaulted"), READ.values(), ids=READ)
def test_usable_message_is_read_with_defaults(raw: bytes, defaulted: tuple[str, ...]) -> None:
    found, _ = read(raw)
    assert found.defaulted == defaulted
    plain = TaskHeaders(task="t", id="i")
    for name in defaulted:
        assert getattr(found, name) == getattr(plain, name)


def test_the_whole_catalogue_is_covered() -> None:
    assert len(CELERY_CASES) == 97
    assert set(CELERY_CASES) <= REFUSED.keys() | READ.keys()
    assert not REFUSED.keys() & READ.keys()


def test_properties_that_make_no_sense_get_their_default() -> None:
    message = decode_envelope(
        with_properties(
            priority="x", reply_to={}, correlation_id=1, delivery_info=None, expiration=5
        )
    )
    assert (message.priority, message.reply_to, message.correlation_id) == (0, None, None)
    assert (message.exchange, message.routing_key, message.expiration) == ("", "", None)
    assert decode_envelope(with_properties(priority=10**9)).priority == 9
    assert decode_envelope(with_properties(priority=-5)).priority == 0


def test_long_integers_stay_text() -> None:
    _, body = read(READ["big_int"][0])
    assert body.args == ["9" * 100_000]


@pytest.mark.timeout(10)
@pytest.mark.parametrize("position", range(0, len(GOOD), 7))
def test_a_damaged_byte_never_raises_another_error(position: int) -> None:
    for byte in (0, 0x22, 0x5C, 0x7B, 0xFF):
        damaged = GOOD[:position] + bytes([byte]) + GOOD[position + 1 :]
        for raw in (damaged, GOOD[:position] + GOOD[position + 3 :]):
            with suppress(DecodeError):
                read(raw)
