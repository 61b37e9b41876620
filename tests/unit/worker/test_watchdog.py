"""A worker without progress ends, but never for another's fault."""

import pytest

from tq.errors import BrokerConnectionError
from tq.worker.watchdog import Watchdog

LEASE = 10.0


class World:
    """A clock, the worker's last progress, the broker, and how the process ended."""

    def __init__(self) -> None:
        self.now = 0.0
        self.progress = 0.0
        self.broker_answers = True
        self.ended: list[int] = []
        self.watchdog = Watchdog(
            lambda: self.progress,
            self.probe,
            LEASE,
            end=self.ended.append,
            monotonic=lambda: self.now,
        )

    def probe(self, timeout: float) -> None:
        if not self.broker_answers:
            raise BrokerConnectionError("away")

    def pass_time(self, seconds: float, *, alive: bool = False) -> None:
        for _ in range(int(seconds / 2.5)):
            self.now += 2.5
            if alive:
                self.progress = self.now
            self.watchdog.look()


@pytest.fixture
def world() -> World:
    return World()


def test_a_worker_that_makes_progress_lives(world: World) -> None:
    world.pass_time(600, alive=True)
    assert world.ended == []


def test_a_worker_without_progress_ends_with_75(world: World) -> None:
    world.pass_time(100, alive=True)
    world.pass_time(30)
    assert world.ended == []
    world.pass_time(5)
    assert world.ended[0] == 75


def test_a_broker_that_answers_nobody_ends_no_worker(world: World) -> None:
    world.broker_answers = False
    world.pass_time(600)
    assert world.ended == []


def test_a_broker_that_has_just_come_back_is_given_time_to_be_found(world: World) -> None:
    world.broker_answers = False
    world.pass_time(60)
    world.broker_answers = True
    world.pass_time(15)
    assert world.ended == []
    world.pass_time(10)
    assert world.ended[0] == 75


def test_a_process_that_was_frozen_gets_time_to_go_on(world: World) -> None:
    world.pass_time(10, alive=True)
    world.now += 300  # SIGSTOP, SIGCONT
    world.watchdog.look()
    world.now += 2.5
    world.watchdog.look()
    assert world.ended == []
    world.progress = world.now
    world.pass_time(60, alive=True)
    assert world.ended == []
