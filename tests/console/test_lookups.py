"""What Flows and Schedules read beyond events, on Celery's clusters and on tq's."""

import time
from collections.abc import Callable

import pytest
import redis

from tests.console.clusters import until
from tests.support.processes import Process
from tests.support.services import RedisServer
from tests.support.waiting import eventually
from tq import TQ, chord, signature
from tqconsole.tui.app import ConsoleApp
from tqconsole.tui.config import ConsoleConfig
from tqconsole.tui.live import LiveSource
from tqconsole.tui.lookups import Lookups
from tqconsole.tui.model.flow_tree import build_tree
from tqconsole.tui.model.verdicts import verdicts

pytestmark = pytest.mark.timeout(300)


def said(app: ConsoleApp) -> str:
    """All that Flows has to say of the flows known."""
    source, now = app.source, time.time()
    texts: list[str] = []
    for flow in app.insight.flows.flows.values():
        tree = build_tree(flow, source.state.tasks, source.lineage)
        texts += [v.text for v in verdicts(flow, tree, source.state, source.lineage, now)]
    return "\n".join(texts)


def bound(server: RedisServer) -> set[str]:
    """Who is bound to events and replies."""
    keys = ("_kombu.binding.celeryev", "_kombu.binding.reply.celery.pidbox")
    with redis.Redis(unix_socket_path=str(server.socket), decode_responses=True) as client:
        return {str(member) for key in keys for member in client.smembers(key)}


async def test_whether_a_chord_will_finish_is_known_from_the_broker_url_alone(
    server: RedisServer, worker: Process, make_app: Callable[..., TQ]
) -> None:
    client = make_app("client", broker=server.url, backend=server.url)
    before = bound(server)
    source = LiveSource(make_app("console", broker=server.url))
    app = ConsoleApp(source, ConsoleConfig(screen="flows"), ticking=False)

    def add(*args: int) -> object:
        return signature("peer.add", args, app=client)

    async with app.run_test(size=(160, 40)):
        await until(app, lambda: "w1@live" in source.state.workers)
        body = signature("peer.echo", app=client)
        chord([add(1, 1), add(2, 2)], app=client)(body)
        chord([add(3, 3), add(4, 4).set(countdown=3600)], app=client)(body)
        chord([add(5, 5), signature("peer.fail", ("no",), app=client)], app=client)(body)
        await until(app, lambda: "all parts came back, the body peer.echo is success" in said(app))
        await until(app, lambda: "2 parts done, 1 failed; peer.fail" in said(app))
        await until(app, lambda: "body will NOT run" in said(app))
        # Celery tells which part is still out only when that has ended
        await until(
            app, lambda: "1 of 2 parts done; 1 still out" in said(app) or "due 20" in said(app)
        )
        await until(app, lambda: source.lineage.available)
    source.stop()
    assert bound(server) <= before


async def test_what_waits_for_its_time_is_told_by_who_holds_it(
    server: RedisServer, worker: Process, make_app: Callable[..., TQ]
) -> None:
    client = make_app("client", broker=server.url)
    later = client.send_task("peer.add", (1, 2), countdown=3600)
    console = make_app("console", broker=server.url)
    console.conf.beat_schedule = {"tick": {"task": "peer.add", "schedule": 10.0, "args": (1, 2)}}
    before = bound(server)
    source = LiveSource(console)
    app = ConsoleApp(source, ConsoleConfig(screen="schedules"), ticking=False)
    async with app.run_test(size=(160, 40)):
        await until(app, lambda: "w1@live" in source.state.workers)
        app.perform("refresh")
        found = source
        await until(app, lambda: any(item.id == later.id for item in found.schedules.planned))
        (item,) = source.schedules.planned
        assert (item.name, item.queue) == ("peer.add", "celery")
        assert item.due is not None
        assert 3000 < item.due - time.time() < 3600
        assert item.holder == ("broker" if "tq" in worker.output()[:200] else "w1@live")
        (entry,) = source.schedules.entries
        assert (entry.name, entry.schedule) == ("tick", "every 10 seconds")
        assert source.schedules.leader is None
    source.stop()
    assert bound(server) <= before


