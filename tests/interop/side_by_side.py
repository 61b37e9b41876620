"""Runs one project on Celery and on tq, in processes of their own, and shows what can be seen of each.

A project in `example/` is written for Celery; on tq only its import lines and the class name differ.
The program that calls it is the same file.
"""

import base64
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import amqp
import redis

from tests.support.processes import Process, environment
from tests.support.services import rabbitmq_url, redis_server
from tests.support.waiting import eventually

HERE = Path(__file__).parent / "example"
NODE = "one@example"
RABBITMQ = "127.0.0.1:5672"
SWAPS = {
    "from celery import Celery,": "from tq import TQ,",
    "from celery.exceptions import": "from tq.errors import",
    "from celery.utils.log import": "from tq.logs import",
    "app = Celery(": "app = TQ(",
}


def source(example: str, library: str) -> str:
    """A project's source for one of the libraries."""
    text = (HERE / example / "project.py").read_text()
    if library == "tq":
        for theirs, ours in SWAPS.items():
            assert text.count(theirs) <= 1
            text = text.replace(theirs, ours)
    return text


class Run:
    """What one library made of a project: everything that can be seen from outside.

    Attributes:
        last: The id of the task that the client calls last.
        prefix: Begins the names of queues and exchanges, which RabbitMQ shares with others.
        amqp: The broker is RabbitMQ; results and the ledger are on Redis even then.
    """

    def __init__(
        self, example: str, library: str, folder: Path, last: str, prefix: str, amqp: bool = False
    ) -> None:
        self.library = library
        self.folder = folder
        self.last = last
        self.prefix = prefix
        self.amqp = amqp
        self.queues = [f"{prefix}work", f"{prefix}special"]
        # The tuned project leaves the choice of queues to its settings.
        self.consumes = example == "basic"
        (folder / "project.py").write_text(source(example, library))
        shutil.copy(HERE / example / "drive.py", folder)
        self.events: list[dict[str, Any]] = []
        self.worker_pid = self.client_pid = 0
        with redis_server(tcp=True) as server:
            self.backend_url = server.url
            self.url = rabbitmq_url() if self.amqp else server.url
            self.ledger_url = server.url.removesuffix("0") + "1"
            self.client = redis.Redis.from_url(self.backend_url)
            self.ledger = redis.Redis.from_url(self.ledger_url, decode_responses=True)
            try:
                self._observe()
            finally:
                self.client.close()
                self.ledger.close()
                if self.amqp:
                    self._sweep()

    def environment(self) -> dict[str, str]:
        made = environment(
            self.url,
            EXAMPLE_BROKER=self.url,
            EXAMPLE_BACKEND=self.backend_url,
            EXAMPLE_LEDGER=self.ledger_url,
            EXAMPLE_FOLDER=str(self.folder),
            EXAMPLE_PREFIX=self.prefix,
        )
        path = os.pathsep.join([str(self.folder), made["PYTHONPATH"]])
        return {**made, "PYTHONPATH": path, "PYTHONWARNINGS": "ignore"}

    def _observe(self) -> None:
        program = ["-m", "celery"] if self.library == "celery" else ["-m", "tqconsole"]
        argv = [sys.executable, *program, "-A", "project", "worker"]
        argv += ["-n", NODE, "-l", "INFO", "-c", "1"]
        if self.consumes:
            argv += ["-Q", ",".join(self.queues)]
        with (
            (AmqpEvents if self.amqp else RedisEvents)(self.url, f"{self.prefix}ev") as listening,
            Process(argv, self.url, **self.environment()) as worker,
        ):
            worker.wait_for(" ready.")
            self.worker_pid = worker.pid
            self.found = self._drive()
            # The client has seen the results; what its last task tells may still be on its way.
            eventually(lambda: listening.has("task-succeeded", self.last), within=30)
            worker.signal(signal.SIGTERM)
            worker.process.wait(60)
            eventually(lambda: listening.has("worker-offline", None), within=30)
            self.output = worker.output()
            self.events = listening.seen
        self.signals = [json.loads(line) for line in self.ledger.lrange("signals", 0, -1)]
        self.notes = self.ledger.lrange("notes", 0, -1)
        self.stored = {
            key.decode().removeprefix("celery-task-meta-"): self.client.get(key)
            for key in self.client.scan_iter("celery-task-meta-*")
        }
        self.lifetimes = {
            key.decode(): self.client.ttl(key) for key in self.client.scan_iter("celery-task*")
        }
        self.left = {one["headers"]["id"]: one for one in self._messages()}

    def _messages(self) -> Iterator[dict[str, Any]]:
        """What is still in the broker: in the queues, or held and parked by a worker of tq's."""
        if self.amqp:
            with amqp.Connection(RABBITMQ) as connection:
                for queue in self.queues:
                    while (
                        message := connection.channel().basic_get(queue, no_ack=True)
                    ) is not None:
                        yield {"headers": message.headers}
            return
        for key in self.client.scan_iter("*", _type="list"):
            for text in self.client.lrange(key, 0, -1):
                yield json.loads(text)
        for text in self.client.hvals("unacked"):
            yield json.loads(text)[0]

    def _sweep(self) -> None:
        """Remove from RabbitMQ what is ours."""
        with amqp.Connection(RABBITMQ) as connection:
            channel = connection.channel()
            for name in (*self.queues, f"{NODE}.{self.prefix}ctl.pidbox"):
                channel.queue_delete(name)
            ours = ("ev", "ctl.pidbox", "work", "special")
            for name in (
                *(f"{self.prefix}{one}" for one in ours),
                f"reply.{self.prefix}ctl.pidbox",
            ):
                channel.exchange_delete(name)

    def _drive(self) -> Any:
        with subprocess.Popen(
            [sys.executable, str(self.folder / "drive.py")],
            env=self.environment(),
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as client:
            self.client_pid = client.pid
            try:
                out, err = client.communicate(timeout=150)
            finally:
                client.kill()
        assert client.returncode == 0, f"{self.library}: {err[:3000]}"
        return json.loads(out)

    def role(self, pid: int) -> str:
        """Which process that was."""
        return {self.worker_pid: "worker", self.client_pid: "client"}.get(pid, "child")


class Events:
    """Hears all events as they stand on the wire, whoever sends them."""

    def __init__(self) -> None:
        self.seen: list[dict[str, Any]] = []
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._listen, daemon=True)

    def hear(self, text: Any) -> None:
        body = json.loads(text)
        self.seen += body if isinstance(body, list) else [body]

    def has(self, kind: str, uuid: str | None) -> bool:
        return any(one["type"] == kind and one.get("uuid") == uuid for one in list(self.seen))

    def _listen(self) -> None:
        while not self._stopped.is_set():
            self.wait()

    def wait(self) -> None:
        """Hear what comes within a moment."""
        raise NotImplementedError

    def __enter__(self) -> "Events":
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stopped.set()
        self._thread.join(10)


