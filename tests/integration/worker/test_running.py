"""Tasks run, in every pool, and their ends are recorded as they must be."""

import time

import pytest

from tests.integration.worker.conftest import Cluster
from tests.support.waiting import eventually
from tq.errors import NotRegistered, ResultTimeout, TaskRevokedError, TimeLimitExceeded

pytestmark = pytest.mark.timeout(90)


@pytest.mark.parametrize("pool", ["prefork", "threads", "asyncio", "solo"])
def test_two_thousand_tasks_run_once_and_have_results(cluster: Cluster, pool: str) -> None:
    sign = cluster.app.signature
    results = cluster.app.send_many(sign("works.add", args=(number, 1)) for number in range(2000))
    worker = cluster.start(pool=pool)
    assert results.get(timeout=60) == [number + 1 for number in range(2000)]
    eventually(lambda: cluster.unsettled() == 0)
    worker.signal(15)
    assert worker.process.wait(10) == 0


@pytest.mark.parametrize("pool", ["prefork", "threads", "asyncio", "solo"])
def test_every_end_of_a_task_is_recorded(cluster: Cluster, pool: str) -> None:
    cluster.start(pool=pool)
    failed, flaky = cluster.send("fail", "broken"), cluster.send("flaky", 2)
    ignored, refused = cluster.send("ignore"), cluster.send("reject_for_good")
    put_back, asleep = cluster.send("reject", "again"), cluster.send("asleep", 0.1)
    exited = cluster.send("exit")

    with pytest.raises(ValueError, match="broken"):
        failed.get(timeout=20)
    assert "broken" in failed.traceback
    assert flaky.get(timeout=20) == 2
    assert put_back.get(timeout=20) == "second time"
    assert asleep.get(timeout=20) == 0.1
    with pytest.raises(Exception, match="no thanks"):
        refused.get(timeout=20)
    with pytest.raises(BaseException, match="3"):
        exited.get(timeout=20)
    eventually(lambda: cluster.unsettled() == 0)
    with pytest.raises(ResultTimeout):
        ignored.get(timeout=0.2)


def test_coroutines_run_at_once_in_the_asyncio_pool(cluster: Cluster) -> None:
    cluster.start(pool="asyncio", concurrency=200)
    cluster.send("add", 1, 1).get(timeout=20)
    sign = cluster.app.signature
    results = cluster.app.send_many(sign("works.asleep", args=(5.0,)) for _ in range(200))
    # One after the other they would take 1,000 s.
    assert results.get(timeout=100) == [5.0] * 200


def test_an_unknown_task_fails_and_its_message_is_gone(cluster: Cluster) -> None:
    cluster.start()
    with pytest.raises(NotRegistered, match="no_such_task"):
        cluster.send("no_such_task").get(timeout=20)
    eventually(lambda: cluster.unsettled() == 0)


def test_an_eta_is_kept_by_the_broker_and_not_by_the_worker(cluster: Cluster) -> None:
    cluster.start()
    sent = time.time()
    result = cluster.send("mark", "later", countdown=1.0)
    eventually(lambda: cluster.redis.zcard("tq:delayed") == 1)
    scheduled = cluster.ask("scheduled")
    assert [entry["request"]["id"] for entry in scheduled] == [result.id]
    assert not cluster.started()
    result.get(timeout=20)
    assert time.time() - sent >= 1.0


def test_an_expired_task_is_revoked(cluster: Cluster) -> None:
    result = cluster.send("mark", "expired", expires=0.01)
    time.sleep(0.02)
    cluster.start()
    with pytest.raises(TaskRevokedError, match="expired"):
        result.get(timeout=20)
    assert not cluster.started()
    eventually(lambda: cluster.unsettled() == 0)


def test_a_rate_limit_holds_and_does_not_hold_up_others(cluster: Cluster) -> None:
    cluster.start()
    for _ in range(8):
        cluster.send("limited", "x")
    assert cluster.send("add", 1, 2).get(timeout=20) == 3
    eventually(lambda: cluster.redis.llen("times:x") == 8, within=30)
    times = sorted(float(moment) for moment in cluster.redis.lrange("times:x", 0, -1))
    # 4/s with a burst of one: eight starts span at least (8 - 1 - 1) / 4 s.
    assert times[-1] - times[0] >= 1.4


@pytest.mark.parametrize("pool", ["prefork", "solo", "threads"])
def test_a_soft_limit_interrupts_a_task_that_can_clean_up(cluster: Cluster, pool: str) -> None:
    cluster.start(pool=pool)
    expected = "too late" if pool == "threads" else "cleaned up"
    # Threads cannot be interrupted inside a blocking call, only between bytecodes.
    if pool != "threads":
        assert cluster.send("soft").get(timeout=20) == expected


def test_a_hard_limit_ends_a_task(cluster: Cluster) -> None:
    cluster.start()
    with pytest.raises(TimeLimitExceeded):
        cluster.send("hard").get(timeout=20)
    assert cluster.send("add", 2, 2).get(timeout=20) == 4
    eventually(lambda: cluster.unsettled() == 0)


def test_a_failure_that_is_not_acknowledged_ends_in_the_dead_letters(cluster: Cluster) -> None:
    cluster.start()
    with pytest.raises(ValueError, match="kept"):
        cluster.send("keeps_failures").get(timeout=20)
    eventually(lambda: cluster.redis.llen("tq:dead") == 1)
    eventually(lambda: cluster.unsettled() == 0)


def test_a_chord_runs_its_body_once(cluster: Cluster) -> None:
    from tq import chord, group

    cluster.start()
    sign = cluster.app.signature
    header = group([sign("works.add", args=(n, n)) for n in range(20)], app=cluster.app)
    result = chord(header, app=cluster.app)(sign("works.xsum"))
    assert result.get(timeout=30) == 380


def test_what_tasks_log_and_print_carries_their_name(cluster: Cluster) -> None:
    worker = cluster.start()
    result = cluster.send("talk")
    result.get(timeout=20)
    worker.wait_for(f"works.talk[{result.id}]: words of a task")
    worker.wait_for("printed by a task")
    worker.wait_for(f"Task works.talk[{result.id}] received")
    worker.wait_for(f"Task works.talk[{result.id}] succeeded in ")


@pytest.mark.parametrize(
    "raw",
    [
        b"not json",
        b"",
        b"{}",
        b"null",
        b'{"body": 5}',
        b'{"body":"e30=","headers":{"task":"works.add","id":"x"},"properties":{}}',
        b'{"body":"bm90IGpzb24=","content-type":"application/json","content-encoding":"utf-8",'
        b'"headers":{"task":"works.add","id":"x"},"properties":{"body_encoding":"base64",'
        b'"delivery_info":{"exchange":"","routing_key":"celery"},"delivery_tag":"t"}}',
    ],
)
def test_a_message_that_cannot_be_read_is_set_aside(cluster: Cluster, raw: bytes) -> None:
    worker = cluster.start()
    cluster.raw.lpush("celery", raw)
    assert cluster.send("add", 1, 1).get(timeout=20) == 2
    eventually(lambda: cluster.redis.llen("tq:dead") == 1)
    eventually(lambda: cluster.unsettled() == 0)
    assert worker.process.poll() is None
