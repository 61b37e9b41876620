"""Batch sizes follow measured run time."""

from hypothesis import given
from hypothesis import strategies as st

from tq.pools.pace import MAX_WINDOW, Pace


def test_nothing_is_handed_out_in_advance_before_anything_is_known() -> None:
    pace = Pace(0.01)
    assert pace.window == 1
    assert pace.reserve(4, 500) == 0


def test_window_holds_about_batch_seconds_of_work() -> None:
    pace = Pace(0.01)
    pace.observe(10, 0.01)
    assert pace.window == 10
    assert pace.reserve(2, 500) == 20


def test_jobs_longer_than_a_batch_are_handed_out_one_by_one() -> None:
    pace = Pace(0.01)
    pace.observe(3, 6.0)
    assert pace.window == 1
    assert pace.reserve(8, 500) == 0


def test_window_shrinks_when_jobs_become_long_and_grows_again() -> None:
    pace = Pace(0.01)
    pace.observe(100, 0.001)
    assert pace.window == MAX_WINDOW
    pace.observe(1, 1.0)
    assert pace.window == 1
    for _ in range(40):
        pace.observe(1, 0.0001)
    assert pace.window > 50


def test_reserve_has_a_ceiling() -> None:
    pace = Pace(0.01)
    pace.observe(100, 0.0001)
    assert pace.reserve(64, 500) == 500


@given(st.lists(st.tuples(st.integers(-1, 1000), st.floats(-1.0, 1e6))))
def test_window_stays_in_its_bounds(observations: list[tuple[int, float]]) -> None:
    pace = Pace(0.01)
    for jobs, seconds in observations:
        pace.observe(jobs, seconds)
        assert 1 <= pace.window <= MAX_WINDOW
