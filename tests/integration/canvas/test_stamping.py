"""Stamps on real workers: where visitors put them, what carries them, revoking by them."""

import uuid

import pytest

from tests.support.fleet import TIMEOUT, Fleet
from tests.support.waiting import eventually
from tq import chain, chord, group
from tq.canvas import StampingVisitor
from tq.errors import TaskRevokedError
from tq.signals import before_task_publish, task_received
from tq.testing import start_worker, temporary_app

pytestmark = pytest.mark.timeout(90)


class Everywhere(StampingVisitor):
    """One stamp on every task."""

    def __init__(self, value: object = 42, name: str = "stamp") -> None:
        self.stamp = {name: value}

    def on_signature(self, sig, **headers):
        return self.stamp


class Rooms(StampingVisitor):
    """Says of each task in which canvas it is."""

    def on_signature(self, sig, **headers):
        return {}

    def on_group_start(self, group, **headers):
        return {"in_group": "yes"}

    def on_chain_start(self, chain, **headers):
        return {"in_chain": "yes"}

    def on_chord_header_start(self, sig, **headers):
        return {"in_header": "yes"}

    def on_chord_body(self, sig, **headers):
        return {"is_body": "yes"}

    def on_callback(self, callback, **headers):
        return {"is_callback": "yes"}

    def on_errback(self, errback, **headers):
        return {"is_errback": "yes"}


@pytest.fixture
def published():
    """Headers and properties of what the client publishes."""
    seen = []

    def note(sender=None, headers=None, properties=None, **_):
        seen.append((dict(headers or {}), dict(properties or {})))

    before_task_publish.connect(note)
    yield seen
    before_task_publish.disconnect(note)


def traced(t, key):
    return t.stamp_trace.si(key=key, value=1)


CANVASES = [
    lambda s: s(),
    lambda s: group(s(), s()),
    lambda s: chain(s(), s()),
    lambda s: s() | s(),
    lambda s: group(s() | s(), s() | s()),
    lambda s: chain(s() | s(), s() | s()),
    lambda s: chain(group(s()), s()),
    lambda s: chord([s(), s()], s()),
    lambda s: chord([s() | s(), s() | s()], s()),
    lambda s: chain(chain(s() | s(), s() | s()), s() | s()),
    lambda s: chord(group(chain(s(), s()), chord([s(), s()], s())), s()),
    lambda s: group(s(), s()) | group(s(), s()) | s(),
]


@pytest.mark.parametrize("build", CANVASES)
def test_every_task_of_a_canvas_is_stamped(fleet: Fleet, t, build):
    key, built = fleet.key(), []

    def make():
        built.append(1)
        return traced(t, key)

    canvas = build(make)
    canvas.stamp(Everywhere())
    canvas.apply_async().get(timeout=TIMEOUT)
    fleet.settle()
    assert fleet.echoed(key) == ["stamp=[('stamp', 42)]"] * len(built)


def test_each_room_of_a_canvas_stamps_its_own(fleet: Fleet, t):
    keys = {name: fleet.key() for name in ("member", "step", "part", "body", "link")}
    linked = traced(t, keys["step"])
    linked.link(traced(t, keys["link"]))
    canvas = group(
        traced(t, keys["member"]),
        chain(traced(t, fleet.key()), linked),
        chord([traced(t, keys["part"]), traced(t, keys["part"])], traced(t, keys["body"])),
    )
    canvas.stamp(Rooms())
    canvas.apply_async().get(timeout=TIMEOUT)
    fleet.settle()

    def names(what: str) -> set[str]:
        found = {entry.partition("=")[0] for entry in fleet.echoed(keys[what])}
        assert len(found) == 1
        return set(found.pop().split(",")) - {""}

    assert names("member") == {"in_group"}
    assert names("step") == {"in_group", "in_chain"}
    assert names("part") == {"in_group", "in_header"}
    assert {"in_group", "in_header", "is_body"} >= names("body") >= {"in_group", "is_body"}
    assert "is_callback" in names("link")


@pytest.mark.parametrize("value", [42, [4, 2], {"a": 1}, "text", None, True])
def test_stamp_keeps_the_type_its_visitor_gave(t, published, value):
    sig = t.stamps.si()
    sig.stamp(Everywhere(value))
    assert sig.apply_async().get(timeout=TIMEOUT) == {"stamp": value}
    assert published[0][0]["stamps"] == {"stamp": value}


def test_stamps_travel_in_headers_not_in_properties(t, published):
    sig = t.add.si(1, 1)
    sig.stamp(Everywhere())
    assert sig.apply_async().get(timeout=TIMEOUT) == 2
    headers, properties = published[0]
    assert headers["stamped_headers"] == ["stamp"]
    assert "stamp" not in properties
    assert "stamped_headers" not in properties


def test_receivers_in_the_worker_see_the_stamps():
    seen = []

    def note(request=None, **_):
        seen.append((request.name, request.stamped_headers, request.stamps))

    with temporary_app() as app:
        sig = app.signature("celery.accumulate", immutable=True)
        sig.stamp(Everywhere())
        task_received.connect(note)
        try:
            with start_worker(app, pool="solo") as worker:
                sig.delay().get(timeout=TIMEOUT)
                worker.join(TIMEOUT)
        finally:
            task_received.disconnect(note)
    assert seen == [("celery.accumulate", ["stamp"], {"stamp": 42})]


def test_stamps_by_name_without_a_visitor(t):
    sig = t.stamps.si()
    sig.stamp(customer="ada", build=7)
    assert sig.delay().get(timeout=TIMEOUT) == {"customer": "ada", "build": 7}


