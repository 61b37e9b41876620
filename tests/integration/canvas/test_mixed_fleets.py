"""Canvases with Celery on the other side: its client, its worker, and both at once on one queue."""

import gc
import os
from collections.abc import Iterator
from types import SimpleNamespace

import celery
import celery.contrib.abortable
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tq
from tests.integration.canvas.test_any_nesting import run_some
from tests.support.canvas_tasks import register
from tests.support.expressions import expressions
from tests.support.fleet import TIMEOUT, Fleet
from tests.support.processes import celery_worker, tq_worker
from tests.support.services import RedisServer
from tests.support.waiting import eventually

pytestmark = [
    pytest.mark.timeout(120),
    pytest.mark.xdist_group("canvas-mixed"),
    # Celery's client announces the end of a default that it still has.
    pytest.mark.filterwarnings("ignore::celery.exceptions.CPendingDeprecationWarning"),
    # Its applications share their tasks, and there is one for each protocol.
    pytest.mark.filterwarnings("ignore::celery.exceptions.DuplicateTaskNameWarning"),
]


def tq_kit(fleet: Fleet) -> SimpleNamespace:
    return SimpleNamespace(**vars(fleet.t), chain=tq.chain, group=tq.group, chord=tq.chord)


def celery_kit(fleet: Fleet, protocol: int = 2) -> SimpleNamespace:
    app = celery.Celery("client", broker=fleet.url, backend=fleet.url, set_as_current=False)
    app.conf.task_protocol = protocol  # read once, at the first message
    tasks = register(
        app,
        chain=celery.chain,
        group=celery.group,
        errors=celery.exceptions,
        abortable=celery.contrib.abortable.AbortableTask,
    )
    return SimpleNamespace(
        **vars(tasks), chain=celery.chain, group=celery.group, chord=celery.chord
    )


@pytest.fixture(
    scope="module",
    params=["celery client, tq worker", "tq client, celery worker", "tq client, both workers"],
)
def sides(request: pytest.FixtureRequest) -> Iterator[SimpleNamespace]:
    """A client's kit with workers of the other product, or of both on one queue."""
    client, _, workers = request.param.partition(", ")
    server = RedisServer("redis").start()
    fleet = Fleet(server)
    try:
        if workers != "celery worker":
            start = tq_worker(server.url, "-A", "tests.support.canvas_app", **fleet.env)
            fleet.workers.append(start)
        if workers != "tq worker":
            start = celery_worker(server.url, app="tests.support.canvas_celery_app", **fleet.env)
            fleet.workers.append(start)
        if client == "celery client":
            kits = {protocol: celery_kit(fleet, protocol) for protocol in (1, 2)}
        else:
            kits = dict.fromkeys((1, 2), tq_kit(fleet))
        yield SimpleNamespace(fleet=fleet, kit=kits[2], kits=kits)
        kits.clear()
        assert all(worker.process.poll() is None for worker in fleet.workers)
    finally:
        gc.collect()  # Celery's results unsubscribe when they are collected: while there is a server
        fleet.close()
        server.close()


CASES = {
    "chain": (lambda k: k.chain(k.add.s(1, 2), k.add.s(3), k.add.s(4)), 10),
    "group": (lambda k: k.group(k.add.s(i, i) for i in range(10)), [2 * i for i in range(10)]),
    "chord": (lambda k: k.chord([k.add.s(i, i) for i in range(20)], k.xsum.s()), 380),
    "chord of 300": (lambda k: k.chord([k.identity.s(1) for _ in range(300)], k.xsum.s()), 300),
    "upgraded": (
        lambda k: k.add.s(1, 1) | k.group(k.add.s(1), k.add.s(2)) | k.xsum.s() | k.add.s(10),
        17,
    ),
    "chord in a chain in a header": (
        lambda k: k.chord(
            [
                k.chord([k.add.s(1, 1), k.add.s(2, 2)], k.xsum.s()),
                k.chain(k.add.s(1, 1), k.chord([k.add.s(1), k.add.s(2)], k.xsum.s())),
            ],
            k.xsum.s(),
        ),
        13,
    ),
    "body is a chain": (
        lambda k: k.chord([k.add.s(1, 1), k.add.s(2, 2)], k.xsum.s() | k.add.s(1)),
        7,
    ),
    "group in a header": (
        lambda k: k.chord([k.group(k.identity.s(1), k.identity.s(2)), k.identity.s(3)], k.xsum.s()),
        6,
    ),
    "replaced": (
        lambda k: k.chain(k.identity.s(42), k.replaced.s(by=1), k.identity.s()),
        43,
    ),
    "replaced by a group": (lambda k: k.chain(k.spread.s([1, 2], 3), k.xsum.s()), 9),
    "retried": (lambda k: k.chord([k.flaky.s(1), k.flaky.s(2)], k.flaky.s()), [1, 2]),
    "extended": (lambda k: k.group(k.extend.s([1, 2], 4)) | k.xsum.s(), 11),
    "starmap": (lambda k: k.chain(k.add.starmap([(1, 2), (3, 4)]), k.xsum.s()), 10),
    "chunks": (lambda k: k.add.chunks([(1, 1), (2, 2), (3, 3)], 2).group(), [[2, 4], [6]]),
}


@pytest.fixture
def speak(sides):
    """Make the client write a protocol; returns its kit."""
    app = sides.fleet.app

    def speak(protocol: int) -> SimpleNamespace:
        app.conf.task_protocol = protocol
        return sides.kits[protocol]

    yield speak
    app.conf.task_protocol = 2


@pytest.mark.parametrize("protocol", [1, 2])
@pytest.mark.parametrize("name", CASES)
def test_canvas_runs_on_the_other_product(sides, speak, name, protocol):
    build, expected = CASES[name]
    found = build(speak(protocol)).apply_async().get(timeout=TIMEOUT)
    if (name, protocol) == ("retried", 1):
        # Celery's worker drops the place in the header when it retries a protocol 1 message.
        found = sorted(found)
    assert found == expected


@pytest.mark.parametrize("place", ["chain in a header", "body"])
def test_failure_reaches_the_client_and_the_errback(sides, place):
    k, key = sides.kit, sides.fleet.key()
    made = k.chord([k.identity.si(1), k.chain(k.identity.si(1), k.fail.si())], k.xsum.s())
    if place == "body":
        made = k.chord([k.identity.si(1)], k.fail.si())
    made.link_error(k.count.si(key))
    with pytest.raises(Exception, match="boom"):
        made.apply_async().get(timeout=TIMEOUT)
    # Celery's worker acknowledges early and stores the failure before it sends the errback.
    eventually(lambda: sides.fleet.counted(key), within=TIMEOUT)
    sides.fleet.settle()
    assert sides.fleet.counted(key) == 1


# Celery's own worker loses some nestings of groups, so random ones go to tq's.
@pytest.mark.parametrize("sides", ["celery client, tq worker"], indirect=True)
@settings(run_some, max_examples=15)
@given(expression=expressions, start=st.integers(-5, 5))
def test_nested_canvas_of_a_celery_client_equals_plain_python(sides, expression, start):
    k = sides.kit
    canvas = k.chain(k.identity.s(start), expression.build(k))
    assert canvas.apply_async().get(timeout=TIMEOUT) == expression.value(start)


@pytest.fixture(autouse=True)
def marks_of_the_fleet(sides, monkeypatch) -> None:
    monkeypatch.setitem(os.environ, "PEER_MARKS", str(sides.fleet.server.socket))
