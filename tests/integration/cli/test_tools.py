"""`tq doctor`, `report`, `shell`, `list`, `completion`."""

import json
import os
import subprocess

import pytest
import redis

from tests.support.processes import ROOT, tq_worker

pytestmark = [pytest.mark.timeout(90), pytest.mark.xdist_group("cli")]


def findings(tq, *options) -> tuple[int, dict[str, list[dict]]]:
    done = tq("doctor", "-j", "--for", "2.6", *options)
    found: dict[str, list[dict]] = {}
    for row in json.loads(done.stdout):
        found.setdefault(row["about"], []).append(row)
    return done.returncode, found


def test_the_doctor_names_what_endangers_tasks(tq, server):
    with redis.Redis.from_url(server.url) as client:
        client.config_set("maxmemory-policy", "allkeys-lru")
        client.config_set("maxmemory", "1gb")
        client.lpush("tq:dead", b'{"reason":"x","queue":"q","timestamp":1,"size":1}\nx')
        client.sadd("tq:c:somebody-gone:tags", "1")
        try:
            code, found = findings(tq)
        finally:
            client.config_set("maxmemory-policy", "noeviction")
            client.config_set("maxmemory", "0")
            client.delete("tq:dead", "tq:c:somebody-gone:tags")
    assert code == 1
    assert found["memory"][0]["level"] == "error"
    assert "allkeys-lru" in found["memory"][0]["finding"]
    assert found["persistence"][0]["advice"] == "CONFIG SET appendonly yes"
    assert found["dead letters"][0]["finding"].startswith("1 ")
    # The keys of the worker that is there are not orphans.
    assert found["orphans"][0]["finding"] == (
        "1 key of consumers that are gone: tq:c:somebody-gone:tags"
    )
    assert found["workers"][0]["finding"].startswith("1 answer")
    assert "w1@here" not in found


def test_a_worker_with_events_off_is_named_until_they_are_on(server, tq, tmp_path):
    (tmp_path / "quiet.py").write_text("from tq import TQ\napp = TQ('quiet')\n")
    path = os.pathsep.join([str(ROOT / "core"), str(ROOT), str(tmp_path)])
    options = ("-A", "quiet", "-b", server.url, "-Q", "quiet")
    with tq_worker(server.url, *options, name="quiet@here", PYTHONPATH=path) as quiet:
        (row,) = about_events(tq, "quiet@here")
        assert (row["level"], row["advice"]) == (
            "warning", "start it with -E, or tq control enable_events -d quiet@here",
        )  # fmt: skip
        assert about_events(tq, "w1@here") == []
        assert tq("control", "enable_events", "-d", "quiet@here").returncode == 0
        assert about_events(tq, "quiet@here") == []
        quiet.stop()  # so that it takes its mailbox with it


def about_events(tq, node: str) -> list[dict]:
    rows = findings(tq)[1].get(node, [])
    return [row for row in rows if "task events are off" in row["finding"]]


def test_warnings_alone_fail_only_when_strict(tq):
    code, found = findings(tq)
    assert code == 0
    assert {row["level"] for rows in found.values() for row in rows} <= {"ok", "info", "warning"}
    assert tq("doctor", "--for", "0.5", "--strict").returncode == 1


def test_a_report_masks_secrets(tq):
    done = tq("report", "--result-backend", "redis://:hunter2@somewhere/1")
    assert done.returncode == 0
    assert "software -> python:3" in done.stdout
    assert "hunter2" not in done.stdout


def test_bindings_are_listed_as_a_table_and_as_celery_does(tq):
    assert tq("list", "bindings").stdout == "celery\tcelery\tcelery\n"
    head, rule, row = tq("list", "bindings", "-o", "celery").stdout.splitlines()
    assert head.split() == ["Queue", "Exchange", "Routing", "Key"]
    assert set(rule) == {"-", " "}
    assert row.split() == ["celery"] * 3


def test_a_shell_has_the_application_its_tasks_and_the_canvas(server, worker):
    from tests.support.processes import BIN, ROOT, environment

    done = subprocess.run(
        [str(BIN / "tq"), "-A", "tests.support.tq_app", "shell", "--python"],
        env=environment(server.url),
        cwd=ROOT,
        input="print(add.name, app.main, group.__name__)\nprint(add.delay(2, 2).get(timeout=10))\n",
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0
    assert "peer.add peer group" in done.stdout
    assert "4" in done.stdout.split()


def test_a_shell_runs_one_line_of_code(tq):
    assert tq("shell", "-c", "print(app.main)").stdout == "tq\n"
    assert tq("shell", "-T", "-c", "print('add' in globals())").stdout == "False\n"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script_and_names_commands(tq, shell):
    script = tq("completion", shell)
    assert script.returncode == 0
    assert "_TQ_COMPLETE" in script.stdout
    assert tq("completion", "powershell").returncode == 2


def test_completion_offers_commands_and_options():
    from tests.support.processes import run_tq

    words = {"COMP_WORDS": "tq insp", "COMP_CWORD": "1", "_TQ_COMPLETE": "bash_complete"}
    assert run_tq(**words).stdout == "plain,inspect\n"
    words["COMP_WORDS"], words["COMP_CWORD"] = "tq inspect --dest", "2"
    assert run_tq(**words).stdout == "plain,--destination\n"