def test_only_listed_headers_are_stamps(t):
    class Listed(StampingVisitor):
        def on_signature(self, sig, **headers):
            return {"kept": 1, "dropped": 2, "stamped_headers": ["kept"]}

    sig = t.stamps.si()
    sig.stamp(Listed())
    assert sig.delay().get(timeout=TIMEOUT) == {"kept": 1}


def test_first_stamp_wins_and_appending_collects(t):
    sig = t.stamps.si()
    sig.stamp(Everywhere("one"))
    sig.stamp(Everywhere("two"))
    latest = sig.delay().get(timeout=TIMEOUT)["stamp"]
    collected = t.stamps.si()
    collected.stamp(Everywhere("one"))
    collected.stamp(Everywhere("two"), append_stamps=True)
    found = collected.delay().get(timeout=TIMEOUT)["stamp"]
    assert latest in ("one", "two")
    assert sorted(found) == ["one", "two"]


def test_replacement_has_the_stamps_of_both(fleet: Fleet, t):
    key = fleet.key()
    inner = traced(t, key)
    inner.stamp(Everywhere("inner", "own"))
    sig = t.become.si(sig=inner)
    sig.stamp(Everywhere())
    assert sig.delay().get(timeout=TIMEOUT) == 1
    assert fleet.echoed(key) == ["own,stamp=[('own', 'inner'), ('stamp', 42)]"]


@pytest.mark.parametrize("kind", ["link", "link_error"])
def test_link_added_after_stamping_is_stamped_by_the_next_visitor(fleet: Fleet, t, kind):
    key = fleet.key()
    sig = t.fail.si() if kind == "link_error" else t.identity.si(1)
    sig.stamp(Everywhere(str(uuid.uuid4()), "monitor"))
    getattr(sig, kind)(traced(t, key))
    sig.stamp(Everywhere("1234", "monitor"))
    sig.apply_async().get(timeout=TIMEOUT, propagate=False)
    fleet.settle()
    assert fleet.echoed(key) == ["monitor=[('monitor', '1234')]"]


@pytest.mark.parametrize("kind", ["link", "link_error"])
def test_links_that_are_dictionaries_are_stamped(fleet: Fleet, t, kind):
    key = fleet.key()
    sig = t.fail.si() if kind == "link_error" else t.identity.si(1)
    sig.options[kind] = dict(traced(t, key))
    sig.stamp(Everywhere())
    sig.apply_async().get(timeout=TIMEOUT, propagate=False)
    fleet.settle()
    assert fleet.echoed(key) == ["stamp=[('stamp', 42)]"]


def test_stamps_survive_a_retry(t):
    sig = t.stamped_flaky.si()
    sig.stamp(Everywhere())
    assert sig.delay().get(timeout=TIMEOUT) == {"stamp": 42}


def test_canvas_of_a_workflow_with_links_runs_stamped(fleet: Fleet, t):
    key = fleet.key()
    canvas = group(
        t.add.s(1, 2) | t.add.s(3), t.add.s(4, 5) | t.add.s(6), t.identity.si(21)
    ) | group(t.xsum.s(), t.xsum.s())
    canvas.link(traced(t, key))
    canvas.link_error(traced(t, key))
    canvas.stamp(Everywhere())
    assert canvas.apply_async().get(timeout=TIMEOUT) == [42, 42]
    fleet.settle()
    assert fleet.echoed(key)[:1] == ["stamp=[('stamp', 42)]"]


def test_result_says_which_stamps_the_task_had(fleet: Fleet, t):
    sig = t.identity.si(1)
    sig.stamp(Everywhere())
    result = sig.delay()
    assert result.get(timeout=TIMEOUT) == 1
    record = fleet.app.backend.fetch([result.id])[result.id]
    assert record.stamped_headers == ["stamp"]
    assert record.stamps == {"stamp": 42}


# -- revoking by stamps ----------------------------------------------------------------------------


def test_tasks_are_revoked_by_their_stamps(fleet: Fleet, t):
    name = f"order{uuid.uuid4().hex}"
    doomed = t.identity.si("ran").set(countdown=0.5)
    doomed.stamp(Everywhere("7", name))
    other = t.identity.si("ran").set(countdown=0.5)
    other.stamp(Everywhere("8", name))
    results = [doomed.delay(), other.delay()]
    results[0].revoke_by_stamped_headers({name: ["7"]}, wait=True, timeout=5)
    with pytest.raises(TaskRevokedError):
        results[0].get(timeout=TIMEOUT)
    assert results[1].get(timeout=TIMEOUT) == "ran"


def test_running_task_is_terminated_by_its_stamps(fleet: Fleet, t):
    if "-P threads" in " ".join(fleet.workers[0].process.args).replace("'", ""):
        pytest.skip("threads cannot be killed")
    key, name = fleet.key(), f"order{uuid.uuid4().hex}"
    sig = t.gate.si(key)
    sig.stamp(Everywhere("7", name))
    result = sig.delay()
    fleet.wait_at(key)
    result.revoke_by_stamped_headers({name: "7"}, terminate=True, wait=True, timeout=5)
    with pytest.raises(TaskRevokedError):
        result.get(timeout=TIMEOUT)


# -- abortable tasks -------------------------------------------------------------------------------


def test_running_task_sees_that_it_is_aborted(fleet: Fleet, t):
    key = fleet.key()
    result = t.until_aborted.delay(key)
    fleet.wait_at(key)
    assert not result.is_aborted()
    result.abort()
    assert result.get(timeout=TIMEOUT) == "aborted"
    eventually(lambda: result.state == "SUCCESS", within=TIMEOUT)
    result.abort()
    assert result.state == "SUCCESS"
    assert not result.is_aborted()
