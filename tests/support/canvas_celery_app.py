"""The canvas tests' tasks on real Celery."""

import os

from celery import Celery, chain, exceptions, group
from celery.contrib.abortable import AbortableTask

from tests.support.canvas_tasks import register

app = Celery("canvas", broker=os.environ["PEER_URL"], backend=os.environ["PEER_BACKEND"])
app.conf.update(
    broker_connection_retry_on_startup=True,
    worker_cancel_long_running_tasks_on_connection_loss=False,
    result_extended=True,
)
tasks = register(app, chain=chain, group=group, errors=exceptions, abortable=AbortableTask)
