from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tq.beat import Progress, SlotHeap, read_entries
from tq.schedules import crontab

NOW = datetime(2026, 5, 4, 12, 0, tzinfo=UTC).timestamp()
HOUR, DAY = 3600.0, 86400.0


def make(schedules: dict, now: float = NOW, **options) -> SlotHeap:
    scheduler = SlotHeap(**options)
    table = {name: {"task": f"t.{name}", "schedule": when} for name, when in schedules.items()}
    scheduler.update(read_entries(table), now)
    return scheduler


def run(scheduler: SlotHeap, now: float) -> list[tuple[str, float]]:
    found = scheduler.due(now)
    for due in found:
        scheduler.ran(due, now)
    return [(due.entry.name, due.slot - NOW) for due in found]


def test_a_new_entry_is_due_after_its_first_interval():
    scheduler = make({"a": 10, "b": 25})
    assert run(scheduler, NOW + 9.9) == []
    assert scheduler.next_due() == NOW + 10
    assert run(scheduler, NOW + 10) == [("a", 10)]
    assert run(scheduler, NOW + 26) == [("a", 20), ("b", 25)]
    assert scheduler.next_due("b") == NOW + 50


def test_entries_are_due_in_the_order_of_their_slots():
    scheduler = make({"a": 30, "b": 10, "c": 20})
    assert [name for name, _ in run(scheduler, NOW + 30)] == ["b", "c", "a"]


def test_of_several_missed_slots_the_last_is_run_once():
    scheduler = make({"a": 10, "tab": crontab("*/15")})
    assert run(scheduler, NOW + HOUR + 5) == [("a", HOUR), ("tab", HOUR)]
    assert run(scheduler, NOW + HOUR + 6) == []


def test_without_catching_up_a_missed_slot_is_left_out():
    scheduler = make({"a": crontab("0"), "b": 10}, catchup=False)
    assert run(scheduler, NOW + HOUR + 61) == [("b", HOUR + 60)]
    assert scheduler.missed == 1
    assert run(scheduler, NOW + 2 * HOUR + 59) == [("b", 2 * HOUR + 50), ("a", 2 * HOUR)]


def test_the_starting_deadline_is_for_crontabs():
    scheduler = make({"a": crontab("0"), "b": HOUR}, starting_deadline=100)
    assert run(scheduler, NOW + HOUR + 101) == [("b", HOUR)]
    assert run(scheduler, NOW + 2 * HOUR + 100) == [("a", 2 * HOUR), ("b", 2 * HOUR)]


def test_what_was_put_back_is_due_again():
    scheduler = make({"a": 10})
    (due,) = scheduler.due(NOW + 10)
    assert scheduler.due(NOW + 11) == []
    scheduler.put_back(due)
    assert run(scheduler, NOW + 12) == [("a", 10)]


def test_what_another_beat_sent_is_not_run_here():
    scheduler = make({"a": 10})
    (due,) = scheduler.due(NOW + 10)
    scheduler.skip(due)
    assert scheduler.progress["a"].total_run_count == 0
    assert run(scheduler, NOW + 12) == []
    assert scheduler.next_due() == NOW + 20


def test_progress_is_kept_when_other_entries_change():
    scheduler = make({"a": 10, "b": 10})
    run(scheduler, NOW + 10)
    scheduler.changed.clear()
    table = {"a": {"task": "t.a", "schedule": 10}, "c": {"task": "t.c", "schedule": 5}}
    scheduler.update(read_entries(table), NOW + 12)
    assert scheduler.changed == {"b", "c"}
    assert set(scheduler.progress) == {"a", "c"}
    assert run(scheduler, NOW + 20) == [("c", 17), ("a", 20)]


def test_an_entry_with_another_schedule_counts_from_its_change():
    scheduler = make({"a": crontab("0", "14")})
    scheduler.update(
        read_entries({"a": {"task": "t", "schedule": crontab("30", "12")}}), NOW + HOUR
    )
    assert run(scheduler, NOW + HOUR) == []  # 12:30 of today was never its slot
    assert scheduler.next_due() == NOW + DAY + HOUR / 2


