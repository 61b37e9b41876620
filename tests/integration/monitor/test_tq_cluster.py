"""tq workers as the watcher sees them, to their end."""

import os
import signal
import time
import uuid
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from tests.support.processes import tq_worker
from tests.support.waiting import eventually
from tq import TQ
from tq.brokers import connect
from tq.monitor import ClusterWatcher, WorkerStatus

pytestmark = pytest.mark.timeout(90)


@pytest.fixture
def place(redis_url: str) -> Iterator[SimpleNamespace]:
    """A worker of a queue of its own, and a watcher that saw it come."""
    token = uuid.uuid4().hex[:8]
    node = f"tq-{token}@test"
    env = {"PEER_QUEUE": token, "PEER_BACKEND": redis_url, "PEER_LEDGER": redis_url}
    worker = tq_worker(redis_url, name=node, **env)
    app = TQ("client", broker=redis_url, backend=redis_url, set_as_current=False)
    app.conf.task_default_queue = token
    broker = connect(redis_url)
    watcher = ClusterWatcher(broker, depth_interval=0.2, inspect_interval=2.0)
    watcher.start()

    def watch(condition, within=20.0):
        def look():
            watcher.drain(time.time())
            return condition()

        return eventually(look, within=within)

    found = watch(lambda: watcher.state.workers.get(node))
    yield SimpleNamespace(
        worker=worker, node=node, app=app, watcher=watcher, watch=watch, info=found
    )
    watcher.stop(time.monotonic() + 5)
    worker.__exit__()
    app.close()
    broker.close()


def test_a_worker_killed_with_9_is_lost_within_three_heartbeat_intervals(place) -> None:
    result = place.app.send_task("peer.sleep", (60,))
    place.watch(lambda: (t := place.watcher.state.tasks.get(result.id)) and t.state == "STARTED")
    assert place.info.status(time.time()) == WorkerStatus.UP
    freq = place.info.freq
    place.worker.kill_tree()
    place.watch(lambda: place.info.status(time.time()) != WorkerStatus.UP, within=3 * freq + 0.5)
    assert place.info.status(time.time()) == WorkerStatus.LOST
    assert place.info.offline_at is None
    assert place.node not in place.watcher.live_workers()


def test_a_worker_that_ends_its_tasks_during_its_warm_shutdown_is_gone_and_stays_so(place) -> None:
    result = place.app.send_task("peer.sleep", (3,))
    tasks = place.watcher.state.tasks
    place.watch(lambda: (t := tasks.get(result.id)) and t.state == "STARTED")
    os.kill(place.worker.pid, signal.SIGTERM)
    place.watch(lambda: place.info.offline_at)
    place.watch(lambda: tasks[result.id].state == "SUCCESS")
    place.worker.process.wait(15)
    place.watcher.drain(time.time())
    assert place.info.status(time.time()) == WorkerStatus.GONE
