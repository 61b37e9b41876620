"""What ClusterState derives: states to show, workers' condition, coverage, changes, bounds, statistics."""

import random

import pytest

from tests.support.events import NOW, event, heartbeat, received
from tq.monitor.cluster import ClusterState
from tq.monitor.worker import WorkerStatus


def run_task(
    state: ClusterState, uuid: str = "id-1", at: float = 0.0, name: str = "tasks.add", **fields
) -> None:
    state.apply_many(
        [
            received(uuid, at, name=name, **fields),
            event("task-started", uuid, at + 0.1),
            event("task-succeeded", uuid, at + 0.3, result="3", runtime=0.2),
        ],
        NOW + at,
    )


def test_a_task_that_was_only_sent_shows_as_sent_and_later_as_stale():
    state = ClusterState(stale_after=60)
    state.apply(event("task-sent", name="tasks.add"), NOW)
    task = state.tasks["id-1"]
    assert state.status(task, NOW + 59) == "SENT"
    assert state.status(task, NOW + 61) == "STALE"


def test_a_task_started_on_a_worker_lost_for_longer_than_the_grace_is_an_orphan():
    state = ClusterState(orphan_after=10)
    state.apply_many([heartbeat(), received(), event("task-started")], NOW)
    task, worker = state.tasks["id-1"], state.workers["w1@node1"]
    assert state.status(task, NOW + 5) == "STARTED"
    assert worker.status(NOW + 7) == WorkerStatus.LOST
    assert state.status(task, NOW + 7) == "STARTED"
    assert state.status(task, NOW + 17) == "ORPHAN"


def test_a_task_of_a_worker_that_said_goodbye_becomes_an_orphan_too():
    state = ClusterState(orphan_after=10)
    state.apply_many(
        [received(), event("task-started"), heartbeat(1.0, kind="worker-offline")], NOW
    )
    task = state.tasks["id-1"]
    assert state.workers["w1@node1"].status(NOW + 2) == WorkerStatus.GONE
    assert state.status(task, NOW + 2) == "STARTED"
    assert state.status(task, NOW + 12) == "ORPHAN"


def test_a_worker_that_comes_back_is_up_again():
    state = ClusterState()
    state.apply(heartbeat(0.0, kind="worker-offline"), NOW)
    state.apply(heartbeat(1.0, kind="worker-online"), NOW)
    assert state.workers["w1@node1"].status(NOW + 2) == WorkerStatus.UP
    assert state.live_workers(NOW + 2) == ["w1@node1"]


@pytest.mark.parametrize("kind", ["task-started", "task-succeeded", "task-failed", "task-retried"])
@pytest.mark.parametrize("later", [0.0, 0.5, 90.0])
def test_a_worker_that_ends_its_tasks_after_its_goodbye_stays_gone(kind, later):
    state = ClusterState()
    state.apply_many([heartbeat(), received(), heartbeat(1.0, kind="worker-offline")], NOW + 1)
    last = event(kind, at=1.0 + later, runtime=0.5, result="1", exception="E()", traceback="")
    state.apply(last, NOW + 1 + later)
    worker = state.workers["w1@node1"]
    assert worker.status(NOW + 1 + later) == WorkerStatus.GONE
    assert not worker.alive(NOW + 1 + later)
    assert worker.events == 2


def test_events_sent_before_the_goodbye_and_arriving_with_it_do_not_revive_a_worker():
    state = ClusterState()
    late = [heartbeat(0.9), received("b", 0.8), event("task-succeeded", "b", 0.9, runtime=0.1)]
    state.apply_many([heartbeat(), heartbeat(1.0, kind="worker-offline"), *late], NOW + 1)
    assert state.workers["w1@node1"].status(NOW + 1) == WorkerStatus.GONE
    assert state.live_workers(NOW + 1) == []


@pytest.mark.parametrize(
    "sign", [heartbeat(4.0), heartbeat(1.5, kind="worker-online"), received("new", 4.0)]
)
def test_a_sign_of_life_sent_after_the_goodbye_revives_a_worker(sign):
    state = ClusterState()
    state.apply_many([heartbeat(), heartbeat(1.0, kind="worker-offline")], NOW + 1)
    state.apply(sign, NOW + 4)
    assert state.workers["w1@node1"].status(NOW + 4) == WorkerStatus.UP


def test_an_answer_taken_in_after_the_goodbye_does_not_revive_a_worker():
    state = ClusterState()
    state.apply(heartbeat(10.0, kind="worker-offline"), NOW)
    worker = state.answered("w1@node1", NOW + 9.9)
    assert worker.status(NOW + 10) == WorkerStatus.GONE
    state.answered("w1@node1", NOW + 20)
    assert worker.status(NOW + 20) == WorkerStatus.NO_EVENTS


