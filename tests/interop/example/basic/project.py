"""An application as its users write one, on Celery. The test makes it one on tq by the import lines
and the class name alone; `drive.py` calls it, and neither knows which library it runs on.
"""

import json
import os

import redis
from celery import Celery, Task, chain, chord, group, signals
from celery.exceptions import Ignore, Reject, SoftTimeLimitExceeded
from celery.utils.log import get_task_logger

PREFIX = os.environ["EXAMPLE_PREFIX"]
ledger = redis.Redis.from_url(os.environ["EXAMPLE_LEDGER"], decode_responses=True)
log = get_task_logger(__name__)

app = Celery("example", broker=os.environ["EXAMPLE_BROKER"], backend=os.environ["EXAMPLE_BACKEND"])
app.conf.update(
    broker_connection_retry_on_startup=True,
    control_exchange=f"{PREFIX}ctl",
    event_exchange=f"{PREFIX}ev",
    result_extended=True,
    task_default_queue=f"{PREFIX}work",
    task_routes={"example.routed": {"queue": f"{PREFIX}special"}},
    task_send_sent_event=True,
    worker_send_task_events=True,
)

SIGNALS = (
    "before_task_publish", "after_task_publish", "task_sent", "task_received", "task_prerun",
    "task_postrun", "task_success", "task_retry", "task_failure", "task_internal_error",
    "task_revoked", "task_rejected", "task_unknown", "celeryd_init", "celeryd_after_setup",
    "import_modules", "worker_init", "worker_before_create_process", "worker_process_init",
    "worker_process_shutdown", "worker_ready", "worker_shutting_down", "worker_shutdown",
    "heartbeat_sent", "after_setup_logger", "after_setup_task_logger", "beat_init",
    "beat_embedded_init",
)  # fmt: skip


def task_of(named, sender):
    """The id of the task that a signal is about, or None."""
    request = named.get("request") or getattr(sender, "request", None)
    headers = named.get("headers") or {}
    return named.get("task_id") or headers.get("id") or getattr(request, "id", None)


def hear(signal, sender, name, **named):
    """Write down that a signal came, of whom, with which arguments, in which process."""
    who = sender if isinstance(sender, str) else getattr(sender, "name", None)
    told = {
        key: named[key] for key in ("state", "retval", "result", "sig", "how", "expired", "terminated")
        if isinstance(named.get(key), str | int | bool | None) and key in named
    }  # fmt: skip
    line = [name, who, sorted(named), told, task_of(named, sender), os.getpid()]
    ledger.rpush("signals", json.dumps(line))


def listener(name):
    """A receiver that knows the name of its signal."""

    def receive(signal, sender=None, **named):
        hear(signal, sender, name, **named)

    return receive


for one in SIGNALS:
    getattr(signals, one).connect(listener(one), weak=False)


def note(*words):
    """Write down what a task or a handler did."""
    ledger.rpush("notes", " ".join(str(word) for word in words))


class Shortage(Exception):
    """An error of the project's own."""


class Watched(Task):
    """A base class whose handlers tell that they were called, and with what."""

    abstract = True

    def before_start(self, task_id, args, kwargs):
        note("before_start", task_id, list(args), kwargs)

    def on_success(self, retval, task_id, args, kwargs):
        note("on_success", task_id, retval)

    def on_failure(self, exc, task_id, args, kwargs, einfo):
        note("on_failure", task_id, type(exc).__name__, exc, type(exc).__name__ in str(einfo))

    def on_retry(self, exc, task_id, args, kwargs, einfo):
        note("on_retry", task_id, type(exc).__name__, exc)

    def after_return(self, status, retval, task_id, args, kwargs, einfo):
        note("after_return", task_id, status, einfo is not None)


@app.task(name="example.add")
def add(x, y):
    return x + y


@app.task(name="example.whoami", bind=True)
def whoami(self, *args, **kwargs):
    request = self.request
    names = (
        "id", "root_id", "parent_id", "task", "args", "kwargs", "retries", "group", "is_eager",
        "called_directly", "eta", "expires", "hostname", "timelimit", "utc", "shadow", "lang",
        "correlation_id", "callbacks", "errbacks", "chain", "chord", "ignore_result", "stamps",
        "replaced_task_nesting",
    )  # fmt: skip
    found = {name: getattr(request, name, "none") for name in names}
    info = request.delivery_info or {}
    found["delivery_info"] = {key: info.get(key) for key in ("exchange", "routing_key", "priority")}
    return {**found, "color": request.get("color"), "name": self.name}


@app.task(name="example.routed", bind=True)
def routed(self):
    return self.request.delivery_info["routing_key"]


@app.task(
    name="example.flaky", bind=True, autoretry_for=(ConnectionError,), retry_backoff=1,
    retry_jitter=False, max_retries=3, base=Watched,
)  # fmt: skip
def flaky(self, failures):
    if self.request.retries < failures:
        raise ConnectionError(f"attempt {self.request.retries}")
    return self.request.retries


@app.task(name="example.stubborn", bind=True, max_retries=1, base=Watched)
def stubborn(self):
    try:
        raise Shortage("nothing left", self.request.retries)
    except Shortage as exc:
        raise self.retry(exc=exc, countdown=0.1) from exc


@app.task(name="example.expected", throws=(KeyError,), base=Watched)
def expected():
    raise KeyError("as announced")


@app.task(name="example.broken", base=Watched)
def broken(text):
    raise Shortage(text, 3)


@app.task(name="example.watched", base=Watched)
def watched(x):
    return x * 2


@app.task(name="example.ignoring", bind=True)
def ignoring(self):
    self.update_state(state="HALFWAY", meta={"done": 50})
    raise Ignore


@app.task(name="example.rejecting", acks_late=True)
def rejecting():
    raise Reject("not for me", requeue=False)


@app.task(name="example.progress", bind=True)
def progress(self):
    self.update_state(state="PROGRESS", meta={"current": 1})
    return [self.AsyncResult(self.request.id).state, self.AsyncResult(self.request.id).info]


@app.task(name="example.quiet", ignore_result=True)
def quiet(word):
    note("quiet", word)


@app.task(name="example.tracked", track_started=True, bind=True)
def tracked(self):
    return self.AsyncResult(self.request.id).state


@app.task(name="example.slow", soft_time_limit=1)
def slow():
    try:
        while True:
            pass
    except SoftTimeLimitExceeded:
        return "interrupted"


@app.task(name="example.limited", rate_limit="100/s")
def limited(x):
    return x


@app.task(name="example.unserialisable")
def unserialisable():
    return object()


@app.task(name="example.replaced", bind=True)
def replaced(self, x):
    raise self.replace(add.s(x, 100))


@app.task(name="example.total")
def total(numbers):
    return sum(numbers)


@app.task(name="example.caught")
def caught(request, exc, traceback):
    note("caught", request.id, type(exc).__name__, exc)


@app.task(name="example.parent", bind=True)
def parent(self):
    child = add.apply_async((1, 1), task_id="child")
    return [child.id, [one.id for one in self.request.children]]


@app.task(name="example.logs")
def logs():
    log.warning("a line of the task's own")
    print("a printed line")


__all__ = ["app", "chain", "chord", "group"]
