"""The stream of events: chosen, counted, recorded, replayed, begun with what is there."""

import json
from collections.abc import Iterator

import pytest
import redis

from tests.support.processes import BIN, Process
from tests.support.services import redis_server
from tests.support.waiting import eventually

pytestmark = [pytest.mark.timeout(90), pytest.mark.xdist_group("cli")]


def stream(tq, server, *argv: str) -> list[str]:
    """Run `tq events ...` until it ends by itself, with work for the worker meanwhile."""
    with Process([str(BIN / "tq"), "-b", server.url, "events", *argv], server.url) as listening:

        def ended() -> bool:
            # Sent again and again: nothing tells when the listener hears.
            for text in ("no luck", "bad luck"):
                tq("call", "peer.fail", "-a", json.dumps([text]))
            tq("call", "peer.add", "-a", "[1, 1]")
            return listening.process.poll() is not None

        eventually(ended, within=40, every=0.2)
        assert listening.process.returncode == 0, listening.output()
        return listening.output().splitlines()


def objects(lines: list[str]) -> list[dict]:
    return [json.loads(line) for line in lines if line.startswith("{")]


@pytest.fixture
def sleeper(tq) -> Iterator[str]:
    task_id = tq("call", "peer.sleep", "-a", "[600]").stdout.strip()
    eventually(lambda: task_id in tq("inspect", "active", "-j").stdout, within=20)
    yield task_id
    tq("control", "terminate", "KILL", task_id)
    eventually(lambda: task_id not in tq("inspect", "active", "-j").stdout, within=20)


def test_only_events_of_tasks_that_match_are_printed(tq, server):
    lines = stream(tq, server, "-j", "--where", "name:peer.fail", "--limit", "6")
    events = [event for event in objects(lines) if "type" in event]
    assert len(events) == 6
    assert {event["_name"] for event in events} == {"peer.fail"}
    # Only the first of a task's events names it: the others are found by what is known of the task.
    assert {"task-received", "task-failed"} <= {event["type"] for event in events}


def test_it_ends_with_the_event_whose_task_matches(tq, server):
    where = "name:peer.fail args:bad"
    lines = stream(tq, server, "-j", "--where", where, "--until", f"{where} state:failure")
    events = [event for event in objects(lines) if "type" in event]
    assert events[-1]["type"] == "task-failed"
    assert [event["type"] for event in events].count("task-failed") == 1


def test_what_workers_hold_comes_first(tq, server, sleeper):
    lines = stream(tq, server, "-j", "--bootstrap", "--where", f"id:{sleeper}", "--limit", "2")
    header, received, started = objects(lines)
    assert header["tq"] == "header"
    assert (received["type"], received["uuid"], received["name"]) == (
        "task-received", sleeper, "peer.sleep",
    )  # fmt: skip
    assert (started["type"], started["hostname"]) == ("task-started", "w1@here")
    assert {received["_src"], started["_src"]} == {"inspect"}
    worker = stream(tq, server, "-j", "--bootstrap", "--types", "worker-*", "--limit", "1")
    assert objects(worker)[1]["hostname"] == "w1@here"


def test_rates_are_printed_instead_of_events(tq, server):
    lines = stream(tq, server, "--stats", "500ms", "--for", "6s", "-j", "--types", "task-*")
    rows = objects(lines)
    assert {row["tq"] for row in rows} == {"rates"}
    assert sum(row["failed"] * row["seconds"] for row in rows) >= 1
    assert max(row["workers"] for row in rows) == 1
    plain = stream(tq, server, "--stats", "500ms", "--for", "1s")
    assert plain[0].split()[2] == "EVENTS"


def test_a_recording_is_replayed_as_it_was(tq, server, tmp_path):
    path = tmp_path / "events.jsonl"
    printed = stream(
        tq, server, "--types", "task-*", "--where", "name:peer.fail",
        "--record", str(path), "--limit", "5",
    )  # fmt: skip
    assert path.stat().st_mode & 0o777 == 0o600
    replayed = tq("events", "--replay", str(path), "--dump")
    assert replayed.returncode == 0
    assert replayed.stdout.splitlines() == printed
    again = tq("events", "--replay", str(path), "-o", "jsonl").stdout.splitlines()
    assert again[1:] == path.read_text().splitlines()[1:]
    failed = tq("events", "--replay", str(path), "--types", "task-failed", "-o", "line")
    assert "peer.fail" in failed.stdout
    assert failed.stdout.count("\n") == sum('"task-failed"' in line for line in again)


def test_recordings_are_not_overwritten_and_others_not_replayed(tq, tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("hello\n")
    done = tq("events", "--record", str(path), "--for", "0.1")
    assert (done.returncode, path.read_text()) == (2, "hello\n")
    assert "is there already" in done.stderr
    done = tq("events", "--replay", str(path))
    assert (done.returncode, done.stdout) == (2, "")
    assert "no recording" in done.stderr


def test_a_recording_that_cannot_be_made_is_one_line(tq):
    done = tq("events", "--replay", "/dev/null", "--record", "/dev/full/x")
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) <= 2


def test_a_time_without_the_broker_is_recorded_with_its_end(tmp_path):
    path = tmp_path / "events.jsonl"
    with redis_server(tcp=True) as broker, redis.Redis(port=broker.port) as client:
        argv = ["events", "--dump", "--record", str(path)]
        with Process([str(BIN / "tq"), "-b", broker.url, *argv], broker.url) as listening:
            eventually(lambda: client.pubsub_numpat() > 0, within=30, every=0.05)
            broker.kill()
            listening.wait_for("Connection lost, attempting reconnect")
            broker.start()
            eventually(lambda: '"gap"' in path.read_text(), within=30, every=0.05)
            assert listening.stop() == 130
    (gap,) = [line for line in objects(path.read_text().splitlines()) if line["tq"] == "gap"]
    assert gap["from"] < gap["to"]
