"""Children and whole workers are killed, stopped and frozen (F1 to F17, F37, F50)."""

import itertools
import os
import signal
import time

import pytest

from tests.chaos.conftest import LEASE, Arena
from tests.support.ledger import alive, children
from tests.support.waiting import eventually

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(300)]


def results(arena: Arena) -> tuple[int, int]:
    """Count the results, and among them those that say that the process was lost."""
    metas = arena.redis.mget(list(arena.redis.scan_iter("celery-task-meta-*")))
    return len(metas), sum("WorkerLostError" in meta for meta in metas)


def test_f1_early_acknowledged_tasks_of_killed_children_are_reported(arena: Arena, figures) -> None:
    """F1: a task lost with its child has a FAILURE result; what had not started is not lost."""
    worker = arena.start("-c", "4")
    keys = arena.load("early", 2000, 0.02)
    kills = 0
    deadline = time.monotonic() + 25
    while time.monotonic() < deadline and arena.unsettled():
        time.sleep(0.4)  # the catalogue's rhythm
        kills += arena.kill_a_child(worker) is not None
    arena.wait_settled()
    eventually(lambda: not arena.running_early(), within=20)
    # Every task leaves a result: the others ended.
    eventually(lambda: results(arena)[0] == len(keys), within=20)
    account = arena.ledger.account(keys)
    failures = results(arena)[1]
    figures(account, kills=kills, failures=failures)
    assert account.extra == 0
    # Or after its last line, before it could tell: that one did its work and counts as lost.
    assert len(account.lost) <= failures <= kills


@pytest.mark.parametrize("task", ["work", "late"], ids=["f2-late", "f3-late-reject"])
def test_f2_f3_late_tasks_of_killed_children_run_again(arena: Arena, figures, task: str) -> None:
    worker = arena.start("-c", "4")
    keys = arena.load(task, 2000, 0.02)
    kills = 0
    deadline = time.monotonic() + 25
    while time.monotonic() < deadline and arena.unsettled():
        time.sleep(0.4)  # the catalogue's rhythm
        kills += arena.kill_a_child(worker) is not None
    arena.wait_settled()
    account = arena.ledger.account(keys)
    times = sorted(arena.ledger.times("end"))
    silence = max(b - a for a, b in itertools.pairwise(times))
    figures(account, kills=kills, silence=f"{silence:.2f} s")
    assert not account.lost
    assert account.extra <= kills
    assert arena.redis.llen("tq:dead") == 0


def test_f4_a_killed_tree_is_taken_over_within_fifteen_seconds(arena: Arena, figures) -> None:
    """F4: the default lease of 10 s."""
    first = arena.start("-c", "4", PEER_LEASE="10")
    keys = arena.load("work", 2000, 0.005)
    eventually(lambda: arena.ledger.ended() > 800, within=60, every=0.05)
    first.kill_tree()
    held = arena.held()
    killed = time.time()
    arena.start("-c", "4", PEER_LEASE="10")
    arena.ledger.wait_ended(len(keys), within=60)
    arena.wait_settled()
    account = arena.ledger.account(keys)
    recovered = max(arena.ledger.times("end")) - killed
    figures(account, held=held, recovered=f"{recovered:.1f} s")
    assert not account.lost
    assert account.extra <= held
    assert recovered < 30  # 15 s, and the rest of the work on a busy machine


def test_f8_twenty_killed_trees_lose_nothing(arena: Arena, figures) -> None:
    keys = arena.load("work", 6000, 0.005)
    extra_allowed = 0
    for kill in range(20):
        worker = arena.start("-c", "4")
        done = arena.ledger.length()
        eventually(lambda done=done: arena.ledger.length() > done + 40, within=30, every=0.02)
        time.sleep(0.1 * (kill % 7))  # so that the kills fall anywhere
        worker.kill_tree()
        extra_allowed += arena.held()
    gone_before_restart = len(keys) - arena.ledger.ended() - arena.unsettled()
    arena.start("-c", "4")
    arena.ledger.wait_ended(len(keys), within=120)
    arena.wait_settled()
    account = arena.ledger.account(keys)
    figures(account, missing_before_restart=gone_before_restart, dead=arena.redis.llen("tq:dead"))
    assert not account.lost
    assert account.extra <= extra_allowed
    assert arena.held() == 0


def test_f9_children_end_with_their_parent(arena: Arena, figures) -> None:
    worker = arena.start("-c", "4")
    keys = arena.load("work", 400, 0.05)
    eventually(lambda: arena.ledger.ended() > 20, within=30)
    pool = children(worker.pid)
    os.kill(worker.pid, signal.SIGKILL)
    killed = time.monotonic()
    eventually(lambda: not any(alive(pid) for pid in pool), within=2)
    spent = time.monotonic() - killed
    held = arena.held()
    arena.start("-c", "4")
    arena.wait_settled()
    account = arena.ledger.account(keys)
    figures(account, orphans_gone_after=f"{spent:.2f} s", held=held)
    assert len(pool) == 4
    assert not account.lost
    assert account.extra <= held


