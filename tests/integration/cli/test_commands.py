"""Each command as a user types it, against a real broker and worker."""

import json
import uuid

import pytest

from tests.support.processes import run_tq
from tests.support.waiting import eventually

pytestmark = [pytest.mark.timeout(90), pytest.mark.xdist_group("cli")]


def test_a_called_task_gives_its_result(tq):
    called = tq("call", "peer.add", "-a", "[2, 3]")
    assert called.returncode == 0
    task_id = called.stdout.strip()
    assert uuid.UUID(task_id)
    result = tq("result", task_id)
    assert (result.returncode, result.stdout) == (0, "5\n")


def test_the_result_of_a_failed_task_is_one_line_and_exit_one(tq):
    task_id = tq("call", "peer.fail", "-k", '{"text": "no luck"}').stdout.strip()
    result = tq("result", task_id, "--timeout", "10")
    assert result.returncode == 1
    assert result.stdout == ""
    assert result.stderr.strip() == f"tq: task {task_id} FAILURE: ValueError: no luck"
    traceback = tq("result", task_id, "--traceback")
    assert "ValueError: no luck" in traceback.stdout
    assert "Traceback (most recent call last)" in traceback.stdout


def test_a_result_that_never_comes_ends_with_the_timeout(tq):
    result = tq("result", str(uuid.uuid4()), "--timeout", "0.2")
    assert result.returncode == 1
    assert "Traceback" not in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_status_lists_workers_and_counts_them(tq):
    status = tq("status")
    assert status.returncode == 0
    assert status.stdout.split("\t")[:2] == ["w1@here", "up"]
    assert "1 node online." in status.stderr
    assert json.loads(tq("status", "--json").stdout) == {"w1@here": {"ok": "pong"}}


def test_a_worker_that_was_killed_is_not_waited_for(tq, server):
    import redis

    ghost = "\x06\x16\x06\x16ghost@here.celery.pidbox"
    with redis.Redis.from_url(server.url) as client:
        client.sadd("_kombu.binding.celery.pidbox", ghost)
        try:
            status = tq("status", "-t", "60")
        finally:
            client.srem("_kombu.binding.celery.pidbox", ghost)
    assert status.returncode == 0
    assert "ghost@here: not there: no worker of that name listens" in status.stderr


def test_inspect_answers_for_a_destination(tq):
    task_id = tq("call", "peer.sleep", "-a", "[5]").stdout.strip()

    def running():
        active = tq("inspect", "active", "--destination", "w1@here", "-j")
        assert active.returncode == 0, active.stderr
        return [task["id"] for task in json.loads(active.stdout)["w1@here"]] == [task_id]

    eventually(running, within=10)
    rows = tq("inspect", "active", "-d", "w1@here").stdout.splitlines()
    assert [row.split("\t")[:3] for row in rows] == [["w1@here", task_id, "peer.sleep"]]
    assert tq("control", "terminate", "KILL", task_id).returncode == 0
    eventually(lambda: not json.loads(tq("inspect", "active", "-j").stdout)["w1@here"], within=10)


