"""One call, made with Celery and with tq: the same message in the same queue, whatever is asked for.

Each option of a call, of a task and each setting that shows in messages, by itself.
"""

import base64
import json
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import kombu.compression
import kombu.serialization
import pytest
import redis
from celery import Celery

import tq
from tests.interop.conftest import close_celery
from tests.support.services import RedisServer

pytestmark = [
    pytest.mark.timeout(90),
    pytest.mark.xdist_group("interop-messages"),
    # Celery 5.7 calls redis-py with arguments that redis-py deprecates.
    pytest.mark.filterwarnings("ignore::DeprecationWarning:redis"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:celery"),
]

SOON = datetime(2200, 1, 1, 12, 0, tzinfo=UTC)
NAIVE = datetime(2200, 1, 1, 12, 0)
ID = "00000000-0000-4000-8000-000000000001"


def route(name: str, args: Any, kwargs: Any, options: Any, task: Any = None, **_: Any) -> Any:
    """A router as users write it."""
    return {"queue": "other", "priority": 6} if name.startswith("m.") else None


CALLS: dict[str, dict[str, Any]] = {
    "nothing": {},
    "argsrepr": {"argsrepr": "(<secret>,)", "kwargsrepr": "{'k': <secret>}"},
    "chain": {"chain": [{"task": "m.next", "args": [], "kwargs": {}, "options": {}, "subtask_type": None, "immutable": False}]},
    "chord": {"chord": {"task": "m.body", "args": [], "kwargs": {}, "options": {}, "subtask_type": None, "immutable": False}},
    "compression": {"compression": "gzip"},
    "delivery_mode": {"delivery_mode": 1},
    "eta": {"eta": SOON},
    "eta as text": {"eta": SOON.isoformat()},
    "expires": {"expires": SOON},
    "exchange and key": {"exchange": "bound", "routing_key": "key"},
    "group_id": {"group_id": "g", "group_index": 3},
    "headers": {"headers": {"color": "red", "deep": {"a": 1}}},
    "ignore_result": {"ignore_result": True},
    "link": {"link": [{"task": "m.next", "args": [1], "kwargs": {}, "options": {"queue": "q"}, "subtask_type": None, "immutable": True}]},
    "link_error": {"link_error": [{"task": "m.err", "args": [], "kwargs": {}, "options": {}, "subtask_type": None, "immutable": False}]},
    "parent_id": {"parent_id": "p", "root_id": "r"},
    "priority": {"priority": 6},
    "priority 0": {"priority": 0},
    "queue": {"queue": "other"},
    "replaced_task_nesting": {"replaced_task_nesting": 2},
    "reply_to": {"reply_to": "there"},
    "retries": {"retries": 4},
    "routing_key": {"exchange": "bound", "exchange_type": "direct", "routing_key": "key"},
    "serializer": {"serializer": "yaml"},
    "shadow": {"shadow": "alias"},
    "soft_time_limit": {"soft_time_limit": 5},
    "stamps": {"stamped_headers": ["ticket"], "ticket": "t-1"},
    "time_limit": {"time_limit": 9, "soft_time_limit": 8},
}  # fmt: skip
TASKS: dict[str, dict[str, Any]] = {
    "compression": {"compression": "zlib"},
    "delivery_mode": {"delivery_mode": 1},
    "expires": {"expires": SOON},
    "ignore_result": {"ignore_result": True},
    "priority": {"priority": 3},
    "queue": {"queue": "other"},
    "serializer": {"serializer": "yaml"},
    "soft_time_limit": {"soft_time_limit": 5},
    "time_limit": {"time_limit": 9},
    "exchange": {"exchange": "bound", "routing_key": "key"},
}
SETTINGS: dict[str, dict[str, Any]] = {
    "task_compression": {"task_compression": "gzip"},
    "task_create_missing_queues": {"task_queues": {"celery": {}}, "task_create_missing_queues": False},
    "task_default_delivery_mode": {"task_default_delivery_mode": "transient"},
    "task_default_exchange": {"task_default_exchange": "x", "task_default_exchange_type": "topic", "task_default_routing_key": "a.b"},
    "task_default_priority": {"task_default_priority": 9},
    "task_default_queue": {"task_default_queue": "mine"},
    "task_ignore_result": {"task_ignore_result": True},
    "task_protocol": {"task_protocol": 1},
    "task_repr_maxlevels": {"task_repr_maxlevels": 1},
    "task_routes by name": {"task_routes": {"m.add": {"queue": "other", "priority": 3}}},
    "task_routes by glob": {"task_routes": {"m.*": "other"}},
"task_routes in a list": {"task_routes": ([("n.*", {"queue": "no"}), ("m.*", {"queue": "other"})],)},
    "task_routes by regex": {"task_routes": ([(re.compile(r"m\.(add|sub)"), {"queue": "other"})],)},
    "task_routes by function": {"task_routes": (route,)},
    "task_serializer": {"task_serializer": "yaml"},
    "task_soft_time_limit": {"task_soft_time_limit": 5, "task_time_limit": 9},
}  # fmt: skip
TIMES: dict[str, dict[str, Any]] = {
    "UTC": {"enable_utc": True},
    "a zone": {"timezone": "Europe/Berlin"},
    "a zone, no UTC": {"timezone": "Europe/Berlin", "enable_utc": False},
}


@pytest.fixture
def clients(server: RedisServer) -> Iterator[dict[str, redis.Redis]]:
    """Two databases of one server: Celery's and tq's."""
    found = {
        "celery": redis.Redis(port=server.port, db=2),
        "tq": redis.Redis(port=server.port, db=3),
    }
    for client in found.values():
        client.flushdb()
        # A queue that is bound already, for calls that name an exchange and a key.
        client.sadd("_kombu.binding.bound", "key\x06\x16\x06\x16bound")
    yield found
    for client in found.values():
        client.close()


def publish(
    library: str, client: redis.Redis, call: Callable[[Any], Any], **settings: Any
) -> dict[str, Any]:
    """Make one call, and return its message with the queue it is in."""
    place = client.connection_pool.connection_kwargs
    url = f"redis://127.0.0.1:{place['port']}/{place['db']}"
    make: Any = Celery if library == "celery" else tq.TQ
    app = make("m", broker=url, backend=url, set_as_current=False)
    app.conf.update(settings)
    try:
        call(app)
    finally:
        close_celery(app) if library == "celery" else app.close()
    (key,) = client.scan_iter("*", _type="list")
    (text,) = client.lrange(key, 0, -1)
    return {"queue": key.decode(), **plain(json.loads(text))}


def plain(message: dict[str, Any]) -> dict[str, Any]:
    """Take out what tells one call from the next, and decode the body."""
    headers, properties = message["headers"], message["properties"]
    body = base64.b64decode(message.pop("body"))
    if headers.get("compression"):
        body = kombu.compression.decompress(body, headers["compression"])
    kind, encoding = message["content-type"], message["content-encoding"]
    message["body"] = kombu.serialization.loads(body, kind, encoding, accept={kind})
    headers.pop("origin", None)
    for name in ("argsrepr", "kwargsrepr"):
        properties.pop(name, None)  # Celery leaves them here too; workers read the headers
    properties.pop("expiration", None)  # milliseconds from now; the header has the moment
    for name in ("delivery_tag", "reply_to"):
        assert properties.pop(name)
    return message


def compare(
    clients: dict[str, redis.Redis], call: Callable[[Any], Any], **settings: Any
) -> dict[str, Any]:
    theirs = publish("celery", clients["celery"], call, **settings)
    ours = publish("tq", clients["tq"], call, **settings)
    assert ours == theirs
    return ours


def add(app: Any, **options: Any) -> Any:
    def run(x, y=0):
        return x + y

    return app.task(name="m.add", **options)(run)


@pytest.mark.parametrize("name", CALLS)
def test_an_option_of_a_call_shows_in_the_message(
    clients: dict[str, redis.Redis], name: str
) -> None:
    compare(clients, lambda app: add(app).apply_async((1, [[2]]), {}, task_id=ID, **CALLS[name]))


@pytest.mark.parametrize("name", CALLS)
def test_an_option_of_a_call_by_name_shows_in_the_message(
    clients: dict[str, redis.Redis], name: str
) -> None:
    compare(clients, lambda app: app.send_task("m.any", (1,), {"k": 2}, task_id=ID, **CALLS[name]))


@pytest.mark.parametrize("name", TASKS)
def test_an_option_of_a_task_shows_in_the_message(
    clients: dict[str, redis.Redis], name: str
) -> None:
    compare(clients, lambda app: add(app, **TASKS[name]).apply_async((1, 2), task_id=ID))


@pytest.mark.parametrize("name", SETTINGS)
def test_a_setting_shows_in_the_message(clients: dict[str, redis.Redis], name: str) -> None:
    def call(app: Any) -> None:
        add(app).apply_async(([[[1]]], 2), task_id=ID)

    compare(clients, call, **SETTINGS[name])


@pytest.mark.parametrize("name", TIMES)
def test_a_time_without_an_offset_is_sent_as_celery_sends_it(
    clients: dict[str, redis.Redis], name: str
) -> None:
    compare(clients, lambda app: add(app).apply_async((1,), task_id=ID, eta=NAIVE), **TIMES[name])


def test_relative_times_are_sent_as_moments(clients: dict[str, redis.Redis]) -> None:
    def call(app: Any) -> None:
        add(app).apply_async((1,), task_id=ID, countdown=1000, expires=2000)

    before = datetime.now(UTC)
    for library, client in clients.items():
        message = publish(library, client, call)
        eta, expires = (datetime.fromisoformat(message["headers"][k]) for k in ("eta", "expires"))
        assert timedelta(seconds=1000) <= eta - before < timedelta(seconds=1080)
        assert timedelta(seconds=2000) <= expires - before < timedelta(seconds=2080)
