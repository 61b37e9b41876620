"""Makers of deliveries and dispatchers for the worker's unit tests."""

from collections.abc import Callable
from typing import Any

import pytest

from tq.brokers.base import Delivery, Message
from tq.pools.base import Finished
from tq.wire.message import TaskBody, TaskHeaders, encode_task
from tq.worker.dispatcher import Dispatcher
from tq.worker.outcome import Record, decode_record
from tq.worker.request import TaskPolicy

DeliveryMaker = Callable[..., Delivery]


def task_message(task: str = "proj.add", task_id: str = "id-1", **headers: Any) -> Message:
    return encode_task(TaskHeaders(task=task, id=task_id, **headers), TaskBody(args=[2, 3]))


def make_delivery(
    task: str = "proj.add", task_id: str = "id-1", tag: str | None = None, **more: Any
) -> Delivery:
    deliveries = more.pop("deliveries", 0)
    return Delivery(
        tag=tag or f"tag-{task_id}",
        queue="celery",
        message=task_message(task, task_id, **more),
        deliveries=deliveries,
    )


def read_record(event: Finished) -> tuple[Record, None]:
    return decode_record(event.outcome.payload), None


@pytest.fixture
def delivery() -> DeliveryMaker:
    return make_delivery


@pytest.fixture
def policies() -> dict[str, TaskPolicy]:
    return {"proj.add": TaskPolicy(name="proj.add")}


@pytest.fixture
def dispatcher(policies: dict[str, TaskPolicy]) -> Dispatcher:
    return Dispatcher(policies.get, read_record)
