"""A Celery worker and a tq worker on one queue: each does its part, and survives the other."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
import redis

from tests.support.ledger import Ledger
from tests.support.processes import Process, celery_worker, tq_worker
from tests.support.services import redis_server
from tests.support.waiting import eventually
from tq import TQ

pytestmark = [pytest.mark.timeout(100), pytest.mark.xdist_group("interop-mixed")]
# A Celery worker that puts back, each second, what nobody has refreshed for three.
SWEEPING = json.dumps(
    {"visibility_timeout": 3, "unacked_restore_interval": 1, "unacked_restore_throttle": 1}
)


class Mixed:
    """One broker, both workers, and a ledger of what their tasks did."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.app = TQ("client", broker=url, backend=url, set_as_current=False)
        self.redis = redis.Redis.from_url(url, decode_responses=True)
        self.ledger = Ledger(url)
        self.workers: dict[str, Process] = {}

    def start(self, kind: str, name: str | None = None, **env: str) -> Process:
        more = {"PEER_BACKEND": self.url, "PEER_LEDGER": self.url, "PEER_LEASE": "1", **env}
        name = name or kind
        starter = celery_worker if kind == "celery" else tq_worker
        self.workers[name] = starter(self.url, name=f"{name}@mixed", **more)
        return self.workers[name]

    def load(self, number: int, seconds: float) -> list[str]:
        keys = [f"k{index}" for index in range(number)]
        sign = self.app.signature
        self.app.send_many(sign("peer.late", args=(key, seconds)) for key in keys)
        return keys

    def settled(self) -> bool:
        return not self.redis.hlen("unacked") and not self.redis.llen("celery")

    def pids(self) -> set[Any]:
        return {line[3] for line in self.ledger.lines()}

    def close(self) -> None:
        for worker in self.workers.values():
            worker.__exit__(None, None, None)
        self.app.close()
        self.ledger.close()
        self.redis.close()


@pytest.fixture
def mixed() -> Iterator[Mixed]:
    with redis_server(tcp=True) as server:
        made = Mixed(server.url)
        yield made
        made.close()


def test_five_hundred_tasks_are_shared_and_each_runs_once(mixed: Mixed) -> None:
    mixed.start("tq")
    mixed.start("celery")
    keys = mixed.load(500, 0.005)
    mixed.ledger.wait_ended(len(keys), within=40)
    eventually(mixed.settled, within=20)
    account = mixed.ledger.account(keys)
    assert (account.lost, account.extra, account.double_ends) == ([], 0, 0)
    assert len(mixed.pids()) == 4  # two children of each


def test_a_celery_worker_finishes_what_a_killed_tq_worker_held(mixed: Mixed) -> None:
    ours = mixed.start("tq")
    keys = mixed.load(300, 0.02)
    eventually(lambda: mixed.ledger.ended() > 40, within=30)
    ours.kill_tree()
    held = mixed.redis.hlen("unacked")
    mixed.start("celery", PEER_TRANSPORT=SWEEPING)
    mixed.ledger.wait_ended(len(keys), within=60)
    eventually(mixed.settled, within=20)
    account = mixed.ledger.account(keys)
    assert account.lost == []
    assert account.extra <= held


def test_a_tq_worker_leaves_alone_what_a_celery_worker_holds(mixed: Mixed) -> None:
    peer = mixed.start("celery")
    keys = mixed.load(8, 5.0)
    eventually(lambda: mixed.ledger.count("start"), within=20)
    theirs = set(mixed.redis.hkeys("unacked"))
    mixed.start("tq")
    # Five of our leases pass while the Celery tasks run and its reserved ones wait.
    mixed.ledger.wait_ended(2, within=30)
    assert not any(count > 1 for count in mixed.ledger.count("start").values())
    peer.kill_tree()
    left = theirs & set(mixed.redis.hkeys("unacked"))
    assert left  # what the dead Celery worker had reserved is still in its name ...
    assert len(mixed.ledger.account(keys).lost) > 0
    # ... and another Celery worker takes it over, by Celery's own rule.
    mixed.start("celery", "second", PEER_TRANSPORT=SWEEPING)
    mixed.ledger.wait_ended(len(keys), within=60)
    assert mixed.ledger.account(keys).lost == []
