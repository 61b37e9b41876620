"""What a worker remembers, and in what order it forgets."""

from pathlib import Path

import pytest

from tq.clock import LamportClock, SystemClock
from tq.errors import ConfigError
from tq.worker.limits import REVOKED_SECONDS, RevokedIds
from tq.worker.loop import Loop
from tq.worker.restart import restart_command
from tq.worker.revocations import Revocations
from tq.worker.statedb import StateFile


def test_restored_ids_keep_their_age_and_those_known_keep_theirs() -> None:
    revoked = RevokedIds()
    revoked.add(["b"], 100.0)
    revoked.restore([("a", 50.0), ("b", 10.0), ("future", 900.0)], 200.0)
    assert revoked.items() == [("a", 50.0), ("b", 100.0), ("future", 200.0)]
    revoked.expire(60.0 + REVOKED_SECONDS)
    assert list(revoked) == ["b", "future"]


def test_a_state_file_that_cannot_be_written_is_an_error_of_configuration(tmp_path: Path) -> None:
    loop = Loop()
    try:
        file = StateFile(
            loop, str(tmp_path / "no" / "such"), RevokedIds(), LamportClock(), SystemClock()
        )
        with pytest.raises(ConfigError, match="--statedb"):
            file.start()
        file.stop(0.0)  # never started: nothing to write
    finally:
        loop.close()


def test_a_restart_runs_the_same_command_in_the_foreground_of_its_pid() -> None:
    argv = ["python3", "-X", "dev", "-m", "tqconsole", "-A", "proj", "worker", "-D", "-c", "2"]
    assert restart_command(argv, "/venv/bin/python") == [
        "/venv/bin/python", "-X", "dev", "-m", "tqconsole", "-A", "proj", "worker", "-c", "2",
    ]  # fmt: skip


class Store:
    """What the broker's server remembers."""

    def __init__(self) -> None:
        self.ids: dict[str, float] = {}
        self.asked: list[float] = []

    def revoke(self, ids: list[str], expires: float) -> None:
        self.ids.update(dict.fromkeys(ids, expires))

    def revoked(self, since: float, limit: int) -> list[tuple[str, float]]:
        self.asked.append(since)
        found = [(one, expires) for one, expires in self.ids.items() if expires >= since]
        return sorted(found, key=lambda entry: entry[1])[-limit:]


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def time(self) -> float:
        return self.now

    monotonic = time


def test_ids_that_others_revoked_are_read_and_do_not_grow_young_again() -> None:
    store, clock, revoked, loop = Store(), Clock(), RevokedIds(), Loop()
    try:
        tie = Revocations(loop, store, revoked, clock)
        store.revoke(["a"], clock.now + REVOKED_SECONDS)
        tie.read_all()
        clock.now += 600.0
        tie.read_all()
        assert revoked.items() == [("a", 1_000.0)]
        tie.share(["b"])
        assert store.ids["b"] == clock.now + REVOKED_SECONDS
    finally:
        loop.close()
