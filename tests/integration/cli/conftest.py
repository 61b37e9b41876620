"""A broker with one tq worker on it, and commands run as a user runs them."""

from collections.abc import Callable, Iterator
from subprocess import CompletedProcess

import pytest

from tests.support.processes import Process, run_tq, tq_worker
from tests.support.services import RedisServer, redis_server

Tq = Callable[..., CompletedProcess]


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with redis_server(tcp=True) as running:
        yield running


@pytest.fixture(scope="module")
def worker(server: RedisServer) -> Iterator[Process]:
    with tq_worker(server.url, "-E", name="w1@here") as process:
        yield process


@pytest.fixture
def tq(server: RedisServer, worker: Process) -> Tq:
    """Run `tq -b <our broker> ...`."""

    def run(*argv: str, **options) -> CompletedProcess:
        return run_tq("-b", server.url, *argv, url=server.url, **options)

    return run
