"""Canvases while pool children are killed at random: same results, every body sent once."""

import contextlib
import json
import os
import random
import signal
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.expressions import expressions
from tests.support.fleet import Fleet
from tests.support.processes import tq_worker
from tests.support.services import RedisServer
from tests.support.waiting import eventually
from tq import chain, chord, group

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(600)]

PATIENCE = 60


@pytest.fixture(scope="module")
def fleet():
    server = RedisServer("redis").start()
    fleet = Fleet(server)
    # Deaths are the weather here: the limit that ends a task which kills its worker must not count.
    env = {**fleet.env, "PEER_LEASE": "2", "PEER_DELIVERY_LIMIT": "0"}
    try:
        for name in ("a@chaos", "b@chaos"):
            fleet.workers.append(
                tq_worker(server.url, "-A", "tests.support.canvas_app", name=name, **env)
            )
        yield fleet
        assert all(worker.process.poll() is None for worker in fleet.workers)
    finally:
        fleet.close()
        server.close()


class Killer:
    """Kills a random child of the workers every so often, while it is entered.

    `most` bounds the deaths: who kills faster than children start leaves nobody to do the work.
    """

    def __init__(self, fleet: Fleet, every: float, seed: int = 0, most: int = 10_000) -> None:
        self._fleet = fleet
        self._every = every
        self._most = most
        self._random = random.Random(seed)
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.killed = 0

    def _children(self) -> list[int]:
        found = []
        for worker in self._fleet.workers:
            with contextlib.suppress(OSError):
                tasks = Path(f"/proc/{worker.pid}/task")
                for task in tasks.iterdir():
                    found += (task / "children").read_text().split()
        return [int(pid) for pid in found]

    def _run(self) -> None:
        while self.killed < self._most:
            if self._done.wait(self._every * self._random.uniform(0.5, 1.5)):
                return
            children = self._children()
            if children:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(self._random.choice(children), signal.SIGKILL)
                    self.killed += 1

    def __enter__(self) -> "Killer":
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._done.set()
        self._thread.join(5)


def kit(fleet: Fleet) -> SimpleNamespace:
    return SimpleNamespace(**vars(fleet.t), chain=chain, group=group, chord=chord)


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
@given(expression=expressions, start=st.integers(-5, 5))
def test_any_canvas_gives_the_same_results(fleet: Fleet, expression, start):
    canvas = chain(fleet.t.identity.s(start), expression.build(kit(fleet)))
    with Killer(fleet, 0.15):
        assert canvas.delay().get(timeout=PATIENCE) == expression.value(start)


def bodies(fleet: Fleet, queue: str) -> list[str]:
    """The ids of all body messages sent: nobody consumes their queue, so that none is hidden.

    A body that ran could not be counted: it may run again when its own process is killed.
    """
    return [json.loads(raw)["headers"]["id"] for raw in fleet.redis.lrange(queue, 0, -1)]


def test_bodies_of_many_chords_are_sent_exactly_once(fleet: Fleet):
    queue = fleet.key()
    chords = [
        chord(
            [fleet.t.nap.si(i, 0.005) for i in range(20)],
            fleet.t.xsum.s().set(queue=queue),
        )
        for _ in range(60)
    ]
    with Killer(fleet, 0.1, seed=7) as killer:
        sent = [made.delay().id for made in chords]
        eventually(lambda: fleet.redis.llen(queue) >= len(sent), within=PATIENCE)
    assert killer.killed >= 5
    eventually(fleet.is_quiet, within=PATIENCE)
    assert sorted(bodies(fleet, queue)) == sorted(sent)


def test_a_thousand_parts_arrive_although_children_die(fleet: Fleet):
    key = fleet.key()
    made = chord([fleet.t.nap.si(i, 0.002) for i in range(1000)], fleet.t.wrap.s(0, key))
    with Killer(fleet, 0.2, seed=3) as killer:
        result = made.delay()
        value = result.get(timeout=PATIENCE)
    assert value == [list(range(1000)), 0]
    assert killer.killed
    eventually(fleet.is_quiet, within=PATIENCE)
    assert int(fleet.redis.hget("runs", key)) >= 1


def test_body_is_sent_once_although_the_process_that_counted_the_last_part_dies(fleet: Fleet):
    """The window between counting and sending: kill at once, many times, and miss none."""
    queue = fleet.key()
    sent = []
    for _ in range(40):
        header = [fleet.t.identity.si(i) for i in range(3)]
        with Killer(fleet, 0.004, seed=len(sent), most=6):
            sent.append(chord(header, fleet.t.xsum.s().set(queue=queue)).delay().id)
            eventually(lambda: fleet.redis.llen(queue) >= len(sent), within=PATIENCE)
    eventually(fleet.is_quiet, within=PATIENCE)
    assert sorted(bodies(fleet, queue)) == sorted(sent)
