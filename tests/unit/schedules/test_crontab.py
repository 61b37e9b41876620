import pickle
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import celery
import celery.schedules
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tq.errors import ConfigError
from tq.schedules import ParseException, crontab, crontab_parser

NEW_YORK = ZoneInfo("America/New_York")
BERLIN = ZoneInfo("Europe/Berlin")
FIELDS = {
    "minute": (0, 59, ()),
    "hour": (0, 23, ()),
    "day_of_week": (0, 6, ("sun", "mon", "Tuesday", "wed", "THU", "fri", "sat")),
    "day_of_month": (1, 31, ()),
    "month_of_year": (1, 12, ("jan", "feb", "March", "apr", "may", "jun", "dec")),
}


def field_text(name: str) -> st.SearchStrategy:
    low, high, words = FIELDS[name]
    numbers = st.integers(low, high).map(str)
    number = st.one_of(numbers, st.sampled_from(words)) if words else numbers
    ranges = st.tuples(number, number).map("-".join)
    step = st.integers(1, high + 3).map(str)
    part = st.one_of(
        st.just("*"),
        number,
        ranges,
        step.map("*/{}".format),
        st.tuples(ranges, step).map("/".join),
    )
    return st.lists(part, min_size=1, max_size=4).map(",".join)


unhurried = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
any_crontab = st.fixed_dictionaries({name: field_text(name) for name in FIELDS})


def build(fields: dict[str, str]) -> tuple[crontab, celery.schedules.crontab] | None:
    try:
        theirs = celery.schedules.crontab(**fields, app=CELERY)
    except ValueError:
        with pytest.raises(ConfigError):
            crontab(**fields)
        return None
    return crontab(**fields), theirs


CELERY = celery.Celery("schedules", set_as_current=False)


@unhurried
@given(any_crontab)
def test_fields_stand_for_the_same_numbers_as_with_celery(fields):
    made = build(fields)
    if made is not None:
        ours, theirs = made
        for name in FIELDS:
            assert getattr(ours, name) == getattr(theirs, name), name


@unhurried
@given(any_crontab, st.datetimes(datetime(2024, 1, 1), datetime(2032, 1, 1)))
def test_the_next_slot_is_celerys_where_the_clock_is_never_set(fields, after):
    made = build(fields)
    if made is None:
        return
    ours, theirs = made
    after = after.replace(tzinfo=UTC)
    expected = celery_next(theirs, after)
    if expected is not None:
        assert ours.next_after(after, UTC) == expected


def celery_next(theirs: celery.schedules.crontab, after: datetime) -> datetime | None:
    theirs.nowfun = lambda: after
    try:
        start, delta, _ = theirs.remaining_delta(after)
    except RuntimeError:  # it gives up after 2000 days that do not match
        return None
    return start + delta


@unhurried
@given(any_crontab, st.datetimes(datetime(2025, 1, 1), datetime(2027, 1, 1)))
def test_the_latest_slot_is_the_one_that_none_follows(fields, until):
    made = build(fields)
    if made is None:
        return
    until = until.replace(tzinfo=NEW_YORK).astimezone(UTC)
    since = until - timedelta(days=70)
    latest = made[0].latest(since, until, NEW_YORK)
    following = made[0].next_after(latest or since, NEW_YORK)
    assert following is None or following > until
    if latest is not None:
        assert since < latest <= until
        just_before = latest - timedelta(microseconds=1)
        assert made[0].next_after(just_before, NEW_YORK) == latest


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"minute": "61"}, "minute"),
        ({"minute": "*/0"}, "minute"),
        ({"minute": ""}, "minute"),
        ({"minute": "1,,2"}, "minute"),
        ({"minute": "5/10"}, "minute"),
        ({"minute": "1-5/"}, "minute"),
        ({"minute": "-1"}, "minute"),
        ({"minute": "1.5"}, "minute"),
        ({"minute": 60}, "minute"),
        ({"minute": True}, "minute"),
        ({"minute": None}, "minute"),
        ({"minute": []}, "minute"),
        ({"minute": 1.5}, "minute"),
        ({"hour": "a-z"}, "hour"),
        ({"hour": "24"}, "hour"),
        ({"hour": "0-mon"}, "hour"),
        ({"day_of_week": "7"}, "day_of_week"),
        ({"day_of_week": "mo"}, "day_of_week"),
        ({"day_of_week": "monkey"}, "day_of_week"),
        ({"day_of_month": "0"}, "day_of_month"),
        ({"day_of_month": "31", "month_of_year": "2"}, "day_of_month"),
        ({"day_of_month": "31", "month_of_year": "feb,apr,jun"}, "day_of_month"),
        ({"month_of_year": "13"}, "month_of_year"),
        ({"month_of_year": "2" * 5000}, "month_of_year"),
        ({"month_of_year": "٣"}, "month_of_year"),
    ],
)
def test_a_field_that_makes_no_sense_is_one_error_that_names_it(fields, name):
    with pytest.raises(ConfigError, match=name) as caught:
        crontab(**fields)
    assert caught.value.field == name


