"""tq and Celery on one broker, long waits, chords under fire, bad messages (F25 to F27, F43, F51, F52)."""

import json
import os
import signal
import time

import pytest

from tests.chaos.conftest import Arena
from tests.support.ledger import children, resident_kib
from tests.support.waiting import eventually
from tq import chord

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(240)]
# A Celery peer that sweeps each second what is older than five.
SWEEPING = json.dumps(
    {"visibility_timeout": 5, "unacked_restore_interval": 1, "unacked_restore_throttle": 1}
)


def idle_sweeper(arena: Arena) -> None:
    """A Celery worker on a queue of its own: it only sweeps what others hold."""
    arena.start("-Q", "elsewhere", kind="celery", PEER_TRANSPORT=SWEEPING)


def test_f25_tasks_longer_than_a_peers_timeout_run_once(arena: Arena, figures) -> None:
    arena.start("-c", "2")
    idle_sweeper(arena)
    keys = arena.load("work", 2, 20.0)
    arena.ledger.wait_ended(2, within=60)
    arena.wait_settled()
    account = arena.ledger.account(keys)
    figures(account)
    assert not account.lost
    assert account.extra == 0


def test_f26_etas_beyond_a_peers_timeout_run_once_and_on_time(arena: Arena, figures) -> None:
    arena.start("-c", "4")
    idle_sweeper(arena)
    due = time.time() + 25
    keys = arena.load("work", 50, 0.0, countdown=25)
    arena.ledger.wait_ended(50, within=60)
    arena.wait_settled()
    account = arena.ledger.account(keys)
    times = [at - due for at in arena.ledger.times("start")]
    figures(account, first=f"{min(times):+.2f} s", last=f"{max(times):+.2f} s")
    assert not account.lost
    assert account.extra == 0
    assert min(times) >= -0.05  # the countdown began a moment after `due` was computed


def test_f27_twenty_thousand_etas_cost_no_memory(arena: Arena, figures) -> None:
    worker = arena.start("-c", "2")
    warm = arena.load("early", 500, 0.0)
    arena.ledger.wait_ended(len(warm), within=30)
    before = resident_kib(worker.pid)
    arena.load("work", 20_000, 0.0, countdown=3600)
    eventually(lambda: arena.redis.zcard("tq:delayed") == 20_000, within=90, every=0.2)
    after = resident_kib(worker.pid)
    sent = time.monotonic()
    keys = arena.load("late", 100, 0.0)
    arena.ledger.wait_ended(len(warm) + 100, within=30)
    spent = time.monotonic() - sent
    figures(arena.ledger.account(keys), grown=f"{after - before} KiB", hundred=f"{spent:.2f} s")
    assert after - before <= 5 * 1024


def test_f43_a_chords_body_runs_once_while_children_are_killed(arena: Arena, figures) -> None:
    worker = arena.start("-c", "4")
    parts = [arena.app.signature("peer.late", args=(str(n), 0.01)) for n in range(1000)]
    body = arena.app.signature("peer.work", args=("body",), immutable=True)
    result = chord(parts, app=arena.app)(body)
    kills = 0
    deadline = time.monotonic() + 60
    while not result.ready() and time.monotonic() < deadline:
        kills += arena.kill_a_child(worker) is not None
        time.sleep(0.2)  # the rhythm of the kills
    assert result.get(timeout=30) == "body"
    arena.wait_settled()
    account = arena.ledger.account([str(n) for n in range(1000)])
    bodies = arena.ledger.count("end")["body"]
    figures(account, kills=kills, bodies=bodies)
    assert not account.lost
    # The body's own process may be the one that is killed; it is sent once, and ends once.
    assert bodies == 1


@pytest.mark.parametrize("victim", ["tq", "celery"])
def test_f51_either_half_of_a_mixed_fleet_may_die(arena: Arena, figures, victim: str) -> None:
    peers = {
        "tq": arena.start("-c", "2"),
        "celery": arena.start("-c", "2", kind="celery", PEER_TRANSPORT=SWEEPING),
    }
    keys = arena.load("late", 600, 0.02)
    eventually(lambda: arena.ledger.ended() > 150, within=60, every=0.05)
    peers[victim].kill_tree()
    held = arena.held()
    if victim == "celery":
        # Nobody but Celery sweeps what a Celery worker held.
        arena.start("-Q", "elsewhere", kind="celery", PEER_TRANSPORT=SWEEPING)
    arena.ledger.wait_ended(len(keys), within=90)
    arena.wait_settled()
    account = arena.ledger.account(keys)
    figures(account, held=held)
    assert not account.lost
    assert account.extra <= held


def test_f52_a_bad_message_does_not_hold_up_fifty_good_ones(arena: Arena, figures) -> None:
    worker = arena.start("-c", "2")
    arena.app.send_task("peer.work", ("first",))
    arena.ledger.wait_ended(1, within=20)
    arena.wait_settled()
    arena.app.send_task("peer.work", ("template",), queue="spare")
    template = json.loads(arena.redis.lpop("spare"))
    bad = ["not json", "{}", "null", "[]", "\x00\x01", '{"body": ']
    for change in (
        {"body": "bnVsbA=="}, {"body": "W1sxXSwge31d"}, {"body": "%%%"}, {"headers": None},
        {"headers": []}, {"properties": None}, {"content-type": "application/x-python-serialize"},
    ):  # fmt: skip
        bad.append(json.dumps({**template, **change}))
    for name, value in (("id", None), ("id", []), ("task", None), ("task", []), ("timelimit", "x")):
        bad.append(json.dumps({**template, "headers": {**template["headers"], name: value}}))
    for text in bad:
        arena.redis.lpush("celery", text)
    began = time.monotonic()
    keys = arena.load("late", 50, 0.0)
    eventually(lambda: not [k for k in keys if k not in arena.ledger.count("end")], within=20)
    spent = time.monotonic() - began
    arena.wait_settled()
    dead = arena.redis.llen("tq:dead")
    figures(arena.ledger.account(keys), bad=len(bad), dead=dead, done_after=f"{spent:.2f} s")
    assert worker.process.poll() is None
    assert "Traceback" not in worker.output()
    assert dead >= len(bad) - 5  # a bad optional field is set to its default instead


def test_a_frozen_child_does_not_make_its_parent_lose_the_lease(arena: Arena, figures) -> None:
    """F38's sibling: the parent keeps the lease while a child cannot run at all."""
    worker = arena.start("-c", "1")
    other = arena.start("-c", "1")
    arena.send("work", "stuck", 1.0)
    eventually(lambda: arena.ledger.count("start")["stuck"], within=20)
    line = next(line for line in arena.ledger.lines() if line[1] == "stuck")
    owner = worker if int(line[3]) in children(worker.pid) else other
    assert int(line[3]) in children(owner.pid)
    os.kill(int(line[3]), signal.SIGSTOP)
    time.sleep(12)  # three leases
    os.kill(int(line[3]), signal.SIGCONT)
    arena.wait_settled()
    account = arena.ledger.account(["stuck"])
    figures(account)
    assert account.extra == 0