def test_stored_progress_makes_a_missed_slot_due_at_once():
    scheduler = make({"a": crontab("0", "3")})
    stored = Progress(
        slot=NOW - 33 * HOUR, last_run_at=NOW - 33 * HOUR, total_run_count=7,
        schedule=scheduler.progress["a"].schedule,
    )  # fmt: skip
    scheduler.restore({"a": stored, "gone": stored}, NOW)
    assert run(scheduler, NOW) == [("a", -9 * HOUR)]
    assert scheduler.progress["a"].total_run_count == 8
    assert set(scheduler.progress) == {"a"}


def test_progress_that_is_behind_ours_is_not_taken():
    scheduler = make({"a": 10})
    old = Progress(slot=NOW, last_run_at=NOW, schedule=scheduler.progress["a"].schedule)
    run(scheduler, NOW + 30)
    scheduler.restore({"a": old}, NOW + 31)
    assert scheduler.progress["a"].slot == NOW + 30


def test_a_clock_set_back_an_hour_stops_no_interval_and_repeats_no_wall_time():
    scheduler = make({"every": 10, "tab": crontab("*/30")})
    assert run(scheduler, NOW + HOUR) == [("every", HOUR), ("tab", HOUR)]
    assert run(scheduler, NOW + 1) == []
    assert run(scheduler, NOW + 11) == [("every", 11)]
    assert [name for name, _ in run(scheduler, NOW + HOUR / 2)] == ["every"]
    assert ("tab", HOUR * 1.5) in run(scheduler, NOW + HOUR * 1.5)


def test_a_clock_a_year_ahead_and_back_runs_once_more_and_goes_on():
    scheduler = make({"every": 10, "tab": crontab("*/30")})
    ahead = NOW + 365 * DAY + 7
    assert len(run(scheduler, ahead)) == 2
    assert run(scheduler, NOW + 20) == []
    assert run(scheduler, NOW + 30) == [("every", 30)]
    assert ("tab", HOUR / 2) in run(scheduler, NOW + HOUR / 2)


def test_a_stored_slot_in_the_future_starts_anew():
    scheduler = make({"a": 10, "b": crontab("0")})
    texts = {name: known.schedule for name, known in scheduler.progress.items()}
    ahead = {
        name: Progress(slot=NOW + DAY, last_run_at=NOW, schedule=text)
        for name, text in texts.items()
    }
    scheduler.restore(ahead, NOW)
    assert scheduler.next_due("a") == NOW + 10
    assert scheduler.next_due("b") == NOW + HOUR


def test_crontabs_follow_the_zone():
    scheduler = make({"a": crontab("0", "15")}, zone=ZoneInfo("Europe/Berlin"))
    assert scheduler.next_due() == NOW + HOUR


@pytest.mark.parametrize("when", ["45 2", "15 1"])
def test_a_daily_entry_runs_once_a_day_through_the_year(when):
    minute, hour = when.split()
    zone = ZoneInfo("America/New_York")
    scheduler = make({"a": crontab(minute, hour)}, zone=zone)
    days = []
    for tick in range(0, int(365 * DAY), 600):
        for _name, slot in run(scheduler, NOW + tick):
            days.append(datetime.fromtimestamp(NOW + slot, zone).date())
    assert len(days) == len(set(days)) == 365


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(st.floats(1.0, 1000.0), min_size=1, max_size=8),
    st.lists(st.floats(-5000.0, 5000.0), max_size=15),
)
def test_no_slot_runs_before_its_time_and_none_twice_unless_the_clock_was_set_back(
    intervals, steps
):
    scheduler = make({str(index): seconds for index, seconds in enumerate(intervals)})
    now, seen = NOW, set()
    for step in steps:
        now += step
        if step < 0:
            seen.clear()  # intervals count from here again, and may meet an old slot
        for due in scheduler.due(now):
            assert due.slot <= now + 1e-6  # the resolution of a datetime
            assert (due.entry.name, due.slot) not in seen
            seen.add((due.entry.name, due.slot))
            scheduler.ran(due, now)
        following = scheduler.next_due()
        assert following is not None
        assert now < following <= now + max(intervals) + 1.0


def test_a_hundred_thousand_entries_are_planned_and_run():
    scheduler = make({str(number): 60 + number % 600 for number in range(100_000)})
    assert len(run(scheduler, NOW + 60)) == 167