def test_f11_poison_ends_in_the_dead_letters_and_others_are_done(arena: Arena, figures) -> None:
    arena.start("-c", "4")
    poison = arena.send("die", "poison")
    keys = arena.load("work", 200, 0.01)
    arena.ledger.wait_ended(len(keys), within=60)
    eventually(lambda: poison.state == "FAILURE", within=60)
    arena.wait_settled()
    account = arena.ledger.account(keys)
    runs = arena.ledger.count("start")["poison"]
    figures(account, poison_runs=runs, dead=arena.redis.llen("tq:dead"))
    assert not account.lost
    assert runs <= 6
    assert arena.redis.llen("tq:dead") == 1


@pytest.mark.parametrize("task", ["early", "work"], ids=["f12-early", "f13-late"])
def test_f12_f13_eight_rolling_stops_lose_and_repeat_nothing(
    arena: Arena, figures, task: str
) -> None:
    keys = arena.load(task, 6000, 0.02)
    worker = arena.start("-c", "4")
    longest = 0.0
    for _ in range(8):
        successor = arena.start("-c", "4")
        done = arena.ledger.length()
        eventually(lambda done=done: arena.ledger.length() > done + 60, within=30, every=0.02)
        asked = time.monotonic()
        worker.signal(signal.SIGTERM)
        assert worker.process.wait(20) == 0
        longest = max(longest, time.monotonic() - asked)
        worker = successor
    arena.ledger.wait_ended(len(keys), within=90)
    arena.wait_settled()
    account = arena.ledger.account(keys)
    figures(account, longest_stop=f"{longest:.2f} s")
    assert not account.lost
    assert account.extra == 0


def test_f14_a_kill_after_a_short_grace_gives_back_and_reports(arena: Arena, figures) -> None:
    """F14: TERM, 3 s, KILL, with early acknowledged tasks of 8 s."""
    worker = arena.start("-c", "4")
    keys = arena.load("early", 24, 8.0)
    eventually(lambda: len(arena.ledger.count("start")) == 4, within=20)
    worker.signal(signal.SIGTERM)
    time.sleep(3)  # the grace itself
    queued = arena.redis.llen("celery")
    worker.kill_tree()
    arena.start("-c", "4")
    eventually(lambda: arena.ledger.ended() >= 20, within=100, every=0.2)

    def metas() -> list[str]:
        return [arena.redis.get(key) for key in arena.redis.scan_iter("celery-task-meta-*")]

    eventually(lambda: len(metas()) == 24, within=30, every=0.2)
    account = arena.ledger.account(keys)
    reported = sum("WorkerLostError" in meta for meta in metas())
    figures(account, given_back_before_the_kill=queued, reported=reported)
    assert queued == 20
    assert not account.unstarted
    assert account.extra == 0
    assert reported == len(account.lost) == 4


def test_f37_a_zombie_settles_nothing(arena: Arena, figures) -> None:
    """F37: a tree frozen for 3 leases has its work done elsewhere; what it ends counts nothing."""
    zombie = arena.start("-c", "1")
    result = arena.send("work", "frozen", 2.0)
    eventually(lambda: arena.ledger.count("start")["frozen"] == 1, within=20)
    pids = [*children(zombie.pid), zombie.pid]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    arena.start("-c", "1")
    eventually(lambda: result.state == "SUCCESS", within=4 * LEASE + 10)
    first = arena.redis.get(f"celery-task-meta-{result.id}")
    for pid in pids:
        os.kill(pid, signal.SIGCONT)
    eventually(lambda: arena.ledger.count("end")["frozen"] == 2, within=20)
    keys = arena.load("work", 50, 0.0)
    arena.ledger.wait_ended(51, within=30)
    arena.wait_settled()
    figures(arena.ledger.account([*keys, "frozen"]), zombie_alive=zombie.process.poll() is None)
    assert arena.redis.get(f"celery-task-meta-{result.id}") == first
    assert zombie.process.poll() is None


ORDERS = ["TERM TERM TERM TERM TERM TERM TERM TERM TERM TERM", "INT INT INT", "HUP TERM", "USR1 USR1 TERM",
          "USR1 HUP HUP USR1 TERM", "QUIT TERM INT", "TERM HUP USR1 INT"]  # fmt: skip


@pytest.mark.parametrize("order", ORDERS)
def test_f50_signal_storms_end_the_worker_and_lose_nothing(
    arena: Arena, figures, order: str
) -> None:
    worker = arena.start("-c", "2")
    keys = arena.load("work", 60, 0.05)
    eventually(lambda: arena.ledger.ended() > 4, within=20)
    for name in order.split():
        if worker.process.poll() is None:
            worker.signal(getattr(signal, f"SIG{name}"))
            time.sleep(0.1)  # so that each is seen on its own
    eventually(lambda: worker.process.poll() is not None, within=20)
    code = worker.process.returncode
    worker.kill_tree()  # HUP leaves a successor in the same group
    arena.start("-c", "2")
    arena.ledger.wait_ended(len(keys), within=60)
    arena.wait_settled()
    account = arena.ledger.account(keys)
    figures(account, exit_code=code)
    assert not account.lost
    assert account.extra <= 2 * 2
    assert "Traceback" not in worker.output()
