"""ClusterState reaches the states and fields that Celery's own monitor state reaches."""

import random

import pytest
from celery.events.state import State
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.events import NOW, event, received
from tq.monitor.cluster import ClusterState

FIELDS = [
    "uuid",
    "name",
    "state",
    "received",
    "sent",
    "started",
    "rejected",
    "succeeded",
    "failed",
    "retried",
    "revoked",
    "args",
    "kwargs",
    "eta",
    "expires",
    "retries",
    "result",
    "exception",
    "timestamp",
    "runtime",
    "traceback",
    "exchange",
    "routing_key",
    "clock",
    "client",
    "root_id",
    "parent_id",
]

KINDS = {
    "task-sent": {"name": "tasks.add", "args": "(9,)", "kwargs": "{'a': 1}", "retries": 0, "eta": None,
                  "expires": None, "queue": "q", "exchange": "ex", "routing_key": "rk", "root_id": "r", "parent_id": None},
    "task-received": None,
    "task-started": {},
    "task-succeeded": {"result": "3", "runtime": 0.25},
    "task-failed": {"exception": "ValueError('x')", "traceback": "Traceback\n  line"},
    "task-retried": {"exception": "OSError()", "traceback": "tb"},
    "task-revoked": {"terminated": True, "signum": "15", "expired": False},
    "task-rejected": {"requeue": False},
    "task-cancelled": {},
    "task-progress": {"percent": 40},
}  # fmt: skip


def make(kind: str, number: int, at: float, host: str, variant: int) -> dict:
    uuid = f"task-{number}"
    if kind == "task-received":
        return received(uuid, at, name=f"tasks.t{variant}", args=f"({variant},)", retries=variant, host=host,
                        eta=None if variant % 2 else "2026-01-01T00:00:00")  # fmt: skip
    return event(kind, uuid, at, host, **KINDS[kind])


streams = st.lists(
    st.builds(
        make,
        kind=st.sampled_from(sorted(KINDS)),
        number=st.integers(0, 3),
        at=st.integers(0, 100).map(float),
        host=st.sampled_from(["w1@a", "w2@b"]),
        variant=st.integers(0, 3),
    ),
    max_size=40,
)


def compare(events: list[dict]) -> None:
    theirs, ours = State(), ClusterState()
    for item in events:
        theirs.event(dict(item))
        ours.apply(dict(item), NOW)
    assert ours.tasks.keys() == dict(theirs.tasks.items()).keys()
    for uuid, task in theirs.tasks.items():
        mine = ours.tasks[uuid]
        expected = {name: getattr(task, name) for name in FIELDS}
        assert {name: getattr(mine, name) for name in FIELDS} == expected
        assert mine.worker == (task.worker.hostname if task.worker else None)
    check(ours)


def check(state: ClusterState) -> None:
    """What must hold of every state, whatever the events were."""
    counts: dict[str, int] = {}
    running: dict[str, int] = {}
    for task in state.tasks.values():
        counts[task.state] = counts.get(task.state, 0) + 1
        if task.state == "STARTED":
            running[task.worker] = running.get(task.worker, 0) + 1
    assert state.counts == counts
    assert {name: w.running for name, w in state.workers.items() if w.running} == running


@pytest.mark.timeout(120)
@settings(max_examples=300, deadline=None)
@given(streams)
def test_any_stream_of_events_leads_to_celerys_states_and_fields(events):
    compare(events)


def test_every_order_loss_and_repetition_of_one_tasks_life_leads_to_celerys_state():
    life = [make(kind, 0, float(at), "w1@a", 1) for at, kind in enumerate(
        ["task-sent", "task-received", "task-started", "task-retried", "task-received", "task-started", "task-succeeded"])]  # fmt: skip
    chance = random.Random(7)
    for _ in range(300):
        stream = [item for item in life for _ in range(chance.randrange(3))]
        chance.shuffle(stream)
        compare(stream)


@settings(max_examples=100, deadline=None)
@given(streams)
def test_a_batch_leads_to_the_same_state_as_single_events(events):
    single, batch = ClusterState(), ClusterState()
    for item in events:
        single.apply(item, NOW)
    batch.apply_many(events, NOW)
    for uuid, task in single.tasks.items():
        assert {n: getattr(batch.tasks[uuid], n) for n in FIELDS} == {
            n: getattr(task, n) for n in FIELDS
        }
    assert batch.totals == single.totals


@settings(max_examples=100, deadline=None)
@given(streams, st.integers(1, 3))
def test_eviction_keeps_the_bounds_and_the_counts(events, most):
    state = ClusterState(max_tasks=most)
    for item in events:
        state.apply(item, NOW)
        assert len(state.tasks) <= most
    check(state)
    state.clear(ready=False)
    assert (state.bytes, state.counts, len(state.tasks)) == (0, {}, 0)
