"""The service with a memory broker; waits are for conditions, on the real clock."""

import functools
import itertools
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import waiting
from tq import TQ, signals
from tq.beat import Progress, Service
from tq.beat.lease import Leader, SingleLeader
from tq.beat.store import MemoryStore
from tq.errors import BrokerConnectionError, ConfigError
from tq.schedules import crontab

numbers = itertools.count()
eventually = functools.partial(waiting.eventually, within=60.0)


@pytest.fixture
def app() -> Iterator[TQ]:
    with TQ("beat", broker=f"memory://beat{next(numbers)}", set_as_current=False) as made:
        yield made


@pytest.fixture
def start(app: TQ, tmp_path: Path) -> Iterator:
    started: list[Service] = []

    def begin(store=None, **options) -> Service:
        service = Service(app, store=store or MemoryStore(), max_interval=0.05, **options)
        service.start()
        started.append(service)
        return service

    yield begin
    for service in started:
        service.stop(time.monotonic() + 5)
        assert not service.alive
        assert service.failure is None


def depth(app: TQ, queue: str = "celery") -> int:
    return app.broker.depths([queue])[queue]


class Remembering(MemoryStore):
    """A store that can be told to fail."""

    def __init__(self) -> None:
        self.saved: dict[str, Progress] = {}
        self.fails = False

    def load(self):
        return dict(self.saved)

    def save(self, progress, changed):
        if self.fails:
            raise OSError(28, "No space left on device")
        self.saved = dict(progress)


class Flaky(SingleLeader):
    """Leads and sends as the test says."""

    def __init__(self) -> None:
        self.leads = True
        self.away = False

    def lead(self) -> bool:
        return self.leads

    def patience(self) -> float:
        return 0.02

    def send(self, calls):
        if self.away:
            raise BrokerConnectionError("the broker is away")
        return super().send(calls)


def test_due_tasks_are_sent_with_arguments_options_and_header(app, start):
    sent = []

    def see(headers=None, body=None, routing_key=None, **_):
        sent.append((headers, body, routing_key))

    signals.before_task_publish.connect(see)
    app.conf.beat_schedule = {
        "fast": {"task": "t.add", "schedule": 0.05, "args": (1, 2), "kwargs": {"z": 3},
                 "options": {"queue": "fastq", "expires": 30, "headers": {"mine": "x"}}}
    }  # fmt: skip
    start()
    eventually(lambda: depth(app, "fastq") >= 3)
    signals.before_task_publish.disconnect(see)
    headers, body, queue = sent[0]
    assert (headers["celery_beat_task"], headers["mine"]) == (True, "x")
    assert headers["argsrepr"] == "[1, 2]"
    assert (list(body[0]), body[1], queue) == ([1, 2], {"z": 3}, "fastq")
    assert len({headers["id"] for headers, _, _ in sent}) == len(sent)


def test_entries_added_and_changed_while_it_runs_count(app, start):
    @app.task(name="t.tick")
    def tick():
        pass

    service = start()
    assert service.scheduler.next_due() is None
    app.add_periodic_task(0.05, tick.s(), name="added", queue="late")
    eventually(lambda: depth(app, "late") >= 1)
    app.conf.beat_schedule = {}
    eventually(lambda: not service.scheduler.entries)
    # In place too, as Celery's users do it.
    app.conf.beat_schedule["again"] = {
        "task": "t.tick", "schedule": 0.05, "options": {"queue": "inplace"}
    }  # fmt: skip
    eventually(lambda: depth(app, "inplace") >= 1)


def test_another_time_zone_counts_while_it_runs(app, start):
    app.conf.beat_schedule = {"a": {"task": "t", "schedule": crontab("0", "12")}}
    service = start()
    before = service.scheduler.next_due()
    app.conf.timezone = "Pacific/Kiritimati"  # 14 hours ahead of UTC, all year
    eventually(lambda: (service.scheduler.next_due() - before) % 86400 == 10 * 3600)


