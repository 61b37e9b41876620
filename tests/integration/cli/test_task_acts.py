"""`tq task`, `tq revoke`, `tq resend`."""

import json

import pytest

from tests.support.waiting import eventually

pytestmark = [pytest.mark.timeout(90), pytest.mark.xdist_group("cli")]


def start(tq, seconds=60) -> str:
    task_id = tq("call", "peer.sleep", "-a", f"[{seconds}]").stdout.strip()
    eventually(lambda: task_id in tq("inspect", "query_task", task_id).stdout, within=10)
    return task_id


def state(tq, task_id) -> str | None:
    done = tq("task", task_id, "-j")
    return json.loads(done.stdout)["state"] if done.returncode == 0 else None


def test_a_task_shows_its_result_and_where_it_is(tq):
    task_id = tq("call", "peer.add", "-a", "[2, 3]").stdout.strip()
    tq("result", task_id, "--timeout", "10")
    shown = json.loads(tq("task", task_id, "-j").stdout)
    assert (shown["state"], shown["result"], shown["name"]) == ("SUCCESS", "5", "peer.add")
    assert shown["args"] == "[2, 3]"
    assert shown["where"].startswith("recorded in redis://")
    assert "state\tSUCCESS\n" in tq("task", task_id).stdout


def test_a_task_nobody_knows_is_exit_four(tq):
    done = tq("task", "11111111-1111-4111-8111-111111111111")
    assert (done.returncode, done.stdout) == (4, "")
    assert "nobody knows" in done.stderr


def test_a_running_task_is_found_on_its_worker_and_terminated(tq):
    task_id = start(tq)
    shown = json.loads(tq("task", task_id, "-j").stdout)
    assert shown["where"] == "active on w1@here"
    refused = tq("revoke", task_id, "--terminate", "KILL")
    assert refused.returncode == 5
    dry = tq("revoke", task_id, "--terminate", "kill", "--dry-run")
    assert (dry.returncode, dry.stdout) == (0, f"{task_id}\n")
    done = tq("revoke", task_id, "--terminate", "9", "-y")
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"terminated (SIGKILL) 1 task on w1@here: {task_id}\n"
    eventually(lambda: state(tq, task_id) == "REVOKED", within=10)


def test_tasks_are_revoked_by_filter_and_others_left_alone(tq):
    kept = start(tq)
    chosen = start(tq, 61)
    where = ("--where", "name:peer.sleep args:61", "--for", "0.5", "--terminate", "TERM")
    dry = tq("revoke", *where, "--dry-run")
    assert [line.split("\t")[:3] for line in dry.stdout.splitlines()] == [
        [chosen, "STARTED", "peer.sleep"]
    ]
    assert tq("revoke", *where).returncode == 5
    assert tq("revoke", *where, "-y").returncode == 0
    eventually(lambda: state(tq, chosen) == "REVOKED", within=10)
    assert state(tq, kept) == "STARTED"
    assert tq("revoke", kept, "--terminate", "KILL", "-y").returncode == 0
    eventually(lambda: state(tq, kept) == "REVOKED", within=10)


def test_a_revoked_task_that_waits_never_runs(tq):
    task_id = tq("call", "peer.add", "-a", "[1, 1]", "--countdown", "1").stdout.strip()
    done = tq("revoke", task_id)
    assert (done.returncode, done.stdout) == (0, f"revoked 1 task on w1@here: {task_id}\n")
    failed = tq("result", task_id, "--timeout", "10")
    assert failed.returncode == 1
    assert "REVOKED" in failed.stderr


@pytest.mark.parametrize(
    ("argv", "code"),
    [
        ([], 2),
        (["x", "--where", "state:started"], 2),
        (["x", "--terminate", "SIGNOPE"], 2),
        (["--where", "stat:started"], 2),
        (["--where", "name:no.such.task", "--for", "0.2", "-y"], 4),
    ],
)
def test_revoke_refuses_what_makes_no_sense(tq, argv, code):
    done = tq("revoke", *argv)
    assert done.returncode == code
    assert "Traceback" not in done.stderr


def test_revoke_is_refused_when_read_only(tq):
    assert tq("revoke", "some-id", TQ_READ_ONLY="1").returncode == 5


def test_a_finished_task_is_sent_again_with_its_arguments(tq):
    first = tq("call", "peer.add", "-a", "[20, 22]").stdout.strip()
    tq("result", first, "--timeout", "10")
    assert tq("resend", first).returncode == 5
    dry = tq("resend", first, "--dry-run")
    assert dry.stdout.startswith(f"would resend {first} to celery: peer.add, 2 args, 0 kwargs")
    done = tq("resend", first, "-y")
    assert done.returncode == 0, done.stderr
    again = done.stdout.strip()
    assert again != first
    assert tq("result", again, "--timeout", "10").stdout == "42\n"


def test_a_resent_task_keeps_its_root_and_tells_what_it_repeats(tq, server):
    import redis

    first = tq("call", "peer.add", "-a", "[1, 2]").stdout.strip()
    tq("result", first, "--timeout", "10")
    again = tq("resend", first, "-y", "--queue", "parked").stdout.strip()
    with redis.Redis.from_url(server.url) as client:
        headers = json.loads(client.lpop("parked"))["headers"]
    assert headers["id"] == again
    assert headers["root_id"] == first
    assert headers["tq-resend-of"] == first


def test_a_running_task_is_sent_again_from_its_worker(tq):
    first = start(tq, 59)
    dry = tq("resend", first, "--dry-run")
    assert "1 args, 0 kwargs from w1@here, which holds it" in dry.stdout
    tq("revoke", first, "--terminate", "KILL", "-y")


def test_arguments_that_nobody_knows_are_not_guessed(tq):
    done = tq("resend", "11111111-1111-4111-8111-111111111111", "-y")
    assert (done.returncode, done.stdout) == (5, "")
    assert "not known for certain" in done.stderr
    assert tq("--read-only", "resend", "x", "-y").returncode == 5
