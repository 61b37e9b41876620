"""Results as messages, over a broker that is really there."""

import pytest

from tests.support.waiting import eventually
from tq.backends import connect
from tq.brokers.connect import connect as connect_broker
from tq.errors import BackendError, ResultTimeout
from tq.results import AsyncResult
from tq.wire.result import ResultMeta

pytestmark = pytest.mark.timeout(30)


@pytest.fixture(params=["memory", "redis"])
def broker(request, server):
    made = connect_broker("memory://" if request.param == "memory" else server.url, {})
    yield made
    made.close()


@pytest.fixture
def caller(broker):
    made = connect("rpc://", {}, broker)
    yield made
    made.close()


def test_result_reaches_the_caller_and_stays_readable(broker, caller):
    worker = connect("rpc://", {}, broker)
    queue = caller.reply_to()
    for state in ("STARTED", "SUCCESS"):
        record = ResultMeta(task_id="a", status=state, result=state.lower(), children=[])
        worker.store([record], reply_to={"a": queue})
    assert AsyncResult("a", caller).get(timeout=10) == "success"
    assert AsyncResult("a", caller).state == "SUCCESS"
    worker.close()


def test_result_that_nobody_asked_for_is_not_sent(broker, caller):
    caller.reply_to()
    caller.store([ResultMeta(task_id="a", status="SUCCESS")])
    with pytest.raises(ResultTimeout):
        AsyncResult("a", caller).get(timeout=0.2)


def test_unreadable_reply_is_dropped_and_the_next_one_arrives(broker, caller):
    from tq.brokers.base import Message

    queue = caller.reply_to()
    broker.publish([Message(body=b"\xff", routing_key=queue, correlation_id="bad")])
    caller.store([ResultMeta(task_id="a", status="SUCCESS", result=1)], reply_to={"a": queue})
    assert AsyncResult("a", caller).get(timeout=10) == 1


def test_chords_are_refused_with_what_to_do(caller):
    assert not caller.supports_chords
    with pytest.raises(BackendError, match="redis://"):
        caller.set_chord_size("G", 1)


def test_closed_backend_leaves_no_thread(caller):
    import threading

    before = set(threading.enumerate())
    caller.reply_to()
    caller.close()
    eventually(lambda: set(threading.enumerate()) <= before)
