"""Schedulers of the user's own, without a process: what they are asked, and what they send."""

import itertools
import re
import sys
import types
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tq import TQ
from tq.beat import (
    BeatLazyFunc,
    PersistentScheduler,
    Progress,
    ScheduleEntry,
    Scheduler,
    Service,
)
from tq.beat.custom import find_scheduler
from tq.beat.lease import SingleLeader
from tq.beat.overview import overview
from tq.errors import BrokerConnectionError, ConfigError
from tq.schedules import crontab, schedule

numbers = itertools.count()


class FakeClock:
    """Stands still until it is told otherwise."""

    def __init__(self) -> None:
        self._wall, self._monotonic = 1_780_000_000.0, 1000.0

    def time(self) -> float:
        return self._wall

    def monotonic(self) -> float:
        return self._monotonic

    def advance(self, seconds: float) -> None:
        self._wall += seconds
        self._monotonic += seconds

    def set_wall(self, timestamp: float) -> None:
        self._wall = timestamp


@pytest.fixture
def app() -> Iterator[TQ]:
    with TQ("own", broker=f"memory://own{next(numbers)}", set_as_current=False) as made:
        yield made


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


class Leader(SingleLeader):
    """Remembers what is sent; fails as the test says."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, str]] = []
        self.away = False

    def send(self, calls):
        if self.away:
            raise BrokerConnectionError("away")
        self.sent += [(call.name, call.task_id) for call in calls]
        return super().send(calls)

    def names(self) -> list[str]:
        return [name for name, _ in self.sent]


def every(seconds: float, clock: FakeClock) -> schedule:
    return schedule(seconds, nowfun=lambda: datetime.fromtimestamp(clock.time(), UTC))


def make(app: TQ, clock: FakeClock, kind: type = Scheduler, **entries) -> Scheduler:
    """A scheduler on a clock of its own."""
    app.conf.beat_schedule = {
        name: {"task": f"t.{name}", "schedule": every(given, clock)}
        if isinstance(given, int | float)
        else given
        for name, given in entries.items()
    }
    found = type(kind.__name__, (kind,), {"clock": clock})(app)
    found.leader = Leader()
    return found


def run(scheduler: Scheduler) -> float:
    """Tick until there is something to wait for."""
    for _ in range(1000):
        wait = scheduler.tick()
        if wait > 0:
            return wait
    raise AssertionError("it never waits")


def test_entries_of_the_setting_are_sent_when_they_are_due(app, clock):
    scheduler = make(app, clock, a=10, b=25)
    assert run(scheduler) == 5.0  # the longest sleep
    scheduler.max_interval = 100.0
    assert run(scheduler) == 10.0
    clock.advance(10)
    assert run(scheduler) == 10.0
    clock.advance(20)
    run(scheduler)
    assert scheduler.leader.names() == ["a", "a", "b"]
    assert scheduler.schedule["a"].total_run_count == 2
    assert scheduler.sent == 3


def test_a_task_is_called_with_arguments_options_and_header(app, clock):
    @app.task(name="known")
    def known(*args, **kwargs):
        pass

    entry = {
        "task": known, "schedule": every(1, clock), "args": [1, BeatLazyFunc(lambda: 2)],
        "kwargs": {"z": 3}, "options": {"queue": "mine", "headers": {"mine": "x"}},
    }  # fmt: skip
    scheduler = make(app, clock, a=entry)
    clock.advance(1)
    with app.capture() as messages:
        run(scheduler)
    (message,) = messages
    assert message.headers["task"] == "known"
    assert (message.headers["mine"], message.headers["celery_beat_task"]) == ("x", True)
    assert message.headers["id"] == scheduler.leader.sent[0][1]
    assert message.headers["argsrepr"] == "[1, 2]"
    assert entry["options"] == {"queue": "mine", "headers": {"mine": "x"}}


def test_what_cannot_be_sent_now_stays_due_and_keeps_its_id(app, clock):
    scheduler = make(app, clock, a=10)
    clock.advance(10)
    scheduler.leader.away = True
    for _ in range(2):
        with pytest.raises(BrokerConnectionError):
            scheduler.tick()
    assert scheduler.schedule["a"].total_run_count == 0
    scheduler.leader.away = False
    run(scheduler)
    assert scheduler.leader.names() == ["a"]


def test_one_entry_that_raises_stops_no_other(app, clock, caplog):
    class Bad(ScheduleEntry):
        def is_due(self):
            raise RuntimeError("no idea when")

    unsendable = {"task": "t", "schedule": every(10, clock), "args": [object()]}
    scheduler = make(app, clock, unsendable=unsendable, good=10)
    scheduler.schedule["bad"] = Bad("bad", "t", schedule=every(10, clock))
    clock.advance(10)
    run(scheduler)
    assert "good" in scheduler.leader.names()
    assert "entry unsendable (t) cannot be sent" in caplog.text
    assert "entry bad cannot tell when it is due" in caplog.text
    assert scheduler.sent == 1


def test_a_reserve_that_fails_is_tried_again_without_a_second_send(app, clock):
    class Failing(Scheduler):
        fails = True

        def reserve(self, entry):
            if self.fails:
                raise OSError("the database is away")
            return super().reserve(entry)

    scheduler = make(app, clock, Failing, a=10)
    clock.advance(10)
    run(scheduler)
    clock.advance(2)
    run(scheduler)
    assert scheduler.leader.names() == ["a"]
    scheduler.fails = False
    clock.advance(2)
    run(scheduler)
    assert scheduler.leader.names() == ["a"]
    assert scheduler.schedule["a"].total_run_count == 1
    clock.advance(10)
    run(scheduler)
    assert scheduler.leader.names() == ["a", "a"]


def test_an_entry_read_again_from_before_its_send_is_not_sent_twice(app, clock):
    scheduler = make(app, clock, a=10)
    stale = scheduler.schedule["a"]
    clock.advance(10)
    run(scheduler)
    # As from a database to which progress was not written yet, with something else edited.
    scheduler.schedule = {"a": stale, "b": ScheduleEntry("b", "t", schedule=every(10, clock))}
    run(scheduler)
    assert scheduler.leader.names() == ["a"]
    assert scheduler.schedule["a"].total_run_count == 1


def test_an_entry_that_does_not_move_on_is_sent_each_time_with_another_id(app, clock):
    class Standing(ScheduleEntry):
        def is_due(self):
            return True, 10.0

        def next(self, last_run_at=None):
            return self

    scheduler = make(app, clock)
    scheduler.schedule = {"a": Standing("a", "t", schedule=every(10, clock))}
    for _ in range(3):
        run(scheduler)
        clock.advance(10)
    assert scheduler.leader.names() == ["a"] * 3
    assert len({task_id for _, task_id in scheduler.leader.sent}) == 3


def test_two_beats_with_the_same_entries_come_to_the_same_ids(app, clock):
    at = datetime.fromtimestamp(clock.time(), UTC)
    ids = []
    for _ in range(2):
        scheduler = make(app, clock)
        scheduler.add(name="a", task="t", schedule=every(10, clock), last_run_at=at)
        ids.append(scheduler)
    clock.advance(10)
    for scheduler in ids:
        run(scheduler)
    first, second = (scheduler.leader.sent for scheduler in ids)
    assert first == second
    assert len(first) == 1


def test_entries_added_changed_and_removed_count_at_the_next_look(app, clock):
    scheduler = make(app, clock, a=10)
    scheduler.max_interval = 1000.0
    assert run(scheduler) == 10.0
    scheduler.update_from_dict({"b": {"task": "t.b", "schedule": every(3, clock)}})
    assert run(scheduler) == 3.0
    scheduler.merge_inplace({"b": {"task": "t.b", "schedule": every(7, clock)}})
    assert run(scheduler) == 7.0
    assert set(scheduler.schedule) == {"b"}
    scheduler.schedule = {}
    assert run(scheduler) == 1000.0


@pytest.mark.parametrize("jump", [3600.0, -3600.0])
def test_a_clock_that_is_set_lets_all_entries_be_asked_again(app, clock, jump):
    scheduler = make(app, clock, tab=10)
    scheduler.max_interval = 1e6
    assert run(scheduler) == 10.0
    clock.set_wall(clock.time() + jump)
    wait = run(scheduler)
    assert scheduler.leader.names() == (["tab"] if jump > 0 else [])
    assert wait == (10.0 if jump > 0 else 3610.0)


def test_entries_in_memory_take_over_what_the_leader_before_did(app, clock):
    scheduler = make(app, clock, a=10, b=10)
    clock.advance(15)
    done = clock.time() - 1
    ahead = clock.time() + 3600
    scheduler.restore(
        {
            "a": Progress(slot=done, last_run_at=done, total_run_count=7),
            "b": Progress(slot=ahead, last_run_at=ahead, total_run_count=9),
            "gone": Progress(slot=done),
        }
    )
    run(scheduler)
    assert scheduler.leader.names() == ["b"]
    assert scheduler.schedule["a"].total_run_count == 7
    assert scheduler.schedule["b"].total_run_count == 1


def test_a_persistent_one_counts_on(app, clock, tmp_path):
    app.conf.beat_schedule_filename = str(tmp_path / "state")
    first = make(app, clock, PersistentScheduler, a=10)
    clock.advance(10)
    run(first)
    assert not (tmp_path / "state").exists()
    first.close()
    clock.advance(4)
    again = make(app, clock, PersistentScheduler, a=10, b=10)
    assert again.schedule["a"].total_run_count == 1
    clock.advance(6)
    run(again)
    assert again.leader.names() == ["a"]
    again.close()
    del again.schedule["a"]
    again.sync()
    assert set(make(app, clock, PersistentScheduler, a=10, b=10)._kept) == {"b"}


def test_sync_is_asked_for_after_its_time_or_its_number_of_sends(app, clock):
    scheduler = make(app, clock, a=10)
    assert not scheduler.should_sync()
    clock.advance(scheduler.sync_every + 0.1)
    assert scheduler.should_sync()
    scheduler.synchronize()
    assert not scheduler.should_sync()
    scheduler.sync_every, scheduler.sync_every_tasks = 1e6, 2
    for expected in (False, True):
        clock.advance(10)
        run(scheduler)
        assert scheduler.should_sync() is expected


def test_an_entry_is_a_value_whose_progress_does_not_count():
    now = datetime(2026, 5, 4, 12, tzinfo=UTC)
    entry = ScheduleEntry("a", "t", now, 3, crontab("0"), [1], {"x": 2}, {"queue": "q"})
    following = next(entry)
    assert (following.total_run_count, entry.total_run_count) == (4, 3)
    assert following.last_run_at > now
    assert following == entry
    other = ScheduleEntry("a", "t", now, 3, crontab("1"), [1], {"x": 2}, {"queue": "q"})
    assert other != entry
    entry.update(other)
    assert (entry.schedule, entry.total_run_count) == (crontab("1"), 3)
    assert dict(entry)["options"] == {"queue": "q"}
    assert repr(entry) == "<ScheduleEntry: a t <crontab: 1 * * * * (m/h/dM/MY/d)>>"
    is_due, wait = ScheduleEntry("b", "t", schedule=timedelta(minutes=5)).is_due()
    assert (is_due, 299 < wait <= 300) == (False, True)


@pytest.mark.parametrize(
    "entry", [{"schedule": 10}, {"task": "t", "schedule": 0}, {"task": "t", "every": 10}, 5]
)
def test_a_wrong_entry_is_one_error_that_names_it(app, entry):
    app.conf.beat_schedule = {"odd one": entry}
    with pytest.raises(ConfigError, match="odd one"):
        Scheduler(app)


def test_celerys_name_of_its_default_stands_for_ours():
    assert find_scheduler(None) is None
    assert find_scheduler("celery.beat:PersistentScheduler") is None
    assert find_scheduler("tq.beat:PersistentScheduler") is None
    assert find_scheduler("tq.beat.Scheduler") is Scheduler
    assert find_scheduler(Scheduler) is Scheduler


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("django", "module:Class"),
        ("no_such_module:Scheduler", "cannot be imported"),
        ("tq.beat:NoSuchScheduler", "cannot be imported"),
        ("celery.beat:Scheduler", "no subclass of tq.beat.Scheduler"),
        ("tq.beat:open_store", "no subclass"),
        (int, "no subclass"),
    ],
)
def test_a_wrong_class_is_an_error_that_names_it(app, name, problem):
    with pytest.raises(ConfigError, match=problem):
        Service(app, scheduler=name)


def test_an_installed_name_stands_for_a_class(tmp_path: Path, monkeypatch):
    folder = tmp_path / "shop-1.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: shop\nVersion: 1.0\n")
    (folder / "entry_points.txt").write_text("[tq.beat_schedulers]\nshop = shop_beat:Shop\n")
    module = types.ModuleType("shop_beat")
    module.Shop = type("Shop", (Scheduler,), {})
    monkeypatch.setitem(sys.modules, "shop_beat", module)
    monkeypatch.syspath_prepend(str(tmp_path))
    assert find_scheduler("shop") is module.Shop


def test_a_scheduler_that_cannot_be_made_is_one_error(app):
    class Broken(Scheduler):
        def setup_schedule(self):
            raise RuntimeError("no database")

    service = Service(app, scheduler=Broken)
    with pytest.raises(ConfigError, match=r"Broken cannot be used: RuntimeError\('no database'\)"):
        service.start()
    assert not service.alive


def test_the_overview_asks_the_scheduler(app, clock, tmp_path):
    file = str(tmp_path / "state")
    app.conf.beat_schedule = {"a": {"task": "t.a", "schedule": 60.0}}
    (row,) = overview(app, clock.time(), file, Scheduler).rows
    assert (row.name, row.schedule, row.total_run_count) == ("a", "every minute", 0)

    class Own(Scheduler):
        @property
        def schedule(self):
            return {"b": ScheduleEntry("b", "t.b", schedule=30.0, total_run_count=4)}

    (row,) = overview(app, clock.time(), file, Own).rows
    assert (row.name, row.task, row.total_run_count) == ("b", "t.b", 4)
    assert clock.time() < row.next_due <= clock.time() + 30


class Table:
    """A table as the guide's example reads it."""

    def __init__(self) -> None:
        self.written: list[ScheduleEntry] = []
        self._rows = [self.row("a")]
        self._changed = True

    def row(self, name: str) -> types.SimpleNamespace:
        past = datetime(2020, 5, 4, 12, tzinfo=UTC)
        return types.SimpleNamespace(
            name=name, task="t", crontab="0 0 1 1 *", args=[1], queue=name, last_run_at=past, runs=0
        )

    def add(self, name: str) -> None:
        self._rows.append(self.row(name))
        self._changed = True

    def changed(self) -> bool:
        was, self._changed = self._changed, False
        return was

    def rows(self) -> list[types.SimpleNamespace]:
        return self._rows

    def write(self, entry: ScheduleEntry) -> None:
        self.written.append(entry)
        entry.row.last_run_at, entry.row.runs = entry.last_run_at, entry.total_run_count


def test_the_guides_example_works(app):
    guide = Path(__file__).parents[3] / "core" / "docs" / "beat.md"
    (code,) = re.findall(r"```python\n(.*?)```", guide.read_text(), re.DOTALL)
    table = Table()
    names: dict = {"table": table}
    exec(code, names)
    scheduler = names["TableScheduler"](app)
    scheduler.leader = Leader()
    run(scheduler)
    table.add("b")
    run(scheduler)
    assert sorted(scheduler.leader.names()) == ["a", "b"]
    scheduler.close()
    assert sorted((entry.name, entry.total_run_count) for entry in table.written) == [
        ("a", 1),
        ("b", 1),
    ]
