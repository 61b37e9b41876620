"""A year of slots, found again by looking at every minute of it."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from tq.beat import SlotHeap, read_entries
from tq.schedules import crontab

START = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp())
MINUTES = 365 * 24 * 60
TABS = ["*/7 * * * *", "30 2 * * *", "*/20 1,2,3 * * *", "15 0,12 1,15,31 * *", "0 9 1-7 */2 mon",
        "45 */4 * * fri-sun"]  # fmt: skip
ASKED = frozenset().union(*(crontab.from_string(text).minute for text in TABS))
ZONES = ["America/New_York", "Europe/Berlin", "Australia/Lord_Howe"]

Wall = tuple[int, int, int, int, int]


def wall_minutes(zone: ZoneInfo) -> Iterator[tuple[int, list[tuple[Wall, bool]]]]:
    """For each minute: the wall times that belong to it, and whether the clock repeats them.

    Beside what the clock shows these are, after a gap, the times that it has skipped.
    """
    before: int | None = None
    gap_offset, gap_end, repeat_end = 0, 0, 0
    for minute in range(MINUTES):
        moment = START + minute * 60
        local = datetime.fromtimestamp(moment, zone)
        offset = int(local.utcoffset().total_seconds())
        if before is not None and offset > before:
            gap_offset, gap_end = before, moment + offset - before
        elif before is not None and offset < before:
            repeat_end = moment + before - offset
        before = offset
        if local.minute not in ASKED and moment >= gap_end:
            continue
        shown = [(_fields(local), moment < repeat_end)]
        if moment < gap_end:
            shown.append((_fields(datetime.fromtimestamp(moment + gap_offset, UTC)), False))
        yield moment, shown


def _fields(wall: datetime) -> Wall:
    return wall.minute, wall.hour, wall.day, wall.month, wall.isoweekday() % 7


def naive_slots(tab: crontab, year: list[tuple[int, list[tuple[Wall, bool]]]]) -> list[int]:
    each_hour = len(tab.hour) == 24
    found = []
    for moment, shown in year:
        for (minute, hour, day, month, weekday), repeated in shown:
            if (
                minute in tab.minute
                and hour in tab.hour
                and day in tab.day_of_month
                and month in tab.month_of_year
                and weekday in tab.day_of_week
                and (each_hour or not repeated)
            ):
                found.append(moment)
                break
    return found


def beat_slots(zone: ZoneInfo) -> dict[str, list[int]]:
    """What beat runs in that year, when it always wakes up in time."""
    now = START - 1.0
    heap = SlotHeap(zone)
    table = {text: {"task": "t", "schedule": crontab.from_string(text)} for text in TABS}
    heap.update(read_entries(table), now)
    found: dict[str, list[int]] = {text: [] for text in TABS}
    while (now := heap.next_due()) < START + MINUTES * 60:
        for due in heap.due(now):
            found[due.entry.name].append(int(due.slot))
            heap.ran(due, now)
    return found


@pytest.mark.parametrize("name", ZONES)
@pytest.mark.timeout(300)
def test_a_year_of_slots_equals_a_search_minute_by_minute(name):
    zone = ZoneInfo(name)
    year = list(wall_minutes(zone))
    end = datetime.fromtimestamp(START + MINUTES * 60, UTC)
    expected = {text: naive_slots(crontab.from_string(text), year) for text in TABS}
    assert beat_slots(zone) == expected
    for text in TABS:
        tab = crontab.from_string(text)
        found = []
        at = tab.next_after(datetime.fromtimestamp(START, UTC) - timedelta(seconds=1), zone)
        while at < end:
            found.append(int(at.timestamp()))
            at = tab.next_after(at, zone)
        assert found == expected[text], text
        assert len(found) >= 6
