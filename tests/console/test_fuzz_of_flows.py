"""Random keys and sizes on Schedules, Flows and Events while related tasks come and go."""

import random

import pytest

from tests.console.synthetic import NAMES, OUTCOMES, demo_cluster
from tests.console.test_schedules_screen import scheduled
from tqconsole.tui.model.lineage import ChordFacts, Lineage

KEYS = (
    *"jkgGfpsxtur.*eyCnNa678/:[]-w", "escape", "enter", "enter", "tab", "up", "down", "pageup",
    "pagedown", "home", "end", "left", "right", "ctrl+d", "ctrl+u", "ctrl+r", "ctrl+t", "backspace",
)  # fmt: skip
SIZES = ((80, 24), (40, 10), (160, 48), (300, 100), (23, 7))


@pytest.mark.timeout(180)
@pytest.mark.parametrize("screen", ["schedules", "flows", "events"])
async def test_random_keys_and_sizes_break_nothing(
    console, screen: str, tmp_path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # `e` writes files
    chance = random.Random(screen)
    source = demo_cluster(100)
    source.state.max_tasks = 150
    source.events.most = 300
    ids = [f"task{number}" for number in range(60)]
    async with console(source, screen=screen) as c:
        for _ in range(70):
            source.clock.now += chance.random() * 2
            for _ in range(chance.randrange(15)):
                name, queue, runtime = chance.choice(NAMES)
                source.task(
                    chance.choice(ids),
                    name,
                    queue=queue,
                    outcome=chance.choice(OUTCOMES),
                    runtime=runtime,
                    root=chance.choice([None, *ids]),
                    parent=chance.choice([None, *ids]),
                    group=chance.choice([None, None, "g1", "g2"]),
                    eta=chance.choice([None, "2026-01-01T15:00:00+00:00", "soon"]),
                )
            if chance.random() < 0.2:
                lineage = Lineage(group_id=chance.choice(["g1", "g3"]), children=(ids[0], "gone"))
                source.lineage.note(chance.choice(ids), lineage)
                source.lineage.note_chord("g1", ChordFacts(chance.choice([None, 5]), 2, 0.0))
                source.schedules = scheduled().schedules
            if chance.random() < 0.1:
                await c.pilot.resize_terminal(*chance.choice(SIZES))
            await c.pilot.press(chance.choice(KEYS))
            c.app.frame()
        assert c.app.crash is None
        assert c.app.is_running
