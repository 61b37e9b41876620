"""An application whose settings are not the defaults. The test makes it one on tq by the import
lines and the class name alone.
"""

import os
import signal

import redis
from celery import Celery, chord
from celery.utils.log import get_task_logger

PREFIX = os.environ["EXAMPLE_PREFIX"]
ledger = redis.Redis.from_url(os.environ["EXAMPLE_LEDGER"], decode_responses=True)
log = get_task_logger(__name__)

app = Celery("tuned", broker=os.environ["EXAMPLE_BROKER"], backend=os.environ["EXAMPLE_BACKEND"])
app.conf.update(
    accept_content=["json", "yaml"],
    broker_connection_retry_on_startup=True,
    control_exchange=f"{PREFIX}ctl",
    event_exchange=f"{PREFIX}ev",
    result_accept_content=["json", "yaml"],
    result_chord_expires=700,
    result_compression="gzip",
    result_expires=600,
    result_failure_expires=300,
    result_serializer="yaml",
    task_acks_late=True,
    task_acks_on_failure_or_timeout=True,
    task_annotations={"tuned.annotated": {"rate_limit": "77/m"}},
    task_compression="gzip",
    task_create_missing_queues=False,
    task_default_delivery_mode="transient",
    task_default_exchange="tuned-exchange",
    task_default_exchange_type="topic",
    task_default_priority=6,
    task_default_queue=f"{PREFIX}work",
    task_default_rate_limit="6000/m",
    task_default_routing_key="tuned.key",
    task_ignore_result=True,
    task_inherit_parent_priority=True,
    task_queues=None,
    task_reject_on_worker_lost=True,
    task_repr_maxlevels=1,
    task_send_sent_event=False,
    task_soft_time_limit=1,
    task_store_errors_even_if_ignored=True,
    task_store_eager_result=True,
    task_time_limit=30,
    task_track_started=True,
    timezone="Europe/Berlin",
    worker_direct=True,
    worker_log_format="LINE %(levelname)s %(message)s",
    worker_max_tasks_per_child=4,
    worker_prefetch_multiplier=1,
    worker_redirect_stdouts=False,
    worker_send_task_events=True,
    worker_state_db=os.environ["EXAMPLE_FOLDER"] + "/state",
    worker_task_log_format="TASK %(task_name)s %(levelname)s %(message)s",
)


@app.task(name="tuned.pid", ignore_result=False)
def pid():
    return os.getpid()


@app.task(name="tuned.address", bind=True, ignore_result=False)
def address(self):
    info = self.request.delivery_info
    return [info["exchange"], info["routing_key"], info["priority"]]


@app.task(name="tuned.parent", bind=True, ignore_result=False)
def parent(self):
    address.apply_async(task_id="child")
    return address.name


@app.task(name="tuned.silent")
def silent():
    return "nobody hears"


@app.task(name="tuned.fails")
def fails(nested):
    raise ValueError("kept")


@app.task(name="tuned.slow", ignore_result=False)
def slow():
    while True:
        pass


@app.task(name="tuned.state", bind=True, ignore_result=False)
def state(self):
    return self.AsyncResult(self.request.id).state


@app.task(name="tuned.dies", ignore_result=False)
def dies():
    if ledger.incr("deaths") == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return "survived"


@app.task(name="tuned.annotated", ignore_result=False)
def annotated():
    return annotated.rate_limit


@app.task(name="tuned.logs", ignore_result=False)
def logs():
    log.error("a logged line")
    print("a printed line", flush=True)


@app.task(name="tuned.late", ignore_result=False)
def late(numbers):
    return numbers


__all__ = ["app", "chord"]
