"""Who gets how many jobs."""

from hypothesis import given
from hypothesis import strategies as st

from tq.pools.prefork.handout import CLOSED, share


def test_few_jobs_spread_over_idle_children() -> None:
    assert share(2, [0, 0, 0], 200) == [1, 1, 0]
    assert share(10, [0, 0], 200) == [5, 5]


def test_idle_children_come_before_those_at_work() -> None:
    assert share(3, [1, 0, 1], 10) == [0, 3, 0]


def test_a_child_holds_no_more_than_the_window() -> None:
    assert share(1000, [0, 3], 10) == [10, 7]


def test_a_child_at_work_is_topped_up_only_when_half_its_window_is_free() -> None:
    assert share(100, [6, 5], 10) == [0, 5]


def test_long_jobs_go_only_to_idle_children() -> None:
    assert share(5, [1, 0, 1], 1) == [0, 1, 0]


def test_a_closed_child_gets_nothing() -> None:
    assert share(5, [CLOSED, CLOSED], 10) == [0, 0]


@given(st.integers(0, 2000), st.lists(st.integers(-1, 250), max_size=20), st.integers(1, 200))
def test_never_more_than_there_is_nor_than_fits(
    waiting: int, loads: list[int], window: int
) -> None:
    parts = share(waiting, loads, window)
    assert len(parts) == len(loads)
    assert sum(parts) <= waiting
    for part, load in zip(parts, loads, strict=True):
        assert part >= 0
        assert part == 0 or (load >= 0 and load + part <= window)
    # An idle child is left without work only when there is none.
    if sum(parts) < waiting:
        assert all(part == window for part, load in zip(parts, loads, strict=True) if load == 0)
