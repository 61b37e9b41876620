"""The pytest plugin: applications and workers as fixtures.

    def test_adds(tq_app, tq_worker):
        @tq_app.task
        def add(x, y): ...
        assert add.delay(2, 3).get(timeout=10) == 5

Loaded by itself where tq is installed. Every fixture may be overridden in a `conftest.py`:
`tq_app` by one that yields `isolate(your_app)` tests your own application.

Source: celery/contrib/pytest.py, whose fixtures these are with `tq` for `celery`.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    # Loaded by pytest before anything else: coverage would not see what were imported here.
    from tq.app import TQ
    from tq.testing.workers import RunningWorker

__all__ = [
    "tq_app",
    "tq_class_tasks",
    "tq_config",
    "tq_includes",
    "tq_parameters",
    "tq_session_app",
    "tq_session_worker",
    "tq_worker",
    "tq_worker_parameters",
    "tq_worker_pool",
]


def pytest_configure(config: pytest.Config) -> None:
    """Declare the marker."""
    config.addinivalue_line("markers", "tq(**settings): settings of the test's tq_app")


# What the others are made of, for overriding.


@pytest.fixture(scope="session")
def tq_config() -> Mapping[str, Any]:
    """Return the settings of test applications."""
    return {}


@pytest.fixture(scope="session")
def tq_parameters() -> Mapping[str, Any]:
    """Return the arguments of `TQ` for test applications: `broker` leaves memory for a server."""
    return {}


@pytest.fixture(scope="session")
def tq_includes() -> Sequence[str]:
    """Return the modules that a worker imports: with shared tasks, or receivers of signals."""
    return ()


@pytest.fixture(scope="session")
def tq_class_tasks() -> Sequence[Any]:
    """Return the class-based tasks to register with test applications."""
    return ()


@pytest.fixture(scope="session")
def tq_worker_pool() -> str:
    """Return the worker's pool."""
    return "threads"


@pytest.fixture(scope="session")
def tq_worker_parameters() -> Mapping[str, Any]:
    """Return more arguments of `start_worker`: `queues`, `concurrency`, `stop_timeout`, ..."""
    return {}


# Applications and workers.


@pytest.fixture(scope="session")
def tq_session_app(
    tq_config: Mapping[str, Any],
    tq_parameters: Mapping[str, Any],
    tq_class_tasks: Sequence[Any],
) -> "Iterator[TQ]":
    """Provide one application for all tests, current unless a test has its own."""
    yield from _app(tq_parameters, tq_config, tq_class_tasks)


@pytest.fixture(scope="session")
def tq_session_worker(
    tq_session_app: "TQ",
    tq_includes: Sequence[str],
    tq_worker_pool: str,
    tq_worker_parameters: Mapping[str, Any],
) -> "Iterator[RunningWorker]":
    """Provide one worker for all tests, on `tq_session_app`."""
    yield from _worker(tq_session_app, tq_includes, tq_worker_pool, tq_worker_parameters)


@pytest.fixture
def tq_app(
    request: pytest.FixtureRequest,
    tq_config: Mapping[str, Any],
    tq_parameters: Mapping[str, Any],
    tq_class_tasks: Sequence[Any],
) -> "Iterator[TQ]":
    """Provide an application of the test's own; `@pytest.mark.tq(...)` adds settings."""
    marker = request.node.get_closest_marker("tq")
    settings = {**tq_config, **(marker.kwargs if marker is not None else {})}
    yield from _app(tq_parameters, settings, tq_class_tasks)


@pytest.fixture
def tq_worker(
    tq_app: "TQ",
    tq_includes: Sequence[str],
    tq_worker_pool: str,
    tq_worker_parameters: Mapping[str, Any],
) -> "Iterator[RunningWorker]":
    """Provide a worker of the test's own, on `tq_app`."""
    yield from _worker(tq_app, tq_includes, tq_worker_pool, tq_worker_parameters)


def _app(
    parameters: Mapping[str, Any], settings: Mapping[str, Any], tasks: Sequence[Any]
) -> "Iterator[TQ]":
    from tq.testing.apps import temporary_app  # not before coverage looks, see above

    with temporary_app(parameters, **settings) as app:
        for task in tasks:
            app.register_task(task)
        yield app


def _worker(
    app: "TQ", includes: Sequence[str], pool: str, parameters: Mapping[str, Any]
) -> "Iterator[RunningWorker]":
    from tq.testing.workers import start_worker  # as above

    with start_worker(app, **{"pool": pool, "include": includes, **parameters}) as worker:
        yield worker
