"""A private server, and beats on it."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis

from tests.support.processes import BIN, Process
from tests.support.services import RedisServer, redis_server

StartBeat = Callable[..., Process]


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with redis_server() as running:
        yield running


@pytest.fixture
def store(server: RedisServer) -> Iterator[redis.Redis]:
    with redis.Redis(unix_socket_path=str(server.socket)) as client:
        client.flushall()
        yield client


@pytest.fixture
def beat(server: RedisServer, store: redis.Redis, tmp_path: Path) -> Iterator[StartBeat]:
    """Start `tq beat`; each has files of its own."""
    running: list[Process] = []

    def start(*options: str, **env: str) -> Process:
        number = len(running)
        argv = [str(BIN / "tq"), "-A", "tests.support.beat_app", "beat", "-l", "INFO"]
        argv += ["-s", str(tmp_path / f"state{number}"), f"--pidfile={tmp_path}/beat{number}.pid"]
        running.append(Process([*argv, *options], server.url, **env))
        return running[-1]

    yield start
    for process in running:
        process.__exit__(None, None, None)


def sent(store: redis.Redis, queue: str = "beatq") -> list[dict]:
    """The headers of what waits in a queue, oldest first."""
    return [json.loads(raw)["headers"] for raw in reversed(store.lrange(queue, 0, -1))]
