"""Memory, descriptors, disks and networks that end (F10, F18, F28 to F30, F46, F48)."""

import os
import time

import pytest

from tests.chaos.conftest import LEASE, Arena
from tests.support.ledger import children
from tests.support.processes import BIN, Process
from tests.support.proxy import Proxy
from tests.support.waiting import eventually

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(240)]


def test_f10_a_task_out_of_memory_fails_and_others_are_done(arena: Arena, figures) -> None:
    worker = arena.start("-c", "2")
    pool = children(worker.pid)
    hogs = [arena.send("hog", f"hog-{number}", 64 << 20) for number in range(4)]
    keys = arena.load("work", 200, 0.01)
    eventually(lambda: all(hog.state == "FAILURE" for hog in hogs), within=60, every=0.1)
    arena.ledger.wait_ended(len(keys), within=60)
    arena.wait_settled()
    account = arena.ledger.account(keys)
    kinds = {type(hog.result).__name__ for hog in hogs}
    figures(account, results=kinds, same_children=children(worker.pid) == pool)
    assert kinds == {"MemoryError"}
    assert not account.lost
    assert account.extra == 0
    assert worker.process.poll() is None


def test_f18_three_orderly_restarts_lose_no_early_acknowledged_task(arena: Arena, figures) -> None:
    worker = arena.start("-c", "4")
    keys = arena.load("early", 3000, 0.01)
    for _ in range(3):
        done = arena.ledger.ended()
        eventually(lambda done=done: arena.ledger.ended() > done + 150, within=60, every=0.05)
        arena.server.stop()
        time.sleep(1)  # the outage itself
        arena.server.start()
    arena.ledger.wait_ended(len(keys), within=90)
    arena.wait_settled()
    account = arena.ledger.account(keys)
    figures(account, alive=worker.process.poll() is None)
    assert not account.lost
    assert not account.unstarted
    assert account.extra == 0
    assert worker.process.poll() is None


def test_f28_a_half_open_connection_is_noticed_and_left(arena: Arena, figures) -> None:
    with Proxy(arena.server.port) as proxy:
        arena.url, direct = proxy.url, arena.url
        worker = arena.start("-c", "2", PEER_BACKEND=proxy.url)
        arena.url = direct
        keys = arena.load("work", 400, 0.05)
        eventually(lambda: arena.ledger.ended() > 40, within=30)
        proxy.silent = True
        silent = time.monotonic()
        worker.wait_for("does not answer", within=40)
        noticed = time.monotonic() - silent
        proxy.silent = False
        back = time.time()
        eventually(lambda: max(arena.ledger.times("start")) > back, within=40)
        resumed = min(at for at in arena.ledger.times("start") if at > back) - back
        arena.ledger.wait_ended(len(keys), within=60)
        arena.wait_settled()
        account = arena.ledger.account(keys)
        figures(account, noticed_after=f"{noticed:.1f} s", resumed_after=f"{resumed:.1f} s")
        assert worker.process.poll() is None
        worker.kill_tree()
    assert not account.lost
    assert account.extra <= 2 * 2
    assert noticed <= 22  # two commands, one after the other, may wait ten seconds each


def test_f29_a_full_server_pauses_the_worker_and_it_resumes(arena: Arena, figures) -> None:
    worker = arena.start("-c", "2")
    keys = arena.load("work", 120, 0.1)
    eventually(lambda: arena.ledger.ended() > 10, within=30)
    arena.redis.config_set("maxmemory", 1_000_000)
    worker.wait_for("OOM", within=15)
    time.sleep(2.5 * LEASE)  # so that a lease which is not renewed would lapse
    seconds, micros = arena.redis.time()
    ((_, ends),) = arena.redis.zrange("tq:consumers", 0, -1, withscores=True)
    paused_at = arena.ledger.ended()
    complaints = worker.output().count("OOM")
    arena.redis.config_set("maxmemory", 0)
    freed = time.monotonic()
    eventually(lambda: arena.ledger.ended() > paused_at, within=20, every=0.02)
    spent = time.monotonic() - freed
    arena.ledger.wait_ended(len(keys), within=60)
    arena.wait_settled()
    account = arena.ledger.account(keys)
    left = ends - seconds - micros / 1e6
    figures(account, lease_left=f"{left:.1f} s", resumed_after=f"{spent:.2f} s", lines=complaints)
    assert left > 0
    assert not account.lost
    assert account.extra == 0
    assert complaints <= 4
    assert worker.process.poll() is None


