"""The broker is killed, restarted, cut off, frozen and spoiled (F16 to F24, F31, F33)."""

import signal
import time

import pytest

from tests.chaos.conftest import Arena
from tests.support.waiting import eventually

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(240)]


def under_way(arena: Arena, number: int = 200) -> None:
    """Wait until so many tasks have ended."""
    eventually(lambda: arena.ledger.ended() > number, within=60, every=0.05)


def resumed(arena: Arena, since: float) -> float:
    """Wait for the next start after a wall time; returns how long that took."""
    return eventually(
        lambda: min((at for at in arena.ledger.times("start") if at > since), default=0), 60, 0.05
    ) - since  # fmt: skip


@pytest.mark.parametrize("how", ["kill", "stop"], ids=["f16-kill", "f17-orderly"])
def test_f16_f17_a_server_with_aof_comes_back_and_nothing_is_lost(
    arena: Arena, figures, how: str
) -> None:
    worker = arena.start("-c", "4")
    keys = arena.load("work", 2000, 0.02)
    time.sleep(1.2)  # `everysec` has the load on disk
    under_way(arena)
    getattr(arena.server, how)()
    time.sleep(2)  # the outage itself
    arena.server.start()
    back = time.time()
    spent = resumed(arena, back)
    arena.ledger.wait_ended(len(keys), within=90)
    arena.wait_settled()
    account = arena.ledger.account(keys)
    figures(account, resumed_after=f"{spent:.2f} s", alive=worker.process.poll() is None)
    assert worker.process.poll() is None
    assert not account.lost
    # A server killed between two syncs may forget a second of settlements: those run again.
    assert account.extra <= (300 if how == "kill" else 8)


def test_f19_a_server_that_forgot_everything_is_reported(arena: Arena, figures) -> None:
    arena.redis.config_set("appendonly", "no")
    worker = arena.start("-c", "4")
    arena.load("work", 1000, 0.02)
    under_way(arena, 50)
    arena.server.kill()
    for path in arena.server.folder.glob("appendonlydir/*"):
        path.unlink()
    arena.server.start()
    worker.wait_for("restarted or replaced", within=30)
    more = [arena.send("add", number, 1) for number in range(20)]
    assert [result.get(timeout=30) for result in more] == [n + 1 for n in range(20)]
    said = next(line for line in worker.output().splitlines() if "restarted or replaced" in line)
    figures(said[:200], alive=worker.process.poll() is None)
    assert worker.process.poll() is None


def test_f20_connections_cut_twenty_times_lose_nothing(arena: Arena, figures) -> None:
    worker = arena.start("-c", "4")
    keys = arena.load("work", 2500, 0.02)
    under_way(arena, 50)
    progress = []
    for _ in range(20):
        before = arena.ledger.ended()
        arena.redis.client_kill_filter(_type="normal", skipme=True)
        arena.redis.client_kill_filter(_type="pubsub")
        time.sleep(0.5)  # the catalogue's rhythm
        progress.append(arena.ledger.ended() - before)
    arena.ledger.wait_ended(len(keys), within=90)
    arena.wait_settled()
    account = arena.ledger.account(keys)
    figures(account, least_progress=min(progress), alive=worker.process.poll() is None)
    assert worker.process.poll() is None
    assert not account.lost
    assert account.extra <= 4 * 20
    assert sum(progress) > 0


@pytest.mark.parametrize("how", ["f22-pause", "f23-sleep", "f24-stop"])
def test_f22_f24_a_frozen_server_makes_nothing_run_twice(arena: Arena, figures, how: str) -> None:
    arena.start("-c", "2")
    arena.start("-c", "2")
    keys = arena.load("work", 1500, 0.02)
    under_way(arena, 100)
    if how == "f22-pause":
        arena.redis.execute_command("CLIENT", "PAUSE", 5000, "ALL")
        time.sleep(5)  # the fault itself
    elif how == "f23-sleep":
        arena.redis.execute_command("DEBUG", "SLEEP", 5)
    else:
        arena.server.signal(signal.SIGSTOP)
        time.sleep(20)  # the fault itself: five leases
        arena.server.signal(signal.SIGCONT)
    spent = resumed(arena, time.time())
    arena.ledger.wait_ended(len(keys), within=60)
    arena.wait_settled()
    account = arena.ledger.account(keys)
    figures(account, resumed_after=f"{spent:.2f} s")
    assert not account.lost
    assert account.extra <= (4 if how == "f24-stop" else 0)


@pytest.mark.parametrize("key", ["celery", "unacked", "unacked_index"])
def test_f31_a_key_of_a_wrong_type_is_named_and_outlived(arena: Arena, figures, key: str) -> None:
    worker = arena.start("-c", "2")
    assert arena.send("add", 1, 1).get(timeout=20) == 2
    arena.wait_settled()
    arena.redis.delete(key)
    arena.redis.set(key, "x")
    if key != "celery":
        # Something to fetch, so that the key is touched.
        arena.app.send_task("peer.work", ("while-broken",))

    def named() -> bool:
        text = worker.output()
        return f"the key {key} " in text

    began = time.monotonic()
    eventually(named, within=20)
    spent = time.monotonic() - began
    time.sleep(3)  # long enough for a flood of the same line
    lines = worker.output().count(f"the key {key} ")
    assert worker.process.poll() is None
    arena.redis.delete(key)
    result = arena.send("add", 2, 2)
    began = time.monotonic()
    assert result.get(timeout=30) == 4
    resumed_after = f"{time.monotonic() - began:.2f} s"
    figures(
        "one key spoilt", named_after=f"{spent:.2f} s", lines=lines, resumed_after=resumed_after
    )
    eventually(lambda: "serves again" in worker.output(), within=10)
    assert worker.process.poll() is None
    assert "Traceback" not in worker.output()
    assert lines <= 3


def test_f33_flushed_scripts_are_loaded_again(arena: Arena, figures) -> None:
    worker = arena.start("-c", "4")
    keys = arena.load("work", 1000, 0.01)
    for number in range(10):
        under_way(arena, number * 50)
        arena.redis.script_flush()
    arena.ledger.wait_ended(len(keys), within=60)
    arena.wait_settled()
    account = arena.ledger.account(keys)
    figures(account, errors=worker.output().count("ERROR"))
    assert not account.lost
    assert account.extra == 0
    assert "NOSCRIPT" not in worker.output()
    assert "ERROR" not in worker.output()
