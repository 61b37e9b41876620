"""Celery's own commands against tq workers, on Redis and on RabbitMQ."""

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from celery.worker.control import Panel

from tests.interop.conftest import Pair, delete_queues, make_pair
from tests.support.processes import ROOT, Process, environment
from tests.support.services import RedisServer
from tests.support.waiting import eventually

pytestmark = [pytest.mark.timeout(90), pytest.mark.xdist_group("interop-celery-commands")]


class CeleryCommands:
    """`celery -b URL ...`, in one process that stays."""

    def __init__(self, pair: Pair) -> None:
        self.pair = pair
        self._process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", "tests.support.celery_cli"],
            env=environment(pair.broker),
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, *argv: str) -> dict[str, Any]:
        self._process.stdin.write(json.dumps(["-b", self.pair.broker, *argv]) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def ask(self, group: str, *argv: str) -> Any:
        """`inspect` or `control` with --json: the reply of our worker."""
        done = self.run(group, "-t", "10", "-d", self.pair.node, "-j", *argv)
        assert done["code"] == 0, done
        answer = json.loads(done["out"])
        # Celery prints `inspect` as an object, `control` as a list of objects.
        return (answer[0] if isinstance(answer, list) else answer)[self.pair.node]

    def close(self) -> None:
        self._process.stdin.close()
        self._process.wait(10)
        self._process.stdout.close()


@pytest.fixture(scope="module", params=["tq/redis/redis", "tq/amqp/redis"])
def pair(request: pytest.FixtureRequest, server: RedisServer) -> Iterator[Pair]:
    """A tq client and a tq worker, so that Celery is only in the commands."""
    made = make_pair(server, request.param)
    made.redis.flushall()
    made.peer = "tq"
    made.node = f"tq-{made.node}"
    try:
        yield made.start()
    finally:
        made.close()


@pytest.fixture(scope="module")
def celery(pair: Pair) -> Iterator[CeleryCommands]:
    commands = CeleryCommands(pair)
    yield commands
    commands.close()


@pytest.fixture(scope="module")
def load(pair: Pair, celery: CeleryCommands) -> dict[str, str]:
    """One running, one reserved and one scheduled task, by id."""
    running = pair.send("sleep", 600).id
    eventually(lambda: running in str(celery.ask("inspect", "active")), within=10)
    scheduled = pair.send("add", 1, 1, countdown=3600).id
    eventually(lambda: scheduled in str(celery.ask("inspect", "scheduled")), within=10)
    return {"running": running, "scheduled": scheduled}


def test_status_as_a_process_of_its_own_finds_the_worker(pair: Pair) -> None:
    if not pair.broker.startswith("redis"):
        pytest.skip("a slow start; the transport is tested by every other command")
    done = subprocess.run(
        [sys.executable, "-m", "celery", "-b", pair.broker, "status", "-t", "10", "-d", pair.node],
        env=environment(pair.broker), cwd=ROOT, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert f"{pair.node}: OK" in done.stdout
    assert "1 node online." in done.stdout


def test_inspect_ping_and_clock_answer(celery: CeleryCommands) -> None:
    assert celery.ask("inspect", "ping") == {"ok": "pong"}
    assert celery.ask("inspect", "clock")["clock"] > 0


def test_the_plain_output_of_ping_has_the_worker_and_pong(celery: CeleryCommands) -> None:
    done = celery.run("inspect", "-t", "10", "-d", celery.pair.node, "ping")
    assert f"{celery.pair.node}: OK" in done["out"]
    assert "pong" in done["out"]


def test_active_has_celerys_fields(celery: CeleryCommands, load: dict[str, str]) -> None:
    (task,) = celery.ask("inspect", "active")
    assert (task["id"], task["name"], task["args"]) == (load["running"], "peer.sleep", [600])
    assert {"kwargs", "type", "hostname", "time_start", "acknowledged", "delivery_info",
            "worker_pid"} <= set(task)  # fmt: skip
    assert task["hostname"] == celery.pair.node
    assert task["delivery_info"]["routing_key"] == celery.pair.queue
    assert task["worker_pid"] > 1


def test_scheduled_has_the_eta_and_the_request(
    celery: CeleryCommands, load: dict[str, str]
) -> None:
    (entry,) = celery.ask("inspect", "scheduled")
    assert set(entry) >= {"eta", "priority", "request"}
    assert entry["request"]["id"] == load["scheduled"]


def test_query_task_tells_where_a_task_is(celery: CeleryCommands, load: dict[str, str]) -> None:
    found = celery.ask("inspect", "query_task", load["running"], load["scheduled"])
    assert found[load["running"]][0] == "active"
    assert found[load["scheduled"]][0] in ("scheduled", "reserved")


def test_lists_answer(celery: CeleryCommands) -> None:
    assert isinstance(celery.ask("inspect", "reserved"), list)
    assert isinstance(celery.ask("inspect", "revoked"), list)
    assert "peer.add" in celery.ask("inspect", "registered")


def test_stats_have_what_celerys_tools_read(celery: CeleryCommands) -> None:
    stats = celery.ask("inspect", "stats")
    assert {"broker", "clock", "pid", "pool", "prefetch_count", "rusage", "total", "uptime"} <= set(
        stats
    )
    assert stats["pid"] == celery.pair.worker.pid
    assert stats["pool"]["max-concurrency"] == 2
    assert len(stats["pool"]["processes"]) == 2
    assert "guest:guest" not in json.dumps(stats)


def test_active_queues_name_the_queue(celery: CeleryCommands) -> None:
    (queue,) = celery.ask("inspect", "active_queues")
    assert queue["name"] == celery.pair.queue
    assert {"exchange", "routing_key", "durable"} <= set(queue)


def test_conf_and_report_answer(celery: CeleryCommands) -> None:
    assert celery.ask("inspect", "conf")["worker_send_task_events"] is True
    report = celery.ask("inspect", "report")["ok"]
    assert "tq" in report
    assert "guest:guest" not in report


def test_revoke_is_kept_and_listed(celery: CeleryCommands) -> None:
    replies = celery.ask("control", "revoke", "some-id-1", "some-id-2")
    assert "ok" in replies
    assert {"some-id-1", "some-id-2"} <= set(celery.ask("inspect", "revoked"))


def test_rate_and_time_limits_are_set_and_refused(celery: CeleryCommands) -> None:
    good = celery.ask("control", "rate_limit", "peer.add", "1000/s")
    assert good == {"ok": "new rate limit set successfully"}
    assert celery.ask("control", "rate_limit", "nope", "1/s") == {"error": "unknown task"}
    assert celery.ask("control", "time_limit", "peer.add", "100", "200") == {
        "ok": "time limits set successfully"
    }


def test_the_pool_grows_and_shrinks(celery: CeleryCommands) -> None:
    assert celery.ask("control", "pool_grow", "1") == {"ok": "pool will grow"}
    eventually(lambda: celery.ask("inspect", "stats")["pool"]["max-concurrency"] == 3, within=10)
    assert celery.ask("control", "pool_shrink", "1") == {"ok": "pool will shrink"}
    eventually(lambda: celery.ask("inspect", "stats")["pool"]["max-concurrency"] == 2, within=10)


def test_consumers_are_added_and_cancelled(celery: CeleryCommands) -> None:
    extra = f"{celery.pair.queue}-extra"
    assert extra in str(celery.ask("control", "add_consumer", extra))

    def names() -> set[str]:
        return {queue["name"] for queue in celery.ask("inspect", "active_queues")}

    eventually(lambda: names() == {celery.pair.queue, extra}, within=10)
    assert extra in str(celery.ask("control", "cancel_consumer", extra))
    eventually(lambda: names() == {celery.pair.queue}, within=10)
    if not celery.pair.broker.startswith("redis"):
        delete_queues(extra)


def test_events_are_switched_off_and_on(celery: CeleryCommands) -> None:
    assert "ok" in celery.ask("control", "disable_events")
    assert "ok" in celery.ask("control", "enable_events")


@pytest.mark.parametrize(
    ("argv", "answer"),
    [
        (("inspect", "memsample"), "MB"),
        (("inspect", "memdump", "3"), "rss (sample)"),
        (("inspect", "objgraph", "Request", "5", "2"), "not installed on this worker"),
        (("control", "heartbeat"), "None"),
        (("control", "revoke_by_stamped_headers", "deploy=v1"), "flagged as revoked"),
        (("control", "pool_restart"), "Pool restarts not enabled"),
        (("control", "autoscale", "4", "2"), "Autoscale not enabled"),
        (("control", "election"), "required positional argument"),
    ],
)
def test_the_rarer_commands_are_answered_too(celery: CeleryCommands, argv, answer: str) -> None:
    assert answer in str(celery.ask(*argv))


def test_every_command_that_celery_lists_is_known_to_our_workers(celery: CeleryCommands) -> None:
    listed = celery_commands("inspect") | celery_commands("control")
    assert {"active", "memdump", "terminate", "shutdown"} <= listed
    ours = {entry["name"] for entry in celery.pair.app.control.inspect(
        [celery.pair.node], timeout=10
    ).request("commands")[celery.pair.node]}  # fmt: skip
    hidden = {"heartbeat", "election"}  # not visible there, and asked above
    assert listed - hidden <= ours


def celery_commands(kind: str) -> set[str]:
    return {name for name, info in Panel.meta.items() if info.type == kind and info.visible}


def test_an_unknown_command_is_an_error_and_the_worker_lives(celery: CeleryCommands) -> None:
    answer = celery.pair.app.control.broadcast(
        "no_such_command", reply=True, timeout=5, destination=[celery.pair.node]
    )
    assert "error" in answer[0][celery.pair.node]
    assert celery.ask("inspect", "ping") == {"ok": "pong"}


def test_terminate_ends_the_running_task(celery: CeleryCommands, load: dict[str, str]) -> None:
    assert load["running"] in str(celery.ask("control", "terminate", "KILL", load["running"]))
    eventually(lambda: celery.ask("inspect", "active") == [], within=10)


def test_celerys_event_dump_shows_a_whole_task(pair: Pair) -> None:
    argv = [
        sys.executable,
        "-u",
        "-W",
        "ignore",
        "-m",
        "celery",
        "-b",
        pair.broker,
        "events",
        "--dump",
    ]
    with Process(argv, pair.broker) as dump:
        dump.wait_for("starting capture")
        # Subscribed once the first heartbeat is seen.
        dump.wait_for(f"{pair.node} [", within=15)
        good, bad = pair.send("add", 2, 3), pair.send("fail", "why")
        eventually(lambda: f"({good.id})" in dump.output() and "succeeded" in dump.output(), 15)
        dump.wait_for("failed", within=15)
        text = dump.output()
    mine = [line for line in text.splitlines() if good.id in line]
    assert [kind for kind in ("sent", "received", "started", "succeeded") if kind in str(mine)] == [
        "sent", "received", "started", "succeeded",
    ]  # fmt: skip
    assert any(bad.id in line and "failed" in line for line in text.splitlines())


def test_shutdown_ends_the_worker(celery: CeleryCommands) -> None:
    # Last in this file.
    celery.run("control", "-t", "2", "-d", celery.pair.node, "shutdown")
    assert celery.pair.worker.process.wait(15) == 0
