"""What Celery documents about tasks, seen through the public API on a real worker.

Every test runs on both libraries: what is asked of tq is what Celery does.
"""

import importlib
import json
import os
import sys
from types import ModuleType
from typing import Any

import pytest
import redis

from tests.support import msgpack_for_kombu
from tests.support.processes import BIN, Process
from tests.support.services import RedisServer, redis_server
from tests.support.waiting import eventually

pytestmark = [pytest.mark.timeout(120)]
msgpack_for_kombu.register()


class Library:
    """One library's worker, and its client: the same tasks, imported here."""

    def __init__(self, kind: str, server: RedisServer) -> None:
        self.kind = kind
        url = server.url if kind == "tq" else f"redis://127.0.0.1:{server.port}/0"
        self.ledger = redis.Redis(port=server.port, decode_responses=True)
        self.env = {"PEER_BACKEND": url, "PEER_LEDGER": f"redis://127.0.0.1:{server.port}/0"}
        self.env |= {"PEER_LIBRARY": kind, "PEER_URL": url}
        self.tasks: Any = self._import()
        command = [sys.executable, "-m", "celery"] if kind == "celery" else [str(BIN / "tq")]
        argv = [*command, "-A", "tests.support.behaviour_app"]
        if kind == "tq":
            argv = [*command, "worker", "-A", "tests.support.behaviour_app"]
        else:
            argv.append("worker")
        argv += ["-n", "b@here", "-l", "INFO", "-c", "2"]
        self.worker = Process(argv, url, **{k: v for k, v in self.env.items() if k != "PEER_URL"})
        self.worker.wait_for(" ready.")

    def _import(self) -> ModuleType:
        before = dict(os.environ)
        os.environ.update(self.env)
        try:
            sys.modules.pop("tests.support.behaviour_app", None)
            return importlib.import_module("tests.support.behaviour_app")
        finally:
            os.environ.clear()
            os.environ.update(before)

    def notes(self, result: Any, count: int = 0) -> list[Any]:
        """What the call noted, once there are `count` of them."""

        def read() -> list[str]:
            return self.ledger.lrange(f"notes:{result.id}", 0, -1)

        eventually(lambda: len(read()) >= count, within=15)
        return [json.loads(text) for text in read()]

    def close(self) -> None:
        self.worker.__exit__(None, None, None)
        if self.kind == "celery":
            from tests.interop.conftest import close_celery

            close_celery(self.tasks.app)
        else:
            self.tasks.app.close()
        self.tasks.ledger.close()
        self.ledger.close()


@pytest.fixture(scope="module", params=["tq", "celery"])
def lib(request):
    with redis_server(tcp=True) as server:
        library = Library(request.param, server)
        yield library
        library.close()


def end(result: Any) -> tuple[str, Any]:
    """State and value, or the exception's name and text, of a call that ended."""
    value = result.get(timeout=20, propagate=False)
    if isinstance(value, BaseException):
        # A class that tq need not know stays a name in the text of its `RemoteError`.
        return result.state, f"{type(value).__name__}: {value}".removeprefix("RemoteError: ")
    return result.state, value


def test_handlers_run_in_order_on_success(lib):
    result = lib.tasks.ends.delay("value", extra=1)
    assert end(result) == ("SUCCESS", "done")
    call = [["value"], {"extra": 1}]
    assert lib.notes(result, 4) == [
        ["before_start", *call],
        ["run", 0],
        ["on_success", "done", *call],
        ["after_return", "SUCCESS", "done", *call, False],
    ]


def test_handlers_run_in_order_on_failure(lib):
    result = lib.tasks.ends.delay("error")
    assert end(result) == ("FAILURE", "ValueError: wrong")
    call = [["error"], {}]
    # Celery's documentation promises `einfo` to `after_return`, its 5.7 gives None.
    assert lib.notes(result, 4) == [
        ["before_start", *call],
        ["run", 0],
        ["on_failure", "ValueError", *call, True],
        ["after_return", "FAILURE", "ValueError", *call, lib.kind == "tq"],
    ]


def test_handlers_run_in_order_on_retry(lib):
    result = lib.tasks.ends.delay("retry")
    assert end(result) == ("SUCCESS", "again")
    names = [entry[0] for entry in lib.notes(result, 7)]
    assert names == [
        "before_start", "run", "on_retry", "before_start", "run", "on_success", "after_return",
    ]  # fmt: skip


def test_an_ignored_task_calls_no_handlers_and_stores_nothing(lib):
    result = lib.tasks.ends.delay("ignore")
    lib.tasks.ends.delay("value").get(timeout=20)
    assert [entry[0] for entry in lib.notes(result, 2)] == ["before_start", "run"]
    assert result.state == "PENDING"


def test_a_rejected_task_ends(lib):
    result = lib.tasks.ends.delay("reject")
    assert end(result)[0] == "FAILURE"
    assert [entry[0] for entry in lib.notes(result, 2)] == ["before_start", "run"]


