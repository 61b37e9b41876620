"""Tasks whose behaviour Celery documents; one module runs on either library.

`PEER_LIBRARY` names it. What tasks notice goes to a Redis list per call, `notes:<id>`, on the
server at `PEER_LEDGER`.
"""

import json
import os
import time
from collections import OrderedDict
from typing import Any

import redis

if os.environ.get("PEER_LIBRARY") == "celery":
    from celery import Celery as App
    from celery import Task
    from celery.exceptions import Ignore, Reject, SoftTimeLimitExceeded
else:
    from tq import TQ as App
    from tq import Task
    from tq.errors import Ignore, Reject, SoftTimeLimitExceeded

app: Any = App("behaves", broker=os.environ["PEER_URL"], backend=os.environ.get("PEER_BACKEND"))
app.conf.update(task_default_queue=os.environ.get("PEER_QUEUE", "celery"))
ledger = redis.Redis.from_url(os.environ["PEER_LEDGER"], decode_responses=True)


def note(task_id: str, *what: Any) -> None:
    ledger.rpush(f"notes:{task_id}", json.dumps(what, default=repr))


class Shortage(Exception):
    """An error of the project's own, made with keywords only."""

    def __init__(self, *, item: str) -> None:
        super().__init__(f"no {item} left")
        self.item = item


class Noted(Task):
    """Notes its handlers in the order of their calls."""

    abstract = True

    def before_start(self, task_id, args, kwargs):
        note(task_id, "before_start", args, kwargs)

    def on_success(self, retval, task_id, args, kwargs):
        note(task_id, "on_success", retval, args, kwargs)

    def on_retry(self, exc, task_id, args, kwargs, einfo):
        note(task_id, "on_retry", type(exc).__name__, args, kwargs, einfo is not None)

    def on_failure(self, exc, task_id, args, kwargs, einfo):
        note(task_id, "on_failure", type(exc).__name__, args, kwargs, "Traceback" in str(einfo))

    def after_return(self, status, retval, task_id, args, kwargs, einfo):
        shown = type(retval).__name__ if isinstance(retval, Exception) else retval
        note(task_id, "after_return", status, shown, args, kwargs, einfo is not None)


@app.task(name="b.ends", base=Noted, bind=True, max_retries=1)
def ends(self, how, extra=None):
    note(self.request.id, "run", self.request.retries)
    if how == "value":
        return "done"
    if how == "retry" and self.request.retries == 0:
        raise self.retry(exc=KeyError("once"), countdown=0)
    if how == "ignore":
        raise Ignore
    if how == "reject":
        raise Reject("no", requeue=False)
    if how == "error":
        raise ValueError("wrong")
    return "again"


@app.task(
    name="b.backs_off", bind=True, autoretry_for=(OSError,), dont_autoretry_for=(FileNotFoundError,),
    retry_backoff=1, retry_backoff_max=2, retry_jitter=False, max_retries=2,
)  # fmt: skip
def backs_off(self, error, fails):
    note(self.request.id, self.request.retries, self.request.eta is not None)
    if self.request.retries < fails:
        raise {"os": OSError, "file": FileNotFoundError, "value": ValueError}[error](error)
    return self.request.retries


@app.task(
    name="b.jitters", bind=True, autoretry_for=(OSError,), retry_backoff=True, max_retries=1,
    retry_kwargs={"max_retries": 1},
)  # fmt: skip
def jitters(self):
    raise OSError("always")


@app.task(name="b.gives_up", bind=True, max_retries=1)
def gives_up(self, with_exc):
    raise self.retry(countdown=0, exc=Shortage(item="ink") if with_exc else None)


@app.task(name="b.expects", throws=(KeyError,))
def expects():
    raise KeyError("expected")


@app.task(name="b.replaced", bind=True)
def replaced(self, kind):
    if kind == "task":
        raise self.replace(add.s(20, 22))
    if kind == "chain":
        raise self.replace(add.s(1, 2) | add.s(3))
    raise self.replace(app.signature("b.missing"))


@app.task(name="b.add")
def add(x, y):
    return x + y


@app.task(name="b.reports", bind=True)
def reports(self):
    self.update_state(state="HALF", meta={"done": 50})
    note(self.request.id, app.AsyncResult(self.request.id).state)
    note(self.request.id, app.AsyncResult(self.request.id).info)


@app.task(name="b.keeps_nothing", ignore_result=True)
def keeps_nothing(error=False):
    if error:
        raise ValueError("unseen")
    return 1


@app.task(name="b.keeps_errors", ignore_result=True, store_errors_even_if_ignored=True)
def keeps_errors():
    raise ValueError("seen")


@app.task(name="b.returns_odd")
def returns_odd():
    return object()


@app.task(name="b.raises_odd")
def raises_odd(kind):
    if kind == "keywords":
        raise Shortage(item="ink")
    if kind == "object":
        raise ValueError(object(), open)
    try:
        raise KeyError("inner")
    except KeyError as exc:
        raise ValueError("outer") from exc


@app.task(name="b.started", bind=True, track_started=True)
def started(self):
    result = app.AsyncResult(self.request.id)
    note(self.request.id, result.state, sorted(result.info))


@app.task(name="b.soft", bind=True, soft_time_limit=1, time_limit=20)
def soft(self, catch):
    try:
        time.sleep(15)
    except SoftTimeLimitExceeded:
        if catch:
            return "cleaned up"
        raise


@app.task(name="b.hard", time_limit=1)
def hard():
    time.sleep(15)


@app.task(name="b.nap", bind=True)
def nap(self, seconds):
    note(self.request.id, "started")
    time.sleep(seconds)


SEEN = (
    "args", "callbacks", "called_directly", "chain", "children", "chord", "correlation_id",
    "delivery_info", "errbacks", "eta", "expires", "group", "group_index", "headers", "hostname",
    "id", "ignore_result", "is_eager", "kwargs", "logfile", "loglevel", "origin", "parent_id",
    "properties", "replaced_task_nesting", "reply_to", "retries", "root_id", "shadow",
    "soft_time_limit", "stamped_headers", "stamps", "task", "taskset", "time_limit", "timelimit",
    "utc", "lang", "argsrepr", "kwargsrepr", "redelivered",
)  # fmt: skip


@app.task(name="b.looks", bind=True)
def looks(self, *args, **kwargs):
    """Note everything that the request tells."""
    request = self.request
    seen = OrderedDict((name, getattr(request, name, "<missing>")) for name in SEEN)
    seen["get"] = request.get("id") == request.id
    seen["x_own"] = getattr(request, "x_own", "<missing>")
    note(request.id, seen)
