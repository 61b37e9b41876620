"""Tasks that began before anybody listened, as workers tell of them."""

from typing import Any

from tq.monitor import ClusterState

ACTIVE: dict[str, Any] = {
    "id": "id-0",
    "name": "reports.build",
    "args": [2026, 11],
    "kwargs": {"dry": True},
    "hostname": "w1@h",
    "time_start": 940.0,
    "worker_pid": 77,
    "delivery_info": {"exchange": "", "routing_key": "reports"},
}


def watched() -> ClusterState:
    state = ClusterState()
    beat = {"type": "worker-heartbeat", "hostname": "w1@h", "timestamp": 999.0, "freq": 2.0}
    state.apply({**beat, "active": 1, "processed": 8}, 1000.0)
    return state


def event(kind: str, **fields: Any) -> dict[str, Any]:
    return {"type": kind, "uuid": "id-0", "hostname": "w1@h", "timestamp": 990.0, **fields}


def test_what_runs_already_is_shown_as_running_since_its_start() -> None:
    state = watched()
    before = state.version
    state.adopt("w1@h", [ACTIVE], 1000.0)
    task = state.tasks["id-0"]
    assert (task.state, task.name, task.worker) == ("STARTED", "reports.build", "w1@h")
    assert (task.started, task.queue, task.pid) == (940.0, "reports", 77)
    assert (task.args, task.kwargs) == ("[2026, 11]", "{'dry': True}")
    assert state.workers["w1@h"].running == 1
    assert state.counts == {"STARTED": 1}
    assert state.changes(before) == [task]


def test_nothing_is_counted_as_an_event() -> None:
    state = watched()
    totals = dict(state.totals)
    state.adopt("w1@h", [ACTIVE], 1000.0)
    worker = state.workers["w1@h"]
    assert (worker.events, worker.started, state.totals) == (0, 0, totals)
    assert not state.names


def test_events_know_better() -> None:
    state = watched()
    state.apply(event("task-succeeded", result="1", runtime=0.5), 1000.0)
    state.adopt("w1@h", [ACTIVE], 1000.0)
    assert state.tasks["id-0"].state == "SUCCESS"

    state = watched()
    state.apply(event("task-received", name="reports.build", args="(1,)", kwargs="{}"), 1000.0)
    state.adopt("w1@h", [ACTIVE], 1000.0)
    task = state.tasks["id-0"]
    assert (task.state, task.args, task.received) == ("STARTED", "(1,)", 990.0)
    state.apply(event("task-succeeded", result="1", runtime=0.5), 1001.0)
    assert task.state == "SUCCESS"
    assert state.workers["w1@h"].running == 0


def test_what_is_no_answer_is_left_out() -> None:
    state = watched()
    for wrong in (
        None,
        7,
        {},
        {"id": 7, "time_start": 1.0},
        {"id": "x"},
        {"id": "x", "time_start": None},
    ):
        state.adopt("w1@h", [wrong], 1000.0)
    state.adopt("nobody@h", [ACTIVE], 1000.0)
    assert not state.tasks


def test_the_bounds_hold() -> None:
    state = ClusterState(max_tasks=10)
    state.apply({"type": "worker-heartbeat", "hostname": "w1@h", "timestamp": 999.0}, 1000.0)
    state.adopt("w1@h", [{**ACTIVE, "id": f"id-{n}"} for n in range(50)], 1000.0)
    assert len(state.tasks) == 10
    assert state.workers["w1@h"].running == 10
