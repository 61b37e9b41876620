"""`tq beat -S module:Class`: entries from a file that changes while beat runs."""

import json
from collections import Counter

import pytest

from tests.integration.beat.conftest import sent
from tests.support.file_scheduler import replace
from tests.support.processes import BIN, Process, run_tq
from tests.support.waiting import eventually

NAME = "tests.support.file_scheduler:FileScheduler"
APP = ("-A", "tests.support.beat_app")


def row(name: str, every: float = 0.2, **more) -> dict:
    return {"name": name, "task": "beat.tick", "every": every, "queue": f"q-{name}", **more}


@pytest.mark.timeout(240)
def test_entries_follow_the_file(beat, store, server, tmp_path):
    entries = tmp_path / "entries.json"
    replace(entries, [row("a"), row("far", every=3600), row("off", enabled=False)])
    process = beat("-S", NAME, ENTRIES_FILE=str(entries))
    eventually(lambda: store.llen("q-a") >= 3, within=60)
    assert sent(store, "q-a")[0]["celery_beat_task"] is True

    replace(entries, [row("b"), row("far", every=0.2), row("off", enabled=False)])
    eventually(lambda: store.llen("q-b") >= 2 and store.llen("q-far") >= 2, within=60)
    gone = store.llen("q-a")
    before = store.llen("q-b")
    eventually(lambda: store.llen("q-b") >= before + 3, within=60)
    assert store.llen("q-a") == gone
    assert store.llen("q-off") == 0

    listed = run_tq(*APP, "schedules", "-S", NAME, "-j", url=server.url, ENTRIES_FILE=str(entries))
    rows = {found["name"]: found for found in json.loads(listed.stdout)}
    assert set(rows) == {"b", "far", "off"}
    assert rows["b"]["schedule"] == "every 0.2 seconds"
    assert rows["b"]["runs"] >= 2
    assert f":{process.pid}:" in listed.stderr

    assert process.stop() == 0
    kept = json.loads(entries.with_suffix(".kept").read_text())
    assert kept["b"]["runs"] == store.llen("q-b")
    assert "Traceback" not in process.output()


@pytest.mark.timeout(240)
def test_of_two_beats_with_it_one_sends_and_the_other_takes_over(beat, store, tmp_path):
    entries = tmp_path / "entries.json"
    replace(entries, [row("a")])
    env = {"ENTRIES_FILE": str(entries), "PEER_LEASE": "3"}
    first = beat("-S", NAME, **env)
    first.wait_for("this beat leads")
    second = beat("-S", NAME, **env)
    second.wait_for("standing by")
    eventually(lambda: store.llen("q-a") >= 4, within=60)
    first.kill_tree()
    second.wait_for("this beat leads")
    before = store.llen("q-a")
    eventually(lambda: store.llen("q-a") >= before + 4, within=60)
    assert second.stop() == 0
    ids = Counter(headers["id"] for headers in sent(store, "q-a"))
    assert max(ids.values()) == 1


@pytest.mark.timeout(240)
def test_a_scheduler_that_does_not_start_is_one_line_and_exit_2(server, tmp_path):
    done = run_tq(
        *APP, "beat", "-S", NAME, "--pidfile=",
        url=server.url, ENTRIES_FILE=str(tmp_path / "missing.json"),
    )  # fmt: skip
    assert done.returncode == 2
    assert "there is no" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.timeout(180)
def test_a_worker_takes_the_class_too(server, store, tmp_path):
    entries = tmp_path / "entries.json"
    replace(entries, [row("a")])
    argv = [str(BIN / "tq"), *APP, "worker", "-B", "--scheduler", NAME, "-P", "solo", "-l", "INFO"]
    env = {"ENTRIES_FILE": str(entries)}
    with Process([*argv, "-Q", "q-a"], server.url, **env) as worker:
        worker.wait_for("sent due task a (beat.tick)")
        eventually(lambda: any(store.scan_iter("celery-task-meta-*")), within=60)
        assert worker.stop() == 0
    refused = run_tq(*APP, "worker", "--scheduler", NAME, url=server.url, **env)
    assert refused.returncode == 2
    assert "--beat" in refused.stderr
