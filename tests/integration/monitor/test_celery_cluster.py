"""A cluster of real Celery, watched and asked by tq."""

import time
import uuid

import pytest

from tests.support.waiting import eventually
from tq.control import Control
from tq.errors import CommandRefused
from tq.monitor import ClusterWatcher, WorkerStatus

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def watcher(cluster):
    made = ClusterWatcher(cluster.broker, depth_interval=0.2, inspect_interval=2.0)
    made.start()
    yield made
    made.stop(time.monotonic() + 5)


@pytest.fixture
def control(cluster):
    made = Control(broker=cluster.broker)
    yield made
    made.close()


def watch(watcher, condition, within=20.0):
    """Drain until something is known."""

    def look():
        watcher.drain(time.time())
        return condition()

    return eventually(look, within=within)


def test_workers_and_their_details_show_up_within_two_seconds(cluster, watcher):
    worker = watch(watcher, lambda: watcher.state.workers.get(cluster.node), within=2.0)
    assert worker.status(time.time()) == WorkerStatus.UP
    detail = watch(watcher, lambda: watcher.workers_info.get(cluster.node), within=5.0)
    watch(watcher, lambda: detail.stats and detail.active_queues and detail.registered, within=5.0)
    assert worker.pool == "prefork"
    assert "peer.add" in detail.registered.value
    queue = watch(watcher, lambda: (q := watcher.queues.get(cluster.queue)) and q.depth and q)
    assert (queue.depth.value, queue.workers) == (0, {cluster.node})
    assert watcher.status(time.time()).connected
    assert cluster.node in watcher.live_workers()


def test_a_tasks_whole_life_is_seen_with_its_fields(cluster, watcher):
    sent = cluster.app.send_task("peer.add", (2, 3))
    failed = cluster.app.send_task("peer.fail", ("because",))
    flaky = cluster.app.send_task("peer.flaky", (1,))
    ids = {sent.id, failed.id, flaky.id}

    def ended():
        tasks = [watcher.state.tasks.get(one) for one in ids]
        # `task-sent` comes over another connection than the rest, maybe last.
        return all(task is not None and task.ready and task.sent for task in tasks)

    watch(watcher, ended)
    good, bad, again = (watcher.state.tasks[one] for one in (sent.id, failed.id, flaky.id))
    assert (good.name, good.state, good.args, good.result, good.worker, good.queue) == (
        "peer.add", "SUCCESS", "(2, 3)", "5", cluster.node, cluster.queue,
    )  # fmt: skip
    # A client tells that it sent a task after it did, so the worker may have been quicker.
    assert {what for what, _ in good.timeline()} == {"sent", "received", "started", "succeeded"}
    assert good.runtime >= 0
    assert (bad.state, bad.exception) == ("FAILURE", "ValueError('because')")
    assert "Traceback" in bad.traceback
    assert (again.state, len(again.tries), again.retries) == ("SUCCESS", 1, 1)
    assert watcher.receiver.invalid == {}


def test_coverage_is_complete_when_every_event_arrives(cluster, watcher):
    watch(
        watcher, lambda: (w := watcher.state.workers.get(cluster.node)) and w.processed is not None
    )
    for number in range(50):
        cluster.app.send_task("peer.add", (number, 1))
    worker = watcher.state.workers[cluster.node]
    watch(watcher, lambda: worker.expected >= 50)
    assert worker.coverage == 1.0


def test_a_running_task_is_active_and_can_be_terminated(cluster, watcher, control):
    result = cluster.app.send_task("peer.sleep", (60,))
    watch(watcher, lambda: (t := watcher.state.tasks.get(result.id)) and t.state == "STARTED")
    (active,) = control.inspect(destination=[cluster.node]).active()[cluster.node]
    assert active["id"] == result.id
    assert watcher.state.workers[cluster.node].running == 1
    (found,) = control.inspect(destination=[cluster.node]).query_task(result.id).values()
    assert found[result.id][0] == "active"
    (reply,) = control.revoke(result.id, destination=[cluster.node], terminate=True, reply=True)
    assert result.id in reply[cluster.node]["ok"]
    watch(watcher, lambda: watcher.state.tasks[result.id].state == "REVOKED")
    assert watcher.state.workers[cluster.node].running == 0


@pytest.mark.parametrize(
    "command",
    [
        "ping",
        "active",
        "reserved",
        "scheduled",
        "revoked",
        "registered",
        "stats",
        "conf",
        "active_queues",
        "clock",
        "report",
    ],
)
def test_every_question_is_answered_by_a_celery_worker(cluster, control, command):
    answers = getattr(control.inspect(destination=[cluster.node], timeout=10), command)()
    assert set(answers) == {cluster.node}
    value = answers[cluster.node]
    assert not (isinstance(value, dict) and "error" in value)


