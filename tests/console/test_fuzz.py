"""Random keys and sizes under a stream of events: nothing fails, nothing is sent unasked."""

import random

import pytest
from textual.geometry import Size

from tests.console.synthetic import NAMES, OUTCOMES, WORKERS, demo_cluster

KEYS = (
    *"jkgGfpswzirt.*\\yC XLIVK+_nNa123490:/?[]-hl", "escape", "enter", "space", "up", "down", "pageup",
    "pagedown", "home", "end", "left", "right", "tab", "ctrl+d", "ctrl+u", "ctrl+r", "backspace",
)  # fmt: skip
SIZES = ((80, 24), (40, 10), (160, 48), (300, 100), (23, 7))


@pytest.mark.timeout(180)
@pytest.mark.parametrize("seed", range(2))
async def test_random_keys_and_sizes_break_nothing(console, seed: int) -> None:
    chance = random.Random(seed)
    source = demo_cluster(200)
    async with console(source) as c:
        for step in range(60):
            source.clock.now += chance.random()
            for number in range(chance.randrange(20)):
                name, queue, runtime = chance.choice(NAMES)
                source.task(
                    f"{seed}-{step}-{number}",
                    name,
                    queue=queue,
                    worker=chance.choice(WORKERS)[0],
                    outcome=chance.choice(OUTCOMES),
                    runtime=runtime,
                )
            if chance.random() < 0.05:
                width, height = chance.choice(SIZES)
                await c.pilot.resize_terminal(width, height)
                assert c.app.size == Size(width, height)
            key = chance.choice(KEYS)
            await c.pilot.press("space" if key == " " else key)
            c.app.frame()
            if not c.app.is_running or c.app.return_code is not None:
                break
        assert c.app.crash is None
