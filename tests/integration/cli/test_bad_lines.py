"""Wrong command lines: exit 2 and one clear line, never a traceback, never a secret."""

import pytest

from tests.support.processes import run_tq

pytestmark = [pytest.mark.timeout(90), pytest.mark.xdist_group("cli")]

APP = ("worker", "-A", "tests.support.tq_app")


def check(done, says, code=2) -> None:
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert "hunter2" not in done.stderr + done.stdout
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1 or (len(lines) == 2 and lines[1].startswith("Try 'tq")), done.stderr
    assert says in lines[0]


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        ([*APP, "-c", "-1"], "concurrency"),
        ([*APP, "-c", "0"], "concurrency"),
        ([*APP, "-c", ""], "concurrency"),
        ([*APP, "-c", "many"], "concurrency"),
        ([*APP, "-c", "10000000"], "concurrency"),
        ([*APP, "-Q", ""], "--queues"),
        ([*APP, "-Q", "a,,b"], "--queues"),
        ([*APP, "-Q", "a\nb"], "--queues"),
        ([*APP, "-Q", "a\x06\x16b"], "--queues"),
        ([*APP, "-n", "a/b"], "a/b"),
        ([*APP, "-n", "x" * 300], "--hostname"),
        ([*APP, "-n", "a,b@c"], "--hostname"),
        ([*APP, "-n", "w\x1b[2J@h"], "--hostname"),
        ([*APP, "--max-tasks-per-child", "-1"], "max-tasks-per-child"),
        ([*APP, "--time-limit", "-1"], "time-limit"),
        ([*APP, "--time-limit", "nan"], "time-limit"),
        ([*APP, "--time-limit", "1e309"], "time-limit"),
        ([*APP, "--soft-time-limit", "x"], "soft-time-limit"),
        ([*APP, "--autoscale", "a,b"], "autoscale"),
        ([*APP, "--autoscale", "1,10"], "autoscale"),
        ([*APP, "-l", "LOUD"], "loglevel"),
        ([*APP, "-P", "nope"], "pool"),
        (["worker", "-A", "tests.support.waiting"], "tests.support.waiting"),
        (["worker", "-A", "tests.support.tq_app:nope"], "nope"),
        (["worker", "-A", "../x"], "../x"),
        (["worker", "-A", ""], "-A"),
        (["--workdir", "/no/such/folder", "status"], "workdir"),
        (["inspect"], "which command"),
        (["inspect", "ping", "-t", "nan"], "timeout"),
        (["inspect", "ping", "-t", "-1"], "timeout"),
        (["inspect", "ping", "--expect", "most"], "--expect"),
        (["inspect", "active", "--where", "name:("], "--where"),
        (["inspect", "active", "--sort", "nope"], "--sort"),
        (["inspect", "ping", "extra"], "ping"),
        (["inspect", "query_task"], "query_task"),
        (["inspect", "ping", "-o", "xml"], "--output"),
        (["control", "autoscale", "a"], "autoscale"),
        (["control", "time_limit", "peer.add", "soon"], "time_limit"),
        (["control", "revoke_by_stamped_headers", "nopair"], "nopair"),
        (["tasks", "--for", "never"], "--for"),
        (["tasks", "--limit", "0"], "--limit"),
        (["events", "--dump", "--limit", "0"], "--limit"),
        (["call", "peer.add", "-k", "[]"], "not a JSON object"),
        (["call", "peer.add", "--priority", "11"], "--priority"),
        (["dead", "drop"], "dead drop"),
        (["dead", "lsit"], "Did you mean 'list'?"),
        (["control", "shutdown", "-d", ""], "there is no name in it"),
        (["inspect", "ping", "-d", ","], "there is no name in it"),
        (["purge", "-f", "-Q", ""], "there is no name in it"),
        (["queues", "-Q", " , "], "there is no name in it"),
        (["control", "terminate", "NOSUCH", "x"], "no signal 'NOSUCH'"),
        (["control", "terminate", "TERM"], "SIGNAL IDS"),
        (["control", "election"], "ID TOPIC"),
        (["control", "shout", "text"], "key=value"),
        (["control", "shutdwn"], "Did you mean 'shutdown'?"),
        (["control", "autoscale", "1", "2", "3"], "at most 2"),
        (["inspect", "conf", "maybe", "more"], "too many"),
        (["inspect", "objgraph", "Request", "many"], "'many'"),
        (["inspect", "active", "--fields", "nope"], "no field 'nope'"),
        (["status", "extra"], "extra"),
        (["status", "--expect", "-1"], "--expect"),
        (["call"], "NAME"),
        (["call", "peer.add", "--serializer", "nope"], "nope"),
        (["call", "peer.add", "--countdown", "nan"], "countdown"),
        (["call", "peer.add", "--queue", ""], "queue"),
        (["result", "x", "--timeout", "-1"], "--timeout"),
        (
            ["result", "x", "-A", "tests.support.cli_app", "-t", "peer.ad"],
            "did you mean 'peer.add'?",
        ),
        (["tasks", "--where", "state:faliure"], "did you mean failure?"),
        (["tasks", "--where", "nmae:x"], "did you mean name?"),
        (["events", "--stats", "0"], "--stats"),
        (["events", "--for", "-1"], "--for"),
        (["events", "--until", "state:("], "--until"),
        (["events", "--replay", "x", "--bootstrap"], "--replay"),
        (["events", "--record", "/no/such/folder/x", "--for", "1"], "--record"),
        (["revoke", "x", "--terminate", "NOPE"], "--terminate"),
        (["broker", "explode"], "explode"),
        (["broker"], "start, stop"),
        (["completion", "tcsh"], "tcsh"),
        (["doctor", "--for", "0"], "--for"),
        (["schedules", "-A", "nosuch"], "nosuch"),
        (["flwoer"], "'flwoer'"),
        (["flower"], "tq events"),
        (["list", "nothing"], "nothing"),
        (["--color", "blue", "status"], "--color"),
        (["--nope"], "--nope"),
    ],
    ids=lambda value: (
        " ".join(value)[-40:].encode("unicode_escape").decode() if isinstance(value, list) else ""
    ),
)
def test_a_wrong_line_names_its_option(tq, argv, says):
    check(tq(*argv), says)


