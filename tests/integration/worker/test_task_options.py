"""Options of tasks and calls that the worker acts upon, seen in results, events and the log."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.waiting import eventually
from tq.errors import WorkerLostError
from tq.events import Receiver

pytestmark = pytest.mark.timeout(120)


class Events:
    """What the cluster's events told, by task."""

    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver
        self._seen: list[dict[str, Any]] = []

    def of(self, task_id: str) -> list[dict[str, Any]]:
        self._seen += [event for batch in self._receiver.drain() for event in batch.events]
        return [event for event in self._seen if event.get("uuid") == task_id]

    def until(self, task_id: str, kind: str) -> list[dict[str, Any]]:
        """A task's events, once one of that kind is among them."""
        eventually(lambda: kind in [event["type"] for event in self.of(task_id)], within=30)
        return self.of(task_id)


@pytest.fixture
def events(cluster) -> Iterator[Events]:
    receiver = Receiver(cluster.app.broker)
    receiver.start()
    yield Events(receiver)
    receiver.close()


@pytest.mark.parametrize("name", ["die_and_retry", "die_and_retry_early"])
def test_a_task_whose_process_died_is_retried_where_asked_for(cluster, events, name: str) -> None:
    worker = cluster.start(task_events=True)
    result = cluster.send(name, "k", 2)
    assert result.get(timeout=60) == 1
    assert cluster.started() == {"k": 2}
    told = [event["type"] for event in events.until(result.id, "task-succeeded")]
    assert told.count("task-retried") == 1
    assert told.count("task-received") == 2
    assert "task-rejected" not in told
    assert f"works.{name}[{result.id}] retry: WorkerLostError" in worker.output()
    eventually(lambda: cluster.unsettled() == 0, within=30)


def test_a_task_without_a_retry_left_fails_when_its_process_dies(cluster) -> None:
    cluster.start()
    result = cluster.send("die_and_retry_early", "k", 9)
    with pytest.raises(WorkerLostError):
        result.get(timeout=60)
    assert cluster.started() == {"k": 2}
    eventually(lambda: cluster.unsettled() == 0, within=30)


def test_a_task_that_is_given_back_is_told_as_rejected(cluster, events) -> None:
    cluster.start(task_events=True)
    result = cluster.send("die_once", "k")
    assert result.get(timeout=60) == "survived"
    told = events.until(result.id, "task-succeeded")
    assert [event["requeue"] for event in told if event["type"] == "task-rejected"] == [True]


def test_a_task_that_sends_no_events_sends_none(cluster, events) -> None:
    cluster.start(task_events=True, concurrency=1)
    silent, loud = cluster.send("silent"), cluster.send("add", 1, 2)
    assert silent.get(timeout=60) == "not a word"
    events.until(loud.id, "task-succeeded")
    assert events.of(silent.id) == []


def test_what_is_shown_instead_of_the_arguments_stays_so_in_a_retry(cluster, events) -> None:
    worker = cluster.start(task_events=True)
    result = cluster.app.send_task(
        "works.secret", ("swordfish",), argsrepr="('*****',)", kwargsrepr="{?}"
    )
    assert result.get(timeout=60) == len("swordfish")
    told = events.until(result.id, "task-succeeded")
    shown = [(one["args"], one["kwargs"]) for one in told if one["type"] == "task-received"]
    assert shown == [("('*****',)", "{?}")] * 2
    assert "swordfish" not in str(told)
    assert "swordfish" not in worker.output()
