"""Class-based tasks on a worker."""

import sys
from types import ModuleType

import pytest

from tests.support.services import redis_server
from tq.testing import start_worker, temporary_app


def test_the_callers_get_the_exceptions_of_the_tasks_module(monkeypatch) -> None:
    module = ModuleType("classy_tasks")
    monkeypatch.setitem(sys.modules, "classy_tasks", module)
    exec(
        "from tq import Task\n"
        "class Empty(Exception): pass\n"
        "class Order(Task):\n"
        "    def run(self): raise Empty('shelf 3')\n",
        module.__dict__,
    )
    with redis_server() as server, temporary_app({"broker": server.url}) as app:
        order = app.register_task(module.Order())
        with start_worker(app), pytest.raises(module.Empty, match="shelf 3"):
            order.delay().get(timeout=30)