@pytest.mark.parametrize("text", ["", "* * * *", "* * * * * * *", "@daily"])
def test_a_string_has_five_fields(text):
    with pytest.raises(ConfigError, match="fields"):
        crontab.from_string(text)


def test_a_string_is_in_crons_order():
    assert crontab.from_string("5  4 3 feb mon") == crontab(
        minute=5, hour=4, day_of_month=3, month_of_year=2, day_of_week=1
    )


def test_fields_may_be_numbers_and_collections():
    made = crontab(minute={0, 30}, hour=[8, "10-12"], day_of_week=range(1, 6))
    assert (made.minute, made.hour) == ({0, 30}, {8, 10, 11, 12})
    assert made == crontab("*/30", "8,10-12", "mon-fri")


def test_ranges_wrap_around():
    assert crontab(day_of_week="fri-mon").day_of_week == {5, 6, 0, 1}
    assert crontab(minute="50-5/5").minute == {50, 55, 0, 5}


def test_the_parser_stands_alone_as_with_celery():
    assert crontab_parser(12, 1).parse("2-12/2") == {2, 4, 6, 8, 10, 12}
    assert crontab_parser(7).parse("mon,wed") == {1, 3}
    with pytest.raises(ParseException):
        crontab_parser(24).parse("24")


@pytest.mark.parametrize(
    "fields", [{}, {"minute": "*/5", "hour": [1, 2]}, {"day_of_week": "mon", "month_of_year": 3}]
)
def test_repr_is_celerys(fields):
    assert repr(crontab(**fields)) == repr(celery.schedules.crontab(**fields))


def test_equality_is_of_the_times_and_survives_pickling():
    assert crontab("*/30") == crontab("0,30")
    assert hash(crontab("*/30")) == hash(crontab("0,30"))
    assert crontab("*/30") != crontab("0,31")
    assert crontab("*/30") != "*/30"
    made = crontab("0", "3", "sat")
    assert pickle.loads(pickle.dumps(made)) == made


def slots(schedule: crontab, start: datetime, end: datetime, zone: ZoneInfo) -> list[str]:
    found, at = [], schedule.next_after(start - timedelta(microseconds=1), zone)
    while at is not None and at < end:
        found.append(at.astimezone(zone).strftime("%d %H:%M%z"))
        at = schedule.next_after(at, zone)
    return found


def day(zone: ZoneInfo, year: int, month: int, number: int) -> tuple[datetime, datetime]:
    start = datetime(year, month, number, tzinfo=zone)
    end = datetime(year, month, number + 1, tzinfo=zone)
    return start.astimezone(UTC), end.astimezone(UTC)


def test_a_time_in_the_gap_runs_once_shifted():
    assert slots(crontab("30", "2"), *day(NEW_YORK, 2026, 3, 8), NEW_YORK) == ["08 03:30-0400"]
    assert slots(crontab("30", "2,3"), *day(NEW_YORK, 2026, 3, 8), NEW_YORK) == ["08 03:30-0400"]


def test_a_time_in_the_overlap_runs_once():
    assert slots(crontab("30", "1"), *day(NEW_YORK, 2026, 11, 1), NEW_YORK) == ["01 01:30-0400"]
    assert slots(crontab("*/30", "1"), *day(BERLIN, 2026, 10, 25), BERLIN) == [
        "25 01:00+0200",
        "25 01:30+0200",
    ]


