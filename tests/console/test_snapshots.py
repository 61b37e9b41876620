"""What a customer sees, as pictures: the same on every machine."""

from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest
from textual.pilot import Pilot

from tests.console.synthetic import SyntheticSource, demo_cluster
from tqconsole.tui.app import ConsoleApp
from tqconsole.tui.config import ConsoleConfig
from tqconsole.tui.model.facts import Gap, QueueFacts

pytestmark = pytest.mark.timeout(120)

SIZES = [(80, 24), (160, 48)]
SMALL = SIZES[:1]
Drive = Callable[[Pilot[int]], Awaitable[None]]


def console(
    source: SyntheticSource, config: ConsoleConfig | None = None, screen: str = "tasks"
) -> ConsoleApp:
    config = replace(config or ConsoleConfig(), screen=screen)
    return ConsoleApp(source, config, clock=source.clock, ticking=False)


def keys(*pressed: str, then: Callable[[ConsoleApp], None] | None = None) -> Drive:
    async def drive(pilot: Pilot[int]) -> None:
        app = pilot.app
        assert isinstance(app, ConsoleApp)
        await pilot.pause()
        app.frame()
        await pilot.pause()
        for key in pressed:
            await pilot.press(key)
            await pilot.pause()
        if then is not None:
            then(app)
        app.frame()
        await pilot.pause()
        app.frame()
        await pilot.pause()

    return drive


def check(snap, source: SyntheticSource, size: tuple[int, int], drive: Drive, **options) -> None:
    app = console(source, options.get("config"), options.get("screen", "tasks"))
    assert snap(app, terminal_size=size, run_before=drive)


@pytest.mark.parametrize("size", SMALL)
def test_tasks_paused_filtered_marked(snap_compare, size: tuple[int, int]) -> None:
    source = demo_cluster(400)

    def arrive(app: ConsoleApp) -> None:
        source.task("ffffffff-0000", "mail.send", ago=0)

    typed = ("slash", *"state", "colon", *"failure", "comma", *"retry", "enter")
    check(snap_compare, source, size, keys(*typed, "j", "space", "space", "p", then=arrive))


@pytest.mark.parametrize("size", SIZES)
def test_task_detail(snap_compare, size: tuple[int, int]) -> None:
    source = demo_cluster(20)
    source.task(
        "7f3a1c02-5b1e-4d0c-9f1a-0c9f5f0d7a11",
        "billing.charge",
        queue="billing",
        outcome="failed",
        ago=2,
        kwargs="{'amount': '19.90', 'currency': 'EUR', 'card': '****4242'}",
    )
    check(snap_compare, source, size, keys("j", "t"))


@pytest.mark.parametrize("size", SMALL)
def test_confirmation_on_one_line(snap_compare, size: tuple[int, int]) -> None:
    source = demo_cluster(40)
    source.task("7f3a1c02-5b1e", "billing.charge", outcome="received", ago=0.5)
    check(snap_compare, source, size, keys("j", "C"))


@pytest.mark.parametrize("size", SMALL)
def test_confirmation_in_a_window(snap_compare, size: tuple[int, int]) -> None:
    typed = ("slash", *"state", "colon", *"received", "comma", *"sent", "enter")
    check(snap_compare, demo_cluster(200), size, keys(*typed, "asterisk", "C", "1"))


@pytest.mark.parametrize("size", SMALL)
def test_reply_panel(snap_compare, size: tuple[int, int]) -> None:
    source = demo_cluster(40)
    source.task("7f3a1c02-5b1e", "billing.charge", outcome="received", ago=0.5)

    def replies(app: ConsoleApp) -> None:
        sent = source.commands[0]
        source.answer(sent, "w1@node1", "ok: task 7f3a1c02-5b1e revoked", after=0.014)
        source.answer(sent, "w2@node1", "ok: task 7f3a1c02-5b1e revoked", after=0.019)
        source.answer(sent, "w5@node2", "unknown command", ok=False, after=0.030)
        source.clock.now += 2.5
        source.answer(sent, "w6@node2", "ok: task 7f3a1c02-5b1e revoked", after=2.4)

    check(snap_compare, source, size, keys("j", "C", "y", then=replies))


@pytest.mark.parametrize("size", SMALL)
def test_nothing_yet(snap_compare, size: tuple[int, int]) -> None:
    source = SyntheticSource()
    source.worker("w1@node1")
    check(snap_compare, source, size, keys())


def test_cut_off(snap_compare) -> None:
    source = demo_cluster(40)

    def cut(app: ConsoleApp) -> None:
        now = source.clock()
        source.link = replace(source.link, gaps=(Gap(now - 21, now - 3),))
        source.drain(now)
        app.frame()
        source.task("7f3a1c02-5b1e", "billing.charge", ago=0)
        source.disconnect()
        source.clock.now += 3

    check(snap_compare, source, (80, 24), keys(then=cut))


def test_help(snap_compare) -> None:
    check(snap_compare, demo_cluster(10), (100, 60), keys("question_mark"))


def test_light(snap_compare) -> None:
    check(snap_compare, demo_cluster(40), (80, 24), keys("j"), config=ConsoleConfig(theme="light"))


def test_production_is_red(snap_compare) -> None:
    check(snap_compare, demo_cluster(40, context="prod-eu", read_only=True), (80, 24), keys("j"))


def busy_cluster() -> SyntheticSource:
    """A cluster with queues that grow, lie fallow and drain, and half a minute of counts of them."""
    source = demo_cluster(120)
    begin = source.clock.now
    for series, share in (("succeeded", 1), ("failed", 12), ("sent", 1), ("retried", 20)):
        for second in range(300):
            height = 20 + second % 40
            source.state.rates[series].add(begin - 300 + second, height // share)
    return source


def watched(source: SyntheticSource) -> Callable[[ConsoleApp], None]:
    """Let half a minute pass in which the queues are counted."""

    def watch(app: ConsoleApp) -> None:
        begin = source.clock.now
        for step in range(0, 31, 5):
            source.clock.now = begin + step
            for name in ("w1@node1", "w2@node1", "w4@node3", "w5@node2", "w6@node2"):
                beat = {"freq": 2.0, "active": 3, "loadavg": [0.5, 0.5, 0.5]}
                source.event("worker-heartbeat", hostname=name, **beat)
            now = source.clock.now
            source.queues = [
                QueueFacts("billing", ready=0, consumers=2, as_of=now),
                QueueFacts("default", ready=212 - 3 * step, consumers=5, as_of=now),
                QueueFacts("legacy", ready=7, consumers=0, as_of=now),
                QueueFacts("mail", ready=12_000 + 18 * step, consumers=3, as_of=now),
            ]
            app.frame()

    return watch
