"""Acting on real clusters: holding, purging, looking into queues, sending tasks again."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from typing import Any

import pytest

from tests.support.processes import Process, celery_worker, tq_worker
from tests.support.services import RedisServer, rabbitmq_url, redis_server
from tq import TQ
from tq.monitor import WaitingTask
from tqconsole.tui.live import LiveSource
from tqconsole.tui.model.facts import QueueFacts
from tqconsole.tui.model.resending import Refusal, Resend, Verdict
from tqconsole.tui.model.sent import SentCommand

pytestmark = pytest.mark.timeout(300)


class Cluster:
    """A worker, a client that sends to it, and a console's source; one queue of its own."""

    def __init__(self, kind: str, url: str, backend: str, queue: str, opened: ExitStack) -> None:
        self.queue, self.url = queue, url
        start = celery_worker if kind == "celery" else tq_worker
        options = () if kind == "celery" else ("-E",)
        environment = {"PEER_BACKEND": backend, "PEER_QUEUE": queue}
        self.worker: Process = opened.enter_context(
            start(url, *options, name="w1@live", **environment)
        )
        self.client = TQ("client", broker=url, backend=backend)
        self.client.conf.update(task_default_queue=queue, task_send_sent_event=True)
        opened.callback(self.client.close)
        self.source = LiveSource(TQ("console", broker=url, backend=backend))
        opened.callback(self.source.app.close)
        opened.callback(self.source.stop)
        self.source.start()
        self.until(lambda: bool(self.facts.workers))

    def until(self, condition: Callable[[], Any], within: float = 90.0) -> None:
        """Take in what arrives until something is so."""
        deadline = time.monotonic() + within
        while True:
            self.source.drain(time.time())
            if condition():
                return
            assert time.monotonic() < deadline, (self.source.link, self.source.queues)
            time.sleep(0.02)

    @property
    def facts(self) -> QueueFacts:
        found = [queue for queue in self.source.queues if queue.name == self.queue]
        return found[0] if found else QueueFacts(self.queue)

    def answered(self, sent: SentCommand) -> SentCommand:
        self.until(lambda: sent.complete or sent.error)
        assert sent.error is None
        assert all(answer.ok for answer in sent.answers), sent.answers
        return sent

    def verdicts(self, *ids: str) -> list[Verdict]:
        found: list[Verdict] = []
        self.source.find_calls([self.source.state.tasks[task_id] for task_id in ids], found.extend)
        self.until(lambda: found)
        return found


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with redis_server() as running:
        yield running


@pytest.fixture(scope="module")
def cluster(request: pytest.FixtureRequest, server: RedisServer) -> Iterator[Cluster]:
    """A cluster such as `celery on redis`."""
    kind, _, broker = request.param.partition(" on ")
    queue = f"tq.test.live.{kind}.{time.time_ns()}"
    with ExitStack() as opened:
        if broker == "rabbitmq":
            opened.callback(delete_queue, queue)
        url = server.url if broker == "redis" else rabbitmq_url()
        yield Cluster(kind, url, server.url, queue, opened)


def delete_queue(name: str) -> None:
    import kombu

    with kombu.Connection(rabbitmq_url()) as connection:
        connection.default_channel.queue_delete(name)


REDIS = ["celery on redis", "tq on redis"]
on_redis = pytest.mark.parametrize("cluster", REDIS, indirect=True, scope="module")
everywhere = pytest.mark.parametrize(
    "cluster", [*REDIS, "tq on rabbitmq"], indirect=True, scope="module"
)


@everywhere
def test_a_queue_is_held_fills_is_purged_and_goes_on(
    cluster: Cluster,
) -> None:
    source = cluster.source
    cluster.answered(source.send("cancel_consumer", {"queue": cluster.queue}, ["w1@live"]))
    cluster.until(lambda: not cluster.facts.workers)
    assert cluster.facts.held == ("w1@live",)

    lost = [cluster.client.send_task("peer.add", (number, 1)).id for number in range(5)]
    cluster.until(lambda: cluster.facts.ready == 5)
    seen: list[Sequence[WaitingTask] | str] = []
    source.peek(cluster.queue, 3, seen.append)
    cluster.until(lambda: seen)
    if cluster.url == rabbitmq_url():
        assert "only to consumers" in seen[0]
        assert cluster.facts.unacked is None
    else:
        # a Celery worker's last wait may take a message and put it back elsewhere
        cluster.until(lambda: cluster.facts.unacked == 0 and cluster.facts.heads)
        assert cluster.facts.heads[0] in lost
        told = {task.id: task.args for task in seen[0]}
        assert told.items() <= {lost[number]: f"({number}, 1)" for number in range(5)}.items()
        assert len(told) == 3

    purged = cluster.answered(source.purge(cluster.queue))
    assert purged.answers[0].text == "ok: 5 messages deleted"
    cluster.until(lambda: cluster.facts.ready == 0)

    cluster.answered(source.send("add_consumer", {"queue": cluster.queue}, ["w1@live"]))
    cluster.until(lambda: cluster.facts.workers)
    assert cluster.facts.held == ()
    again = cluster.client.send_task("peer.add", (20, 3))
    assert again.get(timeout=60) == 23


@on_redis
def test_a_failed_task_is_sent_again_with_its_arguments(cluster: Cluster) -> None:
    state = cluster.source.state
    failing = cluster.client.send_task("peer.fail", ("no funds",))
    cut = cluster.client.send_task("peer.fail", ("x" * 3000,))
    for result in (failing, cut):
        cluster.until(
            lambda result=result: getattr(state.tasks.get(result.id), "state", "") == "FAILURE"
        )
    found, refused = cluster.verdicts(failing.id, cut.id)
    assert isinstance(found, Resend)
    assert (list(found.args), found.source) == (["no funds"], "its event's text")
    assert isinstance(refused, Refusal)
    assert "args truncated" in refused.reason

    sent = cluster.answered(cluster.source.resend([found]))
    new = sent.answers[0].text.split("sent as ")[1].split(",")[0]
    cluster.until(lambda: getattr(state.tasks.get(new), "state", "") == "FAILURE")
    assert "no funds" in (state.tasks[new].exception or "")
    assert state.tasks[new].root_id == failing.id


@on_redis
def test_what_a_worker_holds_is_known_for_certain(cluster: Cluster) -> None:
    tasks = cluster.source.state.tasks
    slow = [cluster.client.send_task("peer.sleep", (3.0,)).id for _ in range(2)]
    long = cluster.client.send_task("peer.echo", ("y" * 3000,))
    cluster.until(lambda: {*slow, long.id} <= tasks.keys())
    first, *_ = cluster.verdicts(slow[0])
    assert isinstance(first, Resend)
    assert list(first.args) == [3.0]
    assert long.get(timeout=60) == "y" * 3000


@on_redis
def test_what_ran_before_the_console_came_is_shown(cluster: Cluster) -> None:
    slow = cluster.client.send_task("peer.sleep", (5.0,))
    cluster.until(
        lambda: getattr(cluster.source.state.tasks.get(slow.id), "state", "") == "STARTED"
    )
    late = LiveSource(TQ("late", broker=cluster.url))
    late.start()
    try:
        deadline = time.monotonic() + 60
        while slow.id not in late.state.tasks:
            assert time.monotonic() < deadline
            late.drain(time.time())
            time.sleep(0.02)
        task = late.state.tasks[slow.id]
        # it has ended meanwhile where the machine is slow
        assert task.name == "peer.sleep" or task.state == "SUCCESS"
        assert task.worker == "w1@live"
    finally:
        late.stop()
        late.app.close()
