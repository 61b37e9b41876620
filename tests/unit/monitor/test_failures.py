from typing import Any

import pytest

from tq.monitor import ClusterState, FailureGroups, own_frame
from tq.monitor.failures import exception_class

NOW = 1_767_276_452.0
TRACEBACK = """Traceback (most recent call last):
  File "/venv/lib/python3.11/site-packages/celery/app/trace.py", line 564, in trace_task
    R = retval = fun(*args, **kwargs)
  File "/srv/app/billing/gateway.py", line 118, in charge
    raise CardDeclined(resp.reason)
  File "/venv/lib/python3.11/site-packages/requests/api.py", line 9, in get
    return request()
billing.errors.CardDeclined: insufficient_funds
"""


def event(kind: str, uuid: str, at: float = NOW, **fields: Any) -> dict[str, Any]:
    base = {"type": kind, "uuid": uuid, "hostname": "w1@h", "timestamp": at, "clock": 1}
    return base | {"local_received": at} | fields


def failed(uuid: str, at: float = NOW, error: str = "CardDeclined('x')") -> list[dict[str, Any]]:
    return [
        event("task-received", uuid, at, name="billing.charge"),
        event("task-failed", uuid, at, exception=error, traceback=TRACEBACK),
    ]


def retried(uuid: str, at: float) -> dict[str, Any]:
    return event("task-retried", uuid, at, exception="CardDeclined('x')", traceback=TRACEBACK)


def test_the_innermost_own_frame_is_chosen() -> None:
    frame = own_frame(TRACEBACK)
    assert frame is not None
    assert (frame.short, frame.function) == ("gateway.py:118", "charge")
    assert own_frame(None) is None
    assert own_frame("no frames here") is None


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("CardDeclined('x')", "CardDeclined"),
        ("billing.errors.CardDeclined('x')", "CardDeclined"),
        ("KeyError", "KeyError"),
        ("", "?"),
        (None, "?"),
        ("[bold]", "?"),
    ],
)
def test_the_class_is_read_from_the_text(text: str | None, name: str) -> None:
    assert exception_class(text) == name


def test_the_same_failure_is_one_group_and_counted_once() -> None:
    state, groups = ClusterState(), FailureGroups()
    state.apply_many([*failed("a"), *failed("b"), *failed("c", error="KeyError('k')")], NOW)
    assert groups.update(state, NOW) == 3
    state.apply_many([failed("a")[1]], NOW)
    assert groups.update(state, NOW) == 0
    counts = {group.exception: group.failed for group in groups}
    assert counts == {"CardDeclined": 2, "KeyError": 1}
    group = groups.of(state.tasks["a"])
    assert group is not None
    assert list(group.samples) == ["a", "b"]
    assert group.workers == {"w1@h"}


def test_every_retry_counts_even_if_the_task_went_on_since() -> None:
    state, groups = ClusterState(), FailureGroups()
    groups.update(state, NOW)
    state.apply_many(
        [
            event("task-received", "a", NOW, name="billing.charge"),
            retried("a", NOW + 1),
            event("task-started", "a", NOW + 2),
            retried("a", NOW + 3),
            event("task-succeeded", "a", NOW + 5, result="1", runtime=0.1),
        ],
        NOW + 5,
    )
    assert groups.update(state, NOW + 5) == 2
    (group,) = groups
    assert (group.retried, group.failed) == (2, 0)


def test_a_group_is_new_only_after_a_while_of_listening() -> None:
    state, groups = ClusterState(), FailureGroups()
    groups.update(state, NOW)
    state.apply_many(failed("a", NOW + 1), NOW + 1)
    groups.update(state, NOW + 1)
    state.apply_many(failed("b", NOW + 400, "KeyError('k')"), NOW + 400)
    groups.update(state, NOW + 400)
    new = {group.exception: group.is_new(NOW + 401, NOW) for group in groups}
    assert new == {"CardDeclined": False, "KeyError": True}


def test_the_baseline_is_unknown_until_something_was_observed_before() -> None:
    state, groups = ClusterState(), FailureGroups()
    groups.update(state, NOW)
    for minute in range(20):
        at = NOW + 60 * minute
        state.apply_many(failed(f"t{minute}", at), at)
        groups.update(state, at)
    (group,) = groups
    assert group.recent(NOW + 60 * 19) == 5
    assert group.baseline(NOW + 60 * 4, NOW) is None
    assert group.baseline(NOW + 60 * 19, NOW) == pytest.approx(5.0, abs=0.5)


def test_groups_are_bounded() -> None:
    state, groups = ClusterState(), FailureGroups(max_groups=10)
    for number in range(50):
        at = NOW + number
        state.apply_many(failed(f"t{number}", at, f"Error{number}()"), at)
        groups.update(state, at)
    assert len(groups) == 10
    assert groups.dropped == 40
    assert {group.exception for group in groups} == {f"Error{n}" for n in range(40, 50)}
