"""What the command line changes is in the audit file; what only looks is not."""

import json
import uuid
from pathlib import Path

import pytest
import redis

from tests.support.waiting import eventually

pytestmark = [pytest.mark.timeout(90), pytest.mark.xdist_group("cli")]


@pytest.fixture
def audited(tq, tmp_path):
    """Run a command with an audit file of its own; gives what it wrote."""

    def run(*argv: str) -> list[dict]:
        before = len(lines(tmp_path))
        done = tq(*argv, XDG_STATE_HOME=str(tmp_path))
        assert "Traceback" not in done.stderr
        return lines(tmp_path)[before:]

    return run


def lines(folder: Path) -> list[dict]:
    path = folder / "tq" / "audit" / "local.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def test_a_control_command_is_written_before_and_after(audited):
    sent, answered = audited("control", "rate_limit", "peer.add", "100/s", "-d", "w1@here")
    assert sent["event"] == "sent"
    assert sent["command"] == "tq control rate_limit peer.add 100/s -dw1@here"
    assert (sent["method"], sent["destination"]) == ("rate_limit", ["w1@here"])
    assert sent["arguments"] == {"task_name": "peer.add", "rate_limit": "100/s"}
    assert "@" in sent["user"]
    assert answered["event"] == "answered"
    (reply,) = answered["replies"]
    assert (reply["worker"], reply["ok"]) == ("w1@here", True)
    assert "new rate limit" in reply["text"]
    assert answered["missing"] == []
    audited("control", "rate_limit", "peer.add", "0")


def test_an_error_and_a_missing_worker_are_written(audited):
    _, answered = audited("control", "rate_limit", "nope", "1/s")
    assert [reply["ok"] for reply in answered["replies"]] == [False]
    _, answered = audited("control", "pool_grow", "0", "-d", "gone@here", "-t", "0.3")
    assert answered["missing"] == ["gone@here"]


def test_what_only_looks_or_was_refused_writes_nothing(audited):
    assert audited("inspect", "active") == []
    assert audited("status") == []
    assert audited("purge", "-Q", "idle", "--dry-run") == []
    assert audited("purge", "-Q", "idle") == []
    assert audited("--read-only", "control", "pool_grow") == []
    assert audited("control", "pool_grow", "-d", "x*@nowhere") == []


def test_a_purge_says_what_went(audited, tq):
    tq("call", "peer.add", "-a", "[1, 1]", "--queue", "idle")
    sent, answered = audited("purge", "-f", "-Q", "idle")
    assert (sent["method"], sent["arguments"]) == ("purge", {"queues": {"idle": 1}})
    assert answered["replies"][0]["text"] == "purged 1 message"


def test_a_revoke_has_its_ids(audited):
    task_id = str(uuid.uuid4())
    sent, answered = audited("revoke", task_id)
    assert (sent["method"], sent["arguments"]["task_id"]) == ("revoke", [task_id])
    assert [reply["worker"] for reply in answered["replies"]] == ["w1@here"]


def test_a_resend_has_the_new_id(audited, tq):
    task_id = tq("call", "peer.add", "-a", "[2, 3]").stdout.strip()
    eventually(lambda: tq("result", task_id, "--timeout", "10").returncode == 0, within=20)
    sent, answered = audited("resend", task_id, "-y")
    assert (sent["arguments"]["task_id"], sent["arguments"]["name"]) == (task_id, "peer.add")
    new = answered["replies"][0]["text"].removeprefix("sent as ")
    assert uuid.UUID(new)


def test_dead_letters_that_were_dropped_are_named(audited, server):
    with redis.Redis.from_url(server.url) as client:
        client.lpush("tq:dead", b'{"reason":"why","queue":"q","timestamp":1,"size":1}\nx')
    sent, answered = audited("dead", "drop", "--reason", "why", "-y")
    assert sent["command"] == "tq dead drop --reason=why"
    assert (sent["method"], sent["arguments"]["count"]) == ("dead drop", 1)
    assert answered["replies"][0]["text"].startswith("dropped 1 of 1 dead letter")


def test_secrets_of_a_command_are_masked(audited):
    sent, _ = audited("control", "shout", "text=x", "password=hunter2")
    assert "hunter2" not in json.dumps(sent)


def test_a_file_that_cannot_be_written_stops_nobody(tq, tmp_path):
    (tmp_path / "tq").write_text("in the way")
    done = tq("control", "rate_limit", "peer.add", "0", XDG_STATE_HOME=str(tmp_path))
    assert done.returncode == 0
    assert "audit file" in done.stderr