def test_autoretry_backs_off_and_succeeds(lib):
    result = lib.tasks.backs_off.delay("os", 1)
    assert end(result) == ("SUCCESS", 1)
    assert lib.notes(result, 2) == [[0, False], [1, True]]


def test_autoretry_raises_the_tasks_own_error_in_the_end(lib):
    result = lib.tasks.jitters.delay()
    assert end(result) == ("FAILURE", "OSError: always")


@pytest.mark.parametrize("error", ["file", "value"])
def test_what_autoretry_is_not_for_fails_at_once(lib, error):
    result = lib.tasks.backs_off.delay(error, 1)
    assert end(result)[0] == "FAILURE"
    assert len(lib.notes(result, 1)) == 1


def test_a_retry_too_many_raises_its_reason(lib):
    state, value = end(lib.tasks.gives_up.delay(True))
    assert state == "FAILURE"
    assert "no ink left" in value


def test_a_retry_too_many_without_reason_raises_max_retries_exceeded(lib):
    result = lib.tasks.gives_up.delay(False)
    state, value = end(result)
    assert state == "FAILURE"
    assert value.startswith("MaxRetriesExceededError: Can't retry b.gives_up[")


def test_an_expected_exception_is_logged_as_information_without_traceback(lib):
    result = lib.tasks.expects.delay()
    assert end(result) == ("FAILURE", "KeyError: 'expected'")
    line = eventually(
        lambda: [
            line for line in lib.worker.output().splitlines() if f"[{result.id}] raised" in line
        ],
        within=10,
    )[0]
    assert "INFO" in line
    assert "raised expected: KeyError('expected')" in line
    assert "tests/support/behaviour_app.py" not in lib.worker.output().partition(line)[2][:300]


@pytest.mark.parametrize(("kind", "value"), [("task", 42), ("chain", 6)])
def test_a_replaced_task_has_the_result_of_what_replaced_it(lib, kind, value):
    result = lib.tasks.replaced.delay(kind)
    assert result.get(timeout=20) == value


def test_a_replaced_task_goes_on_with_its_chain(lib):
    chain = lib.tasks.replaced.s("task") | lib.tasks.add.s(8)
    assert chain.apply_async().get(timeout=20) == 50


def test_a_state_of_the_tasks_own_is_stored(lib):
    result = lib.tasks.reports.delay()
    assert end(result) == ("SUCCESS", None)
    assert lib.notes(result, 2) == [["HALF"], [{"done": 50}]]


def test_an_ignored_result_is_not_stored_even_when_the_task_fails(lib):
    results = [lib.tasks.keeps_nothing.delay(), lib.tasks.keeps_nothing.delay(error=True)]
    assert results[0].get(timeout=5) is None
    lib.tasks.add.delay(1, 1).get(timeout=20)
    assert [lib.tasks.app.AsyncResult(result.id).state for result in results] == ["PENDING"] * 2


def test_an_error_is_stored_even_if_results_are_ignored(lib):
    result = lib.tasks.keeps_errors.delay()
    again = lib.tasks.app.AsyncResult(result.id)
    eventually(lambda: again.state == "FAILURE", within=20)


def test_ignore_result_of_a_call_overrides_the_task(lib):
    result = lib.tasks.add.apply_async((1, 2), ignore_result=True)
    kept = lib.tasks.keeps_nothing.apply_async(ignore_result=False)
    assert lib.tasks.app.AsyncResult(kept.id).get(timeout=20) == 1
    assert lib.tasks.app.AsyncResult(result.id).state == "PENDING"


def test_a_result_that_cannot_be_written_fails_the_task(lib):
    state, value = end(lib.tasks.returns_odd.delay())
    assert state == "FAILURE"
    assert "EncodeError" in value or "not JSON serializable" in value


def test_an_exception_made_with_keywords_comes_back(lib):
    state, value = end(lib.tasks.raises_odd.delay("keywords"))
    assert state == "FAILURE"
    assert "no ink left" in value


def test_an_exception_with_arguments_that_cannot_be_written_comes_back_as_text(lib):
    state, value = end(lib.tasks.raises_odd.delay("object"))
    assert state == "FAILURE"
    assert value.startswith("ValueError: ")
    assert "<object object at " in value


def test_a_traceback_tells_of_the_cause(lib):
    result = lib.tasks.raises_odd.delay("nested")
    assert end(result) == ("FAILURE", "ValueError: outer")
    assert "KeyError: 'inner'" in result.traceback
    assert "direct cause" in result.traceback


def test_started_is_stored_with_its_place(lib):
    result = lib.tasks.started.delay()
    assert end(result) == ("SUCCESS", None)
    assert lib.notes(result, 1) == [["STARTED", ["hostname", "pid"]]]


def test_a_soft_limit_can_be_caught(lib):
    assert lib.tasks.soft.delay(True).get(timeout=30) == "cleaned up"


def test_a_soft_limit_that_is_not_caught_fails(lib):
    state, value = end(lib.tasks.soft.delay(False))
    assert state == "FAILURE"
    assert value.startswith("SoftTimeLimitExceeded")


