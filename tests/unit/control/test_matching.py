"""Which nodes a command is for, and that deciding it never takes long."""

import fnmatch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tq.control.matching import addressed_to, glob_match, matches
from tq.wire.command import Command

ME = "worker1@example-host"


@pytest.mark.parametrize(
    ("fields", "ours"),
    [
        ({}, True),
        ({"destination": []}, True),
        ({"destination": [ME]}, True),
        ({"destination": ["other@host", ME]}, True),
        ({"destination": ["other@host"]}, False),
        ({"destination": ["other@host"], "pattern": "*", "matcher": "glob"}, False),
        ({"pattern": "worker[12]*", "matcher": "glob"}, True),
        ({"pattern": "worker[!12]*", "matcher": "glob"}, False),
        ({"pattern": "worker(1|3)@.*", "matcher": "pcre"}, True),
        ({"pattern": "worker(2|3)@.*", "matcher": "pcre"}, False),
        ({"pattern": "nobody"}, True),
    ],
)
def test_destination_rules_over_pattern_and_a_pattern_needs_a_matcher(fields, ours):
    assert addressed_to(ME, Command(method="ping", **fields)) is ours


@given(st.text("ab*?[]!-@", max_size=12), st.text("ab-@]", max_size=10))
def test_globs_match_as_fnmatch_does(pattern, text):
    assert glob_match(text, pattern) == fnmatch.fnmatchcase(text, pattern)


@pytest.mark.timeout(5)
def test_globs_made_to_be_slow_are_fast():
    assert glob_match("a" * 512, "*a" * 200 + "*b") is False


@pytest.mark.timeout(5)
@pytest.mark.parametrize(
    "pattern",
    [
        "(a+)+b",
        "(a|aa)*b",
        r"(.)\1*b",
        "a*a*a*a*a*b",
        "(",
        "a{9999999999}",
        "x" * 600,
        "(?P<n>a)(?P=n)",
    ],
)
def test_expressions_that_could_take_long_are_refused(pattern):
    with pytest.raises(ValueError, match=r"pattern|expression"):
        matches("a" * 512, pattern, "pcre")


def test_an_unknown_matcher_is_refused():
    with pytest.raises(ValueError, match="glob and pcre"):
        matches(ME, "*", "sql")
