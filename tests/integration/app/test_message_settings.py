"""Settings that decide what a worker makes of a message: size, content types, repetition."""

import pytest

from tests.support.processes import BIN, Process
from tests.support.services import redis_server
from tests.support.waiting import eventually
from tq import TQ
from tq.states import PENDING, SUCCESS
from tq.wire.result import ResultMeta

pytestmark = pytest.mark.timeout(120)


@pytest.fixture(scope="module")
def place():
    with redis_server() as server:
        argv = [
            str(BIN / "tq"),
            "worker",
            "-A",
            "tests.support.strict_app",
            "-c",
            "1",
            "-l",
            "INFO",
        ]
        with Process(argv, server.url, PEER_BACKEND=server.url) as worker:
            worker.wait_for(" ready.")
            with TQ("x", broker=server.url, set_as_current=False) as app:
                yield app, worker


def test_a_body_that_inflates_beyond_the_bound_goes_to_the_dead_letters(place):
    app, worker = place
    app.send_task("strict.add", ("a" * 200_000, "b"), compression="gzip")
    eventually(lambda: "went to the dead letters (too_large" in worker.output(), within=8)


def test_a_body_within_the_bound_runs(place):
    app, _ = place
    result = app.send_task("strict.add", ("a" * 1000, "b"), compression="gzip")
    assert result.get(timeout=20) == "a" * 1000 + "b"


def test_a_content_type_that_is_not_accepted_is_not_read(place):
    app, worker = place
    app.send_task("strict.add", (1, 2), serializer="msgpack")
    eventually(lambda: "went to the dead letters (content_disallowed" in worker.output(), within=8)


def test_a_message_that_comes_again_after_its_task_succeeded_is_not_run(place):
    app, worker = place
    with app.capture() as messages:
        result = app.send_task("strict.add", (1, 2))
    stored = ResultMeta(task_id=result.id, status=SUCCESS, result="from the first time")
    app.backend.store([stored])
    messages[0].headers["redelivered"] = True
    app.broker.publish(messages)
    eventually(lambda: f"[{result.id}] ignored" in worker.output(), within=8)
    assert result.get(timeout=5) == "from the first time"


def test_a_message_that_comes_again_before_its_task_succeeded_is_run(place):
    app, _ = place
    with app.capture() as messages:
        result = app.send_task("strict.add", (1, 2))
    assert result.state == PENDING
    messages[0].headers["redelivered"] = True
    app.broker.publish(messages)
    assert result.get(timeout=20) == 3
