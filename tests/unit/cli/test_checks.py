"""What `tq doctor` makes of what it saw."""

from tq.brokers.redis.checkup import Facts
from tqconsole.cli.checks import Observed, check_server, check_workers


def server(**changes) -> dict[str, str]:
    facts = {
        "engine": "redis", "version": "7.4.6", "maxmemory": 0, "policy": "noeviction",
        "aof": True, "rdb_failed": False, "drift": 0.0, "unacked": 0, "consumers": 1, "orphans": [],
    }  # fmt: skip
    dead = changes.pop("dead", 0)
    found = check_server(Facts(**{**facts, **changes}), dead)
    return {finding.about: finding.level for finding in found}


def workers(lease=10.0, **changes) -> list[tuple[str, str, str]]:
    seen = Observed(3.0, conf={"w@a": {"worker_send_task_events": True}}, stats={"w@a": {}},
                    drifts={"w@a": 0.01}, software={"w@a": "tq"}, bound={"w@a"})  # fmt: skip
    for name, value in changes.items():
        setattr(seen, name, value)
    return [(f.level, f.about, f.finding) for f in check_workers(seen, lease)]


def test_a_sound_server_has_no_complaint():
    assert server() == {"broker": "ok"}


def test_an_old_server_is_an_error():
    assert server(version="6.0.16")["broker"] == "error"
    assert server(version="6.2.20")["broker"] == "ok"
    assert server(version="10.0.1")["broker"] == "ok"


def test_eviction_is_an_error_where_memory_is_limited():
    assert server(policy="allkeys-lru", maxmemory=1 << 20)["memory"] == "error"
    assert server(policy="allkeys-lru")["memory"] == "warning"


def test_what_loses_tasks_is_named():
    assert server(aof=False)["persistence"] == "warning"
    assert server(rdb_failed=True)["persistence"] == "error"
    assert server(dead=3)["dead letters"] == "warning"
    assert server(orphans=["tq:c:x:tags"])["orphans"] == "warning"
    assert server(drift=-7.0)["broker"] == "warning"


def test_a_sound_worker_has_no_complaint():
    assert {level for level, _, _ in workers()} == {"ok"}


def test_a_worker_without_heartbeat_or_answer_is_named():
    (found,) = [f for f in workers(drifts={}) if f[1] == "w@a"]
    assert found[0] == "warning"
    assert "no heartbeat" in found[2]
    (found,) = [f for f in workers(stats={}) if f[1] == "w@a"]
    assert "does not answer" in found[2]


def test_a_clock_that_is_off_says_which_way():
    ((_, _, text),) = [f for f in workers(drifts={"w@a": 30.0}) if f[1] == "w@a"]
    assert "30.0 s behind" in text
    ((_, _, text),) = [f for f in workers(drifts={"w@a": -30.0}) if f[1] == "w@a"]
    assert "30.0 s ahead" in text


def test_a_celery_peer_that_restores_sooner_than_the_lease_ends_is_an_error():
    short = {"w@a": {"broker_transport_options": {"visibility_timeout": 5},
                     "worker_send_task_events": True}}  # fmt: skip
    celery = {"w@a": "py-celery"}
    assert [f[0] for f in workers(conf=short, software=celery) if f[1] == "w@a"] == ["error"]
    assert [f for f in workers(conf=short) if f[1] == "w@a"] == []
    assert [f for f in workers(software=celery) if f[1] == "w@a"] == []


def test_mailboxes_without_an_answer_are_named():
    (found,) = [f for f in workers(bound={"w@a", "ghost@b"}) if "ghost@b" in f[2]]
    assert found[0] == "info"


OFF = {"w@a": {"task_events": False}}
SILENT = {"w@a": {"worker_send_task_events": False}}


def events(**changes) -> list[tuple[str, str]]:
    found = [f for f in workers(**changes) if f[1] == "w@a"]
    return [(level, text) for level, _, text in found]


def test_a_worker_of_ours_says_whether_it_tells_of_its_tasks():
    ((level, text),) = events(stats=OFF, conf=SILENT)
    assert level == "warning"
    assert "task events are off" in text
    assert events(stats={"w@a": {"task_events": True}}, conf=SILENT) == []


def test_a_worker_that_works_and_tells_nothing_has_them_off():
    ((level, text),) = events(conf=SILENT, accepted={"w@a": (10, 13)})
    assert level == "warning"
    assert "accepted 3 tasks and told of none" in text
    assert events(conf=SILENT, accepted={"w@a": (10, 13)}, tellers={"w@a"}) == []


def test_an_idle_worker_that_does_not_say_is_not_accused():
    ((level, text),) = events(conf=SILENT, accepted={"w@a": (10, 10)})
    assert level == "info"
    assert "no task meanwhile" in text


def test_a_release_without_a_known_repair_is_named():
    assert server(version="7.0.15")["broker"] == "info"
    assert server(version="7.4.5")["broker"] == "info"
    assert server(version="8.4.0")["broker"] == "ok"
    assert server(engine="valkey", version="7.2.4", release="8.1.3")["broker"] == "info"
    assert server(engine="valkey", version="7.2.4", release="9.0.0")["broker"] == "ok"
    assert server(engine="dragonfly", version="7.2.4")["broker"] == "ok"