class RedisEvents(Events):
    def __init__(self, url: str, exchange: str) -> None:
        super().__init__()
        self._client = redis.Redis.from_url(url)
        self._channel = self._client.pubsub(ignore_subscribe_messages=True)
        self._channel.psubscribe(f"/0.{exchange}/*")
        self._channel.get_message(timeout=10)  # the server has heard us

    def wait(self) -> None:
        message = self._channel.get_message(timeout=0.2)
        if message is not None:
            self.hear(base64.b64decode(json.loads(message["data"])["body"]))

    def __exit__(self, *exc: object) -> None:
        super().__exit__(*exc)
        self._channel.close()
        self._client.close()


class AmqpEvents(Events):
    def __init__(self, url: str, exchange: str) -> None:
        super().__init__()
        self._connection = amqp.Connection(RABBITMQ)
        self._connection.connect()
        channel = self._connection.channel()
        channel.exchange_declare(exchange, "topic", durable=True, auto_delete=False)
        queue = channel.queue_declare(exclusive=True).queue
        channel.queue_bind(queue, exchange, "#")
        channel.basic_consume(queue, no_ack=True, callback=lambda message: self.hear(message.body))

    def wait(self) -> None:
        with contextlib.suppress(TimeoutError):
            self._connection.drain_events(timeout=0.2)

    def __exit__(self, *exc: object) -> None:
        super().__exit__(*exc)
        self._connection.close()


def differences(view: Any, runs: dict[str, Run]) -> dict[str, tuple[Any, Any]]:
    """Where what `view` shows of the two runs is not the same, with both values."""
    theirs, ours = view(runs["celery"]), view(runs["tq"])
    assert theirs
    return {
        key: (theirs.get(key, ABSENT), ours.get(key, ABSENT))
        for key in {**theirs, **ours}
        if theirs.get(key, ABSENT) != ours.get(key, ABSENT)
    }


ABSENT = "absent"