@pytest.mark.parametrize("policy", ["allkeys-lru", "volatile-ttl"])
def test_f30_a_policy_that_evicts_is_said_at_the_start(arena: Arena, figures, policy: str) -> None:
    arena.redis.config_set("maxmemory", 500_000_000)
    arena.redis.config_set("maxmemory-policy", policy)
    worker = arena.start("-c", "1")
    line = next(line for line in worker.output().splitlines() if "maxmemory-policy" in line)
    figures(line[26:200])
    assert ("ERROR" in line) == (policy == "allkeys-lru")
    assert policy in line
    assert arena.send("add", 1, 1).get(timeout=20) == 2


def limited(arena: Arena, concurrency: int, files: int) -> Process:
    """A worker that may have so many open files."""
    argv = [str(BIN / "tq"), "worker", "-A", "tests.support.tq_app", "-l", "INFO"]
    command = f'ulimit -n {files}; exec "$@"'
    shell = ["/bin/sh", "-c", command, "sh", *argv, "-n", "few@x", "-c", str(concurrency)]
    more = {"PEER_BACKEND": arena.url, "PEER_LEDGER": arena.ledger.url, "PEER_LEASE": str(LEASE)}
    worker = Process(shell, arena.url, **more)
    arena.workers.append(worker)
    return worker


def test_f46_sixty_four_descriptors_are_enough_for_four_children(arena: Arena, figures) -> None:
    worker = limited(arena, 4, 64)
    worker.wait_for(" ready.")
    keys = arena.load("work", 400, 0.01)
    for _ in range(5):
        arena.kill_a_child(worker)
        time.sleep(0.2)  # the rhythm of the kills
    arena.ledger.wait_ended(len(keys), within=60)
    arena.wait_settled()
    account = arena.ledger.account(keys)
    used = len(os.listdir(f"/proc/{worker.pid}/fd"))
    figures(account, descriptors=used)
    assert not account.lost
    assert worker.process.poll() is None


def test_f46_too_few_descriptors_are_named(arena: Arena, figures) -> None:
    worker = limited(arena, 40, 64)
    eventually(lambda: worker.process.poll() is not None, within=30)
    text = worker.output()
    said = next((line for line in text.splitlines() if "open files" in line), "nothing")
    figures(said[:160], exit_code=worker.process.poll())
    assert "need about 150 open files, and the limit is 64" in text
    assert "Traceback" not in text
    assert worker.process.poll() not in (0, None)


def test_f48_a_full_disk_for_the_log_stops_no_work(arena: Arena, figures) -> None:
    argv = [str(BIN / "tq"), "worker", "-A", "tests.support.tq_app", "-l", "INFO", "-c", "2"]
    more = {"PEER_BACKEND": arena.url, "PEER_LEDGER": arena.ledger.url, "PEER_LEASE": str(LEASE)}
    worker = Process([*argv, "-n", "full@x", "-f", "/dev/full"], arena.url, **more)
    arena.workers.append(worker)
    keys = arena.load("work", 300, 0.01)
    arena.ledger.wait_ended(len(keys), within=60)
    arena.wait_settled()
    account = arena.ledger.account(keys)
    code = worker.stop()
    stderr = len(worker.output())
    figures(account, exit_code=code, stderr_bytes=stderr)
    assert not account.lost
    assert account.extra == 0
    assert code == 0
    assert stderr < 20_000
