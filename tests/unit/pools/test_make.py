"""Picking a pool by name."""

import subprocess
import sys
from typing import Any

import pytest

from tq.errors import ConfigError
from tq.pools import PoolOptions, make
from tq.pools.base import Job, Outcome


class Runner:
    def setup(self, slot: int) -> None: ...

    def teardown(self, slot: int) -> None: ...

    def run(self, job: Job) -> Outcome:
        return Outcome(job.id, b"")

    async def run_async(self, job: Job) -> Outcome:
        return Outcome(job.id, b"")

    def settle(self, outcomes: Any) -> list[Outcome]:
        return list(outcomes)


@pytest.mark.parametrize(
    ("name", "implementation"),
    [
        ("prefork", "PreforkPool"),
        ("processes", "PreforkPool"),
        ("threads", "ThreadsPool"),
        ("asyncio", "AsyncioPool"),
        ("solo", "SoloPool"),
        (" Threads ", "ThreadsPool"),
    ],
)
def test_each_name_makes_its_pool(name: str, implementation: str) -> None:
    pool = make(name, Runner(), PoolOptions(size=1))
    assert pool.info()["implementation"].endswith(f":{implementation}")


def test_unknown_name_is_one_error_with_the_nearest_and_all_valid_names() -> None:
    with pytest.raises(ConfigError) as caught:
        make("thraeds", Runner(), PoolOptions(size=1))
    message = str(caught.value)
    assert "'thraeds'" in message
    assert "did you mean 'threads'?" in message
    for name in ("prefork", "threads", "asyncio", "solo", "processes"):
        assert name in message
    assert "\n" not in message


def test_a_name_like_no_other_gets_no_suggestion() -> None:
    with pytest.raises(ConfigError, match=r"^no pool is called 'xyzzy' \(choose from "):
        make("xyzzy", Runner(), PoolOptions(size=1))


@pytest.mark.parametrize(
    "wrong",
    [
        {"size": 0},
        {"size": -1},
        {"size": 1, "soft_limit": -1.0},
        {"size": 1, "hard_limit": float("nan")},
        {"size": 1, "max_jobs_per_child": 0},
        {"size": 1, "max_memory_kib": 0},
        {"size": 1, "start_method": "forkserver"},
        {"size": 1, "start_timeout": 0.0},
        {"size": 1, "batch_seconds": 0.0},
    ],
)
def test_impossible_options_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        make("prefork", Runner(), PoolOptions(**wrong))


def test_the_room_loads_no_implementation() -> None:
    program = (
        "import sys, tq.pools; "
        "print([m for m in ('asyncio', 'ssl', 'tq.pools.prefork.pool', 'difflib') if m in sys.modules])"
    )
    shown = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
        env={"PYTHONPATH": ":".join(path for path in sys.path if path)},
    )
    assert shown.stdout.strip() == "[]"