@pytest.mark.parametrize(
    "name",
    [
        "active",
        "reserved",
        "scheduled",
        "revoked",
        "registered",
        "active_queues",
        "stats",
        "ping",
        "report",
        "clock",
        "conf",
    ],
)
def test_every_inspect_command_answers_in_every_form(tq, name):
    for form in ("table", "plain", "json", "jsonl", "csv"):
        done = tq("inspect", name, "-o", form)
        assert done.returncode == 0, (form, done.stderr)
        assert "Traceback" not in done.stderr
        if form == "json":
            assert set(json.loads(done.stdout)) == {"w1@here"}
        if form == "jsonl":
            (line,) = [json.loads(text) for text in done.stdout.splitlines()]
            assert line["worker"] == "w1@here"
            assert line["ok"] is True


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (("active",), "runs no task"),
        (("reserved",), "holds no task that waits to start"),
        (("scheduled",), "has no task that waits for its time"),
        (("query_task", "nobody"), "has none of these tasks"),
    ],
)
def test_an_empty_answer_is_said_to_people_and_silent_for_programs(tq, argv, says):
    for form in ("table", "plain"):
        done = tq("inspect", *argv, "-o", form)
        assert (done.returncode, done.stdout) == (0, "")
        assert done.stderr == f"w1@here: {says}\n"
    assert tq("-q", "inspect", *argv).stderr == ""
    assert json.loads(tq("inspect", *argv, "-j").stdout) in ({"w1@here": []}, {"w1@here": {}})
    assert json.loads(tq("inspect", *argv, "-o", "jsonl").stdout)["ok"] is True
    assert len(tq("inspect", *argv, "-o", "csv").stdout.splitlines()) == 1
    if argv != ("query_task", "nobody"):
        assert "    - empty -" in tq("inspect", *argv, "-o", "celery").stdout


def test_long_texts_are_rows_of_their_own(tq):
    rows = tq("inspect", "report").stdout.splitlines()
    assert len(rows) > 3
    assert all(row.startswith("w1@here\t") for row in rows)
    assert not [row for row in rows if "\\x0a" in row]
    assert "rss" in tq("inspect", "memdump").stdout


def test_a_graph_of_objects_needs_a_library_and_says_so(tq):
    done = tq("inspect", "objgraph")
    assert done.returncode == 1
    assert "not installed on this worker" in done.stderr


def test_a_named_worker_that_is_missing_makes_the_answer_partial(tq):
    done = tq("inspect", "ping", "-d", "w1@here,gone@here", "-t", "0.5")
    assert done.returncode == 3
    assert done.stdout.startswith("w1@here\tpong")
    assert "gone@here: not there: no worker of that name listens" in done.stderr
    assert "1 of 2 replied" in done.stderr
    assert (
        tq("inspect", "ping", "-d", "w1@here,gone@here", "-t", "0.5", "--expect", "any").returncode
        == 0
    )


def test_nobody_answering_is_exit_69(tq):
    done = tq("inspect", "ping", "-d", "nobody@nowhere", "-t", "0.3")
    assert (done.returncode, done.stdout) == (69, "")
    assert len(done.stderr.splitlines()) == 1


def test_a_glob_finds_its_workers_and_an_unknown_one_is_said(tq):
    assert tq("inspect", "ping", "-d", "w*@here").stdout.startswith("w1@here")
    done = tq("inspect", "ping", "-d", "w1@here,x*@nowhere")
    assert done.returncode == 3
    assert "x*@nowhere: no worker of that name is known" in done.stderr


def test_control_tells_success_from_refusal(tq):
    good = tq("control", "rate_limit", "peer.add", "100/s")
    assert good.returncode == 0
    assert good.stdout.startswith("w1@here\tnew rate limit set successfully")
    bad = tq("control", "rate_limit", "nope", "10/m")
    assert bad.returncode == 1
    assert "w1@here: error: unknown task" in bad.stderr
    tq("control", "rate_limit", "peer.add", "0")


def test_read_only_refuses_what_changes_the_cluster(tq):
    done = tq("--read-only", "control", "pool_grow")
    assert done.returncode == 5
    assert "read-only" in done.stderr
    assert tq("--read-only", "inspect", "ping").returncode == 0
    assert tq("--read-only", "purge", "-f").returncode == 5


def test_pool_size_follows_grow_and_shrink(tq):
    def slots() -> int:
        return json.loads(tq("inspect", "stats", "-j").stdout)["w1@here"]["pool"]["max-concurrency"]

    before = slots()
    assert "pool will grow" in tq("control", "pool_grow", "2").stdout
    eventually(lambda: slots() == before + 2)
    assert "pool will shrink" in tq("control", "pool_shrink", "2").stdout
    eventually(lambda: slots() == before)


