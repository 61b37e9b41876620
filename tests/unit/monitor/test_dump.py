"""Dumps: Celery's lines to the byte, one line per event for people, JSON for programs."""

import io
import json
from pathlib import Path

import pytest
from celery.events.dumper import TASK_NAMES, Dumper

from tests.support.events import NOW, event, heartbeat, received
from tq.monitor.dump import CeleryDump, JsonDump, LineDump

FIXTURES = Path(__file__).parents[2] / "fixtures"
SAMPLES = sorted((FIXTURES / "events-redis").glob("*.json"))

STREAM = [
    heartbeat(0.0, kind="worker-online"),
    event(
        "task-sent",
        name="tasks.add",
        args="(1, 2)",
        kwargs="{}",
        retries=0,
        eta=None,
        expires=None,
        queue="q",
    ),
    received(at=0.5),
    event("task-started", at=1.0),
    event("task-succeeded", at=2.25, result="3", runtime=0.25),
    event("task-failed", "unknown", at=3.0, exception="E()", traceback="Traceback\n  line"),
    event("task-progress", at=3.5, percent=5),
    {"type": "custom-thing", "hostname": "gen1@h", "timestamp": NOW},
    heartbeat(4.0, kind="worker-offline"),
]


def celerys(events) -> str:
    TASK_NAMES.clear()  # Celery keeps them for the whole process
    out = io.StringIO()
    dumper = Dumper(out=out)
    for item in events:
        dumper.on_event(dict(item))
    return out.getvalue()


def test_lines_are_those_of_celery():
    ours = CeleryDump()
    assert "".join(f"{line}\n" for line in ours.lines(STREAM)) == celerys(STREAM)


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_captured_events_dump_as_celery_dumps_them(path):
    data = json.loads(path.read_text())
    body = (data["message"] if "message" in data else data["messages"][0])["decoded_body"]
    events = body if isinstance(body, list) else [body]
    assert "".join(f"{line}\n" for line in CeleryDump().lines(events)) == celerys(events)


def test_the_captured_dump_is_reproduced():
    wanted = json.loads((FIXTURES / "cli" / "events_dump.json").read_text())["stdout"].splitlines()
    dump = CeleryDump()
    beat = {
        "type": "worker-heartbeat", "hostname": "worker1@example-host", "timestamp": 1795332842.641573,
        "active": 0, "clock": 121, "freq": 2.0, "loadavg": [2.7, 3.15, 2.66], "local_received": 1795332842.6441207,
        "pid": 24768, "processed": 4, "sw_ident": "py-celery", "sw_sys": "Linux", "sw_ver": "5.7.0", "utcoffset": 0.0,
    }  # fmt: skip
    assert [*dump.header(), dump.line(beat)] == wanted[:2]


def test_labels_of_tasks_are_bounded():
    dump = CeleryDump()
    for number in range(5000):
        dump.line(received(f"id-{number}"))
    assert "tasks.add" not in dump.line(event("task-started", "id-0"))
    assert "tasks.add" in dump.line(event("task-started", "id-4999"))


def test_lines_for_people_are_single_and_name_the_task():
    dump = LineDump(utc=True)
    lines = list(dump.lines(STREAM))
    assert len(lines) == len(STREAM)
    assert all("\n" not in line for line in lines)
    assert "✔ succeeded w1@node1" in lines[4]
    assert lines[4].endswith("tasks.add id-1 0.25s 3")
    assert lines[5].endswith("? unknown E()")
    assert LineDump(ascii_only=True).line(STREAM[3]).isascii()


def test_lines_for_programs_are_the_event_and_what_we_know():
    dump = JsonDump("redis://:**@h/0", "2026-01-01T00:00:00Z")
    (header,) = map(json.loads, dump.header())
    assert header == {
        "tq": "header",
        "version": 1,
        "broker": "redis://:**@h/0",
        "started": "2026-01-01T00:00:00Z",
    }
    lines = [json.loads(line) for line in dump.lines(STREAM)]
    own = {name: value for name, value in STREAM[4].items() if name != "local_received"}
    assert lines[4] == {
        **own,
        "_recv": int((NOW + 2.25) * 1e9),
        "_name": "tasks.add",
        "_src": "live",
    }
    assert lines[5]["_name"] is None
    assert json.loads(dump.gap(1.0, None)) == {"tq": "gap", "from": 1.0, "to": None}