def test_a_solo_worker_is_busy_silent_while_it_runs_a_task():
    state = ClusterState()
    state.apply_many([heartbeat(), received(), event("task-started")], NOW)
    worker = state.workers["w1@node1"]
    worker.pool = "solo"
    assert worker.status(NOW + 30) == WorkerStatus.BUSY_SILENT
    state.apply(event("task-succeeded", at=1.0, result="3", runtime=1.0), NOW)
    assert worker.status(NOW + 30) == WorkerStatus.LOST


def test_a_worker_that_answers_and_sends_nothing_is_without_events():
    state = ClusterState()
    worker = state.answered("quiet@node", NOW)
    assert worker.status(NOW + 5) == WorkerStatus.NO_EVENTS
    assert worker.status(NOW + 60) == WorkerStatus.LOST


def test_an_answer_from_before_its_heartbeats_stopped_does_not_hide_that_a_worker_is_lost():
    state = ClusterState()
    state.apply(heartbeat(), NOW)
    worker = state.answered("w1@node1", NOW + 1.0)
    assert worker.status(NOW + 5) == WorkerStatus.UP
    assert worker.status(NOW + 7) == WorkerStatus.LOST
    state.answered("w1@node1", NOW + 6.9)
    assert worker.status(NOW + 7) == WorkerStatus.NO_EVENTS


def test_a_worker_that_runs_tasks_and_tells_of_none_is_without_events():
    state = ClusterState()
    for at, processed in ((0.0, 10), (2.0, 15), (4.0, 20)):
        state.apply(heartbeat(at, processed=processed), NOW + at)
    assert state.workers["w1@node1"].status(NOW + 5) == WorkerStatus.NO_EVENTS


def test_coverage_compares_started_events_with_the_workers_own_counter():
    state = ClusterState()
    state.apply(heartbeat(0.0, processed=100), NOW)
    for number in range(3):
        run_task(state, f"id-{number}", at=0.5)
    state.apply(heartbeat(2.0, processed=104), NOW + 2)
    assert state.coverage() is None  # events of the last interval may still be under way
    state.apply(heartbeat(4.0, processed=104), NOW + 4)
    assert state.coverage() == pytest.approx(3 / 4)
    assert state.workers["w1@node1"].coverage == pytest.approx(3 / 4)


def test_coverage_survives_a_restart_of_the_worker():
    state = ClusterState()
    state.apply(heartbeat(0.0, processed=100), NOW)
    for number in range(2):
        run_task(state, f"id-{number}", at=0.5)
    for at in (2.0, 4.0):
        state.apply(heartbeat(at, processed=2), NOW + at)
    assert state.coverage() == 1.0


def test_changes_since_a_version_are_each_named_once_and_in_order():
    state = ClusterState()
    run_task(state, "a")
    version = state.version
    assert [task.uuid for task in state.changes(0)] == ["a"]
    assert state.changes(version) == []
    run_task(state, "b")
    run_task(state, "a")
    assert [task.uuid for task in state.changes(version)] == ["b", "a"]
    assert all(task.version > version for task in state.changes(version))


def test_changes_too_long_ago_are_unknown_rather_than_incomplete(monkeypatch):
    monkeypatch.setattr("tq.monitor.cluster._CHANGES_KEPT", 5)
    state = ClusterState()
    for number in range(10):
        run_task(state, f"id-{number}")
    assert state.changes(0) is None
    assert len(state.changes(state.version - 1)) == 1
    assert state.changes(state.version) == []


def test_the_task_untouched_for_longest_is_evicted_first():
    state = ClusterState(max_tasks=3)
    for number in range(3):
        run_task(state, f"id-{number}")
    state.apply(event("task-progress", "id-0", at=5.0, percent=50), NOW + 5)
    run_task(state, "id-3", at=6.0)
    assert set(state.tasks) == {"id-0", "id-2", "id-3"}
    assert state.evicted == 1


def test_texts_that_shrink_are_counted_as_well():
    state = ClusterState()
    state.apply(event("task-sent", args="(9, 9, 9)", kwargs="{'a': 1}", name="t"), NOW)
    state.apply(received(args="(9,)", kwargs="{}"), NOW)
    state.apply(event("task-succeeded", result="'long'", runtime=0.1), NOW)
    state.apply(event("task-succeeded", result="1", runtime=0.1), NOW)
    state.clear(ready=False)
    assert (state.bytes, len(state.tasks)) == (0, 0)


