"""Several beats on one Redis: one sends, and every slot is sent once."""

import logging
import os
import signal
import time
from collections import Counter
from itertools import pairwise

import msgspec
import pytest

from tests.integration.beat.conftest import sent
from tests.support.waiting import eventually
from tq import TQ
from tq.beat import Progress, Service
from tq.beat.entry import slot_id
from tq.beat.lease import Planned, RedisLeader, choose_leader
from tq.beat.store import MemoryStore
from tq.errors import BrokerConnectionError, EncodeError

LEASE = 3.0
EVERY = 0.25


def published(store) -> list[float]:
    """The slots of what was published, by undoing their ids: the grid that the first slot began."""
    progress = msgspec.json.decode(store.hget("tq:beat:beaten", "tick"), type=Progress)
    wanted = {headers["id"] for headers in sent(store)}
    found, slot = [], progress.slot
    for back in range(2000):
        at = slot - back * EVERY
        # Adding intervals one by one and this product may differ by a rounding; ids count to 1 ms.
        ids = {slot_id("beaten", "tick", at + delta) for delta in (-0.001, 0.0, 0.001)}
        if ids & wanted:
            found.append(at)
    assert len(found) == len(wanted)
    return sorted(found)


def leading(store, beats):
    """The fence and the process of the beat that holds the lease, if it is one of `beats`."""
    fence, _, name = (store.get("tq:lock:beat:beaten") or b"").decode().partition(" ")
    found = [beat for beat in beats if f":{beat.pid}:" in name]
    return (int(fence), found[0]) if found else None


@pytest.mark.timeout(300)
def test_three_beats_whose_leaders_are_killed_send_each_slot_once(beat, store):
    env = {"PEER_LEASE": str(LEASE), "BEAT_EVERY": str(EVERY)}
    beats = [beat(**env) for _ in range(3)]
    fences = []
    for _ in range(2):
        fence, leader = eventually(lambda: leading(store, beats), within=60)
        fences.append(fence)
        before = store.llen("beatq")
        eventually(lambda before=before: store.llen("beatq") >= before + 6, within=60)
        leader.kill_tree()
        beats.remove(leader)
    fence, leader = eventually(lambda: leading(store, beats), within=60)
    assert fence > fences[1] > fences[0]
    before = store.llen("beatq")
    eventually(lambda: store.llen("beatq") >= before + 6, within=60)
    assert beats[0].stop() == 0

    ids = [headers["id"] for headers in sent(store)]
    assert max(Counter(ids).values()) == 1
    assert min(later - earlier for earlier, later in pairwise(published(store))) > EVERY / 2
    assert store.get("tq:lock:beat:beaten") is None


@pytest.mark.timeout(90)
def test_a_leader_that_was_paused_beyond_its_lease_repeats_no_slot(beat, store):
    env = {"PEER_LEASE": str(LEASE), "BEAT_EVERY": str(EVERY)}
    first = beat(**env)
    eventually(lambda: store.llen("beatq") >= 2, within=30)
    second = beat(**env)
    second.wait_for("standing by")
    os.killpg(first.pid, signal.SIGSTOP)
    second.wait_for("this beat leads (fence 2)", within=30)
    before = store.llen("beatq")
    os.killpg(first.pid, signal.SIGCONT)
    first.wait_for("another beat leads now")
    eventually(lambda: store.llen("beatq") >= before + 6, within=60)
    second.stop()
    first.stop()
    ids = [headers["id"] for headers in sent(store)]
    assert max(Counter(ids).values()) == 1
    assert min(later - earlier for earlier, later in pairwise(published(store))) > EVERY / 2


@pytest.fixture
def leaders(server, store):
    """Two candidates in this process."""
    app = TQ("beaten", broker=server.url, set_as_current=False)
    made = [choose_leader(app.broker, scope="beaten", lease=60.0) for _ in range(2)]
    assert all(isinstance(leader, RedisLeader) for leader in made)
    yield app, *made
    app.close()


