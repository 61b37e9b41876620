"""What every result backend does."""

import threading

import pytest

from tests.support.waiting import eventually
from tq.backends import connect
from tq.errors import BackendError, ResultTimeout
from tq.results import AsyncResult, ResultSet
from tq.wire.result import ResultMeta, encode_exception

pytestmark = [pytest.mark.timeout(30), pytest.mark.xdist_group("backends")]

KINDS = {
    "memory": {},
    "redis": {},
    "redis+gzip": {"compression": "gzip"},
    "redis+msgpack": {"serializer": "msgpack"},
    "redis+prefix": {"global_keyprefix": "be"},
    "redis+unordered": {"chord_ordered": False},
}


@pytest.fixture(params=KINDS)
def backend(request, server):
    url = "memory://" if request.param == "memory" else server.url
    made = connect(url, KINDS[request.param])
    yield made
    made.close()


def success(task_id, value=None, **more):
    return ResultMeta(task_id=task_id, status="SUCCESS", result=value, children=[], **more)


def failure(task_id, exc):
    return ResultMeta(task_id=task_id, status="FAILURE", result=encode_exception(exc), children=[])


def test_fetch_gives_what_was_stored_and_leaves_out_what_was_not(backend):
    backend.store([success("a", {"x": [1, None]}), success("b", "two", parent_id="p")])
    found = backend.fetch(["a", "missing", "b"])
    assert set(found) == {"a", "b"}
    assert found["a"].result == {"x": [1, None]}
    assert found["b"].parent_id == "p"


def test_success_is_never_overwritten(backend):
    backend.store([success("a", 1)])
    backend.store([failure("a", ValueError("late"))])
    assert backend.fetch(["a"])["a"].status == "SUCCESS"


def test_result_that_looks_like_success_inside_is_overwritten(backend):
    backend.store([ResultMeta(task_id="a", status="PROGRESS", result={"status": "SUCCESS"})])
    backend.store([failure("a", ValueError("real"))])
    assert backend.fetch(["a"])["a"].status == "FAILURE"


def test_wait_delivers_what_is_there_and_what_comes(backend):
    backend.store([success("a", 1)])
    got = []
    timer = threading.Timer(0.05, backend.store, [[success("b", 2)]])
    timer.start()
    backend.wait(["a", "b"], got.append, timeout=10, until=lambda: len(got) == 2)
    timer.join()
    assert {meta.task_id: meta.result for meta in got} == {"a": 1, "b": 2}


def test_wait_delivers_states_in_between(backend):
    states = []

    def arrived(meta):
        states.append(meta.status)
        following = {"STARTED": "PROGRESS", "PROGRESS": "SUCCESS"}.get(meta.status)
        if following:
            backend.store([ResultMeta(task_id="a", status=following)])

    backend.store([ResultMeta(task_id="a", status="STARTED")])
    backend.wait(["a"], arrived, timeout=10, until=lambda: "SUCCESS" in states)
    assert list(dict.fromkeys(states)) == ["STARTED", "PROGRESS", "SUCCESS"]


def test_wait_ends_with_timeout_error(backend):
    with pytest.raises(ResultTimeout, match="a"):
        backend.wait(["a"], print, timeout=0.05, until=lambda: False)


def test_wait_calls_on_interval(backend):
    calls = []
    backend.wait(
        ["a"], print, timeout=10, until=lambda: bool(calls), on_interval=lambda: calls.append(1)
    )
    assert calls


def test_two_waiters_for_one_id_both_get_it(backend):
    values = []
    threads = [
        threading.Thread(target=lambda: values.append(AsyncResult("a", backend).get(timeout=10)))
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    backend.store([success("a", 7)])
    for thread in threads:
        thread.join()
    assert values == [7, 7]


def test_thousands_of_results_are_awaited_at_once(backend):
    results = ResultSet([AsyncResult(f"r{i}", backend) for i in range(5000)])
    timer = threading.Timer(0.05, backend.store, [[success(f"r{i}", i) for i in range(5000)]])
    timer.start()
    assert results.get(timeout=20) == list(range(5000))
    timer.join()


async def test_await_does_not_block_the_loop(backend):
    import asyncio

    async def store_later():
        await asyncio.sleep(0.01)
        await asyncio.to_thread(backend.store, [success("a", 1), failure("b", KeyError("k"))])

    task = asyncio.create_task(store_later())
    assert await AsyncResult("a", backend) == 1
    with pytest.raises(KeyError):
        await AsyncResult("b", backend)
    await task


def test_forgotten_results_are_gone(backend):
    backend.store([success("a")])
    backend.forget(["a", "b"])
    assert backend.fetch(["a"]) == {}


def test_groups_are_kept(backend):
    record = {"result": [["G", None], [[["a", None], None]]]}
    backend.save_group("G", record)
    assert backend.restore_group("G") == record
    backend.delete_group("G")
    assert backend.restore_group("G") is None


def test_last_part_gets_the_claim_in_any_order_and_only_once(backend):
    backend.set_chord_size("G", 3)
    parts = [backend.chord_part("G", success(f"t{i}", i), i) for i in range(3)]
    tokens = [backend.count_chord_part(parts[i]) for i in (2, 0, 0, 1, 0)]
    assert [bool(token) for token in tokens] == [False, False, False, True, False]
    found = backend.chord_parts("G")
    assert sorted(found) == [("t0", "SUCCESS", 0), ("t1", "SUCCESS", 1), ("t2", "SUCCESS", 2)]


def test_parts_counted_before_the_size_is_known_are_not_lost(backend):
    part = backend.chord_part("G", success("a", 1), 0)
    assert backend.count_chord_part(part) is None
    backend.set_chord_size("G", 1)
    assert backend.count_chord_part(part)  # the same part, delivered again


def test_added_parts_are_waited_for(backend):
    backend.set_chord_size("G", 1)
    backend.add_to_chord("G", 1)
    assert backend.count_chord_part(backend.chord_part("G", success("a"), 0)) is None
    assert backend.count_chord_part(backend.chord_part("G", success("b"), None))


def test_finished_chord_ignores_late_parts(backend):
    backend.set_chord_size("G", 1)
    part = backend.chord_part("G", success("a", 1), 0)
    token = backend.count_chord_part(part)
    assert backend.claim_chord("G", token, 20)
    assert not backend.claim_chord("G", "somebody else", 20)
    backend.finish_chord("G", token)
    assert backend.count_chord_part(part) is None
    assert not backend.claim_chord("G", token, 20)
    assert backend.chord_parts("G") == []


def test_finish_with_a_lost_claim_touches_nothing(backend):
    backend.set_chord_size("G", 1)
    backend.count_chord_part(backend.chord_part("G", success("a", 1), 0))
    backend.finish_chord("G", "not ours")
    assert len(backend.chord_parts("G")) == 1


def test_closed_backend_can_be_used_again(backend):
    backend.store([success("a", 1)])
    assert AsyncResult("a", backend).get(timeout=10) == 1
    backend.close()
    assert AsyncResult("a", backend).get(timeout=10) == 1


def test_no_backend_says_so():
    none = connect(None, {})
    none.store([success("a")])
    with pytest.raises(BackendError, match="result_backend"):
        AsyncResult("a", none).get(timeout=1)


def test_eventually_no_channel_is_left(server):
    backend = connect(server.url, {})
    results = [AsyncResult(f"r{i}", backend) for i in range(100)]
    with pytest.raises(ResultTimeout):
        ResultSet(results).get(timeout=0.2)
    eventually(lambda: server.client.pubsub_channels("*") == [])
    backend.close()
