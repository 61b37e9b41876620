"""The same tasks as `celery_app`, on tq: only the import, the class and the URL differ."""

import os
import time

from tests.support.peer_tasks import register
from tq import TQ

app = TQ("peer", broker=os.environ["PEER_URL"], backend=os.environ.get("PEER_BACKEND") or None)
app.conf.update(
    worker_send_task_events=True,
    task_send_sent_event=True,
    task_default_queue=os.environ.get("PEER_QUEUE", "celery"),
    accept_content=["json", "msgpack"],
    broker_lease=float(os.environ.get("PEER_LEASE", "10")),
)


class Shortage(Exception):
    """An exception of the project's own."""


@app.task(name="peer.add")
def add(x, y):
    return x + y


@app.task(name="peer.fail")
def fail(text="boom"):
    raise ValueError(text)


@app.task(name="peer.custom_failure")
def custom_failure():
    raise Shortage("out of stock", 3)


@app.task(name="peer.sleep")
def sleep(seconds):
    time.sleep(seconds)
    return seconds


@app.task(name="peer.flaky", bind=True, max_retries=3)
def flaky(self, fails):
    if self.request.retries < fails:
        raise self.retry(countdown=0.1, exc=ConnectionError("again"))
    return self.request.retries


@app.task(name="peer.xsum")
def xsum(numbers):
    return sum(numbers)


register(app)
