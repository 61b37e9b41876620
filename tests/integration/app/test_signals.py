"""Every signal is received with its arguments, in the process that Celery documents for it."""

import json
import signal
from typing import Any

import pytest
import redis

from tests.support.processes import BIN, Process
from tests.support.services import redis_server
from tests.support.waiting import eventually
from tq import TQ, signals

pytestmark = [pytest.mark.timeout(120)]

SETUP = {"colorize", "format", "logfile", "logger", "loglevel"}
IN_PARENT = {
    "celeryd_init": {"instance", "conf", "options"},
    "celeryd_after_setup": {"instance", "conf"},
    "import_modules": set(),
    "worker_init": set(),
    "worker_ready": set(),
    "worker_before_create_process": set(),
    "heartbeat_sent": set(),
    "after_setup_logger": SETUP,
    "after_setup_task_logger": SETUP,
    "task_received": {"request"},
    "task_revoked": {"request", "terminated", "signum", "expired"},
    "task_unknown": {"message", "exc", "name", "id"},
    "task_rejected": {"message", "exc"},
    "worker_shutting_down": {"sig", "how", "exitcode"},
    "worker_shutdown": set(),
}
IN_CHILD = {
    "app.on_after_fork": set(),
    "worker_process_init": set(),
    "task_prerun": {"task_id", "task", "args", "kwargs"},
    "task_postrun": {"task_id", "task", "args", "kwargs", "retval", "state"},
    "task_success": {"result", "runtime"},
    "task_failure": {"task_id", "exception", "args", "kwargs", "traceback", "einfo"},
    "task_retry": {"request", "reason", "einfo"},
    "worker_process_shutdown": {"pid", "exitcode"},
}
BY_OTHERS = {
    # Sent by the caller, seen below and in test_publishing.
    "before_task_publish", "after_task_publish", "task_sent",
    # Sent instead of setting logs up; the pool's own faults; other programs.
    "setup_logging", "task_internal_error", "beat_init", "beat_embedded_init",
    # Seen in test_an_eventlet_pool_tells_of_itself and in cli/test_user_options.py.
    "eventlet_pool_started", "eventlet_pool_preshutdown", "eventlet_pool_postshutdown",
    "eventlet_pool_apply", "user_preload_options",
}  # fmt: skip


@pytest.fixture(scope="module")
def heard():
    """All signals of one worker's life, as `{name: [(sender, arguments, pid), ...]}`, and its pid."""
    with redis_server(tcp=True) as server:
        ledger_url = f"redis://127.0.0.1:{server.port}/0"
        ledger = redis.Redis(port=server.port, decode_responses=True)
        argv = [str(BIN / "tq"), "worker", "-A", "tests.support.signal_app", "-c", "1", "-E"]
        app = TQ("client", broker=server.url, set_as_current=False)
        with app, Process(
            [*argv, "-n", "s@here", "-l", "INFO"], server.url, PEER_LEDGER=ledger_url
        ) as worker:  # fmt: skip
            worker.wait_for(" ready.")
            work(app, ledger)

            def names() -> set[str]:
                return {json.loads(text)[0] for text in ledger.lrange("signals", 0, -1)}

            expected = {"task_rejected", "task_unknown", "task_revoked", "heartbeat_sent"}
            eventually(lambda: expected <= names(), within=20)
            worker.signal(signal.SIGTERM)
            worker.process.wait(20)
            found: dict[str, list[Any]] = {}
            for text in ledger.lrange("signals", 0, -1):
                name, *rest = json.loads(text)
                found.setdefault(name, []).append(rest)
            yield found, worker.pid
        ledger.close()


def work(app: TQ, ledger: Any) -> None:
    """Have the worker do one of everything."""
    assert app.send_task("s.add", (1, 2)).get(timeout=20) == 3
    app.send_task("s.fail").get(timeout=20, propagate=False)
    app.send_task("s.retry").get(timeout=20)
    app.send_task("s.add", (1, 2), expires=-5)
    app.send_task("s.unknown")
    ledger.lpush("celery", "no message at all")
    ledger.lpush("celery", json.dumps({"body": "e30=", "headers": {"task": 1}, "properties": {}}))
    with app.capture() as messages:
        app.send_task("s.add", (1, 2))
    messages[0].body = b"[unreadable"
    app.broker.publish(messages)


@pytest.mark.parametrize("name", sorted(IN_PARENT))
def test_signals_of_the_worker_arrive_in_its_parent(heard, name):
    found, parent = heard
    assert name in found
    _sender, arguments, pid = found[name][0]
    assert pid == parent
    assert set(arguments) == IN_PARENT[name]


