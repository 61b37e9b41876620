import pytest

from tq.beat import BeatLazyFunc, read_entries
from tq.beat.entry import slot_id
from tq.errors import ConfigError
from tq.schedules import crontab, schedule

GOOD = {"task": "t.add", "schedule": 10}


@pytest.mark.parametrize(
    ("entry", "field"),
    [
        ({"schedule": 10}, "task"),
        ({"task": 5, "schedule": 10}, "task"),
        ({"task": "t"}, "schedule"),
        ({**GOOD, "schedule": 0}, "schedule"),
        ({**GOOD, "schedule": -1}, "schedule"),
        ({**GOOD, "schedule": float("nan")}, "schedule"),
        ({**GOOD, "schedule": 1e12}, "schedule"),
        ({**GOOD, "schedule": "often"}, "schedule"),
        ({**GOOD, "args": "ab"}, "args"),
        ({**GOOD, "args": 3}, "args"),
        ({**GOOD, "kwargs": [1]}, "kwargs"),
        ({**GOOD, "kwargs": {1: 2}}, "kwargs"),
        ({**GOOD, "options": "q"}, "options"),
        ({**GOOD, "arg": []}, "arg"),
        ("t.add", "entry"),
    ],
)
def test_a_wrong_entry_is_one_error_that_names_entry_and_field(entry, field):
    with pytest.raises(ConfigError, match="'nightly'") as caught:
        read_entries({"fine": GOOD, "nightly": entry})
    assert (caught.value.entry, caught.value.field) == ("nightly", field)
    assert field in str(caught.value)


def test_an_unknown_field_suggests_the_nearest():
    with pytest.raises(ConfigError, match="'schedule'"):
        read_entries({"nightly": {"task": "t", "shedule": 1}})


@pytest.mark.parametrize("table", [None, [], "x", {5: GOOD}, {"": GOOD}])
def test_the_table_is_a_dictionary_with_names(table):
    with pytest.raises(ConfigError, match="beat_schedule"):
        read_entries(table)


def test_entries_are_read_with_their_defaults():
    found = read_entries(
        {"a": GOOD, "b": {"task": "t", "schedule": crontab("5"), "args": (1, 2), "relative": True}}
    )
    assert found["a"].schedule == schedule(10)
    assert (found["a"].args, found["a"].kwargs, found["a"].options) == ([], {}, {})
    assert found["b"].args == [1, 2]


def test_lazy_arguments_are_made_at_each_call():
    numbers = iter(range(10))
    lazy = BeatLazyFunc(lambda: next(numbers))
    entry = read_entries({"a": {**GOOD, "args": [lazy, "x"], "kwargs": {"n": lazy}}})["a"]
    assert entry.arguments() == ([0, "x"], {"n": 1})
    assert entry.arguments() == ([2, "x"], {"n": 3})


def test_a_slots_id_depends_on_application_entry_and_slot_alone():
    known = slot_id("proj", "nightly", 1000.5)
    assert known == slot_id("proj", "nightly", 1000.5000004)
    others = {slot_id("", "nightly", 1000.5), slot_id("proj", "daily", 1000.5),
              slot_id("proj", "nightly", 1000.51)}  # fmt: skip
    assert len(others | {known}) == 4
