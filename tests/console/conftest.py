"""A console over a synthetic cluster, at a time that stands still."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from tests.console.synthetic import SyntheticSource, demo_cluster
from tests.support.processes import Process, celery_worker, tq_worker
from tests.support.services import RedisServer, redis_server
from tq import TQ
from tqconsole.tui.app import ConsoleApp
from tqconsole.tui.config import ConsoleConfig


@pytest.fixture(autouse=True)
def plain_terminal(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The developer's own settings do not reach the screens under test, nor do these his files."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    for name in ("NO_COLOR", "TEXTUAL_THEME", "TEXTUAL_ANIMATIONS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLORTERM", "truecolor")
    monkeypatch.setenv("TERM", "xterm-256color")


@pytest.fixture(autouse=True)
def quick_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """A key press lasts as long as its messages take.

    The pilot waits until the processor has been idle for 20 ms, twice for each key, which tells
    nothing while other tests run, and takes most of the time of a test.
    """

    async def settled(min_sleep: float = 0.0, max_sleep: float = 1.0) -> None:
        for _ in range(_TURNS):
            await asyncio.sleep(0)

    for module in ("textual.app", "textual.pilot"):
        monkeypatch.setattr(f"{module}.wait_for_idle", settled)


@pytest.fixture(autouse=True)
def time_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is spread over several frames on a busy machine is done in one."""
    for name in ("screens.flows._SLICE", "screens.flow_detail._SLICE", "model.events._SLICE"):
        monkeypatch.setattr(f"tqconsole.tui.{name}", 60.0)
    for name in ("flows", "flow_detail"):
        monkeypatch.setattr(f"tqconsole.tui.screens.{name}._SHARE", 0.0)


@pytest.fixture
def server() -> Iterator[RedisServer]:
    with redis_server() as running:
        yield running


@pytest.fixture
def make_app() -> Iterator[Callable[..., TQ]]:
    """Make applications that are closed afterwards."""
    with ExitStack() as opened:

        def make(name: str, **settings: str) -> TQ:
            made = TQ(name, **settings)
            opened.callback(made.close)
            return made

        yield make


@pytest.fixture(params=["celery", "tq"])
def worker(request: pytest.FixtureRequest, server: RedisServer) -> Iterator[Process]:
    if request.param == "celery":
        process = celery_worker(server.url, name="w1@live", PEER_BACKEND=server.url)
    else:
        process = tq_worker(server.url, "-E", name="w1@live", PEER_BACKEND=server.url)
    with process:
        yield process


_TURNS = 30  # of the event loop; a key passes through at most three queues


class Console:
    """A running console and its pilot."""

    def __init__(self, app: ConsoleApp, source: SyntheticSource, pilot: Pilot[int]) -> None:
        self.app, self.source, self.pilot = app, source, pilot

    async def press(self, *keys: str) -> None:
        await self.pilot.press(*keys)
        await self.frame()

    async def type(self, text: str) -> None:
        await self.press(*(_KEYS.get(char, char) for char in text))

    async def frame(self) -> None:
        await self.pilot.pause()
        self.app.frame()
        await self.pilot.pause()

    @property
    def screen(self) -> Any:
        return self.app.screen

    def lines(self) -> list[str]:
        """The text on the screen, line by line."""
        width, height = self.app.size
        strips = self.app.screen._compositor.render_strips()
        return ["".join(segment.text for segment in strip)[:width] for strip in strips][:height]

    def text(self) -> str:
        return "\n".join(self.lines())


_KEYS = {
    " ": "space", ":": "colon", "/": "slash", "-": "minus", ">": "greater_than_sign", '"': "quotation_mark",
    ".": "full_stop", "*": "asterisk", "=": "equals_sign", "(": "left_parenthesis", ")": "right_parenthesis",
    ",": "comma", "@": "at", "_": "underscore",
}  # fmt: skip

Opener = Callable[..., Any]


@pytest.fixture
def console() -> Opener:
    """Open a console: `async with console(size=(80, 24)) as c:`."""

    @asynccontextmanager
    async def opened(
        source: SyntheticSource | None = None,
        *,
        size: tuple[int, int] = (80, 24),
        config: ConsoleConfig | None = None,
        screen: str = "tasks",
    ) -> AsyncIterator[Console]:
        source = source or demo_cluster()
        config = replace(config or ConsoleConfig(), screen=screen)
        app = ConsoleApp(source, config, clock=source.clock, ticking=False)
        async with app.run_test(size=size) as pilot:
            running = Console(app, source, pilot)
            await running.frame()
            yield running

    return opened


Step = Callable[[Pilot[int]], Awaitable[None]]
