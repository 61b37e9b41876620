"""Short, safe text of anything."""

import string
from typing import Any

import pytest
from celery.utils.saferepr import saferepr as celerys
from hypothesis import given
from hypothesis import strategies as st

from tq.saferepr import safe_text, saferepr


@pytest.mark.parametrize(
    "value",
    [(), (1,), (2, 3), [1, "a"], {}, {"a": 1, "b": [None, True]}, "x", 1.5, None, set(), {1}],
)
def test_plain_values_look_as_celery_shows_them(value: Any) -> None:
    assert saferepr(value) == celerys(value, 1024)


def test_long_values_are_cut_and_closed() -> None:
    text = saferepr([[1] * 1000, {"k": "v" * 5000}], maxlen=100)
    assert len(text) < 120
    assert "..." in text
    assert text.endswith("]")
    assert saferepr("x" * 100_000, 50).endswith("...'")
    assert len(saferepr(b"x" * 100_000, 50)) < 60


def test_levels_below_the_third_are_left_out() -> None:
    assert saferepr([[[[1]]]]) == "[[[[...]]]]"


def test_a_cycle_ends() -> None:
    loop: list[Any] = []
    loop.append(loop)
    assert saferepr(loop) == "[<Recursion on list>]"


def test_a_repr_that_raises_is_shown_as_such() -> None:
    class Bad:
        def __repr__(self) -> str:
            raise ValueError("no")

    assert saferepr([Bad()]) == "[<Unrepresentable Bad: ValueError>]"


def test_an_integer_over_the_digit_limit_does_not_raise() -> None:
    assert "Unrepresentable" in saferepr((10**5000,))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(JSON, st.integers(10, 300))
def test_no_value_is_longer_than_asked_for(value: Any, maxlen: int) -> None:
    # Closing brackets of three levels, and the sign that something is left out.
    assert len(saferepr(value, maxlen)) <= maxlen + 30


HOSTILE = [
    *map(chr, range(0x20)),
    *map(chr, range(0x7F, 0xA0)),
    *map(chr, range(0x200B, 0x2010)),
    *map(chr, range(0x2028, 0x202F)),
    *map(chr, range(0x2060, 0x2070)),
    "\u061c",
    "\ufeff",
    "\ud800",
    "\udfff",
    "\U000e0041",
]


@pytest.mark.parametrize("char", HOSTILE, ids=lambda char: f"{ord(char):x}")
def test_what_cannot_be_seen_is_shown(char: str) -> None:
    shown = safe_text(f"a{char}b")
    assert char not in shown
    assert shown.startswith("a\\")
    assert shown.endswith("b")
    shown.encode()


def test_blocks_keep_newlines_and_tabs_only() -> None:
    assert safe_text("a\n\tb\r\x1b", single_line=False) == "a\n\tb\\x0d\\x1b"
    assert safe_text("a\nb") == "a\\x0ab"


def test_ordinary_text_is_untouched() -> None:
    for text in (string.printable[:95], "Grüße, 世界 ✓ [red]", "a\u00a0b", ""):
        assert safe_text(text) == text


def test_long_text_is_cut() -> None:
    assert safe_text("x" * 100, 10) == "x" * 9 + "…"
    assert safe_text("x" * 10, 10) == "x" * 10
    assert len(safe_text("\x1b" * 100, 10)) == 10
    assert safe_text("xy", 0) == ""


def test_what_is_no_text_is_shown_by_its_repr() -> None:
    assert safe_text(b"\x1b") == "b'\\x1b'"
    assert safe_text(None) == "None"


@given(st.text(alphabet=st.characters()))
def test_nothing_raw_comes_out(text: str) -> None:
    shown = safe_text(text)
    assert not any(char in shown for char in HOSTILE)
    shown.encode()
