"""A sender that remembers instead of sending."""

import contextlib
import json

import pytest

from tq.backends.memory import MemoryBackend
from tq.canvas import Signature, signature
from tq.results import AsyncResult, EagerResult, ResultSet


class Settings:
    task_always_eager = False
    task_allow_error_cb_on_chord_header = False
    task_protocol = 2


class FakeTask:
    """A registered task: runs eagerly, sends through the recorder."""

    def __init__(self, app, name, run) -> None:
        self.app, self.name, self.run = app, name, run

    def __call__(self, *args, **kwargs):
        return self.run(*args, **kwargs)

    def apply(self, args=(), kwargs=None, **options):
        try:
            value, state = self.run(*args, **(kwargs or {})), "SUCCESS"
        except Exception as exc:
            value, state = exc, "FAILURE"
        for callback in options.get("link") or [] if state == "SUCCESS" else []:
            callback.apply((value,))
        return EagerResult(options.get("task_id") or "eager", value, state)

    def apply_async(self, args=(), kwargs=None, **options):
        return self.app.send_task(self.name, args, kwargs, **options)


class Recorder:
    """What canvas asks of an application, in order."""

    thread_oid = "oid"
    broker = None

    def __init__(self) -> None:
        self.conf = Settings()
        self.backend = MemoryBackend()
        self.tasks = {}
        self.calls = []  # (name, args, kwargs, options)
        self.trail = []
        self.bulk = 0
        self.sizes_at_first_call = None
        self.request = None

    def register(self, name, run):
        self.tasks[name] = FakeTask(self, name, run)
        return self.tasks[name]

    def send_task(self, name, args=None, kwargs=None, **options):
        if self.sizes_at_first_call is None:
            self.sizes_at_first_call = {k: c.size for k, c in self.backend._chords.items()}
        self.calls.append((name, args or (), kwargs or {}, options))
        return AsyncResult(options.get("task_id") or "sent", app=self)

    def send_many(self, signatures):
        self.bulk += 1
        return ResultSet(
            [self.send_task(s.task, s.args, s.kwargs, **s.options) for s in signatures]
        )

    def capture(self):
        """Collect nothing: calls are remembered where they are made."""
        return contextlib.nullcontext([])

    def current_request(self):
        return self.request

    def add_trail(self, result):
        self.trail.append(result)

    def messages(self):
        """Each call as headers and body, as the application would write them."""
        found = []
        for name, args, kwargs, options in self.calls:
            names = options.get("stamped_headers")
            found.append(
                {
                    "task": name,
                    "id": options.get("task_id"),
                    "group": options.get("group_id"),
                    "group_index": options.get("group_index"),
                    "stamps": {key: options[key] for key in names or ()},
                    "body": [
                        args,
                        kwargs,
                        {
                            "callbacks": options.get("link") or None,
                            "errbacks": options.get("link_error") or None,
                            "chain": options.get("chain") or None,
                            "chord": options.get("chord"),
                        },
                    ],
                }
            )
        return json.loads(json.dumps(found))


@pytest.fixture
def app():
    return Recorder()


@pytest.fixture
def s(app):
    """Make a signature: s("add", 2, 2)."""

    def make(name: str, *args, **options) -> Signature:
        return signature(f"tasks.{name}", args=args, options=options, app=app)

    return make
