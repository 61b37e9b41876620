import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tqconsole.tui.model import format as fmt


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0, "0ms"), (0.004, "4ms"), (0.31, "0.31s"), (12.1, "12.1s"), (372, "6m12s"), (11100, "3h05m"), (None, "?"), (math.nan, "?"), (math.inf, "?")],
)  # fmt: skip
def test_durations(seconds: float | None, text: str) -> None:
    assert fmt.duration(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(2, "2s"), (59.9, "59s"), (60, "1m00s"), (7260, "2h01m"), (187200, "2d04h"), (86400 * 412, "412d"), (-5, "0s"), (None, "?")],
)  # fmt: skip
def test_ages(seconds: float | None, text: str) -> None:
    assert fmt.age(seconds) == text


@given(st.floats(min_value=0, max_value=1e7))
def test_durations_and_ages_fit_their_columns(seconds: float) -> None:
    assert len(fmt.duration(seconds)) <= 6
    assert len(fmt.age(seconds)) <= 6


@given(st.text(max_size=40), st.integers(0, 30))
def test_fitted_texts_have_exactly_the_width(text: str, width: int) -> None:
    printable = "".join(char for char in text if char.isprintable())
    assert fmt.width_of(fmt.fit(printable, width)) == width


def test_numbers() -> None:
    assert fmt.count(12840) == "12 840"
    assert fmt.short_count(12840) == "12.8k"
    assert fmt.short_count(1_210_000) == "1.2M"
    assert fmt.count(None) == "?"
    assert fmt.rate(0.46) == "0.5"
    assert fmt.rate(812.3) == "812"
    assert fmt.size(1.2 * 2**30) == "1.2G"


def test_clock_times_are_utc() -> None:
    assert fmt.clock(1_767_276_452.25) == "14:07:32"
    assert fmt.clock_ms(1_767_276_452.25) == "14:07:32.250"
    assert fmt.clock_ms(86399.9999) == "00:00:00.000"


def test_every_symbol_takes_one_cell_and_the_ascii_ones_are_ascii() -> None:
    for name, symbol in fmt.glyphs()._asdict().items():
        assert fmt.width_of(symbol) == (2 if name == "paused" else 1)
    for symbol in fmt.glyphs(ascii_only=True):
        assert symbol.isascii()
