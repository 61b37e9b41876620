"""Tasks of the canvas tests, for any framework: `register(app, chain=..., ...)` defines them.

They leave traces in Redis (`PEER_MARKS` is its socket), so that a test can tell what ran, and how often.
"""

import os
import signal
import time
from types import SimpleNamespace
from typing import Any

import redis

from tests.support import expressions

_marks: tuple[int, redis.Redis] | None = None


def marks() -> redis.Redis:
    """A connection of this process's own."""
    global _marks
    if _marks is None or _marks[0] != os.getpid():
        _marks = (os.getpid(), redis.Redis(unix_socket_path=os.environ["PEER_MARKS"]))
    return _marks[1]


def register(app: Any, *, chain: Any, group: Any, errors: Any, abortable: Any) -> Any:
    """Define the tasks; returns them as attributes. `errors` is the framework's module of them."""
    t = SimpleNamespace()

    def task(**options: Any) -> Any:
        def define(function: Any) -> Any:
            made = app.task(name=f"canvas.{function.__name__}", **options)(function)
            setattr(t, function.__name__, made)
            return made

        return define

    _arithmetic(task)
    _traces(task)
    _family(task)
    _replacing(task, chain, group)
    _growing(task, group)
    _retrying(task)
    _pure(task)
    _limits(task, errors.SoftTimeLimitExceeded, abortable)
    _ending(task, errors)
    return t


def _arithmetic(task: Any) -> None:
    @task()
    def add(x, y=0):
        return x + y

    @task()
    def mul(x, y):
        return x * y

    @task()
    def identity(x=None):
        return x

    @task()
    def xsum(numbers):
        return sum(sum(n) if isinstance(n, list) else n for n in numbers)

    @task(ignore_result=True)
    def quiet(x=None):
        return x

    @task()
    def fail(*args):
        raise ValueError("boom", *args)

    @task()
    def unsendable(x=None):
        return object()


def _traces(task: Any) -> None:
    @task()
    def echo(value=None, key=""):
        marks().rpush(f"echo:{key}", str(value))
        return value

    @task(bind=True)
    def echo_group(self, _=None, *, key):
        marks().rpush(f"echo:{key}", self.request.group)

    @task()
    def count(key):
        marks().hincrby("counts", key, 1)
        return key

    @task()
    def errback_old(failed_id):
        marks().hincrby("counts", failed_id, 1)
        return failed_id

    @task()
    def errback_new(request, exc, traceback):
        marks().hincrby("counts", request.id, 1)
        marks().rpush(f"errors:{request.id}", f"{type(exc).__name__}: {bool(traceback)}")
        return request.id

    @task()
    def gate(key, value=None):
        """Wait until the test opens the gate."""
        marks().hincrby("counts", f"at {key}", 1)
        marks().blpop([f"gate:{key}"], timeout=60)
        return value


def _family(task: Any) -> None:
    @task(bind=True)
    def ids(self, i):
        return [self.request.root_id, self.request.parent_id, i]

    @task(bind=True)
    def collect(self, previous, i):
        return [previous, [self.request.root_id, self.request.parent_id, i]]

    @task(bind=True)
    def place(self, *_):
        return [self.request.group, self.request.group_index]

    @task(bind=True)
    def priority(self, *_):
        return self.request.delivery_info["priority"]

    @task(bind=True)
    def queue_of(self, *_):
        return self.request.delivery_info["routing_key"]

    @task(bind=True)
    def header_of(self, *_):
        return (self.request.headers or {}).get("colour")

    @task(bind=True)
    def stamps(self, *_):
        return self.request.stamps or {}

    @task(bind=True)
    def stamp_trace(self, _=None, *, key="", value=None):
        names = ",".join(sorted(self.request.stamped_headers or ()))
        marks().rpush(f"echo:{key}", f"{names}={sorted((self.request.stamps or {}).items())}")
        return value

    @task(bind=True)
    def progress(self, steps):
        for step in range(steps):
            self.update_state(state="PROGRESS", meta={"step": step})
        return steps


def _replacing(task: Any, chain: Any, group: Any) -> None:
    @task(bind=True)
    def become(self, *args, sig):
        """Let the signature `sig` take this call's place, with our arguments in front of its own."""
        return self.replace(self.app.signature(sig).clone(args))

    @task(bind=True)
    def nested(self, made):
        """Return a canvas; what comes back is its dictionary."""
        return self.app.signature(made)

    @task(bind=True)
    def become_chain(self, *args, steps, link=None, link_error=None):
        first, *rest = [self.app.signature(step) for step in steps]
        made = chain(first.clone(args), *rest)
        if link:
            made.link(self.app.signature(link))
        if link_error:
            made.link_error(self.app.signature(link_error))
        return self.replace(made)

    @task(bind=True)
    def become_empty_chain(self, *_):
        return self.replace(chain())

    @task(bind=True)
    def spread(self, numbers, value):
        """Be replaced by a group that adds `value` to each number."""
        add = self.app.signature("canvas.add")
        return self.replace(group([add.clone(args=(number, value)) for number in numbers]))

    @task(bind=True)
    def second_order(self, key, depth, back=False):
        """Be replaced by a chain that ends in itself, to `depth`."""
        if back:
            marks().rpush(f"echo:{key}", f"out {depth}")
            return depth
        marks().rpush(f"echo:{key}", f"in {depth}")
        inner = "canvas.second_order" if depth > 1 else "canvas.echo"
        args = (key, depth - 1) if depth > 1 else ("core", key)
        first = self.app.signature(inner, args=args)
        last = self.app.signature("canvas.second_order", args=(key, depth, True), immutable=True)
        return self.replace(chain(first, last))


