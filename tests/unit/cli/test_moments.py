"""Times in words."""

import pytest

from tqconsole.cli.moments import span, until

NOW = 1_780_000_000.0  # 2026-05-28T20:26:40Z


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0 s"), (-5, "0 s"), (59.6, "1 min 0 s"), (61, "1 min 1 s"), (3600, "1 h 0 min"),
     (90061, "1 d 1 h")],
)  # fmt: skip
def test_a_span_is_said_in_its_two_largest_units(seconds, words):
    assert span(seconds) == words


@pytest.mark.parametrize(
    ("text", "words"),
    [("2026-05-28T20:27:40+00:00", "in 1 min 0 s"), ("2026-05-28T20:26:40Z", "now"),
     ("2026-05-28T22:26:41.500000+02:00", "in 2 s"), ("2026-05-28T20:26:50", "in 10 s"),
     ("soon", None), (None, None), (5, None)],
)  # fmt: skip
def test_a_moment_is_said_by_its_distance(text, words):
    assert until(text, NOW) == words
