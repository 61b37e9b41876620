"""Conditions of `tq watch`: read once, judged on what was seen."""

import pytest

from tq.monitor import TaskDetail, TaskInfo
from tqconsole.cli.conditions import ConditionError, Scene, read_condition
from tqconsole.tui.model.task_fields import Context

NOW = 1000.0


def task(uuid: str, state: str, **fields) -> TaskInfo:
    given = {"name": "mail.send", "local_received": NOW, **fields}
    return TaskInfo(uuid, state=state, **given)


def scene(*tasks: TaskInfo, **fields) -> Scene:
    given = {"began": NOW - 600, "depths": {}, "up": (), **fields}
    return Scene(tasks=tasks, context=Context(NOW), **given)


GOOD = [task(f"good{i}", "SUCCESS") for i in range(3)]
BAD = task("bad", "FAILURE")
OTHER = task("other", "FAILURE", name="billing.charge")


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("count(state:failure) = 2", True),
        ("count(state:failure) == 2", True),
        ("count(state:failure) != 2", False),
        ("count(name:mail.*) >= 5", False),
        ("count(id:bad)=1", True),
        ("count() < 1k", True),
        ("rate(state:failure name:mail.*) > 20%", True),
        ("rate(state:failure name:mail.*) > 25%", False),
        ("rate(state:failure) = 40%", True),
        ("rate(-state:failure name:mail.*) = 75%", True),
        ("rate(state:failure) > 1.9/m", True),
        ("rate(state:failure) > 2.1/m", False),
        ("rate(state:failure) < 0.1/s", True),
        ("rate(state:failure) <= 120/h", True),
        ("depth(mail) > 9", True),
        ("depth(queue:mail) = 10", True),
        ("workers(web*) = 2", True),
        ("workers() = 3", True),
    ],
)
def test_a_condition_is_judged(text, holds):
    seen = scene(*GOOD, BAD, OTHER, depths={"mail": 10}, up=["web1@a", "web2@a", "w@b"])
    assert read_condition(text).holds(seen) is holds


def test_the_oldest_is_what_waits_longest_without_a_time_of_its_own():
    waiting = task("a", "RECEIVED", received=NOW - 400, queue="mail")
    unreceived = task("b", "PENDING", sent=NOW - 100, queue="mail")
    parked = task("c", "RECEIVED", received=NOW - 900, queue="mail", more=TaskDetail(eta="later"))
    running = task("d", "STARTED", received=NOW - 900, queue="mail")
    condition = read_condition("oldest(queue:mail) > 5m")
    assert condition.holds(scene(waiting, unreceived, parked, running))
    assert not condition.holds(scene(unreceived, parked, running))
    assert read_condition("oldest(queue:mail) = 0").holds(scene())


@pytest.mark.parametrize(
    "text", ["depth(mail) = 0", "depth(mail) != 3", "rate(state:failure) < 1%"]
)
def test_what_is_not_known_is_not_so(text):
    condition = read_condition(text)
    assert not condition.holds(scene())
    assert condition.shown(condition.value(scene())) == "not known"


def test_a_young_watch_counts_rates_over_its_own_time():
    condition = read_condition("rate(state:failure) > 0/s")
    value = condition.value(scene(BAD, began=NOW - 10))
    assert value == pytest.approx(0.1)
    assert condition.shown(value) == "0.1/s"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("rate(state:failure) > 1%", "25%"),
        ("rate(state:failure) > 1/m", "1/m"),
        ("count(name:mail.*) > 1", "4"),
        ("oldest() > 1", "0.0s"),
    ],
)
def test_values_are_shown_in_the_unit_of_the_condition(text, shown):
    condition = read_condition(text)
    assert condition.shown(condition.value(scene(*GOOD, BAD))) == shown


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "MEASURE(FILTER) OPERATOR VALUE"),
        ("count(name:x)", "MEASURE(FILTER) OPERATOR VALUE"),
        ("count name:x > 3", "MEASURE(FILTER) OPERATOR VALUE"),
        ("cuont(name:x) > 3", "did you mean count?"),
        ("count(nmae:x) > 3", "did you mean name?"),
        ("count(state:() > 3", "missing"),
        ("count(name:x) > many", "'many' is not a number"),
        ("rate(name:x) > 1%", "state:failure"),
        ("rate(state:failure) > 5", "not 5"),
        ("rate(state:failure) > %", "is not a number"),
        ("oldest(queue:x) > 3x", "is not a duration"),
        ("depth() > 1", "needs a queue"),
    ],
)
def test_what_means_nothing_says_so(text, says):
    with pytest.raises(ConditionError) as caught:
        read_condition(text)
    assert says in str(caught.value)
