"""A broker to break, a ledger beside it, workers on it, and the figures that a scenario prints."""

import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis

from tests.support.ledger import Account, Ledger, children
from tests.support.processes import Process, celery_worker, tq_worker
from tests.support.services import RedisServer, redis_server
from tests.support.waiting import eventually
from tq import TQ

LEASE = 4.0


class Arena:
    """One broker, one ledger, one client and the workers started so far."""

    def __init__(self, server: RedisServer, ledger: Ledger) -> None:
        self.server, self.ledger = server, ledger
        self.url = server.url
        self.app = TQ("client", broker=self.url, backend=self.url, set_as_current=False)
        self.redis = redis.Redis(port=server.port, decode_responses=True, socket_timeout=60)
        self.workers: list[Process] = []
        self._number = 0
        self._random = random.Random(7)

    def start(self, *options: str, kind: str = "tq", **env: str) -> Process:
        """Start one more worker and wait until it is ready."""
        self._number += 1
        more = {"PEER_BACKEND": self.url, "PEER_LEDGER": self.ledger.url, "PEER_LEASE": str(LEASE)}
        starter = tq_worker if kind == "tq" else celery_worker
        worker = starter(self.url, *options, name=f"{kind}{self._number}@x", **{**more, **env})
        self.workers.append(worker)
        return worker

    def load(self, task: str, number: int, seconds: float, **options: Any) -> list[str]:
        """Publish `number` calls in bulk; returns their keys."""
        keys = [f"{task}-{index}" for index in range(number)]
        sign = self.app.signature
        self.app.send_many(sign(f"peer.{task}", args=(key, seconds), **options) for key in keys)
        return keys

    def send(self, name: str, *args: Any, **options: Any) -> Any:
        return self.app.send_task(f"peer.{name}", args, **options)

    def kill_a_child(self, worker: Process) -> int | None:
        """SIGKILL one of a worker's children."""
        pids = children(worker.pid)
        if not pids:
            return None
        pid = self._random.choice(pids)
        os.kill(pid, signal.SIGKILL)
        return pid

    def held(self) -> int:
        """Messages taken and not settled."""
        return self.redis.hlen("unacked")

    def running_early(self) -> int:
        """Messages acknowledged at their start, whose tasks have not ended."""
        return sum(map(self.redis.hlen, self.redis.scan_iter("tq:c:*:started")))

    def unsettled(self) -> int:
        """Messages in a queue or taken."""
        return self.held() + sum(
            self.redis.llen(key) for key in self.redis.scan_iter("celery*", _type="list")
        )

    def wait_settled(self, within: float = 60.0) -> None:
        eventually(lambda: self.unsettled() == 0, within=within, every=0.1)

    def close(self) -> None:
        for worker in self.workers:
            worker.__exit__(None, None, None)
        self.app.close()
        self.redis.close()


@pytest.fixture
def ledger() -> Iterator[Ledger]:
    with redis_server(tcp=True) as server:
        made = Ledger(server.url)
        yield made
        made.close()


@pytest.fixture
def arena(ledger: Ledger) -> Iterator[Arena]:
    with redis_server(tcp=True, aof=True) as server:
        made = Arena(server, ledger)
        yield made
        made.close()


@pytest.fixture
def figures(request: pytest.FixtureRequest, capsys: pytest.CaptureFixture) -> Callable[..., None]:
    """Print a scenario's figures past pytest's capture, one line each."""
    began = time.monotonic()

    def show(account: Account | str, **more: Any) -> None:
        rest = ", ".join(f"{name} {value}" for name, value in more.items())
        spent = time.monotonic() - began
        with capsys.disabled():
            print(f"\n  {request.node.name}: {account}; {rest} [{spent:.1f} s]")

    return show
