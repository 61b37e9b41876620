import math
import pickle
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import celery.schedules
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tq
from tq.errors import ConfigError
from tq.schedules import BaseSchedule, crontab, maybe_schedule, schedule

NOON = datetime(2026, 5, 4, 12, 0, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    "given", [0, -1, math.nan, math.inf, 1e12, 0.001, None, "10", True, timedelta(0)]
)
def test_an_interval_that_makes_no_sense_is_an_error(given):
    with pytest.raises(ConfigError, match="interval"):
        schedule(given)


def test_slots_follow_the_slot_before_and_do_not_drift():
    assert schedule(30).next_after(NOON) == NOON + timedelta(seconds=30)
    late = NOON + timedelta(seconds=95.7)
    assert schedule(30).latest(NOON, late) == NOON + timedelta(seconds=90)
    assert schedule(30).latest(NOON, NOON + timedelta(seconds=29)) is None


@settings(deadline=None)
@given(st.floats(0.02, 1e6), st.floats(0, 1e7))
def test_the_latest_slot_is_the_one_that_none_follows(seconds, later):
    made, until = schedule(seconds), NOON + timedelta(seconds=later)
    latest = made.latest(NOON, until)
    assert made.next_after(latest or NOON) > until
    assert latest is None or latest <= until


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(30, "12:00:35"), (60, "12:01:00"), (3600, "13:00:00"), (7200, "14:00:00")],
)
def test_relative_intervals_are_rounded_down_to_their_unit(seconds, expected):
    found = schedule(seconds, relative=True).next_after(NOON)
    assert found.strftime("%H:%M:%S") == expected


def test_relative_days_begin_at_midnight_of_the_zone():
    berlin = ZoneInfo("Europe/Berlin")
    found = schedule(86400, relative=True).next_after(NOON, berlin)
    assert found.astimezone(berlin).isoformat() == "2026-05-05T00:00:00+02:00"


@pytest.mark.parametrize("seconds", [1, 0.5, 45, 60, 90, 300, 3600, 5400, 86400, 200000])
def test_repr_is_celerys(seconds):
    assert repr(schedule(seconds)) == repr(celery.schedules.schedule(seconds))


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(1, "every second"), (0.5, "every 0.5 seconds"), (300, "every 5 minutes"),
     (5400, "every 90 minutes"), (3600, "every hour"), (172800, "every 2 days")],
)  # fmt: skip
def test_intervals_in_words(seconds, words):
    assert schedule(seconds).human() == words


def test_equality_counts_interval_and_rounding_and_survives_pickling():
    assert schedule(60) == schedule(timedelta(minutes=1))
    assert schedule(60) != schedule(60, relative=True)
    assert pickle.loads(pickle.dumps(schedule(60, True))) == schedule(60, True)


def test_is_due_says_when_to_ask_again():
    made = schedule(10, nowfun=lambda: NOON)
    assert made.is_due(NOON - timedelta(seconds=4)) == (False, 6.0)
    assert made.is_due(NOON - timedelta(seconds=11)) == (True, 10.0)


def test_numbers_timedeltas_and_celerys_schedules_become_ours():
    assert maybe_schedule(10) == schedule(10) == maybe_schedule(timedelta(seconds=10))
    theirs = celery.schedules.crontab(minute="*/5", hour="8-18")
    assert maybe_schedule(theirs) == crontab(minute="*/5", hour="8-18")
    assert repr(maybe_schedule(theirs)) == repr(theirs)
    assert maybe_schedule(celery.schedules.schedule(7, True)) == schedule(7, True)
    for bad in (None, "daily", object(), True):
        with pytest.raises(ConfigError):
            maybe_schedule(bad)


def test_a_schedule_of_the_users_own_needs_only_the_remaining_time():
    class Tenth(BaseSchedule):
        def remaining_estimate(self, last_run_at):
            return last_run_at + timedelta(seconds=10) - self.now()

    made = Tenth(nowfun=lambda: NOON)
    assert made.next_after(NOON - timedelta(seconds=3)) == NOON + timedelta(seconds=7)
    assert made.latest(NOON - timedelta(seconds=35), NOON) == NOON - timedelta(seconds=5)
    with pytest.raises(NotImplementedError):
        BaseSchedule().remaining_estimate(NOON)


def test_the_zone_is_the_applications():
    app = tq.TQ("zone", set_as_current=False)
    app.conf.timezone = "Europe/Berlin"
    made = crontab("0", "9", app=app)
    assert made.next_after(NOON) == datetime(2026, 5, 5, 7, tzinfo=UTC)
    assert crontab("0", "9").next_after(NOON) == datetime(2026, 5, 5, 9, tzinfo=UTC)
