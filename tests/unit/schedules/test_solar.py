import sys
from datetime import UTC, datetime, timedelta

import celery.schedules
import pytest

from tq.errors import ConfigError
from tq.schedules import solar

START = datetime(2026, 6, 1, tzinfo=UTC)


def test_without_its_package_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "ephem", None)
    with pytest.raises(ConfigError, match=r"ephem.*tqconsole\[solar\]"):
        solar("sunset", 52.5, 13.4)


@pytest.mark.parametrize(
    ("arguments", "field"),
    [(("moonrise", 0, 0), "event"), (("sunset", 91, 0), "lat"), (("sunset", 0, 181), "lon"),
     (("sunset", "52", 0), "lat"), (("sunset", float("nan"), 0), "lat")],
)  # fmt: skip
def test_an_event_or_place_that_makes_no_sense_names_its_field(arguments, field):
    with pytest.raises(ConfigError) as caught:
        solar(*arguments)
    assert caught.value.field == field


@pytest.mark.parametrize("event", sorted(celery.schedules.solar._all_events))
def test_events_are_celerys(event):
    pytest.importorskip("ephem")
    ours, theirs = solar(event, 48.0, -11.5), celery.schedules.solar(event, 48.0, -11.5)
    theirs.nowfun = lambda: START
    expected = START + theirs.remaining_estimate(START)
    found = ours.next_after(START)
    assert abs(found - expected) < timedelta(seconds=5)
    following = ours.next_after(found)
    assert timedelta(hours=23) < following - found < timedelta(hours=25)


def test_where_the_sun_does_not_set_the_next_slot_is_months_away_or_never():
    pytest.importorskip("ephem")
    found = solar("sunset", 75.0, 20.0).next_after(START)
    assert found > START + timedelta(days=60)
    assert solar("sunset", -90.0, 0.0).next_after(START) is None