@pytest.mark.parametrize("name", sorted(IN_CHILD))
def test_signals_of_running_tasks_arrive_in_the_child(heard, name):
    found, parent = heard
    assert name in found
    _sender, arguments, pid = found[name][0]
    assert pid != parent
    assert set(arguments) == IN_CHILD[name]


def test_tasks_and_the_node_name_are_the_senders(heard):
    found, _ = heard
    assert found["task_success"][0][0] == "s.add"
    assert found["task_failure"][0][0] == "s.fail"
    assert found["celeryd_init"][0][0] == found["celeryd_after_setup"][0][0] == "s@here"
    assert found["worker_shutting_down"][0][0] == "s@here"
    assert found["worker_process_init"][0][0] == found["worker_process_shutdown"][0][0] == "s@here"


def test_a_solo_worker_is_its_own_pool_process():
    with redis_server(tcp=True) as server:
        ledger_url = f"redis://127.0.0.1:{server.port}/0"
        argv = [str(BIN / "tq"), "worker", "-A", "tests.support.signal_app", "-P", "solo"]
        with Process(
            [*argv, "-n", "s@here", "-l", "INFO"], server.url, PEER_LEDGER=ledger_url
        ) as worker, redis.Redis(port=server.port, decode_responses=True) as ledger:  # fmt: skip
            worker.wait_for(" ready.")
            heard = [json.loads(text) for text in ledger.lrange("signals", 0, -1)]
            sent = [(who, pid) for name, who, _, pid in heard if name == "worker_process_init"]
            assert sent == [("s@here", worker.pid)]


def test_an_eventlet_pool_tells_of_itself():
    with redis_server(tcp=True) as server:
        ledger_url = f"redis://127.0.0.1:{server.port}/0"
        argv = [str(BIN / "tq"), "worker", "-A", "tests.support.signal_app", "-P", "eventlet"]
        app = TQ("client", broker=server.url, set_as_current=False)
        with app, Process(
            [*argv, "-n", "s@here", "-l", "INFO"], server.url, PEER_LEDGER=ledger_url
        ) as worker, redis.Redis(port=server.port, decode_responses=True) as ledger:  # fmt: skip
            worker.wait_for(" ready.")
            assert app.send_task("s.add", (1, 2)).get(timeout=30) == 3
            assert worker.stop(30) == 0
            heard = [json.loads(text) for text in ledger.lrange("signals", 0, -1)]
            sent = [(one[0], set(one[2]), one[3]) for one in heard if "eventlet" in one[0]]
            assert sent == [
                ("eventlet_pool_started", set(), worker.pid),
                ("eventlet_pool_apply", {"target", "args", "kwargs"}, worker.pid),
                ("eventlet_pool_preshutdown", set(), worker.pid),
                ("eventlet_pool_postshutdown", set(), worker.pid),
            ]
            assert {one[1] for one in heard if "eventlet" in one[0]} == {
                "<class 'tq.pools.green_eventlet.EventletPool'>"
            }


def test_every_signal_has_its_test():
    names = {one.name for one in signals.ALL_SIGNALS} | {"app.on_after_fork"}
    assert names == {*IN_PARENT, *IN_CHILD, *BY_OTHERS}


def test_the_caller_hears_of_what_it_publishes():
    seen: dict[str, Any] = {}

    def hear(signal: Any, sender: Any, **named: Any) -> None:
        seen[signal.name] = (sender, named)

    wanted = (signals.before_task_publish, signals.after_task_publish, signals.task_sent)
    with TQ("p", broker="memory://", backend="memory://", set_as_current=False) as app:
        for one in wanted:
            one.connect(hear)
        try:
            result = app.send_task("s.add", (1,), {"y": 2}, headers={"own": 1})
        finally:
            for one in wanted:
                one.disconnect(hear)
            # Memory is shared by all tests of the process.
            app.broker.purge("celery")
    for name in ("before_task_publish", "after_task_publish"):
        sender, named = seen[name]
        assert (sender, named["routing_key"], named["exchange"]) == ("s.add", "celery", "")
        assert named["headers"]["id"] == result.id
        assert named["headers"]["own"] == 1
        assert named["body"][:2] == ((1,), {"y": 2})
        assert named["properties"]["correlation_id"] == result.id
    sender, named = seen["task_sent"]
    assert (sender, named["task_id"], named["args"]) == ("s.add", result.id, (1,))
