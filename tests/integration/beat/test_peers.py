"""What beat sends runs on Celery's workers, and Celery's tools see beat."""

import time

import pytest

from tests.support.processes import celery_worker
from tests.support.waiting import eventually
from tq import TQ
from tq.beat import Service
from tq.beat.remote import PingResponder
from tq.beat.store import MemoryStore


@pytest.mark.timeout(90)
def test_a_celery_worker_runs_what_beat_sends_and_celery_pings_beat(server, store):
    from celery import Celery  # the peer; importing it is slow

    app = TQ("peer", broker=server.url, backend=server.url, set_as_current=False)
    app.conf.update(
        broker_lease=2.0,
        beat_schedule={
            "sum": {"task": "peer.add", "schedule": 0.3, "args": (2, 3), "options": {"expires": 30}}
        },
    )
    theirs = Celery("look", broker=server.url, backend=server.url, set_as_current=False)
    service, responder = Service(app, store=MemoryStore()), PingResponder(app, "celerybeat@here")
    with celery_worker(server.url, name="w@celery", PEER_BACKEND=server.url) as worker:
        service.start()
        responder.start()
        try:
            worker.wait_for("succeeded", within=30)
            replies = eventually(
                lambda: theirs.control.ping(destination=["celerybeat@here"], timeout=1), within=20
            )
            assert replies == [{"celerybeat@here": {"ok": "pong"}}]
            assert (
                theirs.control.inspect(destination=["celerybeat@here"], timeout=0.5).stats() is None
            )
        finally:
            deadline = time.monotonic() + 10
            responder.stop(deadline)
            service.stop(deadline)
        results = [store.get(key) for key in store.scan_iter("celery-task-meta-*")]
        assert results
        assert all(b'"result": 5' in result for result in results)
    theirs.close()
    app.close()
