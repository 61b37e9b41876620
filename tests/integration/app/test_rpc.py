"""`rpc://`: results come back as messages to the process that made the call."""

import os
import uuid

import amqp
import pytest

from tests.support.processes import tq_worker
from tests.support.services import rabbitmq_url, redis_server
from tq import TQ, chain
from tq.errors import BackendError

pytestmark = pytest.mark.timeout(120)


@pytest.fixture(scope="module", params=["redis", "amqp"])
def place(request):
    """Broker URL and queue, with a worker on them."""
    queue = f"rpc-{uuid.uuid4().hex[:8]}"
    env = {"PEER_BACKEND": "rpc://", "PEER_QUEUE": queue}
    if request.param == "redis":
        with redis_server() as server, tq_worker(server.url, **env):
            yield server.url, queue
        return
    url = rabbitmq_url()
    name = f"{queue}@rpc"
    with tq_worker(url, name=name, **env):
        yield url, queue
    with amqp.Connection("127.0.0.1:5672") as connection:
        channel = connection.channel()
        channel.queue_delete(queue)
        channel.queue_delete(f"{name}.celery.pidbox")
        channel.exchange_delete(queue)


@pytest.fixture
def app(place):
    url, queue = place
    with TQ("caller", broker=url, backend="rpc://", set_as_current=False) as app:
        app.conf.task_default_queue = queue
        yield app


def test_results_come_back(app):
    results = [app.send_task("peer.add", (number, 1)) for number in range(20)]
    assert [result.get(timeout=20) for result in results] == list(range(1, 21))


def test_a_result_that_came_before_it_was_asked_for_is_kept(app):
    first = app.send_task("peer.add", (1, 1))
    app.send_task("peer.add", (2, 2)).get(timeout=20)
    assert first.get(timeout=20) == 2
    assert first.get(timeout=1) == 2


def test_a_failure_comes_back(app):
    with pytest.raises(ValueError, match="boom"):
        app.send_task("peer.fail").get(timeout=20)


def test_a_retry_answers_the_first_caller(app):
    assert app.send_task("peer.flaky", (2,)).get(timeout=30) == 2


def test_a_bulk_comes_back(app):
    add = app.signature("peer.add", args=(2, 3))
    assert app.send_many([add.clone() for _ in range(200)]).join_native(timeout=30) == [5] * 200


def test_every_step_of_a_chain_answers_the_caller(app):
    add = app.signature("peer.add", args=(1, 2))
    last = chain(add, app.signature("peer.add", args=(10,)), app=app).apply_async()
    assert last.get(timeout=20) == 13
    assert last.parent.get(timeout=20) == 3


def test_results_come_back_after_the_app_was_closed_and_used_again(app):
    assert app.send_task("peer.add", (1, 1)).get(timeout=20) == 2
    app.close()
    assert app.send_task("peer.add", (1, 2)).get(timeout=20) == 3


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_forked_child_has_a_queue_of_its_own(app):
    ours = app.thread_oid
    app.send_task("peer.add", (1, 1)).get(timeout=20)
    reads, writes = os.pipe()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            value = app.send_task("peer.add", (20, 22)).get(timeout=20)
            os.write(writes, f"{value} {app.thread_oid}".encode())
            code = 0
        finally:
            os._exit(code)
    os.close(writes)
    assert os.waitpid(child, 0)[1] == 0
    value, theirs = os.read(reads, 200).decode().split()
    os.close(reads)
    assert value == "42"
    assert theirs != ours == app.thread_oid
    assert app.send_task("peer.add", (1, 1)).get(timeout=20) == 2


def test_a_chord_is_refused_with_what_to_use(app):
    add = app.signature("peer.add", args=(1, 2))
    with pytest.raises(BackendError, match="redis://"):
        app.backend.set_chord_size(add.freeze().id, 2)
