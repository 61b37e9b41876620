"""Options and settings become one checked record."""

from typing import Any

import pytest

from tq.config import Settings
from tq.errors import ConfigError
from tq.worker.options import resolve


def test_options_win_over_settings() -> None:
    settings = Settings().replace(worker_concurrency=7, worker_pool="threads")
    assert resolve(settings, {}).pool_options.size == 7
    options = resolve(settings, {"concurrency": "3", "pool": "solo", "hostname": "w@%h"})
    assert (options.pool, options.pool_options.size) == ("solo", 3)
    assert options.hostname.startswith("w@")


def test_the_pool_alone_decides_how_much_is_held_unless_somebody_said_so() -> None:
    assert resolve(Settings(), {"concurrency": 2}).prefetch_limit is None
    assert resolve(Settings(), {"concurrency": 2, "prefetch_multiplier": 4}).prefetch_limit == 8
    assert resolve(Settings(), {"concurrency": 2, "prefetch_multiplier": 0}).prefetch_limit is None
    settings = Settings().replace(worker_prefetch_multiplier=1)
    assert resolve(settings, {"concurrency": 2}).prefetch_limit == 2


@pytest.mark.parametrize(("text", "bounds"), [("10,3", (10, 3)), ("3,10", (10, 3)), ("5", (5, 0))])
def test_autoscale_is_read(text: str, bounds: tuple[int, int]) -> None:
    assert resolve(Settings(), {"autoscale": text}).autoscale == bounds


@pytest.mark.parametrize(
    "given",
    [
        {"concurrency": 0},
        {"concurrency": -1},
        {"concurrency": "four"},
        {"concurrency": 10_000_000},
        {"autoscale": "a,b"},
        {"autoscale": "1,2,3"},
        {"autoscale": "0"},
        {"time_limit": float("nan")},
        {"soft_time_limit": -1},
        {"max_tasks_per_child": 0},
        {"prefetch_multiplier": -1},
        {"queues": "a,,b"},
        {"queues": "a\nb"},
        {"queues": ""},
    ],
)
def test_what_makes_no_sense_is_refused(given: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        resolve(Settings(), given)
