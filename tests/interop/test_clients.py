"""A client of either library and a worker of the other: the same calls, the same answers."""

import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from tests.interop.conftest import Pair, make_pair
from tests.support.services import RedisServer
from tests.support.waiting import eventually

CASES = ["celery/redis/redis", "tq/redis/redis", "celery/amqp/redis", "tq/amqp/redis",
         "celery/amqp/rpc", "tq/amqp/rpc"]  # fmt: skip
pytestmark = [
    pytest.mark.timeout(90),
    pytest.mark.xdist_group("interop-clients"),
    # Celery 5.7 calls redis-py with arguments that redis-py deprecates.
    pytest.mark.filterwarnings("ignore::DeprecationWarning:redis"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:celery"),
]
# Longest wait for a result; only a failing test waits that long.
LONG = 20


@pytest.fixture(scope="module", params=CASES)
def pair(request: pytest.FixtureRequest, server: RedisServer) -> Iterator[Pair]:
    server_pair = make_pair(server, request.param)
    server_pair.redis.flushall()
    try:
        yield server_pair.start()
    finally:
        server_pair.close()


@pytest.fixture
def stored(pair: Pair) -> Pair:
    """A pair with results that any process can read; rpc:// results go to one caller, once."""
    if pair.backend.startswith("rpc"):
        pytest.skip("rpc:// keeps nothing to look up")
    return pair


def test_a_call_returns_its_result(pair: Pair) -> None:
    result = pair.send("add", 2, 3)
    assert result.get(timeout=LONG) == 5
    assert (result.state, result.successful()) == ("SUCCESS", True)


def test_keyword_arguments_arrive(pair: Pair) -> None:
    assert pair.app.send_task("peer.add", kwargs={"x": 1, "y": 2}).get(timeout=LONG) == 3


def test_a_hundred_calls_return_their_own_results(pair: Pair) -> None:
    results = [pair.send("add", number, 1) for number in range(100)]
    assert [result.get(timeout=LONG) for result in results] == [n + 1 for n in range(100)]


def test_marked_types_survive_both_ways(pair: Pair) -> None:
    values = [datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), uuid.uuid4(), {"a": [1, None, "ü"]}]
    assert pair.send("echo", values).get(timeout=LONG) == values


def test_a_builtin_exception_comes_back_as_itself(pair: Pair) -> None:
    result = pair.send("fail", "no luck")
    with pytest.raises(ValueError, match="no luck"):
        result.get(timeout=LONG)
    assert result.state == "FAILURE"
    assert "no luck" in result.traceback


def test_an_exception_class_of_the_project_keeps_its_name_and_arguments(pair: Pair) -> None:
    result = pair.send("custom_failure")
    with pytest.raises(Exception, match="out of stock") as caught:
        result.get(timeout=LONG)
    assert "Shortage" in f"{type(caught.value).__name__} {caught.value!r}"


def test_an_unregistered_task_fails_the_call(stored: Pair) -> None:
    if stored.peer == "celery":
        pytest.skip("a Celery worker drops unknown tasks; the state is tested by its own suite")
    with pytest.raises(Exception, match="nothing_of_that_name"):
        stored.send("nothing_of_that_name").get(timeout=LONG)


def test_a_task_that_retries_ends_with_its_last_try(pair: Pair) -> None:
    assert pair.send("flaky", 2).get(timeout=LONG) == 2


def test_retries_that_run_out_raise_the_cause(pair: Pair) -> None:
    with pytest.raises(ConnectionError, match="again"):
        pair.send("flaky", 10).get(timeout=LONG)


def test_a_countdown_is_waited_for(pair: Pair) -> None:
    sent = time.time()
    result = pair.send("work", "countdown", countdown=1.5)
    assert result.get(timeout=LONG) == "countdown"
    assert time.time() - sent >= 1.5


