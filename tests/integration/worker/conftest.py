"""A private server, workers as processes of their own, and a client's application."""

import json
import os
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis

from tests.support.processes import Process
from tests.support.services import RedisServer
from tq import TQ

WorkerStarter = Callable[..., Process]


class Cluster:
    """One server, its clients, and the workers started on it."""

    def __init__(self, server: RedisServer) -> None:
        self.server = server
        self.url = server.url
        self.redis = redis.Redis(unix_socket_path=str(server.socket), decode_responses=True)
        self.raw = redis.Redis(unix_socket_path=str(server.socket))
        self.app = TQ("client", broker=self.url, backend=self.url, set_as_current=False)
        self.workers: list[Process] = []

    def start(
        self, *, name: str = "w1@test", env: dict[str, str] | None = None, **options: Any
    ) -> Process:
        """Start a worker and wait until it is ready."""
        options = {"hostname": name, "loglevel": "INFO", "concurrency": 2, **options}
        more = {"PEER_MARKS": str(self.server.socket), "PEER_BACKEND": self.url, **(env or {})}
        argv = [sys.executable, "-m", "tests.support.worker_main", json.dumps(options)]
        worker = Process(argv, self.url, **more)
        self.workers.append(worker)
        worker.wait_for(" ready.")
        return worker

    def send(self, name: str, *args: Any, **options: Any) -> Any:
        return self.app.send_task(f"works.{name}", args, **options)

    def send_marks(self, count: int, seconds: float = 0.0, **options: Any) -> list[str]:
        """Publish `count` tasks that leave marks, in bulk; returns their keys."""
        keys = [f"k{number}" for number in range(count)]
        sign = self.app.signature
        self.app.send_many(sign("works.mark", args=(key, seconds), **options) for key in keys)
        return keys

    def started(self) -> dict[str, int]:
        return {key: int(count) for key, count in self.redis.hgetall("started").items()}

    def ended(self) -> dict[str, int]:
        return {key: int(count) for key, count in self.redis.hgetall("ended").items()}

    def unsettled(self) -> int:
        return self.redis.hlen("unacked") + sum(
            self.redis.llen(key) for key in self.redis.scan_iter("celery*", _type="list")
        )

    def ask(self, method: str, timeout: float = 5.0, **arguments: Any) -> Any:
        """Send one command to one worker and return its reply's value."""
        replies = self.app.control.broadcast(
            method, arguments=arguments, reply=True, timeout=timeout, limit=1
        )
        assert replies, f"no reply to {method}"
        return next(iter(replies[0].values()))

    def close(self) -> None:
        for worker in self.workers:
            worker.__exit__(None, None, None)
        self.app.control.close()
        self.app.close()
        self.redis.close()
        self.raw.close()


@pytest.fixture
def server() -> Iterator[RedisServer]:
    server = RedisServer("redis", aof=True)
    server.start()
    yield server
    server.close()


@pytest.fixture
def cluster(server: RedisServer) -> Iterator[Cluster]:
    cluster = Cluster(server)
    yield cluster
    cluster.close()
    assert not any(worker.process.poll() is None for worker in cluster.workers), os.getpid()
