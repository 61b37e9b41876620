"""Every screen as a picture: at each size, without colours, in ASCII, and with nothing to show."""

from collections.abc import Callable, Mapping
from dataclasses import replace

import pytest

from tests.console.synthetic import SyntheticSource, demo_cluster
from tests.console.test_snapshots import busy_cluster, check, keys, watched
from tq.monitor import WaitingTask
from tqconsole.tui.app import ConsoleApp
from tqconsole.tui.config import ConsoleConfig
from tqconsole.tui.model.facts import QueueFacts, TimeLimit

pytestmark = pytest.mark.timeout(120)

SIZES = [(40, 10), (80, 24), (120, 36), (160, 48)]
Then = Callable[[ConsoleApp], None]


def tasks() -> SyntheticSource:
    source = demo_cluster(120)
    source.limits["reports.build"] = TimeLimit(300.0, 240.0)
    return source


def queues() -> SyntheticSource:
    """Queues in every state, on a broker that tells all it can."""
    source = demo_cluster(40)
    now, told = source.clock(), {"unacked": 12, "parked": 3, "dead": 0}
    workers = ("w1@node1", "w2@node1")
    source.queues = [
        QueueFacts("default", 212, consumers=2, workers=workers, as_of=now, **told),
        QueueFacts("mail", 12_840, consumers=1, workers=workers[:1], as_of=now, unacked=160,
                   parked=0, dead=2, priorities=((0, 12_000), (3, 840))),
        QueueFacts("legacy", 7, consumers=0, as_of=now),
        QueueFacts("reports", 41, consumers=0, held=("w4@node3",), as_of=now, **told),
    ]  # fmt: skip
    source.lying["mail"] = [
        WaitingTask(queue="mail", size=700 + 31 * n, id=f"{n:08x}-5b1e", name="mail.send",
                    args=f"({n},)", kwargs="{'token': 'hunter2'}", retries=n % 3)
        for n in range(30)
    ]  # fmt: skip
    return source


def growing(source: SyntheticSource) -> Then:
    """Let half a minute pass in which the queues are counted."""

    def watch(app: ConsoleApp) -> None:
        begin, first = source.clock.now, source.queues
        for step in range(0, 31, 5):
            now = source.clock.now = begin + step
            source.queues = [
                replace(queue, as_of=now, ready=(queue.ready or 0) + rate * step)
                for queue, rate in zip(first, (-3, 18, 0, 1), strict=True)
            ]
            app.frame()

    return watch


def folded() -> SyntheticSource:
    source = demo_cluster(60)
    for pod in ("abcde", "fghij", "klmno"):
        source.worker(f"celery@web-7f9c6d5b4-{pod}", active=2, size=4)
    return source


def pinged() -> SyntheticSource:
    source = demo_cluster(40)
    for node in ("w1@node1", "w2@node1"):
        source.answer(source.send("ping", {}, [node]), node, "pong")
    return source


# Screen, what it shows, keys pressed, what happens then.
SCREENS: Mapping[
    str,
    tuple[str, Callable[[], SyntheticSource], tuple[str, ...], Callable[[SyntheticSource], Then]],
] = {
    "overview": ("overview", busy_cluster, ("j",), watched),
    "tasks": ("tasks", tasks, ("j", "j", "j"), lambda source: lambda app: None),
    "workers": ("workers", tasks, ("j",), lambda source: lambda app: None),
    "folded-workers": ("workers", folded, ("f", "j", "enter"), lambda source: lambda app: None),
    "queues": ("queues", queues, ("j",), growing),
    "failures": ("failures", lambda: demo_cluster(200), ("j",), lambda source: lambda app: None),
    "log": ("log", pinged, ("j",), lambda source: lambda app: None),
    "task": ("tasks", tasks, ("j", "enter"), lambda source: lambda app: None),
    "worker": ("workers", tasks, ("j", "enter"), lambda source: lambda app: None),
    "queue": ("queues", queues, ("j", "j", "enter"), growing),
}
screens = pytest.mark.parametrize("screen", SCREENS)


def draw(snap, screen: str, size: tuple[int, int], config: ConsoleConfig | None = None) -> None:
    first, make, pressed, then = SCREENS[screen]
    source = make()
    check(snap, source, size, keys(*pressed, then=then(source)), screen=first, config=config)


@screens
@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
def test_screen(snap_compare, screen: str, size: tuple[int, int]) -> None:
    draw(snap_compare, screen, size)


@screens
def test_ascii(snap_compare, screen: str) -> None:
    draw(snap_compare, screen, (80, 24), ConsoleConfig(ascii_only=True))


@screens
def test_no_colour(snap_compare, screen: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    draw(snap_compare, screen, (80, 24))


@pytest.mark.parametrize("screen", ["overview", "tasks", "workers", "queues", "failures", "log"])
def test_nothing_yet(snap_compare, screen: str) -> None:
    check(snap_compare, SyntheticSource(), (80, 24), keys(), screen=screen)


def test_holding_a_queue(snap_compare) -> None:
    check(snap_compare, queues(), (80, 24), keys("g", "H"), screen="queues")


def test_resending_many(snap_compare) -> None:
    typed = ("slash", *"state", "colon", *"failure", "enter")
    check(snap_compare, demo_cluster(200), (80, 24), keys(*typed, "asterisk", "R"))


def test_nothing_to_act_on(snap_compare) -> None:
    typed = ("j", "slash", *"state", "colon", *"rejected", "enter", "X")
    check(snap_compare, demo_cluster(40), (80, 24), keys(*typed))
