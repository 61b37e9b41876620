"""No input ends a worker or holds up the next good task, and nothing unreadable vanishes.

One worker for the whole sweep, so that harm done by one input shows in those after it.
Source: RELIABILITY 6.1, 6.2.
"""

import itertools
import json
import pickle
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import redis

from tests.support import services
from tests.support.bad_messages import READ, REFUSED, b64
from tests.support.processes import tq_worker
from tests.support.waiting import eventually
from tq import TQ

pytestmark = pytest.mark.timeout(60)

NODE = "sweep@test"
PIDBOX = "/0.celery.pidbox"


@pytest.fixture(scope="module")
def place() -> Iterator[SimpleNamespace]:
    """A worker on a Redis of its own, and a client."""
    with services.redis_server(tcp=True) as server:
        worker = tq_worker(server.url, name=NODE, PEER_BACKEND=server.url, PEER_LEDGER=server.url)
        app = TQ("client", broker=server.url, backend=server.url, set_as_current=False)
        client = redis.Redis.from_url(server.url)
        yield SimpleNamespace(worker=worker, app=app, redis=client)
        alive = worker.process.poll() is None
        worker.__exit__()
        client.close()
        app.control.close()
        app.close()
        assert alive


numbers = itertools.count()


def good_task_ends(place: SimpleNamespace, within: float = 5.0) -> None:
    """The worker lives and runs what comes next."""
    number = next(numbers)
    assert place.app.send_task("peer.add", (number, 1)).get(timeout=within) == number + 1
    assert place.worker.process.poll() is None


def known(raw: bytes) -> bytes:
    """The same message for a task that the worker has, so that it is not refused for its name."""
    return raw.replace(b'"tasks.add"', b'"peer.add"')


def dead(place: SimpleNamespace) -> list[tuple[dict[str, Any], bytes]]:
    """The dead letters: what is known of each, and its bytes."""
    found = []
    for entry in place.redis.lrange("tq:dead", 0, -1):
        head, _, raw = entry.partition(b"\n")
        found.append((json.loads(head), raw))
    return found


# The body's signatures are read by the child that runs the task, the rest before.
# A compression that is no text counts as none before the body is looked at, which is plain here.
@pytest.mark.parametrize("name", [name for name in REFUSED if name != "compression_number"])
def test_an_unreadable_message_is_kept_with_its_reason(place: SimpleNamespace, name: str) -> None:
    raw, reason = known(REFUSED[name][0]), REFUSED[name][1]
    place.redis.delete("tq:dead", "tq:dead:bytes")
    place.redis.lpush("celery", raw)
    good_task_ends(place)
    ((head, kept),) = eventually(lambda: dead(place))
    # What does not look like an object at all is refused before anything is decoded.
    assert head["reason"] == (reason if raw[:1] == b"{" and raw[-1:] == b"}" else "not_json")
    assert head["queue"] == "celery"
    assert head["size"] == len(raw)
    assert kept == raw[: len(kept)]
    eventually(lambda: place.redis.hlen("unacked") == parked(place))


@pytest.mark.parametrize("name", READ)
def test_a_message_with_odd_values_is_run_or_fails_alone(place: SimpleNamespace, name: str) -> None:
    place.redis.delete("tq:dead", "tq:dead:bytes")
    place.redis.lpush("celery", known(READ[name][0]))
    if name == "same_tag_twice":
        place.redis.lpush("celery", known(READ[name][0]))
    good_task_ends(place)
    eventually(lambda: place.redis.hlen("unacked") == parked(place))
    assert not dead(place)


def parked(place: SimpleNamespace) -> int:
    """How many messages wait for their time, as the one of the year 9999 does."""
    return int(place.redis.zcard("tq:delayed"))


def command(method: Any, arguments: Any = None, **more: Any) -> dict[str, Any]:
    arguments = {} if arguments is None else arguments
    return {"method": method, "arguments": arguments, "destination": None, **more}


