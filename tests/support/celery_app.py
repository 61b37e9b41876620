"""The interop tests' tasks on real Celery. `PEER_URL` names the broker, `PEER_BACKEND` the backend."""

import json
import os
import time

from celery import Celery

from tests.support import msgpack_for_kombu
from tests.support.peer_tasks import register

msgpack_for_kombu.register()
app = Celery("peer", broker=os.environ["PEER_URL"], backend=os.environ.get("PEER_BACKEND") or None)
app.conf.update(
    broker_connection_retry_on_startup=True,
    worker_send_task_events=True,
    task_send_sent_event=True,
    task_default_queue=os.environ.get("PEER_QUEUE", "celery"),
    worker_cancel_long_running_tasks_on_connection_loss=False,
    accept_content=["json", "msgpack"],
    broker_transport_options=json.loads(os.environ.get("PEER_TRANSPORT", "{}")),
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
