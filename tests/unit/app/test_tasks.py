"""Calls become messages as Celery's, checked where they are made."""

import json
import pickle
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tq import TQ, Task, current_app, shared_task
from tq.app.arguments import make_checker
from tq.errors import ConfigError, NotRegistered, QueueNotFound
from tq.saferepr import saferepr
from tq.wire.message import read_body, read_headers

FIXTURES = Path(__file__).parents[2] / "fixtures" / "task-messages-redis"


def sent(app, call):
    with app.capture() as messages:
        call()
    assert len(messages) == 1
    return messages[0]


def test_a_plain_call_is_celerys_minimal_message(app):
    @app.task(name="tasks.add")
    def add(x, y):
        return x + y

    message = sent(app, lambda: add.delay(2, 3))
    recorded = json.loads((FIXTURES / "plain_delay.json").read_text())
    recorded = recorded["messages"][0]
    expected = recorded["envelope_without_body"]["headers"]
    assert list(message.headers) == list(expected)
    volatile = {"id", "root_id", "origin"}
    assert {k: v for k, v in message.headers.items() if k not in volatile} == {
        k: v for k, v in expected.items() if k not in volatile
    }
    assert json.loads(message.body) == recorded["decoded_body"]
    assert (message.exchange, message.routing_key, message.priority) == ("", "celery", 0)
    assert message.correlation_id == message.headers["id"] == message.headers["root_id"]


def test_options_reach_their_places_in_the_message(app):
    @app.task
    def add(x, y):
        return x + y

    message = sent(
        app,
        lambda: add.apply_async(
            (1, 2),
            task_id="id-1",
            eta=datetime(2031, 5, 4, 3, 2, 1, tzinfo=UTC),
            expires=120,
            queue="other",
            priority=5,
            time_limit=30,
            soft_time_limit=20,
            shadow="pretty",
            headers={"tenant": 7},
            link=add.s(4),
            stamped_headers=["region"],
            region="eu",
        ),
    )
    headers = message.headers
    assert headers["id"] == "id-1"
    assert headers["eta"] == "2031-05-04T03:02:01+00:00"
    assert headers["timelimit"] == [30, 20]
    assert headers["shadow"] == "pretty"
    assert headers["tenant"] == 7
    assert (headers["stamped_headers"], headers["stamps"]) == (["region"], {"region": "eu"})
    assert (message.routing_key, message.priority) == ("other", 5)
    assert abs(int(message.expiration) - 120_000) < 1000
    body = read_body(message, frozenset({"application/json"}))
    assert body.callbacks[0]["task"] == add.name
    assert read_headers(message).expires.endswith("+00:00")


def test_a_naive_eta_goes_out_without_an_offset(app):
    @app.task
    def noop():
        """Do nothing."""

    message = sent(app, lambda: noop.apply_async(eta=datetime(2031, 5, 4, 3, 2, 1)))
    assert message.headers["eta"] == "2031-05-04T03:02:01"


@pytest.mark.parametrize(
    "options", [{"countdown": "soon"}, {"eta": 5}, {"expires": ["x"]}, {"priority": "high"}]
)
def test_an_option_of_the_wrong_kind_is_a_config_error(app, options):
    @app.task
    def noop():
        """Do nothing."""

    with pytest.raises(ConfigError):
        noop.apply_async(**options)


def test_arguments_that_do_not_fit_are_refused_at_the_call(app):
    @app.task(bind=True)
    def add(self, x, y, *, z=1):
        return x + y + z

    with pytest.raises(TypeError, match="missing 1 required positional argument: 'y'"):
        add.delay(1)
    with pytest.raises(TypeError, match="unexpected keyword"):
        add.delay(1, 2, w=3)
    assert sent(app, lambda: add.delay(1, 2, z=3)).headers["kwargsrepr"] == "{'z': 3}"


def test_typing_false_checks_nothing(app):
    @app.task(typing=False)
    def add(x, y):
        return x + y

    assert sent(app, lambda: add.delay(1)).headers["argsrepr"] == "(1,)"


def test_arguments_are_described_to_the_depth_that_was_set(app):
    @app.task
    def show(x):
        return x

    app.conf.task_repr_maxlevels = 1
    assert sent(app, lambda: show.delay([[1]])).headers["argsrepr"] == saferepr(
        ([[1]],), maxlevels=1
    )
    assert saferepr(([[1]],), maxlevels=1) != saferepr(([[1]],))


def test_a_checker_has_every_kind_of_parameter():
    def function(a, b=1, /, c=2, *rest, d, e=3, **more):
        """Do nothing."""

    check = make_checker(function, False, "function")
    check(1, d=4)
    check(1, 2, 3, 4, d=5, f=6)
    with pytest.raises(TypeError, match=r"function\(\)"):
        check(d=1)


def test_a_task_follows_the_settings_unless_it_says_otherwise(app):
    @app.task
    def follows():
        """Do nothing."""

    @app.task(acks_late=False, serializer="msgpack", ignore_result=True)
    def decides():
        """Do nothing."""

    assert (follows.acks_late, decides.acks_late) == (True, False)
    app.conf.update(task_acks_late=False, task_serializer="msgpack", task_protocol=1)
    assert follows.acks_late is False
    assert sent(app, lambda: follows.delay()).content_type == "application/x-msgpack"
    app.conf.update(task_protocol=2, task_serializer="json")
    assert sent(app, lambda: follows.delay()).content_type == "application/json"
    assert sent(app, lambda: decides.delay()).headers["ignore_result"] is True


