"""The application of the worker's tests: tasks that leave marks in Redis, fail, stick and die."""

import asyncio
import json
import os
import signal
import sys
import time

import redis

from tq import TQ
from tq.errors import Ignore, Reject, SoftTimeLimitExceeded
from tq.logs import get_task_logger

app = TQ("works", broker=os.environ["PEER_URL"], backend=os.environ.get("PEER_BACKEND") or None)
app.conf.update(
    broker_lease=float(os.environ.get("PEER_LEASE", "3")),
    worker_soft_shutdown_timeout=float(os.environ.get("PEER_SOFT", "0")),
    task_acks_late=os.environ.get("PEER_ACKS", "late") == "late",
    **json.loads(os.environ.get("PEER_SETTINGS", "{}")),
)
log = get_task_logger(__name__)
_marks = None


def marks():
    """A connection of this process's own, on the socket that the broker listens on."""
    global _marks
    if _marks is None or _marks[0] != os.getpid():
        path = os.environ["PEER_MARKS"]
        _marks = (os.getpid(), redis.Redis(unix_socket_path=path, decode_responses=True))
    return _marks[1]


@app.task(name="works.add")
def add(x, y):
    return x + y


@app.task(name="works.mark")
def mark(key, seconds=0.0):
    """Count a start of `key`, take a while, count its end."""
    marks().hincrby("started", key, 1)
    time.sleep(seconds)
    marks().hincrby("ended", key, 1)
    return key


@app.task(name="works.mark_slowly_once")
def mark_slowly_once(key):
    """Take for ever the first time."""
    if marks().hincrby("started", key, 1) == 1:
        time.sleep(600)
    marks().hincrby("ended", key, 1)


@app.task(name="works.fail")
def fail(text="boom"):
    raise ValueError(text)


@app.task(name="works.die")
def die(key):
    """Kill the process that runs it."""
    marks().hincrby("started", key, 1)
    os.kill(os.getpid(), signal.SIGKILL)


@app.task(name="works.die_once")
def die_once(key):
    if marks().hincrby("started", key, 1) == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return "survived"


@app.task(name="works.early", acks_late=False)
def early(key, seconds=0.0):
    marks().hincrby("started", key, 1)
    time.sleep(seconds)
    marks().hincrby("ended", key, 1)
    return key


@app.task(name="works.soft", soft_time_limit=0.3, time_limit=20)
def soft():
    try:
        time.sleep(10)
    except SoftTimeLimitExceeded:
        return "cleaned up"
    return "too late"


@app.task(name="works.hard", time_limit=0.5)
def hard():
    time.sleep(20)


@app.task(name="works.limited", rate_limit="4/s")
def limited(key):
    marks().rpush(f"times:{key}", repr(time.time()))


@app.task(name="works.flaky", bind=True, max_retries=3)
def flaky(self, fails):
    if self.request.retries < fails:
        raise self.retry(countdown=0.1, exc=ConnectionError("again"))
    return self.request.retries


@app.task(name="works.ignore")
def ignore():
    raise Ignore("nothing to say")


@app.task(name="works.reject", bind=True)
def reject(self, key):
    """Be put back once."""
    if marks().hincrby("started", key, 1) == 1:
        raise Reject("not yet", requeue=True)
    return "second time"


@app.task(name="works.reject_for_good")
def reject_for_good():
    raise Reject("no thanks")


@app.task(name="works.keeps_failures", acks_on_failure=False)
def keeps_failures():
    raise ValueError("kept")


@app.task(name="works.asleep")
async def asleep(seconds):
    await asyncio.sleep(seconds)
    return seconds


@app.task(name="works.talk")
def talk():
    log.warning("words of a task")
    print("printed by a task")


@app.task(name="works.xsum")
def xsum(numbers):
    return sum(numbers)


@app.task(name="works.exit")
def leave():
    sys.exit(3)


@app.task(name="works.die_and_retry", bind=True, retry_on_worker_lost=True, default_retry_delay=0.1)
def die_and_retry(self, key, runs):
    """Kill the process in each run before the last of `runs`."""
    if marks().hincrby("started", key, 1) < runs:
        os.kill(os.getpid(), signal.SIGKILL)
    return self.request.retries


@app.task(
    name="works.die_and_retry_early",
    bind=True,
    acks_late=False,
    retry_on_worker_lost=True,
    default_retry_delay=0.1,
    max_retries=1,
)
def die_and_retry_early(self, key, runs):
    if marks().hincrby("started", key, 1) < runs:
        os.kill(os.getpid(), signal.SIGKILL)
    return self.request.retries


@app.task(name="works.silent", send_events=False)
def silent():
    return "not a word"


@app.task(name="works.secret", bind=True, max_retries=1)
def secret(self, word):
    if self.request.retries == 0:
        raise self.retry(countdown=0)
    return len(word)
