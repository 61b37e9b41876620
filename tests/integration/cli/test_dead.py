"""`tq dead`: what was given up is found, put back or deleted, on a real broker."""

import json
import time

import pytest
import redis

from tests.support.waiting import eventually

pytestmark = [pytest.mark.timeout(90), pytest.mark.xdist_group("cli")]


@pytest.fixture
def client(server):
    with redis.Redis.from_url(server.url) as found:
        yield found
        found.delete("tq:dead", "tq:dead:bytes", "stale", "elsewhere")


def bury(client, raw: bytes, reason="delivery_limit", queue="celery") -> None:
    """Write a dead letter as `lua/dead.lua` does."""
    head = {"reason": reason, "queue": queue, "timestamp": time.time(), "size": len(raw)}
    entry = json.dumps(head, separators=(",", ":")).encode() + b"\n" + raw
    client.lpush("tq:dead", entry)
    client.incrby("tq:dead:bytes", len(entry))


def lost_task(
    tq, client, *arguments, name="peer.add", queue="stale", losses=6
) -> tuple[str, bytes]:
    """Send a task to a queue that nobody serves, and take its envelope, as if lost often."""
    called = tq("call", name, "-a", json.dumps(arguments), "--queue", queue)
    raw = json.loads(client.rpop(queue))
    raw["headers"]["x-tq-deliveries"] = losses
    return called.stdout.strip(), json.dumps(raw).encode()


def listed(tq, *options) -> list[dict]:
    done = tq("dead", "list", "-j", *options)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_list_tells_reason_queue_time_size_and_the_start(tq, client):
    task_id, raw = lost_task(tq, client, 2, 3)
    bury(client, raw)
    bury(client, b"\x1b[2Jnot json at all", reason="not_json", queue="elsewhere")
    newest, oldest = listed(tq)
    assert (newest["reason"], newest["queue"], newest["size"]) == ("not_json", "elsewhere", 19)
    assert newest["start"].startswith("\\x1b[2Jnot json")
    assert (oldest["name"], oldest["task_id"]) == ("peer.add", task_id)
    assert oldest["start"].startswith("(2, 3)") or oldest["start"].startswith("[2, 3]")
    assert oldest["time"].endswith("Z")
    plain = tq("dead", "list").stdout
    assert "\x1b" not in plain
    assert len(plain.splitlines()) == 2


def test_filters_choose_by_reason_and_by_task(tq, client):
    _, raw = lost_task(tq, client, 1, 1)
    bury(client, raw)
    bury(client, b"junk", reason="not_json", queue="elsewhere")
    assert [row["reason"] for row in listed(tq, "--reason", "not_json")] == ["not_json"]
    assert [row["name"] for row in listed(tq, "--where", "name:peer.*")] == ["peer.add"]
    assert [row["queue"] for row in listed(tq, "--where", "queue:elsewhere")] == ["elsewhere"]
    assert tq("dead", "list", "--where", "name:nope", "--fail-empty").returncode == 4


def test_a_requeued_message_runs_and_its_losses_are_forgotten(tq, client):
    task_id, raw = lost_task(tq, client, 20, 22)
    bury(client, raw)
    assert tq("dead", "requeue", task_id).returncode == 5  # nobody to ask, no --yes
    dry = tq("dead", "requeue", task_id, "--dry-run")
    assert dry.stdout.startswith("would requeue 1 dead letter (delivery_limit 1)")
    assert client.llen("tq:dead") == 1
    done = tq("dead", "requeue", task_id, "--yes")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("requeued 1 of 1 dead letter (delivery_limit 1) on redis://")
    assert len(done.stdout.splitlines()) == 1
    assert tq("result", task_id, "--timeout", "10").stdout == "42\n"
    assert client.llen("tq:dead") == 0
    assert int(client.get("tq:dead:bytes")) == 0


def test_the_requeued_envelope_has_no_count_of_losses(tq, client):
    task_id, raw = lost_task(tq, client, 1, 2)
    bury(client, raw, queue="stale")
    assert tq("dead", "requeue", task_id, "-y").returncode == 0
    (envelope,) = client.lrange("stale", 0, -1)
    headers = json.loads(envelope)["headers"]
    assert headers["id"] == task_id
    assert "x-tq-deliveries" not in headers


def test_what_cannot_be_read_is_not_requeued_but_can_be_dropped(tq, client):
    bury(client, b"junk", reason="not_json")
    left = tq("dead", "requeue", "--all", "-y")
    assert left.returncode == 4
    assert "cannot be read" in left.stderr
    assert client.llen("tq:dead") == 1
    assert tq("dead", "drop", "--reason", "other", "-y").returncode == 4
    done = tq("dead", "drop", "--reason", "not_json", "-y")
    assert done.stdout.startswith("dropped 1 of 1 dead letter (not_json 1)")
    assert client.llen("tq:dead") == 0


def test_a_queue_of_the_wrong_type_keeps_the_letter(tq, client):
    client.set("elsewhere", "text")
    task_id, raw = lost_task(tq, client, 1, 2)
    bury(client, raw, queue="elsewhere")
    done = tq("dead", "requeue", task_id, "-y")
    assert done.returncode == 1
    assert "elsewhere holds another type" in done.stderr
    assert client.llen("tq:dead") == 1


def test_many_are_read_in_pages_and_dropped_in_batches(tq, client):
    for number in range(450):
        bury(client, f"junk {number}".encode(), reason="not_json")
    assert len(listed(tq)) == 450
    assert tq("dead", "drop", "--all", "-y").stdout.startswith("dropped 450 of 450 dead letters")
    assert int(client.get("tq:dead:bytes")) == 0


def test_show_prints_one_letter_whole_with_secrets_masked(tq, client):
    bury(client, b'{"password": "hunter2", "broken": ' + b"x" * 100, reason="not_json")
    (row,) = listed(tq)
    shown = tq("dead", "show", row["id"])
    assert shown.returncode == 0
    assert "x" * 100 in shown.stdout
    assert "hunter2" not in shown.stdout + json.dumps(row)
    assert tq("dead", "show", "ffffffff").returncode == 4


def test_acting_needs_a_choice_and_is_refused_when_read_only(tq, client):
    bury(client, b"junk", reason="not_json")
    assert tq("dead", "drop", "-y").returncode == 2
    assert tq("--read-only", "dead", "drop", "--all", "-y").returncode == 5
    assert tq("dead", "drop", "--all", "-y", TQ_READ_ONLY="1").returncode == 5
    assert client.llen("tq:dead") == 1


def test_a_message_lost_for_real_arrives_there_and_leaves_again(tq, client):
    client.lpush("celery", b"this is no envelope")
    eventually(lambda: client.llen("tq:dead") == 1, within=10)
    (row,) = listed(tq)
    assert row["queue"] == "celery"
    assert row["start"] == "this is no envelope"
    assert tq("dead", "drop", row["id"], "-y").returncode == 0
