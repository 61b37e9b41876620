"""`tq.testing`: workers inside the test, and applications in memory."""

import threading
from collections.abc import Iterator

import pytest

from tests.support.services import free_port, redis_server
from tests.support.waiting import eventually
from tq import TQ, chord, current_app, shared_task
from tq.errors import BrokerConnectionError, ConfigError
from tq.testing import isolate, start_worker, temporary_app


@shared_task
def twice(x: int) -> int:
    return 2 * x


@pytest.fixture
def app() -> Iterator[TQ]:
    with temporary_app() as app:
        yield app


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    eventually(lambda: not set(threading.enumerate()) - before, within=30)


@pytest.mark.parametrize("pool", ["threads", "solo", "asyncio"])
def test_a_worker_runs_what_the_test_defines_and_leaves_no_thread(app: TQ, pool: str) -> None:
    with start_worker(app, pool=pool) as worker:

        @app.task
        def add(x: int, y: int) -> int:
            return x + y

        assert add.delay(2, 3).get(timeout=30) == 5
        assert (add.s(1, 1) | twice.s()).delay().get(timeout=30) == 4
        parts = chord([add.s(n, n) for n in range(3)], app.signature("celery.accumulate"))
        assert parts.delay().get(timeout=30) == [[0, 2, 4]]
        answer = app.control.inspect(destination=[worker.hostname], timeout=30).ping()
        assert answer == {worker.hostname: {"ok": "pong"}}


@pytest.mark.parametrize("pool", ["threads", "prefork"])
def test_a_worker_on_a_server(pool: str) -> None:
    with redis_server() as server, temporary_app({"broker": server.url}) as app:

        @app.task
        def add(x: int, y: int) -> int:
            return x + y

        with start_worker(app, pool=pool, concurrency=2) as worker:
            results = [add.delay(n, 1) for n in range(20)]
            worker.join(60)
            assert [result.result for result in results] == list(range(1, 21))
        app.disconnect()


def test_join_waits_for_what_tasks_send_as_well(app: TQ) -> None:
    seen: list[int] = []

    @app.task
    def count_down(n: int) -> None:
        seen.append(n)
        if n:
            count_down.delay(n - 1)

    with start_worker(app) as worker:
        count_down.delay(20)
        worker.join(60)
        assert seen == list(range(20, -1, -1))


def test_join_names_the_task_that_does_not_end(app: TQ) -> None:
    go = threading.Event()

    @app.task
    def linger() -> bool:
        return go.wait(60)

    with start_worker(app) as worker:
        linger.delay()
        with pytest.raises(TimeoutError, match=r"busy after 0\.2 s"):
            worker.join(0.2)
        go.set()
        worker.join(60)


def test_a_task_that_outlasts_the_block_is_given_up_and_named(app: TQ) -> None:
    go, started = threading.Event(), threading.Event()

    @app.task
    def linger() -> None:
        started.set()
        go.wait(60)

    def run() -> None:
        with start_worker(app, stop_timeout=0.1):
            linger.delay()
            assert started.wait(60)

    with pytest.raises(TimeoutError, match=r"did not stop within 0\.1 s: tests\.\S*linger running"):
        run()
    go.set()


def test_what_was_not_run_waits_in_the_queue(app: TQ) -> None:
    with start_worker(app, queues="other"):
        twice.delay(1)
    assert app.broker.depths(["celery"]) == {"celery": 1}


def test_each_worker_chooses_its_own_queues(app: TQ) -> None:
    twice.apply_async((1,), queue="a")
    twice.apply_async((2,), queue="b")
    for name, left in (("a", {"a": 0, "b": 1}), ("b", {"a": 0, "b": 0})):
        with start_worker(app, queues=name) as worker:
            worker.join(60)
        assert app.broker.depths(["a", "b"]) == left


def test_a_pool_that_needs_another_process_leaves_nothing_open(app: TQ) -> None:
    with (
        pytest.raises(ConfigError, match=r"the pool 'gevent' needs"),
        start_worker(app, pool="gevent"),
    ):
        pytest.fail("it started")


def test_a_wrong_option_raises_in_the_test(app: TQ) -> None:
    with (
        pytest.raises(ConfigError, match="no pool is called 'thraeds'"),
        start_worker(app, pool="thraeds"),
    ):
        pytest.fail("it started")


def test_prefork_needs_a_broker_that_processes_can_reach(app: TQ) -> None:
    with (
        pytest.raises(ConfigError, match="cannot reach a broker in memory"),
        start_worker(app, pool="prefork"),
    ):
        pytest.fail("it started")


def test_a_broker_that_is_away_raises_at_once() -> None:
    url = f"redis://127.0.0.1:{free_port()}/0"
    with (
        temporary_app({"broker": url}) as app,
        pytest.raises(BrokerConnectionError),
        start_worker(app),
    ):
        pytest.fail("it started")


def test_what_keeps_a_worker_from_starting_raises_in_the_test(app: TQ, tmp_path) -> None:
    nowhere = tmp_path / "missing" / "worker.pid"
    with (
        pytest.raises(ConfigError, match="folder of the pid file"),
        start_worker(app, pidfile=str(nowhere)),
    ):
        pytest.fail("it started")


def test_applications_do_not_share_a_broker(app: TQ) -> None:
    with temporary_app() as other:
        twice.delay(1)
        assert other.broker.depths(["celery"]) == {"celery": 1}
    assert app.broker.depths(["celery"]) == {"celery": 0}


def test_isolate_puts_a_project_in_memory_and_back() -> None:
    project = TQ("project", broker="redis://broker.invalid/7", backend="redis://results.invalid/8")
    try:

        @project.task
        def add(x: int, y: int) -> int:
            return x + y

        with isolate(project, task_default_queue="mine") as app, start_worker(app):
            assert app is project
            assert add.delay(2, 2).get(timeout=30) == 4
            assert project.queues.consume_from.keys() == {"mine"}
        assert project.conf.broker_url == "redis://broker.invalid/7"
        assert project.conf.result_backend == "redis://results.invalid/8"
        assert project.conf.task_default_queue == "celery"
        assert current_app() is project
        assert project.broker.url == "redis://broker.invalid/7"
    finally:
        project.close()


def test_isolate_runs_eagerly_where_asked_to() -> None:
    project = TQ("project", broker="redis://broker.invalid/7", set_as_current=False)
    try:
        with isolate(project, task_always_eager=True):
            assert twice.delay(4).get() == 8
    finally:
        project.close()


def test_isolate_changes_nothing_when_a_setting_is_wrong() -> None:
    project = TQ("project", broker="redis://broker.invalid/7", set_as_current=False)
    try:
        with (
            pytest.raises(KeyError, match="task_always_eager"),
            isolate(project, task_always_eagre=True),
        ):
            pytest.fail("it went on")
        assert project.conf.broker_url == "redis://broker.invalid/7"
    finally:
        project.close()


def test_the_application_chosen_before_is_current_again() -> None:
    with temporary_app() as outer:
        with temporary_app() as inner:
            assert current_app() is inner
        assert current_app() is outer