def test_commands_change_a_celery_worker_and_errors_come_back(cluster, control):
    to = {"destination": [cluster.node], "reply": True, "timeout": 10}
    answer = {
        "rate": control.rate_limit("peer.add", "1000/s", **to),
        "unknown": control.rate_limit("nope", "1/s", **to),
        "grow": control.pool_grow(1, **to),
        "shrink": control.pool_shrink(1, **to),
        "none": control.broadcast("no_such_command", **to),
    }
    values = {name: reply[0][cluster.node] for name, reply in answer.items()}
    assert values["rate"] == {"ok": "new rate limit set successfully"}
    assert values["unknown"] == {"error": "unknown task"}
    assert (values["grow"], values["shrink"]) == (
        {"ok": "pool will grow"},
        {"ok": "pool will shrink"},
    )
    assert "KeyError" in values["none"]["error"]


def test_a_pattern_reaches_the_workers_that_fit(cluster, control):
    prefix = cluster.node.partition("@")[0]
    assert control.inspect(pattern=f"{prefix}@*", matcher="glob").ping() == {
        cluster.node: {"ok": "pong"}
    }
    assert control.inspect(pattern="nobody*", matcher="glob", timeout=0.3).ping() is None


def test_a_missing_worker_is_named_and_late_ones_are_still_heard(cluster, control):
    call = control.start("ping", destination=[cluster.node, "nobody@nowhere"], timeout=0.5)
    call.wait()
    assert call.answered == {cluster.node}
    assert call.missing == {"nobody@nowhere"}
    early = control.start("ping", destination=[cluster.node], timeout=0.0)
    assert early.done
    eventually(lambda: early.poll() or early.replies)
    assert early.is_late(early.replies[0])


def test_the_watcher_by_itself_changes_nothing(cluster, watcher):
    with pytest.raises(CommandRefused):
        watcher.control.enable_events()


def test_watching_and_asking_leave_nothing_behind_in_the_broker(cluster, keys):
    before = keys()
    watcher = ClusterWatcher(cluster.broker, inspect_interval=0.5, depth_interval=0.2)
    watcher.start()
    watch(watcher, lambda: (d := watcher.workers_info.get(cluster.node)) and d.stats)
    assert watcher.control.mailbox.oid
    watcher.stop(time.monotonic() + 5)
    if before is not None:
        eventually(lambda: keys() == before)
    reply_keys = {key for key, _ in cluster.broker.bindings("reply.celery.pidbox")}
    assert watcher.control.mailbox.oid not in reply_keys


def test_celerys_own_inspect_reaches_our_node(cluster):
    from threading import Event, Thread

    from tq.clock import LamportClock
    from tq.control import Node

    name, stopping = f"ours-{uuid.uuid4().hex[:8]}@test", Event()
    node = Node(cluster.broker, name, LamportClock())
    node.start()

    def serve() -> None:
        while not stopping.is_set():
            node.reply_many(
                [
                    (command, {"ok": command.method, "with": command.arguments})
                    for command in node.receive(0.1)
                ]
            )

    thread = Thread(target=serve)
    thread.start()
    try:
        inspect = cluster.app.control.inspect(destination=[name, cluster.node], timeout=10)
        assert inspect.ping() == {name: {"ok": "ping", "with": {}}, cluster.node: {"ok": "pong"}}
        answer = cluster.app.control.rate_limit(
            "t", "1/s", destination=[name], reply=True, timeout=10
        )
        assert answer == [
            {name: {"ok": "rate_limit", "with": {"task_name": "t", "rate_limit": "1/s"}}}
        ]
    finally:
        stopping.set()
        thread.join(5)
        node.close()
    assert (f"{name}.celery.pidbox") not in {
        queue for _, queue in cluster.broker.bindings("celery.pidbox")
    }


def test_a_worker_that_ends_in_order_is_gone(cluster, watcher):
    # Last in this file: it ends the worker.
    watch(watcher, lambda: cluster.node in watcher.state.workers)
    Control(broker=cluster.broker).shutdown([cluster.node])
    worker = watch(watcher, lambda: (w := watcher.state.workers[cluster.node]).offline_at and w)
    assert worker.status(time.time()) == WorkerStatus.GONE
    assert cluster.node not in watcher.live_workers()
