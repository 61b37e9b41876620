"""Commands are answered, also while every slot is busy, and never harm the worker."""

import json

import pytest

from tests.integration.worker.conftest import Cluster
from tests.support.waiting import eventually
from tq.errors import TaskRevokedError
from tq.wire.envelope import Message

pytestmark = pytest.mark.timeout(90)


@pytest.mark.parametrize("pool", ["prefork", "threads", "solo"])
def test_a_busy_worker_answers(cluster: Cluster, pool: str) -> None:
    cluster.start(pool=pool, concurrency=1)
    running, waiting = cluster.send("mark", "a", 8.0), cluster.send("mark", "b", 0.0)
    eventually(cluster.started, within=20)

    assert cluster.ask("ping") == {"ok": "pong"}
    (active,) = cluster.ask("active")
    assert (active["id"], active["name"], active["args"]) == (running.id, "works.mark", ["a", 8.0])
    assert active["time_start"]
    assert active["worker_pid"]
    states = cluster.ask("query_task", ids=[running.id, waiting.id, "unknown"])
    assert states[running.id][0] == "active"
    assert "unknown" not in states
    stats = cluster.ask("stats")
    assert stats["total"] == {"works.mark": 1}
    assert stats["broker"]["transport"] == "redis"
    assert [queue["name"] for queue in cluster.ask("active_queues")] == ["celery"]


def test_a_revoked_task_does_not_run(cluster: Cluster) -> None:
    cluster.start(concurrency=1)
    result = cluster.send("mark", "parked", countdown=2.0)
    eventually(lambda: cluster.redis.zcard("tq:delayed") == 1, within=20)
    reply = cluster.ask("revoke", task_id=[result.id])
    assert reply == {"ok": f"tasks {{'{result.id}'}} flagged as revoked"}
    with pytest.raises(TaskRevokedError, match="revoked"):
        result.get(timeout=20)
    assert cluster.ask("revoked") == [result.id]
    eventually(lambda: cluster.unsettled() == 0, within=20)
    assert not cluster.started()


def test_commands_change_the_worker(cluster: Cluster) -> None:
    worker = cluster.start(concurrency=2)
    assert cluster.ask("pool_grow", n=1) == {"ok": "pool will grow"}
    eventually(lambda: cluster.ask("stats")["pool"]["max-concurrency"] == 3)
    assert cluster.ask("pool_shrink", n=2) == {"ok": "pool will shrink"}
    eventually(lambda: cluster.ask("stats")["pool"]["max-concurrency"] == 1)
    assert cluster.ask("rate_limit", task_name="works.add", rate_limit="100/s") == {
        "ok": "new rate limit set successfully"
    }
    assert cluster.ask("time_limit", task_name="works.add", soft=10, hard=20) == {
        "ok": "time limits set successfully"
    }
    assert cluster.ask("enable_events") == {"ok": "task events enabled"}
    assert cluster.ask("enable_events") == {"ok": "task events already enabled"}
    assert cluster.ask("disable_events") == {"ok": "task events disabled"}
    assert cluster.ask("add_consumer", queue="extra") == {"ok": "add consumer extra"}
    assert cluster.send("add", 1, 2, queue="extra").get(timeout=20) == 3
    assert cluster.ask("cancel_consumer", queue="extra") == {"ok": "no longer consuming from extra"}
    assert cluster.send("add", 1, 2).get(timeout=20) == 3
    assert cluster.app.control.broadcast("shutdown", reply=True, timeout=1.0) == []
    assert worker.process.wait(15) == 0


HOSTILE = [
    b"null",
    b"[]",
    b"not json",
    b"{}",
    json.dumps({"method": 5, "arguments": {}}).encode(),
    json.dumps({"method": "ping", "arguments": []}).encode(),
    json.dumps({"method": "add_consumer", "arguments": {"queue": 5}}).encode(),
    json.dumps({"method": "pool_grow", "arguments": {"n": -50}}).encode(),
    json.dumps({"method": "pool_shrink", "arguments": {"n": 10**9}}).encode(),
    json.dumps({"method": "time_limit", "arguments": {"task_name": [], "hard": "x"}}).encode(),
    json.dumps({"method": "revoke", "arguments": {"task_id": None}}).encode(),
    json.dumps(
        {"method": "revoke", "arguments": {"task_id": "a", "terminate": True, "signal": "KILL; rm"}}
    ).encode(),
    json.dumps(
        {"method": "revoke", "arguments": {"task_id": [str(n) for n in range(100_000)]}}
    ).encode(),
]


def test_no_command_harms_the_worker(cluster: Cluster) -> None:
    worker = cluster.start()
    for body in HOSTILE:
        message = Message(
            body=body, exchange="celery.pidbox", exchange_type="fanout", routing_key=""
        )
        cluster.app.broker.publish([message])
        assert cluster.send("add", 2, 3).get(timeout=10) == 5
    assert cluster.ask("ping") == {"ok": "pong"}
    assert worker.process.poll() is None


def test_errors_are_replies_with_celerys_texts(cluster: Cluster) -> None:
    cluster.start()
    assert cluster.ask("no_such_command") == {"error": "KeyError('no_such_command')"}
    assert cluster.ask("query_task") == {
        "error": "TypeError(\"query_task() missing 1 required positional argument: 'ids'\")"
    }
    assert cluster.ask("enable_events", foo=1) == {
        "error": "TypeError(\"enable_events() got an unexpected keyword argument 'foo'\")"
    }
    assert cluster.ask("rate_limit", task_name="works.add", rate_limit="abc") == {
        "error": "Invalid rate limit string: ValueError(\"could not convert string to float: 'abc'\")"
    }
    assert cluster.ask("autoscale", max=4, min=2) == {
        "error": "ValueError('Autoscale not enabled')"
    }