def test_a_broker_that_is_gone_is_told_and_waited_for(make_app: Callable[..., TQ]) -> None:
    lookups = Lookups(make_app("console", broker="redis://127.0.0.1:1/0"))
    lookups.read_schedules()
    lookups.read_lineage(["a"], ["g"])

    def told() -> bool:
        lookups.drain()
        return bool(lookups.schedules.planned_error and lookups.lineage.error)

    eventually(told, within=60)
    assert "a" not in lookups.lineage.tasks  # it is asked again
    lookups.stop(time.monotonic() + 10)


def test_a_result_that_cannot_be_read_hides_no_other(
    server: RedisServer, make_app: Callable[..., TQ]
) -> None:
    with redis.Redis(unix_socket_path=str(server.socket)) as client:
        client.set("celery-task-meta-bad", b"\x80\x04pickle")
        client.set("celery-task-meta-good", b'{"status":"SUCCESS","result":1,"task_id":"good",'
                   b'"children":[],"group_id":"g1"}')  # fmt: skip
        client.set("celery-taskset-meta-g1.s", b"3")
        client.zadd("celery-taskset-meta-g1.j", {b"[1]": 0, b"[2]": 1})
        client.set("celery-taskset-meta-odd.s", b"no number")
    lookups = Lookups(make_app("console", broker=server.url))
    lookups.read_lineage(["bad", "good", "none"], ["g1"])

    def read() -> bool:
        lookups.drain()
        return len(lookups.lineage.tasks) == 3

    eventually(read, within=60)
    book = lookups.lineage
    assert book.tasks["good"].group_id == "g1"
    assert book.tasks["bad"] is book.tasks["none"] is None
    assert (book.chords["g1"].size, book.chords["g1"].returned) == (3, 2)
    lookups.read_lineage([], ["odd"])

    def refused() -> bool:
        lookups.drain()
        return lookups.lineage.error is not None

    eventually(refused, within=60)
    lookups.stop(time.monotonic() + 10)


@pytest.mark.parametrize("several", [False, True])
def test_results_are_looked_for_at_the_first_of_several_brokers(
    server: RedisServer, make_app: Callable[..., TQ], several: bool
) -> None:
    urls = [server.url, "redis://127.0.0.1:1/0"]
    app = make_app("console")
    app.conf.broker_url = urls if several else ";".join(urls)
    lookups = Lookups(app)
    lookups.read_lineage(["none"], [])

    def read() -> bool:
        lookups.drain()
        return "none" in lookups.lineage.tasks

    eventually(read, within=60)
    lookups.stop(time.monotonic() + 10)


def test_without_a_backend_it_is_said_what_to_give(make_app: Callable[..., TQ]) -> None:
    lookups = Lookups(make_app("console", broker="memory://"))
    lookups.read_lineage(["a"], [])

    def told() -> bool:
        lookups.drain()
        return not lookups._reading

    eventually(told, within=60)
    assert not lookups.lineage.available
    assert "give --result-backend" in lookups.lineage.where
    lookups.stop(time.monotonic() + 10)


def test_a_schedule_that_cannot_be_read_is_told(make_app: Callable[..., TQ]) -> None:
    app = make_app("console", broker="memory://")
    app.conf.include = ["no.such.module.anywhere"]
    lookups = Lookups(app)
    lookups.read_schedules()

    def told() -> bool:
        lookups.drain()
        return lookups.schedules.as_of > 0

    eventually(told, within=60)
    assert "no.such.module" in (lookups.schedules.entries_error or "") or "'no'" in (
        lookups.schedules.entries_error or ""
    )
    assert lookups.schedules.parked is None
    lookups.stop(time.monotonic() + 10)
