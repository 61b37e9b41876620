"""Real tq workers, one per pool, for all canvas tests of a run."""

from collections.abc import Iterator

import pytest

from tests.support.fleet import Fleet
from tests.support.processes import tq_worker
from tests.support.services import RedisServer


def start(pool: str, **env: str) -> Iterator[Fleet]:
    """A fleet of one tq worker."""
    server = RedisServer("redis").start()
    fleet = Fleet(server)
    try:
        fleet.workers.append(
            tq_worker(server.url, "-A", "tests.support.canvas_app", "-P", pool, **fleet.env, **env)
        )
        yield fleet
        # A worker that lives but logged an internal error has lost something.
        output = fleet.workers[0].output()
        assert fleet.workers[0].process.poll() is None, output[-3000:]
        assert "Traceback (most recent call last)" not in _without_tasks(output), output[-3000:]
    finally:
        fleet.close()
        server.close()


def _without_tasks(output: str) -> str:
    """The log without what tasks raised on purpose."""
    lines, skip = [], False
    for line in output.splitlines():
        if line.startswith("["):
            skip = "canvas." in line or "celery." in line
        if not skip:
            lines.append(line)
    return "\n".join(lines)


@pytest.fixture(
    scope="session",
    params=[
        pytest.param(pool, marks=pytest.mark.xdist_group(f"canvas-{pool}"))
        for pool in ("prefork", "threads")
    ],
)
def fleet(request: pytest.FixtureRequest) -> Iterator[Fleet]:
    """One worker, of either pool, for every test that asks."""
    yield from start(request.param)


@pytest.fixture
def t(fleet: Fleet):
    """The tasks."""
    return fleet.t