def test_a_base_class_gives_handlers_and_options(app):
    class Base(Task):
        queue = "slow"

    @app.task(base=Base)
    def work():
        """Do nothing."""

    assert isinstance(work, Base)
    assert sent(app, lambda: work.delay()).routing_key == "slow"


def test_an_option_that_is_nearly_one_is_refused(app):
    with pytest.raises(TypeError, match="max_retries"):

        @app.task(max_retrys=3)
        def work():
            """Do nothing."""


def test_routes_by_name_glob_regex_and_function(app):
    import re

    def by_function(name, args, kwargs, options, task=None, **kw):
        return {"queue": "f"} if name == "fn" else None

    app.conf.task_routes = (
        by_function,
        {"exact": "e", "feed.*": {"queue": "g", "priority": 7}},
        [(re.compile(r"(video|image)\..*"), {"queue": "m"})],
    )
    route = app.router.route
    assert [route({}, n).routing_key for n in ("fn", "exact", "image.crop", "none")] == [
        "f", "e", "m", "celery",
    ]  # fmt: skip
    assert route({}, "feed.x").extra == {"priority": 7}
    assert route({"queue": "mine"}, "exact").routing_key == "mine"


def test_missing_queues_are_refused_where_they_must_not_be_created(app):
    app.conf.update(task_create_missing_queues=False, task_queues={"known": {}})
    app.conf.task_default_queue = "known"
    assert app.router.route({}, "t").routing_key == "known"
    with pytest.raises(QueueNotFound, match="other"):
        app.router.route({"queue": "other"}, "t")


def test_a_topic_queue_is_addressed_through_its_exchange(app):
    app.conf.task_queues = {
        "t": {"exchange": "tex", "exchange_type": "topic", "routing_key": "a.#"}
    }
    found = app.router.route({"queue": "t", "routing_key": "a.b.c"}, "t")
    assert (found.exchange, found.exchange_type, found.routing_key) == ("tex", "topic", "a.b.c")


def test_send_task_leaves_the_result_to_the_worker(app):
    message = sent(app, lambda: app.send_task("other.module.task", ["a"], {"k": None}))
    assert message.headers["ignore_result"] is None
    assert message.headers["argsrepr"] == "['a']"


def test_send_many_keeps_order_and_ids(app):
    @app.task
    def add(x, y):
        return x + y

    with app.capture() as messages:
        results = app.send_many([add.s(i, 1) for i in range(2500)])
    assert [m.headers["id"] for m in messages] == [r.id for r in results.results]
    assert json.loads(messages[2499].body)[0] == [2499, 1]


def test_eager_calls_run_here_and_retry_at_once(app):
    runs = []

    @app.task(bind=True, max_retries=3)
    def flaky(self):
        runs.append(self.request.retries)
        if len(runs) < 3:
            raise self.retry(countdown=60)
        return "done"

    app.conf.task_always_eager = True
    assert flaky.delay().get() == "done"
    assert runs == [0, 1, 2]


def test_eager_failures_propagate_where_asked(app):
    @app.task
    def bad():
        raise ValueError("boom")

    assert bad.apply().state == "FAILURE"
    with pytest.raises(ValueError, match="boom"):
        bad.apply(throw=True)


def test_an_unknown_task_is_named_with_the_nearest(app):
    @app.task(name="proj.add")
    def add():
        """Do nothing."""

    with pytest.raises(NotRegistered) as caught:
        _ = app.tasks["proj.ad"]
    assert caught.value.args == ("proj.ad",)
    assert "proj.add" in caught.value.hint


def test_a_shared_task_belongs_to_every_application():
    @shared_task(name="lib.work")
    def work(x):
        return x * 2

    with TQ("one", broker="memory://") as one:
        assert one.tasks["lib.work"].app is one
        assert current_app() is one
        assert work.name == "lib.work"
        assert work(4) == 8
        with TQ("two", broker="memory://") as two:
            assert work.app is two


def test_a_task_pickles_as_its_name():
    with TQ("pickled", broker="memory://") as app:

        @app.task(name="p.t")
        def work():
            """Do nothing."""

        assert pickle.loads(pickle.dumps(work)) is work


def test_a_celery_application_is_named_as_such(tmp_path, monkeypatch):
    from tq import find_app

    (tmp_path / "celproj.py").write_text("from celery import Celery\napp = Celery('x')\n")
    (tmp_path / "raising.py").write_text("1 / 0\n")
    (tmp_path / "empty.py").write_text("app = 3\n")
    (tmp_path / "good.py").write_text("from tq import TQ\nmine = TQ('good', broker='memory://')\n")
    package = tmp_path / "pack"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "tq.py").write_text("from tq import TQ\napp = TQ('pack', broker='memory://')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    for name, hint in {
        "celproj": "Celery application",
        "raising": "ZeroDivisionError",
        "empty": "is no TQ application but a int",
        "nowhere.at_all": "no module 'nowhere'",
        "good:other": "no attribute 'other'",
        "../x": "not a path",
    }.items():
        with pytest.raises(ConfigError, match=hint):
            find_app(name)
    found = [find_app(name) for name in ("good", "good:mine", "pack")]
    assert [app.main for app in found] == ["good", "good", "pack"]
    for app in found:
        app.close()
