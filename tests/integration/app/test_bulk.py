"""Bulk publishing writes the very bytes that single publishing writes, on a real server."""

import base64
import json

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.services import redis_server
from tq import TQ, signals, signature
from tq.errors import EncodeError

pytestmark = pytest.mark.timeout(60)

texts = st.text(max_size=12)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | texts | st.datetimes(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
ids = st.text('abc-%"\\é', min_size=1, max_size=20)
options = st.fixed_dictionaries(
    {"task_id": ids},
    optional={
        "root_id": ids,
        "parent_id": ids,
        "group_id": ids,
        "group_index": st.integers(0, 9),
        "add_to_parent": st.booleans(),
        "reply_to": st.just(""),
        "link": st.just([signature("bulk.after", (1,))]),
        "link_error": st.just(signature("bulk.after")),
        "chain": st.just([signature("bulk.after")]),
        "chord": st.just(signature("bulk.body", options={"task_id": "x"})),
        "queue": st.just("other"),
        "priority": st.just(6),
        "countdown": st.just(0),
        "headers": st.just({"of": "mine"}),
        "expires": st.just("2099-01-01T00:00:00"),
    },
)


@pytest.fixture(scope="module")
def server():
    with redis_server() as server:
        yield server


@pytest.fixture(scope="module")
def client(server):
    with redis.Redis(unix_socket_path=str(server.socket)) as client:
        yield client


@pytest.fixture(scope="module")
def app(server):
    with TQ("bulk", broker=server.url, set_as_current=False) as app:
        yield app


@pytest.fixture
def one_by_one():
    """Have every call shown to a receiver, so that each is written by itself."""

    def receiver(**_):
        pass

    signals.task_sent.connect(receiver, weak=False)
    yield
    signals.task_sent.disconnect(receiver)


def published(client):
    """Take all messages from the server, as {key: [envelope]}, without what is random."""
    found = {}
    for key in sorted(client.keys("*")):
        if client.type(key) != b"list":
            continue
        found[key] = [json.loads(raw) for raw in client.lrange(key, 0, -1)]
        client.delete(key)
    tags = [item["properties"].pop("delivery_tag") for items in found.values() for item in items]
    assert len(set(tags)) == len(tags)
    assert all(len(tag) == 36 for tag in tags)
    for items in found.values():
        for item in items:
            if item["headers"]["eta"]:
                item["headers"]["eta"] = "soon"
            item["properties"].pop("expiration", None)
    return found


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(st.tuples(st.lists(values, max_size=3), options), min_size=1, max_size=4))
def test_a_bulk_is_what_single_calls_are(app, client, calls):
    many = [signature("bulk.work", args, {"k": args}, dict(opts)) for args, opts in calls]
    many += [signature("bulk.work", (), {}, {"task_id": "bare"})]
    results = app.send_many(many)
    assert [result.id for result in results] == [sig.options["task_id"] for sig in many]
    in_bulk = published(client)
    for sig in many:
        app.send_task("bulk.work", sig.args, sig.kwargs, **sig.options)
    assert in_bulk == published(client)


def test_receivers_of_signals_see_every_call_of_a_bulk(app, client, one_by_one):
    seen = []

    def receiver(task_id, **_):
        seen.append(task_id)

    signals.task_sent.connect(receiver)
    results = app.send_many(signature("bulk.work", (n,)) for n in range(5))
    assert seen == [result.id for result in results]
    signals.task_sent.disconnect(receiver)
    assert sum(map(len, published(client).values())) == 5


def test_order_is_kept_when_plain_and_other_calls_take_turns(app, client):
    app.send_many(
        signature("bulk.work", (n,), {}, {"headers": {"x": n}} if n % 3 else {}) for n in range(20)
    )
    (messages,) = published(client).values()
    bodies = [json.loads(base64.b64decode(message["body"])) for message in messages]
    assert [body[0] for body in reversed(bodies)] == [[n] for n in range(20)]


def test_tasks_of_several_queues_and_priorities_each_arrive_at_theirs(app, client):
    @app.task(name="bulk.urgent", queue="fast", priority=3)
    def urgent(n):
        return n

    @app.task(name="bulk.slow", queue="slow")
    def slow(n):
        return n

    app.send_many(task.s(n) for n in range(1500) for task in (urgent, slow))
    found = published(client)
    assert {key.split(b"\x06")[0]: len(items) for key, items in found.items()} == {
        b"fast": 1500,
        b"slow": 1500,
    }


def test_arguments_without_a_form_in_json_are_refused_like_those_of_a_single_call(app, client):
    for way in (lambda sig: app.send_many([sig]), lambda sig: sig.apply_async()):
        with pytest.raises(EncodeError):
            way(signature("bulk.work", (object(),), app=app))
    assert published(client) == {}


def test_lone_surrogates_in_arguments_are_sent_as_singly(app, client):
    bad = signature("bulk.work", ("\ud800",), {}, {"task_id": "s"})
    app.send_many([bad])
    in_bulk = published(client)
    app.send_task("bulk.work", bad.args, task_id="s")
    assert in_bulk == published(client) != {}


def test_calls_from_inside_a_task_name_it_as_their_parent(app, client):
    @app.task(name="bulk.parent")
    def parent():
        app.send_many([signature("bulk.work")])

    parent.apply(task_id="me", root_id="top")
    ((message,),) = published(client).values()
    assert (message["headers"]["parent_id"], message["headers"]["root_id"]) == ("me", "top")
