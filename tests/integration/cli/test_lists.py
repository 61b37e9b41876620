"""`tq tasks|workers|queues|failures|flows`, made from events and answers of a real worker."""

import json

import pytest

from tests.support.processes import BIN, Process
from tests.support.waiting import eventually
from tq import TQ, chain

pytestmark = [pytest.mark.timeout(90), pytest.mark.xdist_group("cli")]


@pytest.fixture
def sleeper(tq):
    """A task that runs as long as the test does."""
    task_id = tq("call", "peer.sleep", "-a", "[60]", "-k", "{}").stdout.strip()

    def runs():
        return task_id in tq("inspect", "query_task", task_id).stdout

    eventually(runs, within=10)
    yield task_id
    tq("control", "terminate", "KILL", task_id)
    eventually(lambda: not json.loads(tq("inspect", "active", "-j").stdout)["w1@here"], within=10)


def test_tasks_that_began_before_the_listening_are_listed(tq, sleeper):
    rows = json.loads(tq("tasks", "--for", "0.5", "-j").stdout)
    (row,) = [row for row in rows if row["id"] == sleeper]
    assert (row["state"], row["name"], row["worker"]) == ("STARTED", "peer.sleep", "w1@here")
    assert row["queue"] == "celery"
    assert row["runtime"] > 0


def test_tasks_are_filtered_projected_sorted_and_limited(tq, sleeper):
    plain = tq(
        "tasks", "--for", "0.5", "--where", "state:started name:peer.sleep worker:w1*",
        "--fields", "id,state", "--sort", "-age", "--limit", "1",
    )  # fmt: skip
    assert plain.stdout == f"{sleeper}\tSTARTED\n"
    assert tq("tasks", "--for", "0.3", "--where", "name:other").stdout == ""
    assert tq("tasks", "--for", "0.3", "--where", "name:other", "--fail-empty").returncode == 4


def test_inspect_is_filtered_and_projected_alike(tq, sleeper):
    options = ("--where", "name:peer.sleep", "--fields", "id,name")
    assert tq("inspect", "active", *options).stdout == f"{sleeper}\tpeer.sleep\n"
    assert json.loads(tq("inspect", "active", *options, "-o", "jsonl").stdout) == {
        "id": sleeper, "name": "peer.sleep",
    }  # fmt: skip
    assert tq("inspect", "active", "--where", "name:nope").stdout == ""
    assert tq("inspect", "registered", "--where", "peer.add", "--fields", "task").stdout.startswith(
        "peer.add"
    )


def test_workers_tell_pool_queues_and_heartbeat(tq, worker):
    (row,) = json.loads(tq("workers", "--for", "2.5", "-j").stdout)
    assert (row["worker"], row["status"], row["slots"]) == ("w1@here", "up", 2)
    assert row["queues"] == ["celery"]
    assert row["heartbeat"] < 3
    assert tq("workers", "--for", "0.5", "--fields", "worker").stdout == "w1@here\n"


def test_queues_tell_what_waits_and_who_takes(tq):
    for _ in range(2):
        tq("call", "peer.add", "-a", "[1, 1]", "--queue", "unserved")
    rows = json.loads(tq("queues", "-Q", "unserved", "--for", "1", "-j").stdout)
    found = {row["queue"]: row for row in rows}
    assert found["unserved"]["ready"] == 2
    assert found["unserved"]["consumers"] == []
    assert found["celery"]["consumers"] == ["w1@here"]
    tq("purge", "-Q", "unserved", "-f")


def test_failures_are_grouped_by_cause(tq, forks, server):

    argv = [str(BIN / "tq"), "-b", server.url, "failures", "--for", "4", "-o", "jsonl"]
    with Process(argv, server.url) as listening:
        # Sent again and again: nothing tells when the listener hears.
        def ended():
            tq("call", "peer.fail", "-a", '["no luck"]')
            return listening.process.poll() is not None

        eventually(ended, within=30, every=0.2)
        lines = [json.loads(li) for li in listening.output().splitlines() if li.startswith("{")]
    (group,) = lines
    assert (group["name"], group["exception"]) == ("peer.fail", "ValueError")
    assert group["failed"] >= 1
    assert "no luck" in group["message"]


def test_a_table_has_heads_and_colour_only_when_wanted(tq, sleeper):
    plain = tq("tasks", "--for", "0.3", "-o", "table", "--fields", "state,id,runtime")
    assert plain.stdout.startswith("STATE")
    assert "\x1b" not in plain.stdout
    colored = tq(
        "--color", "always", "tasks", "--for", "0.3", "-o", "table", "--fields", "state,id"
    )
    assert "\x1b[36mSTARTED\x1b[0m" in colored.stdout
    for env in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
        assert "\x1b" not in tq("tasks", "--for", "0.3", "-o", "table", **env).stdout
    forced = tq("tasks", "--for", "0.3", "-o", "table", FORCE_COLOR="1", TERM="xterm")
    assert "\x1b[" in forced.stdout
    assert "\x1b" not in tq("-C", "tasks", "--for", "0.3", "-o", "table", FORCE_COLOR="1").stdout
    assert "\x1b" not in tq("--color", "always", "tasks", "--for", "0.3", "-j").stdout


def test_flows_tell_how_far_chains_have_come(tq, server):
    argv = [str(BIN / "tq"), "-b", server.url, "flows", "--for", "4", "-j", "--sort", "tasks"]
    app = TQ("client", broker=server.url, set_as_current=False)
    with Process(argv, server.url) as listening:

        def ended():
            sums = [app.signature("peer.add", args=(1, 1), immutable=True) for _ in range(2)]
            chain(
                *sums, app.signature("peer.fail", args=("no luck",), immutable=True)
            ).apply_async()
            return listening.process.poll() is not None

        eventually(ended, within=40, every=0.3)
        rows = json.loads(
            next(line for line in listening.output().splitlines() if line.startswith("["))
        )
    app.close()
    whole = next(row for row in rows if row["tasks"] == 3 and row["failed"])
    assert (whole["state"], whole["succeeded"], whole["failed"]) == ("FAILURE", 2, 1)
    assert whole["name"] == "peer.add"
    assert whole["waiting"] + whole["running"] == 0
    assert tq("flows", "--for", "0.3s", "--where", "name:nothing", "--fail-empty").returncode == 4


def test_moments_choose_among_tasks_and_rows(tq, sleeper):
    for command in (("tasks", "--for", "0.5s"), ("inspect", "active")):
        assert sleeper in tq(*command, "--since", "-10m").stdout
        assert tq(*command, "--until", "-10m").stdout == ""
    done = tq("tasks", "--since", "noon")
    assert done.returncode == 2
    assert "--since" in done.stderr
    done = tq("tasks", "--since", "-1m", "--where", "name:(")
    assert "column 6 of 'name:('" in done.stderr