def _growing(task: Any, group: Any) -> None:
    @task(bind=True)
    def extend(self, numbers, value):
        """Add parts to the chord we are a part of."""
        for number in numbers:
            self.add_to_chord(self.app.signature("canvas.add", args=(number, value)))
        return 0

    @task(bind=True)
    def extend_by_chord(self, numbers, value):
        add = self.app.signature("canvas.add")
        parts = group([add.clone(args=(number, value)) for number in numbers])
        self.add_to_chord(parts | self.app.signature("canvas.xsum"))
        return 0

    @task(bind=True)
    def start_inside(self, then=None):
        """Return the results of a canvas that this call starts."""
        add = self.app.signature("canvas.add")
        made = add.clone(args=(1, 1)) | group(add.clone(args=(3,)), add.clone(args=(4,)))
        if then:
            made |= self.app.signature(then)
        return made.apply_async().as_tuple()

    @task(bind=True)
    def wait_inside(self):
        """Wait for another call, which nobody should do."""
        return self.app.signature("canvas.add", args=(1, 1)).delay().get(timeout=10)


def _retrying(task: Any) -> None:
    @task(bind=True, max_retries=5)
    def flaky(self, value=None, *, fails=1, key=None):
        """Fail and be retried `fails` times."""
        if key:
            marks().hincrby("counts", key, 1)
        if self.request.retries < fails:
            raise self.retry(countdown=0.01, exc=ConnectionError("again"))
        return value

    @task(bind=True, max_retries=1)
    def hopeless(self, *_):
        raise self.retry(countdown=0.01, exc=ConnectionError("again"))

    @task(bind=True)
    def stamped_flaky(self, *_):
        if not self.request.retries:
            raise self.retry(countdown=0.01)
        return self.request.stamps

    @task(bind=True, acks_late=True, reject_on_worker_lost=True)
    def mortal(self, value=None, key=""):
        """Run `key` once; a listed key dies with its process first."""
        store = marks()
        store.hincrby("runs", key, 1)
        if store.srem("condemned", key):
            os.kill(os.getpid(), signal.SIGKILL)
        return value

    @task()
    def nap(value=None, seconds=0.01, key=""):
        """Take a moment, and count the end of it."""
        time.sleep(seconds)
        if key:
            marks().hincrby("counts", key, 1)
        return value


def _ending(task: Any, errors: Any) -> None:
    """Ends that are neither a value nor a failure."""

    @task()
    def ignored(*_):
        raise errors.Ignore("nothing to do")

    @task()
    def rejected(*_):
        raise errors.Reject("not mine", requeue=False)

    @task()
    def returned_once(value, key):
        """Give the message back the first time."""
        if marks().hincrby("counts", key, 1) == 1:
            raise errors.Reject("not now", requeue=True)
        return value

    @task(acks_late=True, reject_on_worker_lost=False)
    def lost(*_):
        """Take the process along, once."""
        os.kill(os.getpid(), signal.SIGKILL)

    @task(acks_late=True, reject_on_worker_lost=True)
    def deadly(*_):
        """Take a process along at every delivery."""
        os.kill(os.getpid(), signal.SIGKILL)

    @task(bind=True)
    def moved(self, value):
        """Go on in another call of the same id, as code older than `replace` does."""
        request = self.request
        self.app.signature("canvas.identity", args=(value,)).apply_async(
            task_id=request.id,
            group_id=request.group,
            group_index=request.group_index,
            chord=request.chord,
        )
        raise errors.Ignore("moved")


def _pure(task: Any) -> None:
    """The functions of `tests.support.expressions`, each run counted where a key is given."""

    def noted(key: str) -> None:
        if key:
            marks().hincrby("runs", key, 1)

    @task()
    def shift(value, by, key=""):
        noted(key)
        return expressions.shift(value, by)

    @task()
    def total(value, by, key=""):
        noted(key)
        return expressions.total(value) + by

    @task()
    def wrap(value, by, key=""):
        noted(key)
        return [value, by]

    @task(bind=True, max_retries=5)
    def retried(self, value, by, key=""):
        """Shift, at the `by`th retry."""
        if self.request.retries < by:
            raise self.retry(countdown=0.001)
        noted(key)
        return expressions.shift(value, by)

    @task(bind=True)
    def replaced(self, value, by, key=""):
        """Shift, by another call."""
        options = {"by": by, "key": key}
        return self.replace(self.app.signature("canvas.shift", args=(value,), kwargs=options))


def _limits(task: Any, soft_limit: type[BaseException], abortable: Any) -> None:
    @task(bind=True, base=abortable)
    def until_aborted(self, key):
        """Run until somebody aborts this call."""
        marks().hincrby("counts", f"at {key}", 1)
        for _ in range(2_000):
            if self.is_aborted():
                return "aborted"
            time.sleep(0.01)
        return "ran to its end"

    @task(soft_time_limit=0.3, time_limit=30)
    def guarded(value):
        """Run into the soft limit and recover."""
        try:
            for _ in range(1_000):  # an exception reaches a thread only between two calls
                time.sleep(0.01)
        except soft_limit:
            return value
        return None