def test_consumers_are_added_and_cancelled(tq):
    def queues() -> set[str]:
        reply = json.loads(tq("inspect", "active_queues", "-j").stdout)
        return {queue["name"] for queue in reply["w1@here"]}

    assert tq("control", "add_consumer", "extra").returncode == 0
    assert queues() == {"celery", "extra"}
    task_id = tq("call", "peer.add", "-a", "[1, 1]", "--queue", "extra").stdout.strip()
    assert tq("result", task_id, "--timeout", "10").stdout == "2\n"
    assert tq("control", "cancel_consumer", "extra").returncode == 0
    assert queues() == {"celery"}


def test_purge_counts_asks_and_deletes(tq):
    for _ in range(3):
        tq("call", "peer.add", "-a", "[1, 1]", "--queue", "idle")
    assert "3 messages" in tq("purge", "-Q", "idle", "--dry-run").stdout
    refused = tq("purge", "-Q", "idle")
    assert refused.returncode == 5
    assert "--force" in refused.stderr
    assert tq("purge", "-Q", "idle", "-f").stdout == "Purged 3 messages from 1 known task queue.\n"
    assert tq("purge", "-Q", "idle", "-f").stdout == "No messages purged from 1 queue.\n"


def test_the_dump_prints_events_in_celerys_lines(tq):
    done = tq("events", "--dump", "--for", "3")
    lines = done.stdout.splitlines()
    assert lines[0] == "-> evdump: starting capture..."
    assert any(line.startswith("w1@here [") and " heartbeat: " in line for line in lines[1:])


def test_the_dump_as_json_lines_has_a_header_and_events(tq):
    done = tq("events", "-o", "jsonl", "--limit", "1", "--types", "worker-*")
    header, event = [json.loads(line) for line in done.stdout.splitlines()]
    assert header["tq"] == "header"
    assert event["type"] == "worker-heartbeat"
    assert event["hostname"] == "w1@here"


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (["inspct"], "Did you mean 'inspect'?"),
        (["inspect", "actve"], "Did you mean 'active'?"),
        (["control", "revok", "x"], "Did you mean 'revoke'?"),
        (["inspect", "active", "--destinaton", "x"], "--destination"),
        (["control", "rate_limit", "peer.add"], "rate_limit needs TASK_NAME RATE_LIMIT"),
        (["control", "pool_grow", "many"], "'many' is not a whole number"),
        (["call", "peer.add", "-a", "{}"], "not a JSON list"),
        (["call", "peer.add", "--eta", "soon"], "not an ISO 8601 time"),
        (["worker"], "-A"),
        (["worker", "-A", "no.such.module"], "no.such.module"),
        (["worker", "-A", "tests.support.tq_app", "-c", "0"], "concurrency"),
        (["worker", "-A", "tests.support.tq_app", "-P", "preforc"], "did you mean 'prefork'"),
        (["worker", "-A", "tests.support.tq_app", "-Q", "a,,b"], "--queues"),
        (["worker", "-A", "tests.support.tq_app", "--autoscale", "1,10"], "autoscale"),
        (["worker", "-A", "tests.support.tq_app", "--time-limit", "nan"], "time-limit"),
    ],
)
def test_a_wrong_command_line_is_one_clear_message_and_exit_two(tq, argv, says):
    done = tq(*argv)
    assert done.returncode == 2
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) <= 2


def test_an_unreachable_broker_is_one_line_and_exit_69_without_the_password():
    done = run_tq("-b", "redis://:secret@127.0.0.1:1/0", "inspect", "ping")
    assert done.returncode == 69
    assert "secret" not in done.stderr + done.stdout
    assert len(done.stderr.splitlines()) == 1


def test_a_closed_pipe_ends_the_dump_quietly(tq, server, worker):
    import subprocess

    from tests.support.processes import BIN, ROOT, environment

    command = f"{BIN}/tq -b {server.url} events --dump | head -1"
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command}"],
        env=environment(server.url),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=30,
        stdin=subprocess.DEVNULL,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "-> evdump: starting capture...\n"
