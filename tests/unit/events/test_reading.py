"""Events are the same whether read the fast or the careful way, and always harmless."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.events import NOW, event, heartbeat, received
from tq.events.reading import EventReader
from tq.saferepr import safe_text
from tq.wire.envelope import Message

FIXTURES = Path(__file__).parents[2] / "fixtures" / "events-redis"


def message(body) -> Message:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Message(body=raw, headers={"hostname": "w1@node1"})


def bare(item: dict) -> dict:
    return {name: value for name, value in item.items() if name != "local_received"}


def life(uuid: str = "id-1", **fields) -> list[dict]:
    steps = [
        received(uuid, **fields),
        event("task-started", uuid, 1.0),
        event("task-succeeded", uuid, 2.0, result="3", runtime=0.5),
    ]
    return [bare(step) for step in steps]


def test_the_second_reading_takes_the_fast_way_and_gives_the_same():
    reader = EventReader()
    first = reader.read(message(life()), NOW, 0.0)
    assert reader._read_known(message(life()), NOW, 0.0) == first
    assert all(item["local_received"] == NOW for item in first)


HOSTILE = st.one_of(
    st.none(), st.booleans(), st.integers(-5, 10**20), st.floats(-10, 1e300), st.text(max_size=20),
    st.sampled_from(["\x1b[31m", "\u202e", "x" * 600, "[red]", "a\nb", "\x7f", "é", 'q"\\']),
    st.lists(st.integers(), max_size=3), st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
)  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2), st.sampled_from([
    "name", "args", "result", "uuid", "hostname", "timestamp", "clock", "utcoffset", "runtime", "retries", "pid",
    "type", "eta", "odd", "odd\x1b", "local_received"]), HOSTILE), max_size=4))  # fmt: skip
def test_a_reader_that_knows_shapes_reads_like_one_that_does_not(changes):
    events = life()
    for index, name, value in changes:
        events[index][name] = value
    trained = EventReader()
    trained.read(message(life()), NOW, 0.0)
    trained.read(message(events), NOW, 0.0)
    again = trained.read(message(events), NOW, 0.0)
    fresh = EventReader().read(message(events), NOW, 0.0)
    assert again == fresh
    for item in again:
        for name, value in item.items():
            assert name.isprintable()
            if isinstance(value, str) and name != "traceback":
                assert value == safe_text(value)


@pytest.mark.parametrize("path", sorted(FIXTURES.glob("*.json")), ids=lambda path: path.stem)
def test_captured_events_are_read_in_full(path):
    data = json.loads(path.read_text())
    captured = data["message"] if "message" in data else data["messages"][0]
    body = captured["decoded_body"]
    events = EventReader().read(message(body), NOW, 0.0)
    wanted = body if isinstance(body, list) else [body]
    for item, original in zip(events, wanted, strict=True):
        assert item.pop("local_received") == NOW
        assert item == original


@pytest.mark.parametrize(
    ("body", "reason"),
    [(b"", None), (b"not json", None), (b"5", "bad_event"), (b"[5]", "not_object"), (b"[{}]", "bad_type"),
     (b'[{"type": "task-x", "hostname": "h"}]', "bad_uuid"), (b'{"type": 5}', "bad_type"), (b"[" * 100_000, None)],
)  # fmt: skip
def test_what_is_no_event_is_counted_and_left_out(body, reason):
    reader = EventReader()
    assert reader.read(message(body), NOW, 0.0) == []
    assert sum(reader.invalid.values()) == 1
    assert reason is None or reader.invalid == {reason: 1}


def test_junk_in_a_batch_costs_only_itself():
    reader = EventReader()
    events = reader.read(message([5, *life(), None, {"type": "task-x"}]), NOW, 0.0)
    assert [item["type"] for item in events] == ["task-received", "task-started", "task-succeeded"]
    assert sum(reader.invalid.values()) == 3


def test_texts_are_bounded_and_tracebacks_keep_their_lines():
    reader = EventReader()
    item = bare(
        event(
            "task-failed",
            exception="x" * 100_000,
            traceback="line\n" * 100_000 + "\x1b]8;;evil\x07",
        )
    )
    (found,) = reader.read(message(item), NOW, 0.0)
    assert len(found["exception"]) <= 4096
    assert len(found["traceback"]) <= 4096
    assert "\n" in found["traceback"]
    assert "\x1b" not in found["traceback"]


def test_times_are_shifted_from_the_senders_zone():
    reader = EventReader()
    for _ in range(2):
        (found,) = reader.read(message(bare(event("task-started") | {"utcoffset": -2.0})), NOW, 0.0)
        assert found["timestamp"] == NOW + 2 * 3600
        (plain,) = reader.read(message(bare(event("task-started"))), NOW, 0.0)
        assert plain["timestamp"] == NOW


def test_nested_and_numerous_fields_are_bounded():
    deep: list = []
    for _ in range(20):
        deep = [deep]
    item = bare(heartbeat(loadavg="no list", deep=deep, **{f"f{n}": n for n in range(500)}))
    (found,) = EventReader().read(message(item), NOW, 0.0)
    assert len(found) <= 70
    assert "loadavg" not in found
