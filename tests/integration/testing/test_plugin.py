"""The pytest plugin, in test runs of its own."""

import tomllib
from importlib import import_module
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

ROOT = Path(__file__).parents[3]


@pytest.fixture
def run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch):
    """Run tests in a process of their own, with our plugin and no other."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("PYTHONPATH", f"{ROOT / 'core'}:{ROOT}")

    def run(test: str, conftest: str = "", *options: str) -> pytest.RunResult:
        pytester.makepyfile(test)
        if conftest:
            pytester.makeconftest(conftest)
        return pytester.runpytest_subprocess(
            "-p", "tq.testing.plugin", "-W", "error", "--strict-markers", *options, timeout=100
        )

    return run


def test_a_worker_for_a_test(run) -> None:
    result = run(
        """
        import threading
        import pytest

        def test_runs(tq_app, tq_worker):
            @tq_app.task
            def add(x, y):
                return x + y

            assert add.delay(2, 3).get(timeout=30) == 5
            assert tq_worker.app is tq_app

        def test_is_gone():
            assert [t.name for t in threading.enumerate()] == ["MainThread"]

        def test_starts_empty(tq_app, tq_worker):
            assert not [name for name in tq_app.tasks if "add" in name]
            assert tq_worker.worker.dispatcher.processed == 0
        """
    )
    result.assert_outcomes(passed=3)


def test_a_marker_gives_settings_to_one_test(run) -> None:
    result = run(
        """
        import pytest
        from tq import shared_task

        @shared_task
        def twice(x):
            return 2 * x

        @pytest.mark.tq(task_always_eager=True, task_default_queue="mine")
        def test_marked(tq_app):
            assert twice.delay(4).get() == 8
            assert tq_app.conf.task_default_queue == "mine"
            assert tq_app.conf.timezone == "Europe/Berlin"

        def test_plain(tq_app):
            assert tq_app.conf.task_default_queue == "celery"
            assert tq_app.conf.timezone == "Europe/Berlin"
        """,
        """
        import pytest

        @pytest.fixture(scope="session")
        def tq_config():
            return {"timezone": "Europe/Berlin"}
        """,
    )
    result.assert_outcomes(passed=2)


def test_everything_can_be_overridden(run) -> None:
    result = run(
        """
        import sys
        from tests_tasks import greet

        def test_overridden(tq_app, tq_worker):
            assert tq_app.main == "mine"
            assert greet.delay("you").get(timeout=30) == "hello you"
            assert tq_app.send_task("classy", ("you",)).get(timeout=30) == "classy you"
            assert tq_worker.hostname == "overridden@here"
            assert type(tq_worker.worker.pool).__name__ == "SoloPool"
            assert "signal_module" in sys.modules
        """,
        """
        import pathlib
        import sys
        import pytest
        from tq import Task

        here = pathlib.Path(__file__).parent
        sys.path.insert(0, str(here))
        (here / "tests_tasks.py").write_text(
            "from tq import shared_task\\n@shared_task\\ndef greet(x): return f'hello {x}'\\n"
        )
        (here / "signal_module.py").write_text("")

        class Classy(Task):
            name = "classy"

            def run(self, x):
                return f"classy {x}"

        def session(value):
            return pytest.fixture(scope="session")(lambda: value)

        tq_parameters = session({"main": "mine"})
        tq_class_tasks = session([Classy])
        tq_includes = session(["tests_tasks", "signal_module"])
        tq_worker_pool = session("solo")
        tq_worker_parameters = session({"hostname": "overridden@here"})
        """,
    )
    result.assert_outcomes(passed=1)


def test_one_worker_for_all_tests(run) -> None:
    result = run(
        """
        import pytest

        seen = []

        @pytest.mark.parametrize("n", [1, 2])
        def test_same(tq_session_app, tq_session_worker, n):
            seen.append(tq_session_worker)
            assert tq_session_app.send_task("celery.accumulate", (n,)).get(timeout=30) == [n]
            assert set(map(id, seen)) == {id(tq_session_worker)}
        """
    )
    result.assert_outcomes(passed=2)


def test_a_projects_own_application(run) -> None:
    result = run(
        """
        from project import add

        def test_adds(tq_worker):
            assert add.delay(2, 3).get(timeout=30) == 5
        """,
        """
        import pathlib
        import sys
        import pytest
        from tq.testing import isolate

        here = pathlib.Path(__file__).parent
        sys.path.insert(0, str(here))
        (here / "project.py").write_text(
            "from tq import TQ\\n"
            "app = TQ('project', broker='redis://production.invalid')\\n"
            "@app.task\\n"
            "def add(x, y): return x + y\\n"
        )

        @pytest.fixture
        def tq_app():
            from project import app

            with isolate(app):
                yield app
        """,
    )
    result.assert_outcomes(passed=1)


def test_a_worker_that_cannot_start_is_an_error_of_the_test(run) -> None:
    result = run(
        """
        def test_never(tq_worker):
            pass
        """,
        """
        import pytest

        @pytest.fixture(scope="session")
        def tq_worker_parameters():
            return {"exclude_queues": "celery"}
        """,
    )
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*there is no queue left to consume*"])


def test_the_fixtures_are_shown_with_what_they_do(run) -> None:
    result = run("def test_nothing(): pass", "", "--fixtures")
    result.stdout.fnmatch_lines(["tq_worker -- *", "*Provide a worker of the test's own*"])


def test_loading_the_plugin_loads_nothing_of_tq_that_coverage_would_miss(run) -> None:
    result = run(
        """
        import sys

        def test_unloaded():
            loaded = {name for name in sys.modules if name.partition(".")[0] == "tq"}
            assert loaded == {"tq", "tq.testing", "tq.testing.plugin"}
        """
    )
    result.assert_outcomes(passed=1)


def test_pytest_finds_the_plugin_where_tq_is_installed() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    names = project["entry-points"]["pytest11"]
    # One name for both ways of loading, so that `-p` and the entry point do not load it twice.
    assert names == {"tq.testing.plugin": "tq.testing.plugin"}
    assert hasattr(import_module(names["tq.testing.plugin"]), "tq_worker")