# Commands that Celery 5.7 dies of, hangs on, loses its connection to, or logs.
COMMANDS: dict[str, Any] = {
    "ctl_null": None,
    "ctl_prefetch_garbage": command("add_consumer", {"queue": 5}),
    "ctl_revoke_100k": command("revoke", {"task_id": [f"{n:036d}" for n in range(100_000)]}),
    "ctl_empty_object": {},
    "ctl_no_method": {"arguments": {}},
    "ctl_unknown_method": command("no_such"),
    "ctl_args_list": command("ping", [1]),
    "ctl_args_null": {**command("ping"), "arguments": None},
    "ctl_method_number": command(5),
    "ctl_destination_number": {**command("ping"), "destination": 5},
    "ctl_reply_to_garbage": command("ping", reply_to="me"),
    "ctl_reply_to_missing_keys": command("ping", reply_to={"exchange": "x"}),
    "ctl_rate_limit_garbage": command(
        "rate_limit", {"task_name": "peer.add", "rate_limit": "lots/y"}
    ),
    "ctl_pool_grow_negative": command("pool_grow", {"n": -5}),
    "ctl_time_limit_garbage": command("time_limit", {"task_name": "peer.add", "hard": "x"}),
    "ctl_destination_100k": {**command("ping"), "destination": [f"{n}@x" for n in range(100_000)]},
    "ctl_ticket_1MB": command("ping", ticket="t" * 1_000_000),
    "ctl_pattern_catastrophic": {
        **command("ping"), "pattern": "(a+)+$", "matcher": "pcre",
    },
    "ctl_time_limit_nan": command("time_limit", {"task_name": "peer.add", "soft": float("nan")}),
    "ctl_autoscale_negative": command("autoscale", {"max": -1, "min": -2}),
    "ctl_autoscale_huge": command("autoscale", {"max": 10**9, "min": 1}),
    "ctl_pool_shrink_below_one": command("pool_shrink", {"n": 100}),
    "ctl_pool_grow_huge": command("pool_grow", {"n": 10**9}),
    "ctl_terminate_signal": command(
        "revoke", {"task_id": "x", "terminate": True, "signal": "KILL; rm"}
    ),
    "ctl_cancel_unknown": command("cancel_consumer", {"queue": {"a": 1}}),
    "ctl_query_task_garbage": command("query_task", {"ids": {"a": 1}}),
    "ctl_unexpected_argument": command("ping", {"surprise": 1}),
    "ctl_missing_argument": command("rate_limit"),
}  # fmt: skip


def publish(place: SimpleNamespace, body: bytes, **headers: Any) -> None:
    envelope = {
        "body": b64(body),
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": headers,
        "properties": {
            "delivery_mode": 2,
            "delivery_info": {"exchange": "celery.pidbox", "routing_key": ""},
            "priority": 0,
            "body_encoding": "base64",
            "delivery_tag": "t",
        },
    }
    assert place.redis.publish(PIDBOX, json.dumps(envelope)) >= 1


def pings(place: SimpleNamespace) -> None:
    """Remote control still works."""
    answer = place.app.control.inspect(destination=[NODE], timeout=10.0).ping()
    assert answer == {NODE: {"ok": "pong"}}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_that_makes_no_sense_harms_nobody(place: SimpleNamespace, name: str) -> None:
    publish(place, json.dumps(COMMANDS[name]).encode())
    good_task_ends(place)
    pings(place)


@pytest.mark.parametrize(
    "raw",
    [b"not json", b"\xff\xfe", b"[" * 100_000, b"", pickle.dumps({"method": "shutdown"})],
    ids=["ctl_not_json", "ctl_not_utf8", "ctl_deep", "ctl_empty", "ctl_pickle"],
)
def test_a_command_that_cannot_be_read_harms_nobody(place: SimpleNamespace, raw: bytes) -> None:
    publish(place, raw)
    place.redis.publish(PIDBOX, raw)
    good_task_ends(place)
    pings(place)


@pytest.mark.parametrize(
    "headers",
    [{"clock": -1}, {"clock": 1 << 63}, {"clock": "9"}, {"expires": "soon"}, {"expires": 1e400}],
)
def test_a_commands_odd_headers_harm_nobody(
    place: SimpleNamespace, headers: dict[str, Any]
) -> None:
    publish(place, json.dumps(command("ping")).encode(), **headers)
    good_task_ends(place)
    pings(place)


def test_a_flood_of_commands_does_not_hold_up_tasks(place: SimpleNamespace) -> None:
    # 200 at once and 50 a second later on are carried out; the rest wait.
    for _ in range(400):
        publish(place, b'{"method":"no_such","arguments":{}}')
    good_task_ends(place)
    pings(place)


# These come last: until the key is put right nothing runs.


@pytest.mark.parametrize("key", ["celery", "unacked", "unacked_index"])
def test_a_key_of_a_wrong_type_is_survived(place: SimpleNamespace, key: str) -> None:
    place.redis.delete(key)
    place.redis.set(key, "x")
    before = len(place.worker.output())
    if key == "celery":
        eventually(lambda: key in place.worker.output()[before:], within=10)
        place.redis.delete(key)
    else:
        # Met when there is something to take, which must not get lost by it.
        held_up = place.app.send_task("peer.add", (1, 2))
        eventually(lambda: key in place.worker.output()[before:], within=10)
        place.redis.delete(key)
        assert held_up.get(timeout=15) == 3
    good_task_ends(place)


def test_every_line_of_the_log_is_short_and_free_of_control_characters(
    place: SimpleNamespace,
) -> None:
    lines = place.worker.output().splitlines()
    assert lines
    for line in lines:
        assert len(line) <= 4096, line[:300]
        assert line.isprintable(), line[:300]
