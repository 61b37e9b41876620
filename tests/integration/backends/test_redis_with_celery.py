"""Celery 5.7's own code reads what we write, and writes what we read."""

import gc
import os
import threading

import pytest
from celery import Celery, states
from celery.app.task import Context
from celery.exceptions import ChordError as CeleryChordError
from celery.result import AsyncResult as CeleryAsyncResult
from celery.result import GroupResult as CeleryGroupResult

from tests.support.waiting import eventually
from tq.backends import connect
from tq.errors import BackendError, ChordError
from tq.results import AsyncResult, GroupResult, ResultSet
from tq.wire.result import ResultMeta, encode_exception

pytestmark = [
    pytest.mark.timeout(60),
    # The peer's own: it calls what redis-py deprecates, and leaves sockets to the collector.
    pytest.mark.filterwarnings("ignore:Call to deprecated setex:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture
def celery(server):
    app = Celery("peer", backend=server.url, broker="memory://", set_as_current=False)
    yield app
    gc.collect()  # its results unsubscribe when they are collected
    app.backend.result_consumer.stop()
    app.backend.client.close()
    app.close()


@pytest.fixture
def backend(server):
    made = connect(server.url, {})
    yield made
    made.close()


def success(task_id, value=None, **more):
    return ResultMeta(task_id=task_id, status="SUCCESS", result=value, children=[], **more)


def test_celery_client_reads_our_result(celery, backend):
    backend.store([success("a", [1, {"x": 2}])])
    assert CeleryAsyncResult("a", app=celery).get(timeout=5) == [1, {"x": 2}]


def test_celery_client_is_woken_by_our_result(celery, backend):
    timer = threading.Timer(0.3, backend.store, [[success("a", "woken")]])
    timer.start()
    assert CeleryAsyncResult("a", app=celery).get(timeout=10) == "woken"
    timer.join()


def test_celery_client_raises_our_exception(celery, backend):
    record = encode_exception(ValueError("boom", 3))
    backend.store([ResultMeta(task_id="a", status="FAILURE", result=record, children=[])])
    with pytest.raises(ValueError, match="boom") as caught:
        CeleryAsyncResult("a", app=celery).get(timeout=5)
    assert caught.value.args == ("boom", 3)


def test_celery_client_follows_our_children(celery, backend):
    children = [AsyncResult("kid").as_tuple(), GroupResult("G", [AsyncResult("g1")]).as_tuple()]
    record = success("a")
    record.children = children
    backend.store([record])
    found = CeleryAsyncResult("a", app=celery).children
    assert [child.id for child in found] == ["kid", "G"]
    assert found[1].results[0].id == "g1"


def test_our_client_reads_celerys_result(celery, backend):
    celery.backend.store_result("a", {"n": 1}, states.SUCCESS)
    assert AsyncResult("a", backend).get(timeout=5) == {"n": 1}


def test_our_client_is_woken_by_celerys_result(celery, backend):
    timer = threading.Timer(0.1, celery.backend.store_result, ["a", 5, states.SUCCESS])
    timer.start()
    assert AsyncResult("a", backend).get(timeout=10) == 5
    timer.join()


def test_our_client_raises_celerys_exceptions(celery, backend):
    celery.backend.store_result("a", KeyError("k"), states.FAILURE, traceback="tb")
    celery.backend.store_result("b", CeleryChordError("part"), states.FAILURE)
    with pytest.raises(KeyError):
        AsyncResult("a", backend).get(timeout=5)
    assert AsyncResult("a", backend).traceback == "tb"
    with pytest.raises(ChordError, match="part"):
        AsyncResult("b", backend).get(timeout=5)


def test_compressed_result_of_celery_is_read(celery, backend, server):
    celery.conf.result_compression = "gzip"
    celery.backend.store_result("a", "x" * 1000, states.SUCCESS)
    assert server.client.get("celery-task-meta-a").startswith(b"\x00celery-compressed\x00")
    assert AsyncResult("a", backend).get(timeout=5) == "x" * 1000


def test_compressed_success_of_celery_is_not_overwritten(celery, backend):
    celery.conf.result_compression = "gzip"
    celery.backend.store_result("a", 1, states.SUCCESS)
    backend.store([ResultMeta(task_id="a", status="FAILURE", result={"exc_type": "X"})])
    assert AsyncResult("a", backend).state == "SUCCESS"


def test_keys_and_expiry_are_celerys(server):
    backend = connect(server.url, {"expires": 60, "failure_expires": 30, "global_keyprefix": "be"})
    backend.store([success("a"), ResultMeta(task_id="b", status="FAILURE", result={})])
    assert server.client.ttl("be_celery-task-meta-a") == 60
    assert server.client.ttl("be_celery-task-meta-b") == 30
    backend.close()


def test_group_saved_by_one_is_restored_by_the_other(celery, backend):
    GroupResult("G", [AsyncResult("a", backend), AsyncResult("b", backend)]).save(backend)
    found = CeleryGroupResult.restore("G", app=celery)
    assert [member.id for member in found] == ["a", "b"]
    CeleryGroupResult("H", [CeleryAsyncResult("c", app=celery)]).save(celery.backend)
    assert [member.id for member in GroupResult.restore("H", backend=backend)] == ["c"]


def celery_counts(celery, task_id, index, value, body):
    request = Context(id=task_id, group="G", group_index=index, chord=body)
    celery.backend.on_chord_part_return(request, states.SUCCESS, value)


def test_chord_is_counted_by_both(celery, backend, server):
    celery.backend.set_chord_size("G", 3)
    sent = []
    celery.send_task = lambda name, args=None, kwargs=None, **options: sent.append(args)
    body = celery.signature("peer.xsum", options={"task_id": "body"})
    celery_counts(celery, "t0", 0, 10, body)
    assert backend.count_chord_part(backend.chord_part("G", success("t1", 11), 1)) is None
    celery_counts(celery, "t0", 0, 10, body)  # delivered again
    token = backend.count_chord_part(backend.chord_part("G", success("t2", 12), 2))
    assert token
    assert [value for _, _, value in backend.chord_parts("G")] == [10, 11, 12]
    celery_counts(celery, "t1", 1, 11, body)  # may not take the claim that is ours
    assert sent == []
    backend.finish_chord("G", token)
    celery_counts(celery, "t1", 1, 11, body)
    assert sent == []
    assert [key for key in server.client.keys("*") if b".c" not in key] == []


# Celery's shared tasks are one registry for all tests of a process, and it warns of equal names.
@pytest.mark.filterwarnings("ignore:(?s).*callable")
def test_celery_dispatches_when_its_part_is_the_last(celery, backend):
    backend.set_chord_size("G", 2)
    sent = []
    celery.send_task = lambda name, args=None, kwargs=None, **options: sent.append((name, args))
    body = celery.signature("nobody.xsum", options={"task_id": "body"})
    part = backend.chord_part("G", success("t0", 1), 0)
    assert backend.count_chord_part(part) is None
    celery_counts(celery, "t1", 1, 2, body)
    assert [(name, [list(a) for a in args]) for name, args in sent] == [("nobody.xsum", [[1, 2]])]
    assert backend.count_chord_part(part) is None


def test_server_that_comes_back_wakes_who_waits(own_server):
    backend = connect(own_server.url, {})
    results = ResultSet([AsyncResult(f"r{i}", backend) for i in range(10)])
    values = []
    thread = threading.Thread(target=lambda: values.extend(results.get(timeout=30)))
    thread.start()
    eventually(lambda: len(own_server.client.pubsub_channels("*")) == 10)
    own_server.stop()
    own_server.start()
    other = connect(own_server.url, {})
    other.store([success(f"r{i}", i) for i in range(10)])
    thread.join(30)
    assert values == list(range(10))
    backend.close()
    other.close()


def test_server_that_is_away_is_an_error_not_a_wait(own_server):
    backend = connect(own_server.url, {})
    own_server.stop()
    with pytest.raises(BackendError):
        AsyncResult("a", backend).state  # noqa: B018 - reading is the point
    with pytest.raises(BackendError):
        backend.store([success("a")])
    own_server.start()
    backend.store([success("a", 1)])
    assert AsyncResult("a", backend).get(timeout=10) == 1
    backend.close()


@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
def test_forked_child_waits_on_its_own_subscription(backend):
    backend.store([success("a", 1)])
    assert AsyncResult("a", backend).get(timeout=5) == 1  # the thread runs now
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            code = 0 if AsyncResult("b", backend).get(timeout=10) == 2 else 2
        finally:
            os._exit(code)
    backend.store([success("b", 2)])
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert AsyncResult("b", backend).get(timeout=5) == 2


def test_unreadable_record_is_an_error_for_its_waiter_only(backend, server):
    from tq.errors import DecodeError

    server.client.set("celery-task-meta-bad", b"\x80\x04not json")
    with pytest.raises(DecodeError):
        AsyncResult("bad", backend).get(timeout=5)
    backend.store([success("good", 1)])
    assert AsyncResult("good", backend).get(timeout=5) == 1