def test_an_eta_is_waited_for(pair: Pair) -> None:
    due = datetime.now(UTC) + timedelta(seconds=1.5)
    assert pair.send("work", "eta", eta=due).get(timeout=LONG) == "eta"
    assert datetime.now(UTC) >= due


def test_a_task_that_waited_past_its_expiry_is_revoked(stored: Pair) -> None:
    result = stored.send("work", "expired", expires=datetime.now(UTC) - timedelta(seconds=1))
    eventually(lambda: result.state == "REVOKED", within=LONG)


def test_a_revoked_task_does_not_run(stored: Pair) -> None:
    result = stored.send("work", "revoked", countdown=2.5)
    replies = stored.app.control.revoke(
        result.id, reply=True, timeout=10, destination=[stored.node]
    )
    assert list(replies[0]) == [stored.node]
    assert list(replies[0][stored.node]) == ["ok"]
    eventually(lambda: result.state == "REVOKED", within=LONG)
    assert not any(" revoked " in line for line in stored.redis.lrange("ledger", 0, -1))


def test_a_running_task_is_terminated(stored: Pair) -> None:
    result = stored.send("tracked", 60)
    eventually(lambda: result.state == "STARTED", within=LONG)
    stored.app.control.revoke(
        result.id, terminate=True, signal="SIGKILL", destination=[stored.node]
    )
    eventually(lambda: result.state == "REVOKED", within=LONG)
    with pytest.raises(Exception, match="terminated"):
        result.get(timeout=LONG)


def test_states_are_seen_as_the_task_goes_on(stored: Pair) -> None:
    result = stored.send("tracked", 0.5, countdown=0.5)
    assert result.state == "PENDING"
    eventually(lambda: result.state == "STARTED", within=LONG)
    assert result.info["hostname"] == stored.node
    eventually(lambda: result.state == "SUCCESS", within=LONG)


def test_a_chain_hands_results_on(stored: Pair) -> None:
    chain = stored.sign("add", 1, 1) | stored.sign("add", 10) | stored.sign("add", 100)
    result = chain.apply_async()
    assert result.get(timeout=LONG) == 112
    assert result.parent.get(timeout=LONG) == 12
    assert result.parent.parent.get(timeout=LONG) == 2


def test_a_chain_stops_at_a_failure(stored: Pair) -> None:
    chain = stored.sign("fail", "first", immutable=True) | stored.sign("add", 10)
    result = chain.apply_async()
    with pytest.raises(ValueError, match="first"):
        result.get(timeout=LONG)


def test_a_group_returns_results_in_order(stored: Pair) -> None:
    group = stored.canvas.group([stored.sign("add", n, n) for n in range(20)], app=stored.app)
    result = group.apply_async()
    assert result.get(timeout=LONG) == [2 * n for n in range(20)]
    assert result.completed_count() == 20


def test_a_saved_group_is_restored(stored: Pair) -> None:
    group = stored.canvas.group([stored.sign("add", n, n) for n in range(3)], app=stored.app)
    saved = group.apply_async()
    saved.save()
    restored = stored.results.GroupResult.restore(saved.id, app=stored.app)
    assert restored.get(timeout=LONG) == [0, 2, 4]


def test_a_chord_runs_its_body_with_every_part(stored: Pair) -> None:
    header = [stored.sign("add", n, n) for n in range(20)]
    body = stored.sign("xsum")
    assert stored.canvas.chord(header, app=stored.app)(body).get(timeout=LONG) == 380


def test_a_chord_in_a_chain_hands_its_sum_on(stored: Pair) -> None:
    group = stored.canvas.group([stored.sign("add", n) for n in range(4)], app=stored.app)
    flow = stored.sign("add", 1, 1) | group | stored.sign("xsum") | stored.sign("add", 100)
    assert flow.apply_async().get(timeout=LONG) == 2 * 4 + 6 + 100


