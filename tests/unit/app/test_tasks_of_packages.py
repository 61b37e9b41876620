"""Tasks that reach an application by other ways than its own decorator."""

import sys
import textwrap

import pytest

from tq import TQ, Task, shared_task
from tq.errors import ConfigError


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package `parcels` with tasks, and one `plain` without any."""
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in ("parcels", "plain"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").touch()
    source = """
        from tq import shared_task

        @shared_task
        def send(weight):
            return weight
    """
    (tmp_path / "parcels" / "tasks.py").write_text(textwrap.dedent(source))
    (tmp_path / "parcels" / "broken.py").write_text("raise KeyError('inside')\n")
    yield
    for name in [name for name in sys.modules if name.partition(".")[0] in ("parcels", "plain")]:
        del sys.modules[name]


def test_autodiscovery_imports_the_tasks_of_each_package_at_the_start(app, package):
    app.autodiscover_tasks(["parcels", "plain"])
    assert "parcels.tasks.send" not in app.tasks
    app.import_default_modules()
    assert "parcels.tasks.send" in app.tasks


def test_autodiscovery_can_import_at_once_what_a_function_names(app, package):
    app.autodiscover_tasks(lambda: ["parcels"], force=True)
    assert app.tasks["parcels.tasks.send"](3) == 3


@pytest.mark.parametrize(("packages", "related"), [(["nowhere"], "tasks"), (["parcels"], "broken")])
def test_autodiscovery_says_what_does_not_import(app, package, packages, related):
    app.autodiscover_tasks(packages, related_name=related)
    with pytest.raises(ConfigError, match=r"nowhere|parcels\.broken"):
        app.import_default_modules()


def test_a_shared_task_belongs_to_every_application():
    @shared_task(name="shared.double", max_retries=7)
    def double(x):
        return 2 * x

    with TQ("one", broker="memory://") as one, TQ("two", broker="memory://") as two:
        assert one.tasks["shared.double"](4) == two.tasks["shared.double"](4) == 8
        assert one.tasks["shared.double"] is not two.tasks["shared.double"]
        assert double.max_retries == 7
        two.set_current()
        assert double.app is two
        one.set_current()
        assert double.app is one
        assert double.s(1).task == "shared.double"


def test_annotations_change_tasks_by_name_and_all_of_them():
    noted = []

    def on_failure(self, exc, task_id, args, kwargs, einfo):
        noted.append((self.name, str(exc)))

    annotations = {"*": {"on_failure": on_failure}, "slow": {"rate_limit": "3/m"}}
    with TQ("a", broker="memory://", task_annotations=annotations, set_as_current=False) as app:

        @app.task(name="slow")
        def slow():
            raise ValueError("late")

        @app.task(name="fast", rate_limit="9/s")
        def fast():
            """Do nothing."""

        app.finalize()
        assert (app.tasks["slow"].rate_limit, app.tasks["fast"].rate_limit) == ("3/m", "9/s")
        slow.apply()
        assert noted == [("slow", "late")]


def test_annotations_may_come_from_an_object():
    class Annotations:
        def annotate(self, task):
            return {"queue": "far"} if task.name.endswith("send") else None

    with TQ("a", broker="memory://", task_annotations=[Annotations()], set_as_current=False) as app:

        @app.task(name="x.send")
        def send():
            """Do nothing."""

        app.finalize()
        assert app.tasks["x.send"].queue == "far"


def test_a_class_based_task_is_registered_under_its_name(app):
    class Pack(Task):
        name = "pack"

        def run(self, item):
            return f"packed {item}"

    task = app.register_task(Pack())
    assert app.tasks["pack"] is task
    assert task.apply(("ink",)).get() == "packed ink"


def test_calls_after_a_commit_need_django(app, monkeypatch):
    @app.task
    def any_task():
        """Do nothing."""

    monkeypatch.setitem(sys.modules, "django.db.transaction", None)
    with pytest.raises(ConfigError, match="Django project"):
        any_task.delay_on_commit()


def test_a_variable_without_django_is_a_warning(app, monkeypatch, caplog):
    monkeypatch.setenv("DJANGO_SETTINGS_MODULE", "any.settings")
    monkeypatch.setattr("tq.app.django.find_spec", lambda name: None)
    app.autodiscover_tasks()
    app.import_default_modules()
    assert "Django is not installed" in caplog.text
