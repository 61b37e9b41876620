"""Timers, descriptors and calls from elsewhere take their turn."""

import os
from collections.abc import Iterator

import pytest

from tq.worker.loop import Loop


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def loop(clock: Clock) -> Iterator[Loop]:
    loop = Loop(clock)
    yield loop
    loop.close()


def test_timers_run_in_the_order_they_are_due(loop: Loop, clock: Clock) -> None:
    ran: list[str] = []
    loop.call_later(2.0, lambda: ran.append("late"))
    loop.call_later(1.0, lambda: ran.append("first"))
    loop.call_later(1.0, lambda: ran.append("second"))
    loop.turn(0.0)
    assert ran == []
    clock.now = 1.0
    loop.turn(0.0)
    assert ran == ["first", "second"]
    clock.now = 5.0
    loop.turn(0.0)
    assert ran == ["first", "second", "late"]


def test_a_cancelled_timer_never_runs(loop: Loop, clock: Clock) -> None:
    ran: list[str] = []
    loop.call_later(1.0, lambda: ran.append("x")).cancel()
    clock.now = 2.0
    loop.turn(0.0)
    assert ran == []


def test_a_callback_that_raises_harms_no_other(
    loop: Loop, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    ran: list[str] = []

    def fail() -> None:
        raise ValueError("broken")

    loop.call_later(0.0, fail)
    loop.call_later(0.0, lambda: ran.append("x"))
    loop.call_threadsafe(fail)
    loop.call_threadsafe(lambda: ran.append("y"))
    loop.turn(0.0)
    assert ran == ["x", "y"]
    assert len(caplog.records) == 2


def test_a_call_made_by_a_call_waits_for_the_next_turn(loop: Loop) -> None:
    ran: list[int] = []

    def again() -> None:
        ran.append(len(ran))
        loop.call_threadsafe(again)

    loop.call_threadsafe(again)
    loop.turn(0.0)
    assert ran == [0]
    loop.turn(0.0)
    assert ran == [0, 1]


def test_a_descriptor_is_read_while_it_is_watched(loop: Loop) -> None:
    read, write = os.pipe()
    seen: list[bytes] = []
    loop.add_reader(read, lambda: seen.append(os.read(read, 1)))
    os.write(write, b"ab")
    loop.turn(1.0)
    loop.remove_reader(read)
    loop.remove_reader(read)
    loop.turn(0.0)
    assert seen == [b"a"]
    os.close(read)
    os.close(write)


def test_run_ends_when_it_is_stopped(loop: Loop) -> None:
    ran: list[str] = []
    loop.call_threadsafe(lambda: ran.append("x"))
    loop.call_threadsafe(loop.stop)
    loop.run()
    assert ran == ["x"]


def test_a_call_after_the_end_is_no_error(clock: Clock) -> None:
    loop = Loop(clock)
    loop.close()
    loop.call_threadsafe(lambda: None)
