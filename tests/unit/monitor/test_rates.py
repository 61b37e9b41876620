"""Counts over time and distributions stay right and bounded."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tq.monitor.rates import Histogram, Rings


def test_a_steady_stream_has_a_steady_rate_at_every_moment_of_a_second():
    rings = Rings()
    for second in range(100, 160):
        rings.add(second + 0.1, 50)
    for moment in (160.0, 160.5, 160.99):
        assert rings.rate(moment, 10) == pytest.approx(50.0)


def test_silence_brings_the_rate_down_to_zero():
    rings = Rings.short()
    rings.add(100.0, 1000)
    assert rings.rate(101.0, 10) == pytest.approx(100.0)
    assert rings.rate(200.0, 10) == 0.0
    assert rings.series(200.0, 1, 5) == [0, 0, 0, 0, 0]


def test_series_are_oldest_first_and_end_with_the_unfinished_slot():
    rings = Rings()
    for second, count in ((100, 1), (101, 2), (103, 4)):
        rings.add(second, count)
    assert rings.series(103.5, 1, 5) == [0, 1, 2, 0, 4]
    assert rings.series(104.0, 10, 2) == [0, 7]


def test_counts_from_the_past_are_added_while_their_slot_is_kept():
    rings = Rings.short()
    rings.add(200.0, 1)
    rings.add(190.0, 5)
    rings.add(10.0, 7)
    assert sum(rings.series(200.0, 1, 60)) == 6
    assert rings.total == 13


def test_long_windows_use_a_coarser_ring():
    rings = Rings()
    for second in range(0, 3600, 10):
        rings.add(second, 10)
    assert rings.rate(3600.0, 3000) == pytest.approx(1.0, rel=0.01)


def test_an_unknown_width_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="there are 1, 10"):
        Rings.short().series(0.0, 7, 1)


@given(st.lists(st.tuples(st.integers(0, 5000), st.integers(0, 100)), max_size=50))
def test_no_count_within_the_window_is_lost(items):
    rings = Rings()
    for second, count in sorted(items):
        rings.add(second, count)
    last = max((second for second, _ in items), default=0)
    assert sum(rings.series(last, 1, 600)) == sum(c for s, c in items if s > last - 600)


@given(st.lists(st.floats(1e-5, 1e5), min_size=1, max_size=200), st.sampled_from([0.5, 0.95, 0.99]))
def test_percentiles_are_right_within_five_percent(values, share):
    histogram = Histogram()
    for value in values:
        histogram.add(value)
    exact = sorted(values)[max(0, math.ceil(share * len(values)) - 1)]
    assert histogram.percentile(share) == pytest.approx(exact, rel=0.06)
    assert histogram.mean == pytest.approx(sum(values) / len(values))


def test_what_is_no_duration_is_left_out():
    histogram = Histogram()
    for value in (-1.0, math.nan, math.inf):
        histogram.add(value)
    assert histogram.count == 0
    assert histogram.percentile(0.5) is None
    assert histogram.mean is None