def test_the_bound_on_bytes_counts_long_texts():
    state = ClusterState(max_bytes=50_000)
    for number in range(100):
        state.apply(
            event("task-failed", f"id-{number}", exception="x" * 9000, traceback="y" * 9000), NOW
        )
    assert len(state.tasks) <= 6
    assert state.bytes <= 50_000
    assert all(
        len(task.traceback) == 4096 and task.traceback.endswith("…")
        for task in state.tasks.values()
    )


def test_workers_and_names_beyond_their_bounds_do_not_grow_the_state():
    state = ClusterState(max_workers=5, max_names=5)
    for number in range(50):
        state.apply(
            received(f"id-{number}", float(number), name=f"task-{number}", host=f"w{number}@h"),
            NOW + number,
        )
    assert len(state.workers) == 5
    assert "w49@h" in state.workers
    assert set(state.names) == {*(f"task-{n}" for n in range(5)), ClusterState.OTHER}
    assert state.names[ClusterState.OTHER].received == 45


def test_statistics_by_name_and_worker_count_outcomes_and_times():
    state = ClusterState()
    for number in range(9):
        run_task(state, f"id-{number}", at=number)
    state.apply_many(
        [received("bad", 9.0), event("task-failed", "bad", 9.5, exception="E()", traceback="")],
        NOW + 9,
    )
    stats, worker = state.names["tasks.add"], state.workers["w1@node1"]
    assert (stats.received, stats.succeeded, stats.failed, stats.finished) == (10, 9, 1, 10)
    assert stats.failure_rate == pytest.approx(0.1)
    assert stats.runtimes.percentile(0.5) == pytest.approx(0.2, rel=0.05)
    assert (worker.succeeded, worker.failed, worker.running) == (9, 1, 0)
    state.tick(NOW + 10)
    assert stats.rates.total == 10
    assert state.rates["succeeded"].rate(NOW + 10, 10) == pytest.approx(0.9, abs=0.2)


def test_running_tasks_are_counted_per_worker():
    state = ClusterState()
    state.apply_many([event("task-started", f"id-{n}") for n in range(3)], NOW)
    assert state.workers["w1@node1"].running == 3
    state.apply(event("task-revoked", "id-0", terminated=True, signum="15", expired=False), NOW)
    state.apply(event("task-progress", "id-1", host="w2@node2", percent=1), NOW)
    assert state.workers["w1@node1"].running == 1
    assert state.tasks["id-0"].extra == {"terminated": True, "signum": "15", "expired": False}


def test_each_retry_keeps_its_moment_once():
    state = ClusterState()
    for at in (1.0, 2.0, 2.0):
        state.apply(event("task-retried", at=at, exception="E()", traceback="tb"), NOW)
    task = state.tasks["id-1"]
    assert task.tries == (NOW + 1.0, NOW + 2.0)
    assert [what for what, _ in task.timeline()] == ["retried", "retried"]


def test_skipped_events_count_in_totals_and_rates_without_tasks():
    state = ClusterState()
    state.count_skipped({"task-succeeded": 500, "worker-heartbeat": 2}, NOW)
    assert state.totals == {"task-succeeded": 500, "worker-heartbeat": 2}
    assert state.rates["succeeded"].total == 500
    assert state.skipped == 502
    assert not state.tasks


def test_clear_forgets_ended_tasks_and_keeps_the_running_ones():
    state = ClusterState()
    run_task(state, "done")
    state.apply(event("task-started", "busy"), NOW)
    state.clear()
    assert set(state.tasks) == {"busy"}
    assert state.counts == {"STARTED": 1}
    assert state.changes(state.version) == []


HOSTILE = (
    None,
    5,
    -1,
    "",
    "x" * 5000,
    "\x1b]0;t\x07",
    [],
    {},
    [1],
    {"a": 1},
    float("nan"),
    True,
    10**30,
)


@pytest.mark.parametrize("seed", range(20))
def test_no_event_whatever_it_holds_raises_or_breaks_the_counts(seed):
    chance = random.Random(seed)
    state = ClusterState(max_tasks=50, max_workers=10, max_names=5)
    for number in range(400):
        made = chance.choice([received, heartbeat])(at=float(number))
        made["type"] = chance.choice(
            [
                "task-received",
                "task-failed",
                "task-retried",
                "worker-online",
                "worker-offline",
                "x-y",
                "task-",
            ]
        )
        made.setdefault("uuid", f"id-{chance.randrange(80)}")
        for _ in range(chance.randrange(4)):
            made[chance.choice([*made, "exception", "traceback", "result", "runtime", "odd"])] = (
                chance.choice(HOSTILE)
            )
        if chance.random() < 0.2:
            del made[chance.choice(list(made))]
        state.apply(made, NOW + number)
    assert len(state.tasks) <= 50
    assert sum(state.counts.values()) == len(state.tasks)
    state.tick(NOW + 500)
