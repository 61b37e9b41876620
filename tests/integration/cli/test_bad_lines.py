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
        (["dead", "lsit"], "lsit"),
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
