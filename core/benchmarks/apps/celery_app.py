"""The benchmark's tasks on Celery; `BENCH_URL` names the Redis server."""

import os

from celery import Celery

app = Celery("bench", broker=os.environ["BENCH_URL"], backend=os.environ["BENCH_URL"])
app.conf.update(
    task_default_queue="bench", result_expires=600, broker_connection_retry_on_startup=True
)


@app.task(name="bench.noop", ignore_result=True)
def noop() -> None:
    """Do nothing, keep nothing."""


@app.task(name="bench.stored")
def stored() -> int:
    """Return a small result to be kept."""
    return 1
