"""Tasks that the Celery peer and the tq peer have in common, beside those their modules define.

`PEER_LEDGER` names the Redis on which tasks write down what they did: a server of its own where the
test breaks the broker.
"""

import os
import resource
import signal
import time
from pathlib import Path

import redis

_ledger = None


def ledger():
    """A connection of this process's own; children must not share their parent's socket."""
    global _ledger
    if _ledger is None or _ledger[0] != os.getpid():
        _ledger = (os.getpid(), redis.Redis.from_url(os.environ["PEER_LEDGER"]))
    return _ledger[1]


def write(event, key, request):
    """Append one line: what, the task's key and id, the process, the time."""
    ledger().rpush("ledger", f"{event} {key} {request.id} {os.getpid()} {time.time()}")


def register(app):
    """Define the tasks on `app`, a Celery or a TQ."""
    register_deadly(app)

    @app.task(name="peer.work", bind=True)
    def work(self, key, seconds=0.0):
        write("start", key, self.request)
        time.sleep(seconds)
        write("end", key, self.request)
        return key

    @app.task(name="peer.late", bind=True, acks_late=True, reject_on_worker_lost=True)
    def late(self, key, seconds=0.0):
        write("start", key, self.request)
        time.sleep(seconds)
        write("end", key, self.request)
        return key

    @app.task(name="peer.early", bind=True, acks_late=False)
    def early(self, key, seconds=0.0):
        write("start", key, self.request)
        time.sleep(seconds)
        write("end", key, self.request)
        return key

    @app.task(name="peer.echo")
    def echo(value):
        return value

    @app.task(name="peer.context", bind=True)
    def context(self, *args, **kwargs):
        names = ("id", "root_id", "parent_id", "retries", "group", "task", "expires", "timelimit")
        seen = {name: getattr(self.request, name) for name in names}
        return {**seen, "color": self.request.get("color"), "args": args, "kwargs": kwargs}

    @app.task(name="peer.tracked", track_started=True)
    def tracked(seconds):
        time.sleep(seconds)
        return "ended"

    @app.task(name="peer.note")
    def note(*values):
        ledger().rpush("notes", " ".join(str(value) for value in values))

    @app.task(name="peer.caught")
    def caught(request, exc, traceback, key):
        ledger().rpush("notes", f"{key} {request.id} {type(exc).__name__}")

    @app.task(name="peer.failed")
    def failed(task_id, key):
        ledger().rpush("notes", f"{key} {task_id}")


def register_deadly(app):
    """Define the tasks that harm their own process."""

    @app.task(name="peer.die", bind=True)
    def die(self, key):
        write("start", key, self.request)
        os.kill(os.getpid(), signal.SIGKILL)

    @app.task(name="peer.hog", bind=True)
    def hog(self, key, room_bytes):
        """Allocate until the address space is full; the limit ends with the task."""
        write("start", key, self.request)
        before = resource.getrlimit(resource.RLIMIT_AS)
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + room_bytes, before[1]))
        try:
            hoard = []
            while True:
                hoard.append(bytearray(1 << 20))
        finally:
            resource.setrlimit(resource.RLIMIT_AS, before)
