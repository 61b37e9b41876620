"""Recorded events are read back as they were, and damaged files do no harm."""

import io
import json

import pytest

from tq.errors import ConfigError
from tqconsole.cli.event_sinks import json_lines
from tqconsole.cli.recording import GapLine, RecordedEvent, Recording

EVENTS = [
    {"type": "worker-heartbeat", "hostname": "w@h", "timestamp": 5.0, "utcoffset": -2, "clock": 1,
     "local_received": 6.0, "active": 1},
    {"type": "task-received", "hostname": "w@h", "timestamp": 5.5, "utcoffset": 0, "clock": 2,
     "local_received": 6.25, "uuid": "u", "name": "mail.send", "args": "(1,)", "kwargs": "{}"},
    {"type": "task-succeeded", "hostname": "w@h", "timestamp": 5.75, "utcoffset": 0, "clock": 3,
     "local_received": 6.5, "uuid": "u", "result": "3", "runtime": 0.25},
]  # fmt: skip


def recorded(*more: str) -> bytes:
    lines = json_lines("redis://h/0")
    written = [*lines.header(), *(lines.line(event) for event in EVENTS), *more]
    return "".join(f"{line}\n" for line in written).encode()


def read(raw: bytes):
    recording = Recording("file")
    return list(recording.read(io.BytesIO(raw))), recording


def test_events_come_back_as_they_were_written():
    items, recording = read(recorded())
    assert [item.event for item in items] == EVENTS
    assert [item.name for item in items] == [None, "mail.send", "mail.send"]
    assert recording.broker == "redis://h/0"
    assert not recording.invalid


def test_gaps_come_back():
    items, _ = read(recorded(json_lines("x").gap(7.0, 8.0), json_lines("x").gap(9.0, None)))
    assert items[-2:] == [GapLine(7.0, 8.0), GapLine(9.0, None)]


@pytest.mark.parametrize(
    "line",
    ["", "{", "[]", "3", '"text"', "null", '{"type": 3}', '{"type": "task-sent"}', "[" * 5000,
     '{"tq": "later"}', '{"type": "task-sent", "uuid": "u", "_recv": "x", "utcoffset": NaN}'],
)  # fmt: skip
def test_a_damaged_line_is_left_out_and_the_next_one_read(line):
    good = json.dumps({**EVENTS[0], "_recv": 6 * 10**9})
    items, _ = read(recorded(line, good))
    assert isinstance(items[-1], RecordedEvent)
    assert items[-1].event["type"] == "worker-heartbeat"


def test_texts_of_a_file_are_made_harmless():
    evil = json.dumps({**EVENTS[1], "name": "a\x1b[2Jb"})
    items, _ = read(recorded(evil))
    assert "\x1b" not in items[-1].event["name"]


@pytest.mark.parametrize("raw", [b"", b"\n", b"hello\n", b'{"type": "x"}\n', b"\xff\xfe\n",
                                 b'{"tq": "header", "version": 2}\n'])  # fmt: skip
def test_what_is_no_recording_is_refused(raw):
    with pytest.raises(ConfigError, match="--replay: file"):
        read(raw)
