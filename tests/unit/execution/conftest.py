"""Applications on the in-process broker, and a minimal worker for them."""

import pytest

from tq import TQ
from tq.execution import build_context, run_task
from tq.execution.callbacks import dispatch_chord
from tq.wire.message import read_body, read_headers


class OneThread:
    """Fetches, runs and settles until the queue is empty, as a worker does."""

    def __init__(self, app):
        self.app = app
        self.done = []

    def run(self):
        app = self.app
        consumer = app.broker.consume([app.queues["celery"]], prefetch=10)
        try:
            while batch := consumer.fetch(limit=10, timeout=0):
                for delivery in batch:
                    self._one(consumer, delivery)
        finally:
            consumer.close()
        return self.done

    def _one(self, consumer, delivery):
        headers = read_headers(delivery.message)
        body = read_body(delivery.message, frozenset({"application/json"}))
        context = build_context(headers, body, delivery.message, hostname="w@h")
        execution = run_task(self.app, context, body)
        self.done.append(execution)
        if execution.others:
            self.app.backend.store(execution.others)
        if execution.effect is None and execution.meta is not None:
            self.app.backend.store([execution.meta])
        if execution.reject is not None:
            consumer.reject([delivery.tag], requeue=False)
            return
        for message in execution.messages:
            message.headers.pop("eta", None)
        claim = None
        if execution.chord is not None:
            claim = self.app.backend.count_chord_part(execution.chord.part)
        (settled,) = consumer.settle([execution.settlement(delivery.tag, shared=False)])
        assert settled.done
        if claim:
            dispatch_chord(self.app, execution.chord, claim)


@pytest.fixture
def app():
    with TQ("proj", broker="memory://", set_as_current=False) as app:
        yield app
        app.broker.purge("celery")


@pytest.fixture
def worker(app):
    return OneThread(app)