def test_a_hard_limit_fails(lib):
    state, value = end(lib.tasks.hard.delay())
    assert state == "FAILURE"
    assert value.startswith("TimeLimitExceeded")


def test_limits_of_a_call_override_the_tasks(lib):
    result = lib.tasks.nap.apply_async((15,), time_limit=1)
    assert end(result)[1].startswith("TimeLimitExceeded")


def test_wrong_arguments_are_refused_where_the_call_is_made(lib):
    with pytest.raises(TypeError, match="add"):
        lib.tasks.add.delay(1)
    with pytest.raises(TypeError, match="unknown"):
        lib.tasks.add.delay(1, 2, unknown=3)


def test_a_bound_task_knows_its_request_and_an_unbound_call_runs_here(lib):
    assert lib.tasks.add(2, 3) == 5
    assert lib.tasks.backs_off.name == "b.backs_off"
    assert lib.tasks.ends.request.called_directly


def seen_by(lib: Any, **options: Any) -> dict[str, Any]:
    """What a task sees in its request when it is called with these options."""
    result = lib.tasks.looks.apply_async((1, "two"), {"three": 3}, **options)
    return lib.notes(result, 1)[0][0]


OWN = ("id", "root_id", "correlation_id", "origin", "reply_to", "eta", "expires")


def plain(seen: dict[str, Any]) -> dict[str, Any]:
    """Without what differs from call to call."""
    properties = seen.pop("properties")
    for name in ("reply_to", "expiration", "body_encoding", "delivery_tag", "correlation_id"):
        properties.pop(name, None)
    return {**{name: value for name, value in seen.items() if name not in OWN}, **properties}


def request_of(**changes: Any) -> dict[str, Any]:
    """The request of a call without options, as Celery 5.7 shows it, but for `changes`."""
    return {
        "args": [1, "two"], "kwargs": {"three": 3}, "callbacks": None, "called_directly": False,
        "chain": None, "children": [], "chord": None, "errbacks": None, "group": None,
        "group_index": None, "headers": None, "hostname": "b@here", "ignore_result": False,
        "is_eager": False, "logfile": None, "loglevel": None, "parent_id": None,
        "replaced_task_nesting": 0, "retries": 0, "shadow": None, "soft_time_limit": None,
        "stamped_headers": None, "stamps": {}, "task": "b.looks", "taskset": None,
        "time_limit": None, "timelimit": [None, None], "utc": None, "lang": "py",
        "argsrepr": "(1, 'two')", "kwargsrepr": "{'three': 3}", "redelivered": "<missing>",
        "get": True, "x_own": "<missing>", "delivery_mode": 2, "priority": 0,
        "delivery_info": {"exchange": "", "routing_key": "celery"}, **changes,
    }  # fmt: skip


def test_a_request_tells_everything_about_its_call(lib):
    seen = seen_by(lib)
    assert seen["id"] == seen["root_id"] == seen["correlation_id"]
    assert seen["origin"].startswith("gen")
    assert seen["reply_to"] == lib.tasks.app.thread_oid
    assert (seen["eta"], seen["expires"]) == (None, None)
    address = {"exchange": "", "routing_key": "celery", "priority": 0}
    found = seen.pop("delivery_info")
    assert {name: found[name] for name in address} == address
    assert not found["redelivered"]
    assert plain(seen) == request_of()


def test_a_request_tells_the_options_of_its_call(lib):
    options = {"headers": {"x_own": "mine"}, "priority": 4, "shadow": "shown", "countdown": 0.01}
    limits = {"time_limit": 30, "soft_time_limit": 20}
    seen = seen_by(lib, **options, **limits, expires=60, ignore_result=True)
    assert seen["eta"] < seen["expires"]
    seen.pop("delivery_info")
    assert plain(seen) == request_of(
        headers={"x_own": "mine"}, x_own="mine", priority=4, shadow="shown", ignore_result=True,
        timelimit=[30, 20], **limits,
    )  # fmt: skip


def test_a_request_tells_its_relations(lib):
    relations = {"root_id": "r", "parent_id": "p", "group_id": "g", "group_index": 2}
    seen = seen_by(lib, **relations, reply_to="there")
    assert (seen["root_id"], seen["reply_to"]) == ("r", "there")
    seen.pop("delivery_info")
    assert plain(seen) == request_of(parent_id="p", group="g", group_index=2)


def test_a_request_tells_its_stamps(lib):
    seen = seen_by(lib, stamped_headers=["tenant"], tenant="acme")
    assert (seen["stamped_headers"], seen["stamps"]) == (["tenant"], {"tenant": "acme"})


def test_a_request_tells_what_follows(lib):
    add = lib.tasks.add
    seen = seen_by(lib, link=add.si(1, 1), link_error=add.si(2, 2))
    assert [entry["args"] for entry in (*seen["callbacks"], *seen["errbacks"])] == [[1, 1], [2, 2]]
    steps = (lib.tasks.looks.s(1) | add.si(1, 2)).apply_async()
    (seen,) = lib.notes(steps.parent, 1)[0]
    assert [step["task"] for step in seen["chain"]] == ["b.add"]
