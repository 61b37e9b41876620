"""The whole way on a real server: call, message, run, settle in one step, result, chord body."""

import uuid

import pytest

from tests.support.services import redis_server
from tq import TQ, chain, chord
from tq.canvas.body import dispatch_body
from tq.errors import ChordError
from tq.execution import build_context, run_task
from tq.execution.callbacks import dispatch_chord
from tq.wire.message import read_body, read_headers
from tq.wire.result import ResultMeta

pytestmark = pytest.mark.timeout(60)


@pytest.fixture(scope="module")
def server():
    with redis_server() as server:
        yield server


@pytest.fixture
def app(server):
    with TQ("proj", broker=server.url, set_as_current=False) as app:
        yield app


def work(app, until):
    """Fetch, run and settle in one step, until `until()`."""
    app.finalize()
    consumer = app.broker.consume([app.queues["celery"]], prefetch=10)
    try:
        while not until():
            for delivery in consumer.fetch(limit=10, timeout=0.2):
                headers = read_headers(delivery.message)
                body = read_body(delivery.message, frozenset({"application/json"}))
                context = build_context(headers, body, delivery.message, hostname="w@h")
                execution = run_task(app, context, body)
                (settled,) = consumer.settle([execution.settlement(delivery.tag)])
                assert settled.done
                if settled.claim:
                    dispatch_chord(app, execution.chord, settled.claim)
    finally:
        consumer.close()


def test_results_go_to_the_brokers_own_server_by_default(app):
    assert app.backend.location == app.broker.location is not None


def test_a_chain_a_chord_and_a_bulk_of_calls_give_their_values(app):
    @app.task
    def add(x, y):
        return x + y

    @app.task
    def total(values):
        return sum(values)

    steps = chain(add.s(1, 2), add.s(10)).apply_async()
    whole = chord([add.s(i, i) for i in range(10)], total.s()).apply_async()
    many = app.send_many([add.s(i, 1) for i in range(1200)])
    results = [steps, whole, *many.results]
    work(app, lambda: all(result.ready() for result in results[:2]) and many.ready())
    assert steps.get(timeout=5) == 13
    assert whole.get(timeout=5) == 90
    assert many.join_native(timeout=10) == list(range(1, 1201))


def test_update_state_is_seen_by_the_caller(app):
    @app.task(bind=True)
    def reports(self):
        self.update_state(state="HALF", meta={"done": 50})
        return app.AsyncResult(self.request.id).info

    result = reports.delay()
    work(app, result.ready)
    assert result.get(timeout=5) == {"done": 50}


def complete_header(app, queue):
    """Count the only part of a chord whose body goes to `queue`; returns the body and the claim."""
    body = app.signature("proj.body", queue=queue)
    body.freeze("body-id", group_id="G")
    app.backend.set_chord_size("G", 1)
    meta = ResultMeta(task_id="part", status="SUCCESS", result=1)
    return body, app.backend.count_chord_part(app.backend.chord_part("G", meta, 0))


def test_a_body_is_sent_and_its_chord_closed_in_one_step(app):
    queue = f"bodies-{uuid.uuid4().hex}"
    body, claim = complete_header(app, queue)
    seen = []

    class Watched:
        """The backend; a process that dies at any call of it must leave the chord open or sent."""

        def __getattr__(self, name):
            seen.append((name, app.broker.depths([queue])[queue]))
            return getattr(app.backend, name)

    assert dispatch_body(app, Watched(), "G", body, claim)
    assert seen[-1] == ("finish_chord", 0)
    assert app.broker.depths([queue]) == {queue: 1}
    assert not dispatch_body(app, app.backend, "G", body, claim)
    assert app.broker.depths([queue]) == {queue: 1}


def test_a_body_whose_queue_cannot_take_it_fails(app):
    queue = f"bodies-{uuid.uuid4().hex}"
    app.broker.pool.call("SET", queue, "no list")
    body, claim = complete_header(app, queue)
    assert dispatch_body(app, app.backend, "G", body, claim)
    with pytest.raises(ChordError, match="WRONGTYPE"):
        app.AsyncResult("body-id").get(timeout=5)
    assert not dispatch_body(app, app.backend, "G", body, claim)
