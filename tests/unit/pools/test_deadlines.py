"""Limits come due in order, for living jobs only."""

from tq.pools.deadlines import Deadlines


def test_limits_pass_in_order_and_once() -> None:
    deadlines = Deadlines[str](lambda item: True)
    deadlines.add("a", 100.0, soft=5.0, hard=10.0)
    deadlines.add("b", 101.0, soft=None, hard=6.0)
    assert list(deadlines.passed(104.9)) == []
    assert list(deadlines.passed(107.0)) == [("a", True), ("b", False)]
    assert list(deadlines.passed(200.0)) == [("a", False)]
    assert list(deadlines.passed(300.0)) == []


def test_ended_jobs_are_not_named() -> None:
    alive = {"a"}
    deadlines = Deadlines[str](alive.__contains__)
    deadlines.add("a", 0.0, 1.0, None)
    deadlines.add("b", 0.0, 1.0, None)
    assert list(deadlines.passed(2.0)) == [("a", True)]


def test_wait_ends_with_the_next_limit() -> None:
    deadlines = Deadlines[str](lambda item: True)
    assert deadlines.wait(0.0, 5.0) == 5.0
    deadlines.add("a", 100.0, 3.0, None)
    assert deadlines.wait(101.0, 5.0) == 2.0
    assert deadlines.wait(50.0, 5.0) == 5.0
    assert deadlines.wait(110.0, 5.0) == 0.0


def test_entries_of_ended_jobs_do_not_pile_up() -> None:
    alive: set[str] = {"long"}
    deadlines = Deadlines[str](alive.__contains__)
    deadlines.add("long", 0.0, 3600.0, None)
    for index in range(10_000):
        deadlines.add(f"j{index}", 0.0, 3600.0, 7200.0)
    assert len(deadlines) < 200
    assert list(deadlines.passed(3600.0)) == [("long", True)]