def test_a_failed_part_fails_the_chord(stored: Pair) -> None:
    header = [stored.sign("add", 1, 1), stored.sign("fail", "part")]
    result = stored.canvas.chord(header, app=stored.app)(stored.sign("xsum"))
    with pytest.raises(Exception, match="part"):
        result.get(timeout=LONG)
    # Celery's client raises what it finds first in the header; the body's record follows.
    eventually(lambda: result.state == "FAILURE", within=LONG)


def test_links_run_after_success(pair: Pair) -> None:
    key = uuid.uuid4().hex
    pair.send("add", 2, 3, link=pair.sign("note", key)).get(timeout=LONG)
    eventually(lambda: f"5 {key}" in pair.notes(), within=LONG)


@pytest.mark.parametrize("errback", ["caught", "failed"])
def test_error_links_run_after_failure(pair: Pair, errback: str) -> None:
    key = uuid.uuid4().hex
    result = pair.send("fail", "x", link_error=pair.sign(errback, key))
    with pytest.raises(ValueError, match="x"):
        result.get(timeout=LONG)
    said = f"{key} {result.id}" + (" ValueError" if errback == "caught" else "")
    eventually(lambda: said in pair.notes(), within=LONG)


def test_an_ignored_result_is_not_stored(stored: Pair) -> None:
    key = uuid.uuid4().hex
    result = stored.send("work", key, ignore_result=True)
    eventually(
        lambda: any(f"end {key} " in line for line in stored.redis.lrange("ledger", 0, -1)),
        within=LONG,
    )
    # A task sent later has its result, so the first one would have it by now.
    stored.send("add", 1, 1).get(timeout=LONG)
    assert not stored.redis.exists(f"celery-task-meta-{result.id}")


def test_headers_and_context_arrive(pair: Pair) -> None:
    result = pair.app.send_task(
        "peer.context", args=[1], kwargs={"k": 2}, headers={"color": "blue"},
        time_limit=50, soft_time_limit=40,
    )  # fmt: skip
    seen = result.get(timeout=LONG)
    assert (seen["id"], seen["root_id"], seen["parent_id"]) == (result.id, result.id, None)
    assert (seen["color"], seen["args"], seen["kwargs"]) == ("blue", [1], {"k": 2})
    assert seen["timelimit"] == [50, 40]
    assert (seen["task"], seen["retries"]) == ("peer.context", 0)


@pytest.mark.parametrize(
    "how", [{"serializer": "msgpack"}, {"compression": "gzip"}, {"compression": "bzip2"},
            {"serializer": "msgpack", "compression": "gzip"}]
)  # fmt: skip
def test_serializers_and_compressions_are_read(pair: Pair, how: dict[str, str]) -> None:
    text = "a long text that is worth compressing " * 50
    assert pair.send("echo", text, **how).get(timeout=LONG) == text


@pytest.mark.parametrize("priority", [0, 3, 9])
def test_every_priority_is_consumed(pair: Pair, priority: int) -> None:
    assert pair.send("add", priority, 1, priority=priority).get(timeout=LONG) == priority + 1


def test_forgetting_removes_the_result(stored: Pair) -> None:
    result = stored.send("add", 1, 2)
    result.get(timeout=LONG)
    result.forget()
    assert not stored.redis.exists(f"celery-task-meta-{result.id}")


def test_the_worker_has_nothing_left_in_hand(pair: Pair) -> None:
    # Last in this file: whatever went through this worker is settled.
    if pair.broker.startswith("redis"):
        eventually(lambda: pair.redis.hlen("unacked") == 0, within=LONG)
        assert pair.redis.llen("celery") == 0
        assert pair.redis.llen("tq:dead") == 0
    assert pair.worker.process.poll() is None
    assert "Traceback (most recent call last):\n" not in _unexpected(pair.worker.output())


def _unexpected(output: str) -> str:
    """The log without the tracebacks of tasks that were made to fail."""
    return "\n".join(
        block for block in output.split("\n[") if "raised" not in block and "rror" not in block
    )
