"""Canvases that we send, run by a real Celery 5.7 worker."""

import pytest

import tq
from tests.support.processes import celery_worker
from tests.support.services import redis_server
from tq.canvas import chain, chord, group
from tq.errors import ChordError

pytestmark = pytest.mark.timeout(90)


@pytest.fixture(scope="module")
def app():
    with redis_server() as server, celery_worker(server.url, PEER_BACKEND=server.url):
        app = tq.TQ("client", broker=server.url, backend=server.url)
        yield app
        app.backend.close()
        app.broker.close()


@pytest.fixture
def add(app):
    return lambda *args: app.signature("peer.add", args=args)


@pytest.fixture
def xsum(app):
    return lambda: app.signature("peer.xsum")


def test_chain(add):
    assert chain(add(1, 2), add(3), add(4)).apply_async().get(timeout=30) == 10


def test_group(add):
    found = group(add(i, i) for i in range(20)).apply_async().get(timeout=30)
    assert found == [2 * i for i in range(20)]


def test_chord(add, xsum):
    assert chord([add(i, i) for i in range(20)], xsum()).apply_async().get(timeout=30) == 380


def test_group_in_a_chain_becomes_a_chord(add, xsum):
    canvas = chain(add(1, 1), group(add(1), add(2)), xsum(), add(10))
    assert canvas.apply_async().get(timeout=30) == 17


def test_chord_and_chain_in_a_header(add, xsum):
    canvas = chord([chord([add(1, 1), add(2, 2)], xsum()), add(1, 1) | add(5)], xsum())
    assert canvas.apply_async().get(timeout=30) == 13


def test_failing_part_fails_the_body(app, add, xsum):
    result = chord([add(1, 1), app.signature("peer.fail")], xsum()).apply_async()
    with pytest.raises(ChordError, match="boom"):
        result.get(timeout=30, follow_parents=False)
