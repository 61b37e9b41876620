"""A broker with one tq worker on it, and commands run as a user runs them."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from subprocess import CompletedProcess

import pytest

from tests.support.processes import ROOT, Process, environment, tq_worker
from tests.support.services import RedisServer, redis_server

Tq = Callable[..., CompletedProcess]


@pytest.fixture(scope="session")
def server() -> Iterator[RedisServer]:
    with redis_server(tcp=True) as running:
        yield running


@pytest.fixture(scope="session")
def worker(server: RedisServer) -> Iterator[Process]:
    app = "tests.support.cli_app"
    with tq_worker(server.url, "-E", "-A", app, name="w1@here") as process:
        yield process


@pytest.fixture(scope="session")
def forks() -> Iterator[subprocess.Popen]:
    with subprocess.Popen(
        [sys.executable, "-m", "tests.support.tq_forks"],
        env=environment(""),
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        yield process
        process.stdin.close()


@pytest.fixture
def tq(server: RedisServer, worker: Process, forks: subprocess.Popen) -> Tq:
    """Run `tq -b <our broker> ...`; keyword arguments are its environment."""

    def run(*argv: str, **env: str) -> CompletedProcess:
        return run_fork(forks, "-b", server.url, *argv, PEER_URL=server.url, **env)

    return run


def run_fork(forks: subprocess.Popen, *argv: str, **env: str) -> CompletedProcess:
    """Run `tq ...` in a fresh fork of a process that has loaded it."""
    request = {"argv": argv, "env": environment("", **env)}
    forks.stdin.write(json.dumps(request) + "\n")
    forks.stdin.flush()
    answer = json.loads(forks.stdout.readline())
    return CompletedProcess(argv, answer["code"], answer["out"], answer["err"])
