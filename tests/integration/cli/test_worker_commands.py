"""Commands of the workers' own, Celery's text, and who is missing."""

import json

import pytest

pytestmark = [pytest.mark.timeout(90), pytest.mark.xdist_group("cli")]


def test_a_command_of_the_workers_own_is_called_by_name(tq):
    done = tq("control", "shout", "text=hello", "times=2")
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\t")[:2] == ["w1@here", "HELLO HELLO"]
    assert json.loads(tq("inspect", "whoami", "-j").stdout) == {"w1@here": {"ok": "w1@here"}}


def test_its_wrong_arguments_are_the_workers_own_error(tq):
    done = tq("control", "shout", "tetx=hello")
    assert done.returncode == 1
    assert "w1@here: error: TypeError" in done.stderr
    assert "tetx" in done.stderr


def test_a_command_that_no_worker_knows_is_a_usage_error(tq):
    done = tq("control", "shuot")
    assert done.returncode == 2
    assert "No such control command 'shuot'" in done.stderr
    near = tq("inspect", "actve")
    assert near.returncode == 2
    assert "Did you mean 'active'?" in near.stderr


def test_lists_of_commands_have_the_workers_own(tq):
    control, inspect = tq("control", "--list"), tq("inspect", "--list")
    assert control.returncode == inspect.returncode == 0
    assert any(
        line.split() == ["shout", "text=T", "[times=N]", *["Say", "something", "loudly."]]
        for line in control.stdout.splitlines()
    )
    assert "whoami" in inspect.stdout
    assert "whoami" not in control.stdout
    assert control.stdout.count("pool_grow") == 1
    assert "hello" not in inspect.stdout


def test_inspect_calls_no_command_that_changes_anything(tq):
    done = tq("inspect", "pool_grow")
    assert done.returncode == 2
    assert "tq control pool_grow" in done.stderr
    assert tq("--read-only", "inspect", "shout", "text=x").returncode == 5


def test_celerys_text_is_printed_on_request(tq):
    ping = tq("inspect", "ping", "-o", "celery")
    assert (ping.returncode, ping.stdout) == (
        0, "->  w1@here: OK\n        pong\n\n1 node online.\n",
    )  # fmt: skip
    status = tq("status", "-o", "celery")
    assert status.stdout == "->  w1@here: OK\n\n1 node online.\n"
    quiet = tq("-q", "status", "-o", "celery")
    assert quiet.stdout == " w1@here: OK\n\n1 node online.\n"


def test_celerys_text_comes_with_celerys_exit_codes(tq):
    refused = tq("control", "rate_limit", "nope", "10/m", "-o", "celery")
    assert (refused.returncode, refused.stdout) == (
        0, "->  w1@here: ERROR\n        unknown task\n",
    )  # fmt: skip
    silent = tq("status", "-d", "nobody@nowhere", "-t", "0.3", "-o", "celery")
    assert (silent.returncode, silent.stdout, silent.stderr) == (
        69, "", "Error: No nodes replied within time constraint\n",
    )  # fmt: skip


def test_a_worker_named_without_its_host_is_suggested(tq):
    done = tq("inspect", "ping", "-d", "w1@here,w1", "-t", "0.3")
    assert done.returncode == 3
    assert "w1: not there: no worker of that name listens (did you mean w1@here?)" in done.stderr
    near = tq("inspect", "ping", "-d", "w1@here,w2@here", "-t", "0.3")
    assert "(did you mean w1@here?)" in near.stderr


def test_timings_are_told_on_stderr(tq):
    done = tq("-v", "inspect", "ping")
    assert done.stderr.startswith("w1@here: ")
    assert done.stderr.endswith(" ms\n")
    assert tq("inspect", "ping").stderr == ""


def test_without_waiting_a_glob_still_finds_its_workers(tq):
    assert tq("control", "heartbeat", "-t", "0", "-d", "w*@here").returncode == 0
    nobody = tq("control", "shutdown", "-d", "x*@here")
    assert nobody.returncode == 4
    assert "x*@here: no worker of that name is known" in nobody.stderr
    assert tq("inspect", "ping").returncode == 0


def test_a_glob_that_matches_nobody_reaches_nobody(tq):
    done = tq("control", "rate_limit", "peer.add", "1/s", "-d", "x*@here")
    assert done.returncode == 3
    assert done.stdout == ""
    assert "x*@here: no worker of that name is known" in done.stderr
