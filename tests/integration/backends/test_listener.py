"""The one connection that waits for results: when it is given up, and when it must not be."""

import logging
import signal
import time
from functools import partial
from types import SimpleNamespace

import pytest

from tests.support.waiting import eventually
from tq.backends import connect, listener
from tq.wire.result import ResultMeta

pytestmark = [pytest.mark.timeout(60), pytest.mark.xdist_group("backends")]


@pytest.fixture
def clock(monkeypatch):
    """The listener's clock, which tests move."""
    clock = SimpleNamespace(ahead=0.0)
    clock.monotonic = lambda: time.monotonic() + clock.ahead
    monkeypatch.setattr(listener, "time", clock)
    return clock


def watch(backend, task_id):
    arrived: list[ResultMeta] = []
    cancel = backend.watch([task_id], arrived.append, None)
    return arrived, cancel


def store(backend, task_id):
    backend.store([ResultMeta(task_id=task_id, status="SUCCESS", result=1, children=[])])


def subscriber(server):
    """The server's name for the connection that is subscribed."""
    found = [row["id"] for row in server.client.client_list() if int(row["sub"])]
    return found[0] if found else None


def subscribed(server, task_id):
    """How many wait for a task's result."""
    return server.client.pubsub_numsub(f"celery-task-meta-{task_id}")[0][1]


def test_wait_after_a_long_rest_uses_the_connection_that_is_there(server, clock, caplog):
    backend = connect(server.url)
    connections = set()
    for task_id in ("a", "b", "c", "d"):
        arrived, _ = watch(backend, task_id)
        eventually(partial(subscribed, server, task_id))
        connections.add(subscriber(server))
        store(backend, task_id)
        eventually(partial(bool, arrived))
        clock.ahead += 3600
    backend.close()
    assert len(connections) == 1
    assert caplog.records == []


def test_server_that_owes_an_answer_too_long_is_connected_to_again(own_server, clock, caplog):
    backend = connect(own_server.url)
    first, _ = watch(backend, "a")
    eventually(lambda: subscriber(own_server))
    own_server.signal(signal.SIGSTOP)
    try:
        second, cancel = watch(backend, "b")
        asked = backend._listener
        eventually(lambda: asked._asked)
        with caplog.at_level(logging.WARNING):
            clock.ahead += 60
            cancel()  # wakes the thread, which looks at its clock
            eventually(lambda: "no answer in" in caplog.text)
    finally:
        own_server.signal(signal.SIGCONT)
    store(backend, "a")
    eventually(lambda: first, within=15)
    backend.close()
    assert not second
