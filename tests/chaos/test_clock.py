"""Beat and worker while their machine's clock is set (F36, F44, F45), with libfaketime.

The processes see another wall clock than the broker and this test; the monotonic clock is real.
"""

import json
import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import redis

from tests.support.processes import BIN, Process
from tests.support.services import RedisServer, redis_server
from tests.support.waiting import eventually
from tq import TQ
from tq.beat.entry import slot_id

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(180)]

APP = ("-A", "tests.support.clock_app")
LIBRARY = next(iter(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1")), None)
DAY = timedelta(days=1)


class SetClock:
    """The wall clock of the processes that get `env`."""

    def __init__(self, file: Path) -> None:
        if LIBRARY is None:
            pytest.skip("libfaketime is not there (package faketime)")
        self._file = file
        self.env = {
            "LD_PRELOAD": str(LIBRARY),
            "FAKETIME_TIMESTAMP_FILE": str(file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "FAKETIME_DONT_RESET": "1",
        }

    def set(self, moment: datetime) -> None:
        """Let it be `moment` now; time goes on from there."""
        self.shift(moment.timestamp() - time.time())

    def shift(self, seconds: float) -> None:
        """Let it be so many seconds ahead of this machine's clock."""
        beside = self._file.with_suffix(".new")
        beside.write_text(f"{seconds:+.3f}\n")
        beside.replace(self._file)


@pytest.fixture
def clock(tmp_path: Path) -> SetClock:
    return SetClock(tmp_path / "clock")


@pytest.fixture
def server() -> Iterator[RedisServer]:
    with redis_server(tcp=True) as running:
        yield running


@pytest.fixture
def store(server: RedisServer) -> Iterator[redis.Redis]:
    with redis.Redis(port=server.port, decode_responses=True) as client:
        yield client


@pytest.fixture
def start(server: RedisServer, tmp_path: Path) -> Iterator[Callable[..., Process]]:
    """Start `tq` with a command on a clock; its end is seen to."""
    running: list[Process] = []

    def begin(clock: SetClock, *argv: str, **env: str) -> Process:
        argv = (str(BIN / "tq"), *APP, *argv)
        running.append(Process(list(argv), server.url, **clock.env, **env))
        return running[-1]

    yield begin
    for process in running:
        process.__exit__(None, None, None)


class Beat:
    """A beat on a clock of its own, with the entries of a test and `mark`, five times a second."""

    def __init__(self, start, store, clock: SetClock, folder: Path, **options) -> None:
        self.store, self.clock = store, clock
        self.entries = options.pop("entries")
        self._start, self._options, self._folder = start, options, folder
        self.process = self.begin()

    def begin(self) -> Process:
        entries = json.dumps({**self.entries, "mark": 0.2})
        argv = ["beat", "--pidfile=", "-l", "INFO", "--max-interval", "0.2"]
        process = self._start(
            self.clock, *argv, "-s", str(self._folder / "state"), CLOCK_ENTRIES=entries,
            **self._options,
        )  # fmt: skip
        process.wait_for("this beat leads")
        self.look()
        return process

    def look(self) -> None:
        """Wait until beat has looked at the clock as it is now, more than once."""
        before = self.store.llen("q-mark")
        eventually(lambda: self.store.llen("q-mark") >= before + 4, within=60)

    def at(self, moment: datetime) -> None:
        """Set the clock, and wait until beat has looked at it."""
        self.clock.set(moment)
        self.look()

    def sent(self, name: str) -> list[str]:
        """Ids of what was sent of an entry, oldest first."""
        raw = reversed(self.store.lrange(f"q-{name}", 0, -1))
        return [json.loads(message)["headers"]["id"] for message in raw]

    def expect(self, name: str, *slots: datetime) -> None:
        """Exactly these slots were sent, in this order."""
        assert self.sent(name) == [slot_id("clock", name, slot.timestamp()) for slot in slots]

    def close(self) -> None:
        """End it in order; no slot was sent twice."""
        assert self.process.stop() == 0
        assert "Traceback" not in self.process.output()
        marks = Counter(self.sent("mark"))
        assert max(marks.values()) == 1


@pytest.fixture
def beat(start, store, clock, tmp_path):
    def begin(moment: datetime, entries: dict, **options: str) -> Beat:
        clock.set(moment)
        return Beat(start, store, clock, tmp_path, entries=entries, **options)

    return begin


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def test_f45_over_a_gap_each_slot_is_sent_once(beat) -> None:
    """In Berlin 02:00 to 03:00 of 29 March 2026 does not exist; it is 01:00 in UTC."""
    entries = {"gap": "30 2 * * *", "hourly": "0 * * * *"}
    run = beat(utc("2026-03-29 00:10:00"), entries, CLOCK_ZONE="Europe/Berlin")
    for moment in ("01:00:01", "01:15:00", "01:30:01", "02:00:01"):
        run.at(utc(f"2026-03-29 {moment}"))
    run.expect("gap", utc("2026-03-29 01:30"))  # as much later as the gap is wide
    run.expect("hourly", utc("2026-03-29 01:00"), utc("2026-03-29 02:00"))
    run.at(utc("2026-03-30 00:30:01"))
    run.expect("gap", utc("2026-03-29 01:30"), utc("2026-03-30 00:30"))
    run.close()


def test_f45_over_an_overlap_each_slot_is_sent_once(beat) -> None:
    """In Berlin 02:00 to 03:00 of 25 October 2026 comes twice: from 00:00 and from 01:00 in UTC."""
    entries = {"twice": "30 2 * * *", "hourly": "0 * * * *"}
    run = beat(utc("2026-10-25 00:10:00"), entries, CLOCK_ZONE="Europe/Berlin")
    for moment in ("00:30:01", "01:00:01", "01:30:01", "02:00:01"):
        run.at(utc(f"2026-10-25 {moment}"))
    run.expect("twice", utc("2026-10-25 00:30"))
    run.expect("hourly", utc("2026-10-25 01:00"), utc("2026-10-25 02:00"))
    run.at(utc("2026-10-26 01:30:01"))
    run.expect("twice", utc("2026-10-25 00:30"), utc("2026-10-26 01:30"))
    run.close()


def test_f45_a_clock_set_back_an_hour_repeats_no_slot_and_stops_nothing(beat) -> None:
    day = utc("2026-05-04 00:00")
    run = beat(day.replace(hour=12, minute=30), {"hourly": "0 * * * *"})
    run.at(day.replace(hour=13, second=1))
    run.at(day.replace(hour=12, minute=20))
    run.at(day.replace(hour=13, second=1))
    run.expect("hourly", day.replace(hour=13))
    run.at(day.replace(hour=14, second=1))
    run.expect("hourly", day.replace(hour=13), day.replace(hour=14))
    run.close()


def test_f45_a_year_ahead_and_back_costs_one_run(beat) -> None:
    day = utc("2026-05-04 00:00")
    run = beat(day.replace(hour=12, minute=30), {"hourly": "0 * * * *"})
    run.at(day.replace(year=2027, hour=12, minute=30))
    run.expect("hourly", day.replace(year=2027, hour=12))
    run.at(day.replace(hour=12, minute=40))
    run.at(day.replace(hour=13, second=1))
    run.expect("hourly", day.replace(year=2027, hour=12), day.replace(hour=13))
    run.close()


@pytest.mark.parametrize("catchup", [True, False])
def test_f45_slots_missed_by_a_jump_are_caught_up_if_the_setting_says_so(beat, catchup) -> None:
    day = utc("2026-05-04 00:00")
    run = beat(
        day.replace(hour=12, minute=30), {"hourly": "0 * * * *"}, CLOCK_CATCHUP=str(int(catchup))
    )
    run.at(day.replace(hour=15, minute=30))
    late = [day.replace(hour=15)] if catchup else []
    run.expect("hourly", *late)
    run.at(day.replace(hour=16, second=1))
    run.expect("hourly", *late, day.replace(hour=16))
    run.close()


def test_f45_a_machine_that_slept_catches_up_once(beat) -> None:
    """As suspended: the process stands still, and finds another wall clock when it goes on."""
    day = utc("2026-05-04 00:00")
    run = beat(day.replace(hour=12, minute=1), {"often": "*/10 * * * *"})
    os.kill(run.process.pid, signal.SIGSTOP)
    run.clock.set(day.replace(hour=13, minute=24))
    os.kill(run.process.pid, signal.SIGCONT)
    run.look()
    run.expect("often", day.replace(hour=13, minute=20))
    run.close()


def test_f45_a_beat_that_was_killed_before_the_change_goes_on_after_it(beat) -> None:
    run = beat(utc("2026-03-28 12:00:00"), {"gap": "30 2 * * *"}, CLOCK_ZONE="Europe/Berlin")
    run.process.kill_tree()
    run.clock.set(utc("2026-03-29 01:30:01"))
    run.process = run.begin()
    run.expect("gap", utc("2026-03-29 01:30"))
    run.close()


def test_f44_beats_whose_clocks_differ_send_no_slot_twice(beat, start, store, tmp_path) -> None:
    """The second is two minutes ahead: it leads once the first is killed, and the first again."""
    moment = utc("2026-05-04 12:00:00")
    run = beat(moment, {"often": "* * * * *"})
    run.at(moment.replace(minute=1, second=1))
    run.expect("often", moment.replace(minute=1))
    ahead = SetClock(tmp_path / "ahead")
    ahead.set(moment.replace(minute=3, second=1))
    run.process.kill_tree()
    (tmp_path / "second").mkdir()
    second = Beat(start, store, ahead, tmp_path / "second", entries=run.entries)
    second.expect("often", moment.replace(minute=1), moment.replace(minute=3))
    second.process.kill_tree()
    run.clock.set(moment.replace(minute=2, second=30))
    run.process = run.begin()
    run.at(moment.replace(minute=3, second=30))
    run.at(moment.replace(minute=4, second=1))
    slots = [moment.replace(minute=minute) for minute in (1, 3, 4)]
    run.expect("often", *slots)
    run.close()


@pytest.mark.parametrize("jump", [3600.0, -3600.0, 90 * 86400.0])
def test_f36_a_worker_whose_clock_is_set_loses_and_repeats_nothing(
    start, clock, server, store, jump: float
) -> None:
    """Of two workers one has its clock set while it holds tasks, and others wait for their time."""
    right = SetClock(clock._file.with_name("right"))
    for one in (clock, right):
        one.shift(0.0)
    workers = [
        start(one, "worker", "-P", pool, "-c", "2", "-l", "INFO", "-n", f"{pool}@clock",
              CLOCK_NOTES=server.url)
        for one, pool in ((clock, "prefork"), (right, "threads"))
    ]  # fmt: skip
    for worker in workers:
        worker.wait_for(" ready.")
    with TQ("client", broker=server.url, set_as_current=False) as app:
        before = [f"before-{number}" for number in range(40)]
        for key in before:
            app.send_task("clock.work", (key, 0.1))
        eventually(lambda: store.llen("ended") >= 4, within=60)
        clock.shift(jump)
        later = [f"later-{number}" for number in range(10)]
        for key in later:
            app.send_task("clock.work", (key,), countdown=2)
        after = [f"after-{number}" for number in range(40)]
        for key in after:
            app.send_task("clock.work", (key, 0.1))
        wanted = {*before, *later, *after}
        eventually(lambda: set(store.lrange("ended", 0, -1)) >= wanted, within=90)
        eventually(lambda: store.hlen("unacked") == 0, within=30)
    ended = Counter(store.lrange("ended", 0, -1))
    assert set(ended) == wanted
    assert max(ended.values()) == 1
    for worker in workers:
        assert worker.stop(within=30) == 0
        assert "Traceback" not in worker.output()


@pytest.mark.parametrize("shift", [3600.0, -3600.0])
def test_f36_a_wrong_clock_runs_no_eta_early_or_late(
    start, clock, server, store, shift: float
) -> None:
    """An hour ahead, or behind: ETA and expiry are meant by the server's clock."""
    clock.shift(shift)
    argv = ["worker", "-P", "threads", "-c", "1", "-l", "INFO"]
    worker = start(clock, *argv, CLOCK_NOTES=server.url)
    worker.wait_for(" ready.")
    with TQ("client", broker=server.url, set_as_current=False) as app:
        app.send_task("clock.work", ("too late",), expires=datetime.now(UTC))
        app.send_task("clock.work", ("in time",), expires=600)
        due = time.time() + 2
        app.send_task("clock.when", countdown=2)
        eventually(lambda: store.llen("when") == 1, within=60)
        eventually(lambda: store.llen("ended") >= 1, within=60)
        assert store.lrange("ended", 0, -1) == ["in time"]
        assert float(store.lindex("when", 0)) >= due
    assert worker.stop() == 0
