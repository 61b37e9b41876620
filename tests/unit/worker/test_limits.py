"""Rates, and what must not run."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tq.worker.limits import RevokedIds, RevokedStamps, TokenBucket, parse_rate


@pytest.mark.parametrize(
    ("text", "per_second"),
    [
        ("10/s", 10.0),
        ("6/m", 0.1),
        ("36/h", 0.01),
        ("3", 3.0),
        (2.5, 2.5),
        (0, 0.0),
        ("0", 0.0),
        (None, 0.0),
        ("", 0.0),
    ],
)
def test_rates_are_read_as_celery_reads_them(text: str | float | None, per_second: float) -> None:
    assert parse_rate(text) == pytest.approx(per_second)


@pytest.mark.parametrize("text", ["abc", "10/x", "/m", "-1/s", "nan", "inf/s", [1], {}, True])
def test_what_is_no_rate_is_an_error(text: object) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_rate(text)  # type: ignore[arg-type]


def test_the_error_text_is_celerys() -> None:
    with pytest.raises(ValueError, match="could not convert string to float: 'abc'"):
        parse_rate("abc")


@given(
    st.floats(min_value=0.1, max_value=200),
    st.lists(st.floats(min_value=0.0, max_value=0.5), min_size=1, max_size=200),
)
def test_never_more_starts_than_the_rate_and_one_burst(rate: float, gaps: list[float]) -> None:
    bucket, now, started = TokenBucket(rate), 1000.0, 0
    first = now
    for gap in gaps:
        now += gap
        started += bucket.take(now) == 0
    assert started <= (now - first) * rate + max(1.0, rate * 0.25) + 1e-6


def test_a_backlog_comes_back_spread_out() -> None:
    bucket = TokenBucket(2.0)
    assert bucket.take(0.0) == 0
    assert [bucket.take(0.0) for _ in range(4)] == pytest.approx([0.5, 1.0, 1.5, 2.0])


def test_a_clock_that_goes_back_does_not_stop_a_task_for_longer_than_its_rate() -> None:
    bucket = TokenBucket(1.0)
    assert bucket.take(10_000.0) == 0
    assert bucket.take(100.0) <= 1.0 + 1e-6


def test_revoked_ids_are_bounded_by_count_and_age() -> None:
    revoked = RevokedIds(limit=3, seconds=10.0)
    revoked.add(["a", "b"], 0.0)
    revoked.add(["c", "d"], 5.0)
    assert list(revoked) == ["b", "c", "d"]
    revoked.expire(10.5)
    assert list(revoked) == ["c", "d"]


def test_revoking_again_makes_an_id_the_youngest() -> None:
    revoked = RevokedIds(limit=2)
    revoked.add(["a", "b"], 0.0)
    revoked.add(["a"], 1.0)
    revoked.add(["c"], 2.0)
    assert list(revoked) == ["a", "c"]


def test_a_hundred_thousand_ids_are_cut_to_the_bound() -> None:
    revoked = RevokedIds()
    revoked.add((str(number) for number in range(100_000)), 0.0)
    assert len(revoked) == 50_000
    assert "99999" in revoked
    assert "0" not in revoked


def test_stamps_match_single_values_and_lists_and_expire() -> None:
    stamps = RevokedStamps()
    assert not stamps
    stamps.add({"colour": ["red", "blue"], "n": 1}, 0.0)
    assert stamps.match(["colour"], {"colour": "red"})
    assert stamps.match(["colour"], {"colour": ["green", "blue"]})
    assert stamps.match(["n"], {"n": "1"})
    assert not stamps.match(["colour"], {"colour": "green"})
    assert not stamps.match([], {"colour": "red"})
    assert not stamps.match(None, {})
    stamps.expire(1e9)
    assert not stamps
