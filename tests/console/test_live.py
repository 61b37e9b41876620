"""The console on real clusters, of Celery workers and of tq workers, with only a broker URL."""

import time
from collections.abc import Callable

import pytest
import redis

from tests.console.clusters import until
from tests.support.processes import Process
from tests.support.services import RedisServer
from tq import TQ
from tqconsole.tui.app import ConsoleApp
from tqconsole.tui.config import ConsoleConfig
from tqconsole.tui.live import LiveSource
from tqconsole.tui.screens.replies import RepliesScreen
from tqconsole.tui.screens.tasks import TasksScreen

pytestmark = pytest.mark.timeout(300)


def keys_of(server: RedisServer) -> set[str]:
    """Who is bound to events and replies."""
    keys = ("_kombu.binding.celeryev", "_kombu.binding.reply.celery.pidbox")
    with redis.Redis(unix_socket_path=str(server.socket), decode_responses=True) as client:
        return {str(member) for key in keys for member in client.smembers(key)}


async def test_a_live_cluster_is_shown_and_commanded(
    server: RedisServer, worker: Process, make_app: Callable[..., TQ]
) -> None:
    before = keys_of(server)
    client = make_app("client", broker=server.url, backend=server.url)
    source = LiveSource(make_app("console", broker=server.url))
    app = ConsoleApp(source, ConsoleConfig(screen="tasks"), ticking=False)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(app, lambda: "w1@live" in source.state.workers)
        facts = source.facts
        await until(app, lambda: (found := facts("w1@live")) is not None and found.size == 2)
        assert source.link.connected

        failing = client.send_task("peer.fail", ("no funds",))
        later = client.send_task("peer.add", (1, 2), countdown=300)
        tasks = source.state.tasks
        await until(app, lambda: failing.id in tasks and tasks[failing.id].state == "FAILURE")
        assert "no funds" in (tasks[failing.id].traceback or "")
        screen = app.screen
        assert isinstance(screen, TasksScreen)
        await until(app, lambda: screen.rows.index_of(failing.id) is not None)

        sent = source.send("revoke", {"task_id": later.id, "terminate": False})
        app.open_replies(sent)
        await pilot.pause()
        assert isinstance(app.screen, RepliesScreen)
        await until(app, lambda: sent.complete)
        assert sent.all_ok
        assert [answer.node for answer in sent.answers] == ["w1@live"]
    source.stop()
    # a worker that greets the others at its start may have been bound for their replies before
    assert keys_of(server) <= before


async def test_a_worker_that_is_not_there_is_reported_as_silent(
    server: RedisServer, worker: Process, make_app: Callable[..., TQ]
) -> None:
    source = LiveSource(make_app("console", broker=server.url))
    app = ConsoleApp(source, ticking=False)
    async with app.run_test():
        await until(app, lambda: "w1@live" in source.state.workers)
        sent = source.send("ping", {}, ["w1@live", "nobody@live"])
        await until(app, lambda: len(sent.answers) == 1)
        assert sent.missing == ("nobody@live",)
        assert not sent.complete
    source.stop()


async def test_a_broker_that_does_not_answer_is_reported_and_commands_are_refused(
    make_app: Callable[..., TQ],
) -> None:
    source = LiveSource(make_app("console", broker="redis://127.0.0.1:1/0"))
    app = ConsoleApp(source, ticking=False)
    async with app.run_test():
        await until(app, lambda: source.link.error is not None)
        assert not source.link.connected
        app.act("ping", {}, None)
        assert not source.commands
    source.stop()


def test_the_context_is_the_host_and_never_the_password(make_app: Callable[..., TQ]) -> None:
    source = LiveSource(make_app("console", broker="redis://:secret@127.0.0.1:1/0"), context=None)
    source.start()
    deadline = time.monotonic() + 60
    while source.link.error is None and time.monotonic() < deadline:
        source.drain(time.time())
    source.stop()
    assert source.context == "local"
    assert "secret" not in source.url
    assert "secret" not in (source.link.error or "")