def test_a_wrong_change_leaves_the_old_schedule(app, start, caplog):
    app.conf.beat_schedule = {"a": {"task": "t", "schedule": 0.05}}
    start()
    app.conf.beat_schedule = {"a": {"task": "t", "schedule": 0}}
    eventually(lambda: "the old one stays" in caplog.text)
    before = depth(app)
    eventually(lambda: depth(app) > before + 1)
    assert caplog.text.count("the old one stays") == 1


def test_a_wrong_schedule_at_the_start_is_an_error(app):
    app.conf.beat_schedule = {"a": {"task": "t"}}
    with pytest.raises(ConfigError, match=r"\['a'\]: schedule"):
        Service(app, store=MemoryStore())


def test_one_entry_that_cannot_be_sent_stops_no_other(app, start, caplog):
    app.conf.beat_schedule = {
        "bad": {"task": "t", "schedule": 0.05, "args": [object()]},
        "good": {"task": "t", "schedule": 0.05},
    }
    start()
    eventually(lambda: depth(app) >= 3)
    assert "entry bad (t) cannot be sent" in caplog.text


def test_a_slot_waits_for_a_broker_that_is_away(app, start, caplog):
    leader = Flaky()
    leader.away = True
    app.conf.beat_schedule = {"a": {"task": "t", "schedule": 0.05}}
    service = start(leader=leader)
    eventually(lambda: "the broker is away" in caplog.text)
    assert depth(app) == 0
    leader.away = False
    eventually(lambda: depth(app) >= 1)
    eventually(lambda: "the broker is back" in caplog.text)
    assert service.scheduler.progress["a"].total_run_count >= 1


def test_who_does_not_lead_sends_nothing_and_stores_nothing(app, start):
    leader, store = Flaky(), Remembering()
    leader.leads = False
    app.conf.beat_schedule = {"a": {"task": "t", "schedule": 0.02}}
    service = start(leader=leader, store=store)
    eventually(lambda: service.ticked > 0)
    first = service.ticked
    eventually(lambda: service.ticked > first)
    assert (depth(app), store.saved) == (0, {})
    leader.leads = True
    eventually(lambda: depth(app) >= 1)


def test_progress_is_stored_at_the_end_and_counts_on(app, start):
    store = Remembering()
    app.conf.beat_schedule = {
        "a": {"task": "t", "schedule": 0.03},
        "b": {"task": "t", "schedule": crontab()},
    }
    service = start(store=store)
    eventually(lambda: service.sent >= 2)
    service.stop(time.monotonic() + 5)
    assert store.saved["a"].total_run_count == service.sent
    assert set(store.saved) == {"a", "b"}
    again = start(store=store)
    assert again.scheduler.progress["a"].total_run_count >= service.sent


def test_a_disk_that_is_full_stops_no_task(app, start, caplog):
    store = Remembering()
    store.fails = True
    app.conf.update(beat_sync_every=1, beat_schedule={"a": {"task": "t", "schedule": 0.03}})
    start(store=store)
    eventually(lambda: "progress cannot be stored" in caplog.text)
    before = depth(app)
    eventually(lambda: depth(app) > before + 1)
    store.fails = False
    eventually(lambda: store.saved)
    assert "progress is stored again" in caplog.text


def test_the_signals_tell_who_started(app, start):
    seen = []
    connected = [
        (
            signal,
            signal.connect(
                lambda name=name, sender=None, **_: seen.append((name, sender)), weak=False
            ),
        )
        for name, signal in (("beat", signals.beat_init), ("embedded", signals.beat_embedded_init))
    ]
    try:
        alone = start()
        within = start(embedded=True)
    finally:
        for signal, receiver in connected:
            signal.disconnect(receiver)
    assert seen == [("beat", alone), ("beat", within), ("embedded", within)]


def test_a_leader_is_a_protocol():
    leader: Leader = SingleLeader()
    assert leader.lead()
