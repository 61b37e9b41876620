"""Where a task's time goes, and how near it is to its time limit."""

import pytest

from tests.console.synthetic import SyntheticSource
from tqconsole.tui.model.facts import TimeLimit
from tqconsole.tui.model.stages import Stages, read_limits


def test_stages_are_counted_once_for_each_task() -> None:
    source, stages = SyntheticSource(), Stages()
    for number in range(100):
        source.task(f"id-{number}", "proj.add", runtime=1.0 + number / 100, ago=5)
    source.drain(source.clock())
    stages.update(source.state, source.clock())
    source.event("task-succeeded", uuid="id-0", hostname="w1@node1", result="1", runtime=1.0)
    source.drain(source.clock())
    stages.update(source.state, source.clock())
    table = {stage.name: stage for stage in stages.table(source.clock())}
    assert list(table) == ["queue", "prefetch", "run", "total"]
    assert table["queue"].p50 == pytest.approx(0.004, abs=1e-4)
    assert table["prefetch"].p50 == pytest.approx(0.017, abs=1e-4)
    assert table["run"].p50 == pytest.approx(1.5, abs=0.02)
    assert table["run"].worst == pytest.approx(1.99, abs=0.02)
    assert table["run"].worst_name == "proj.add"
    assert stages.table(source.clock() + 1000) == []


@pytest.mark.parametrize(
    ("registered", "conf", "limit"),
    [
        (["a [time_limit=10 soft_time_limit=5]"], {}, TimeLimit(10.0, 5.0)),
        (["a [time_limit=10]"], {"task_soft_time_limit": 3}, TimeLimit(10.0, 3.0)),
        (["a"], {"task_time_limit": 300.0}, TimeLimit(300.0, None)),
        (["a"], {}, None),
        (["a [rate_limit=10/s]"], None, None),
        ("nonsense", "nonsense", None),
        (["a [time_limit=many]"], {}, None),
        (["a"], {"task_time_limit": 0}, None),
    ],
)
def test_limits_are_read_from_what_workers_answer(registered, conf, limit) -> None:
    assert read_limits(registered, conf, {}).get("a") == limit


async def test_a_running_task_shows_how_much_of_its_limit_is_used(console) -> None:
    source = SyntheticSource()
    source.worker("w1@node1")
    source.limits["reports.build"] = TimeLimit(300.0, 100.0)
    source.task("id-0", "reports.build", outcome="started", ago=84.021)
    source.drain(source.clock())
    async with console(source, size=(160, 48), screen="overview") as c:
        assert "84% of soft 1m40s" in c.text()
        await c.press("2", "j", "enter")
        assert "soft 100s   hard 300s   84% used" in c.text()
        assert "queue 4ms   prefetch 17ms   run 84.0s" in c.text()


async def test_the_overview_tells_where_the_time_goes(console) -> None:
    source = SyntheticSource()
    source.worker("w1@node1")
    for number in range(20):
        source.task(f"id-{number}", "proj.add", runtime=0.5, ago=5)
    async with console(source, size=(160, 48), screen="overview") as c:
        source.clock.now += 1
        await c.frame()
        lines = [line for line in c.lines() if "p50" in line or "prefetch" in line]
        assert "worst" in lines[0]
        assert "17ms   17ms   17ms   17ms" in lines[1]