def test_a_worker_and_a_task_of_nearly_that_name_are_suggested(tq):
    done = tq("inspect", "ping", "-d", "w1@her", "-t", "0.3")
    assert done.returncode == 69
    assert done.stderr == (
        "tq: w1@her: no worker of that name has a mailbox (did you mean w1@here?)\n"
    )
    done = tq("control", "rate_limit", "peer.ad", "1/s")
    assert done.returncode == 1
    assert "did you mean 'peer.add'?" in done.stderr
    done = tq("call", "peer.ad", "-A", "tests.support.cli_app", "--queue", "idle")
    assert done.returncode == 0
    assert "did you mean 'peer.add'?" in done.stderr
    tq("purge", "-f", "-Q", "idle")


def test_code_for_the_shell_that_fails_shows_its_own_lines_only(tq):
    done = tq("shell", "-c", "1 / 0")
    assert done.returncode == 1
    assert "ZeroDivisionError" in done.stderr
    assert len(done.stderr.splitlines()) <= 4


@pytest.mark.parametrize(
    "url",
    [
        "hunter2@somewhere:6379/0",
        "redis://:hunter2@somewhere:99999/0",
        "redis://:hunter2@somewhere:port/0",
        "gopher://user:hunter2@somewhere/0",
        "redis://:hunter2@[::1/0",
        "redis+socket:///" + "x" * 200 + "?password=hunter2",
        "",
    ],
)
def test_a_wrong_broker_url_is_one_line_without_its_password(forks, url):
    done = run_tq("-b", url, "status") if url else run_tq("-b", "redis", "status")
    assert done.returncode in (2, 69), done.stderr
    check(done, "", code=done.returncode)


@pytest.mark.parametrize(
    ("program", "says"),
    [
        ("import no_such_module_at_all\n", "no_such_module_at_all"),
        ("raise ValueError('password=hunter2')\n", "bad_app"),
        ("def broken(:\n", "bad_app"),
        ("app = 3\n", "bad_app"),
    ],
)
def test_an_application_that_cannot_be_loaded_is_one_line(tmp_path, program, says):
    (tmp_path / "bad_app.py").write_text(program)
    done = run_tq("--workdir", str(tmp_path), "worker", "-A", "bad_app")
    assert done.returncode == 2, done.stderr
    assert says in done.stderr
    assert "Traceback" not in done.stderr
