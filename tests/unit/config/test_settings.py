"""Every write to the settings is checked, and the sources win in their order."""

import types
from datetime import timedelta

import pytest

from tq.config import Conf, LateSettingWarning, UnusedSettingWarning, load_environment, load_object
from tq.config.aliases import OLD_NAMES, UNUSED_NAMES, canonical
from tq.config.settings import DEFAULTS, FIELD_NAMES
from tq.errors import ConfigError


def test_defaults_are_celerys_but_for_the_stated_ones():
    assert DEFAULTS.task_acks_late is True
    assert DEFAULTS.broker_url is None
    assert DEFAULTS.task_default_queue == "celery"
    assert DEFAULTS.worker_prefetch_multiplier == 4
    assert DEFAULTS.result_expires == 86400
    assert DEFAULTS.task_delivery_limit == 5
    assert DEFAULTS.broker_lease == 10.0


def test_every_default_passes_its_own_check():
    assert DEFAULTS.replace(**DEFAULTS.table()) == DEFAULTS


@pytest.mark.parametrize(
    ("name", "value", "kept"),
    [
        ("result_expires", timedelta(hours=1), 3600.0),
        ("accept_content", ["json", "msgpack"], ("json", "msgpack")),
        ("imports", "a, b", ("a", "b")),
        ("task_default_delivery_mode", "transient", 1),
        ("broker_url", ["redis://a", "redis://b"], ("redis://a", "redis://b")),
        ("worker_concurrency", "auto", "auto"),
        ("result_cache_max", -1, -1),
    ],
)
def test_a_value_is_kept_in_one_form(name, value, kept):
    assert getattr(DEFAULTS.replace(**{name: value}), name) == kept


@pytest.mark.parametrize(
    ("name", "value", "hint"),
    [
        ("worker_concurrency", "four", "'auto'"),
        ("worker_concurrency", 0, "between 1"),
        ("task_acks_late", "false", "True or False"),
        ("timezone", "Mars/Olympus", "time zone"),
        ("broker_lease", 0, "more than 0"),
        ("result_expires", -1, "0 or more"),
        ("beat_schedule", ["x"], "a dictionary"),
        ("task_protocol", 3, "one of 1, 2"),
        ("task_time_limit", float("nan"), "a number"),
        ("task_serialiser", "json", "did you mean 'task_serializer'"),
    ],
)
def test_a_wrong_value_is_one_clear_error(name, value, hint):
    with pytest.raises(ConfigError, match=hint) as caught:
        DEFAULTS.replace("proj.config", **{name: value})
    assert name in str(caught.value)
    assert "proj.config" in str(caught.value)


def test_every_old_name_leads_to_a_setting_of_today():
    for old, new in OLD_NAMES.items():
        assert canonical(old) == new
        assert new in FIELD_NAMES or new in UNUSED_NAMES


def test_mixing_old_and_new_names_in_one_source_is_refused():
    with pytest.raises(ConfigError, match="mixes old and new"):
        load_object({"CELERY_TASK_SERIALIZER": "json", "task_acks_late": True})


def test_old_names_alone_are_understood():
    found = load_object({"CELERYD_CONCURRENCY": 3, "BROKER_URL": "memory://"})
    assert found == {"worker_concurrency": 3, "broker_url": "memory://"}


def test_a_namespace_reads_only_its_own_names():
    module = types.ModuleType("settings")
    module.CELERY_TASK_ALWAYS_EAGER = True
    module.DEBUG = True
    module.CELERY_EMAIL_BACKEND = "not ours"
    assert load_object(module, "CELERY") == {"task_always_eager": True}


def test_a_slip_in_a_modules_setting_is_an_error_but_other_names_are_not():
    module = types.ModuleType("proj_config")
    module.helper_value = 3
    assert load_object(module) == {}
    module.task_always_eagre = True
    with pytest.raises(ConfigError, match=r"proj_config.*task_always_eager"):
        load_object(module)


def test_a_missing_configuration_module_is_a_config_error():
    with pytest.raises(ConfigError, match="no_such_module_here"):
        load_object("no_such_module_here")


def test_tqs_environment_variables_win_over_celerys():
    found = load_environment({"TQ_BROKER_URL": "memory://", "CELERY_BROKER_URL": "redis://x"})
    assert found == {"broker_url": "memory://"}


def test_conf_reads_and_writes_by_attribute_item_and_update():
    conf = Conf()
    conf.task_always_eager = True
    conf["task_default_queue"] = "q"
    conf.update({"worker_pool": "solo"}, timezone="Europe/Berlin")
    assert (conf["task_always_eager"], conf.task_default_queue) == (True, "q")
    assert (conf.get("worker_pool"), conf.timezone) == ("solo", "Europe/Berlin")
    assert "task_routes" in conf
    assert "CELERY_ROUTES" in conf
    assert "nothing_like_it" not in conf


def test_a_write_replaces_the_record_and_leaves_the_old_one_alone():
    conf = Conf()
    before = conf.settings
    conf.task_protocol = 1
    assert conf.settings is not before
    assert (before.task_protocol, conf.settings.task_protocol) == (2, 1)


def test_an_update_with_one_wrong_value_writes_nothing():
    conf = Conf()
    with pytest.raises(ConfigError):
        conf.update(task_default_queue="q", broker_lease=-1)
    assert conf.task_default_queue == "celery"


def test_unknown_names_suggest_the_nearest():
    conf = Conf()
    with pytest.raises(AttributeError, match="task_always_eager"):
        _ = conf.task_alway_eager
    with pytest.raises(KeyError, match="task_always_eager"):
        _ = conf["task_alway_eager"]


def test_an_unused_celery_setting_is_kept_with_a_warning():
    conf = Conf()
    with pytest.warns(UnusedSettingWarning, match="s3_bucket"):
        conf.s3_bucket = "b"
    assert conf.s3_bucket == "b"
    assert conf.unused == ("s3_bucket",)


def test_a_known_setting_that_nothing_reads_warns_unless_it_says_what_happens_anyway(recwarn):
    conf = Conf(lambda: {"event_serializer": "json"})
    assert conf.event_serializer == "json"
    assert not recwarn
    assert conf.unused == ()
    with pytest.warns(UnusedSettingWarning, match="worker_eta_task_limit"):
        conf.worker_eta_task_limit = 10
    assert conf.worker_eta_task_limit == 10
    assert conf.unused == ("worker_eta_task_limit",)
    conf.worker_eta_task_limit = None
    assert conf.unused == ()


def test_writing_what_a_connection_was_made_from_warns():
    conf = Conf()
    conf.mark_used(["broker_url"], "the broker connection")
    with pytest.warns(LateSettingWarning, match="too late"):
        conf.broker_url = "redis://other"
    conf.unmark_used("the broker connection")
    conf.broker_url = "redis://third"


def test_secrets_are_masked_in_tables():
    conf = Conf(lambda: {"broker_url": "redis://user:se/cr@t@host/0"})
    assert conf.table()["broker_url"] == "redis://user:**@host/0"
    assert "cr@t" not in conf.humanize()