@pytest.mark.parametrize(("month", "number", "hours"), [(3, 8, 23), (11, 1, 25)])
def test_a_crontab_of_every_hour_keeps_its_pace_when_the_clock_is_set(month, number, hours):
    start, end = day(NEW_YORK, 2026, month, number)
    schedule, found, at = crontab("*/20"), [], start - timedelta(seconds=1)
    while (at := schedule.next_after(at, NEW_YORK)) < end:
        found.append(at)
    assert len(found) == hours * 3
    assert {later - earlier for earlier, later in pairwise(found)} == {timedelta(minutes=20)}


def test_the_slots_of_a_skipped_day_fall_on_the_next():
    apia = ZoneInfo("Pacific/Apia")  # had no 30 December 2011
    found = crontab("0", "9", day_of_month=30, month_of_year=12).next_after(
        datetime(2011, 12, 1, tzinfo=UTC), apia
    )
    assert found.astimezone(apia).isoformat() == "2011-12-31T09:00:00+14:00"


def test_a_leap_day_on_a_weekday_is_found_over_a_century_year():
    found = crontab("0", "0", "mon", "29", "2").next_after(datetime(2072, 3, 1, tzinfo=UTC), UTC)
    assert found == datetime(2112, 2, 29, tzinfo=UTC)


def test_is_due_and_remaining_follow_the_given_clock():
    now = datetime(2026, 5, 4, 13, 59, 30, tzinfo=UTC)
    schedule = crontab("0", "14", nowfun=lambda: now)
    last = datetime(2026, 5, 3, 14, 0, 1, tzinfo=UTC)
    assert schedule.remaining_estimate(last) == timedelta(seconds=30)
    assert schedule.is_due(last) == (False, 30.0)
    now += timedelta(seconds=31)
    assert schedule.is_due(last) == (True, 86399.0)


def test_the_starting_deadline_refuses_what_is_too_late():
    app = celery.Celery("deadline", set_as_current=False)
    now = datetime(2026, 5, 4, 15, 0, tzinfo=UTC)
    last = datetime(2026, 5, 3, 14, 0, 1, tzinfo=UTC)
    for seconds, due in ((3599, False), (3600, True)):
        app.conf.beat_cron_starting_deadline = seconds
        schedule = crontab("0", "14", nowfun=lambda: now, app=app)
        assert schedule.is_due(last).is_due is due


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("* * * * *", "every minute"),
        ("*/5 * * * *", "every 5 minutes"),
        ("0 * * * *", "every hour"),
        ("5,35 * * * *", "every hour at :05 and :35"),
        ("0 14 * * mon-fri", "at 14:00 on weekdays"),
        ("30 2 * * *", "at 02:30 every day"),
        ("0 8,20 * * sat,sun", "at 08:00 and 20:00 at weekends"),
        ("0 0 1 * *", "at 00:00 on day 1 of the month"),
        ("0 6 1-7 jan,jul mon", "at 06:00 on Monday that is day 1 to 7 of the month in January and July"),
        ("*/15 9-17 * * *", "every 15 minutes from 09:00 to 17:59"),
        ("10 */6 * * *", "every 6 hours at :10"),
        ("* * * * wed", "every minute on Wednesday"),
    ],
)  # fmt: skip
def test_crontabs_in_words(text, words):
    assert crontab.from_string(text).human() == words


def test_a_zone_of_its_own_goes_before_the_applications():
    at = datetime(2026, 5, 4, 12, tzinfo=UTC)
    tab = crontab("0", "9")
    tab.tz = ZoneInfo("Asia/Tokyo")
    assert tab.next_after(at, ZoneInfo("Europe/Berlin")) == datetime(2026, 5, 5, 0, tzinfo=UTC)
    assert tab.latest(at, at + timedelta(days=1), UTC) == datetime(2026, 5, 5, 0, tzinfo=UTC)
    assert tab != crontab("0", "9")
    assert pickle.loads(pickle.dumps(tab)) == tab


def test_a_subclass_may_have_its_zone_before_its_fields_are_read():
    class Local(crontab):
        def __init__(self, minute, hour, tz):
            self.tz = tz
            super().__init__(minute, hour)

    found = Local("30", "6", ZoneInfo("America/New_York"))
    at = datetime(2026, 1, 1, tzinfo=UTC)
    assert found.next_after(at) == datetime(2026, 1, 1, 11, 30, tzinfo=UTC)
    assert found._orig_minute == "30"