def end_lease(store) -> None:
    """What the server does when a leader is silent for too long."""
    assert store.delete("tq:lock:beat:beaten")


def call(app: TQ, name: str = "tick", slot: float = 1000.0, **options) -> Planned:
    task_id = slot_id("beaten", name, slot)

    def prepare():
        with app.capture() as messages:
            app.send_task("beat.tick", task_id=task_id, queue="beatq", **options)
        return messages

    def send():
        raise AssertionError("a call on Redis is published by the script")

    return Planned(name, task_id, Progress(slot=slot, last_run_at=slot), send, prepare)


def test_one_leads_and_the_other_does_when_it_resigns(leaders):
    _, first, second = leaders
    assert (first.lead(), second.lead()) == (True, False)
    assert 0 < second.patience() <= 60
    first.resign()
    assert second.lead()
    assert not first.lead()


def test_a_leader_publishes_nothing_once_its_lease_is_over(leaders, store):
    app, first, second = leaders
    assert first.lead()
    end_lease(store)
    assert second.lead()
    with pytest.raises(BrokerConnectionError, match="another beat leads"):
        first.send([call(app)])
    assert store.llen("beatq") == 0
    assert second.send([call(app)]) == [True]
    assert not first.lead()
    first.resign()
    assert second.lead(), "resigning must not take the lead from somebody else"


def test_a_lease_that_ended_unseen_is_taken_anew_with_another_fence(leaders, store):
    app, first, _ = leaders
    assert first.lead()
    end_lease(store)
    with pytest.raises(BrokerConnectionError):
        first.send([call(app)])
    assert first.lead()
    assert store.get("tq:lock:beat:beaten").startswith(b"2 ")
    assert first.send([call(app)]) == [True]


def test_a_slot_that_was_published_is_not_published_again(leaders, store):
    app, first, _ = leaders
    first.lead()
    assert first.send([call(app), call(app, "other")]) == [True, True]
    assert first.send([call(app), call(app, slot=1001.0)]) == [False, True]
    assert store.llen("beatq") == 3
    assert first.recall()["tick"].slot == 1001.0


def test_what_cannot_be_encoded_or_pushed_fails_alone(leaders, store):
    app, first, _ = leaders
    first.lead()
    store.set("taken", "a string")
    bad, odd = call(app, "bad", args=[object()]), call(app, "odd")
    odd.prepare = lambda: _to(app, "taken")
    answers = first.send([bad, odd, call(app, "good")])
    assert isinstance(answers[0], EncodeError)
    assert "WRONGTYPE" in str(answers[1])
    assert answers[2] is True
    assert store.llen("beatq") == 1


def _to(app: TQ, queue: str):
    with app.capture() as messages:
        app.send_task("beat.tick", queue=queue)
    return messages


def test_progress_that_cannot_be_read_is_left_out(leaders, store, caplog):
    _, first, _ = leaders
    first.note({"fresh": Progress(slot=5.0)})
    first.note({"fresh": Progress(slot=6.0)})
    store.hset("tq:beat:beaten", "broken", "\x80no json")
    with caplog.at_level(logging.WARNING):
        assert first.recall() == {"fresh": Progress(slot=5.0)}
    assert "broken" in caplog.text


@pytest.mark.timeout(60)
def test_a_server_that_restarts_costs_no_slot_twice(server, store):
    app = TQ("beaten", broker=server.url, set_as_current=False)
    app.conf.update(
        broker_lease=1.0,
        beat_schedule={"tick": {"task": "t", "schedule": 0.1, "options": {"queue": "beatq"}}},
    )
    service = Service(app, store=MemoryStore(), max_interval=0.1)
    service.start()
    try:
        eventually(lambda: store.llen("beatq") >= 3, within=60)
        server.kill()
        server.start()  # without its data, so with another leader's place to fill
        eventually(lambda: store.llen("beatq") >= 3, within=15)
        ids = [headers["id"] for headers in sent(store)]
        assert len(ids) == len(set(ids))
    finally:
        service.stop(time.monotonic() + 5)
        app.close()
    assert service.failure is None
