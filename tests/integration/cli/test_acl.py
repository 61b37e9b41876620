"""Users made from `tq acl` can do what they are for, and nothing else; on a real server."""

import shlex
from collections.abc import Iterator
from subprocess import CompletedProcess

import pytest
import redis

from tests.integration.cli.conftest import run_fork
from tests.support.processes import Process, run_tq, tq_worker
from tests.support.services import RedisServer, redis_server
from tests.support.waiting import eventually

pytestmark = [pytest.mark.timeout(120), pytest.mark.xdist_group("cli-acl")]

ROLES = {
    "viewer": ("--console", "--read-only"),
    "console": ("--console",),
    "worker": ("--worker",),
    "producer": ("--producer",),
}


@pytest.fixture(scope="module", params=["redis", "valkey"])
def guarded(request) -> Iterator[RedisServer]:
    with redis_server(request.param, tcp=True) as server, client(server) as admin:
        for role, options in ROLES.items():
            done = run_tq("-b", server.url, "acl", *options)
            assert done.returncode == 0, done.stderr
            line = shlex.split(done.stdout.replace("PASSWORD", "s3cret", 1))
            assert line[:3] == ["ACL", "SETUSER", f"tq-{role}"]
            admin.execute_command("ACL SETUSER", *_grouped(line[2:]))
        yield server


def _grouped(words: list[str]) -> list[str]:
    """Put a selector, which redis-cli reads as several words, into one argument."""
    start = next((at for at, word in enumerate(words) if word.startswith("(")), len(words))
    return [*words[:start], *([" ".join(words[start:])] if words[start:] else [])]


def client(server: RedisServer, role: str = "") -> redis.Redis:
    user = {"username": f"tq-{role}", "password": "s3cret"} if role else {}
    return redis.Redis(port=server.port, decode_responses=True, **user)


def url(server: RedisServer, role: str) -> str:
    return f"redis://tq-{role}:s3cret@127.0.0.1:{server.port}/0"


@pytest.fixture(scope="module")
def worker(guarded) -> Iterator[Process]:
    place = url(guarded, "worker")
    with tq_worker(
        place, "-E", "-A", "tests.support.cli_app", name="w1@here", PEER_BACKEND=place
    ) as process:
        yield process


@pytest.fixture
def act(guarded, worker, forks):
    """Run a command as a user of some role; the server must have refused nothing."""

    def run(role: str, *argv: str) -> CompletedProcess:
        place = url(guarded, role)
        done = run_fork(forks, "-b", place, "--result-backend", place, *argv)
        with client(guarded) as admin:
            refused = [(e["reason"], e["object"], e["username"]) for e in admin.acl_log()]
            admin.acl_log_reset()
        assert refused == [], (argv, done.stderr)
        assert "refused" not in done.stderr, done.stderr
        return done

    return run


LOOKS = [
    "status", "inspect active", "inspect stats", "workers --for 1s", "queues --for 1s",
    "tasks --for 1s", "failures --for 1s", "doctor --for 1s", "dead list", "list bindings",
    "events --dump --bootstrap --for 1s", "task nobody", "report",
    "watch --for 20s --until 'workers(w1*) = 1' --until 'depth(celery) = 0'",
]  # fmt: skip


@pytest.mark.parametrize("line", LOOKS)
def test_a_console_that_only_looks_may_look_everywhere(act, line):
    assert act("viewer", *shlex.split(line)).returncode in (0, 4)


def test_a_worker_works_and_a_producer_sends(act, guarded):
    sent = act("producer", "call", "peer.add", "-a", "[2, 3]")
    assert act("producer", "result", sent.stdout.strip(), "--timeout", "20").stdout == "5\n"
    assert act("viewer", "result", sent.stdout.strip(), "--timeout", "20").stdout == "5\n"
    late = act("producer", "call", "peer.add", "-a", "[2, 3]", "--countdown", "0.2")
    assert act("producer", "result", late.stdout.strip(), "--timeout", "20").stdout == "5\n"
    failed = act("producer", "call", "peer.fail", "-a", '["no luck"]').stdout.strip()
    assert act("viewer", "result", failed, "--timeout", "20").returncode == 1


def test_an_acting_console_acts(act, guarded):
    sent = act("producer", "call", "peer.add", "-a", "[2, 3]").stdout.strip()
    act("viewer", "result", sent, "--timeout", "20")
    assert act("console", "resend", sent, "-y").returncode == 0
    assert act("console", "tasks", "--for", "1s").returncode == 0
    assert act("console", "revoke", "some-id").returncode == 0
    assert act("console", "control", "rate_limit", "peer.add", "0").returncode == 0
    act("console", "call", "peer.add", "-a", "[1, 1]", "--queue", "idle")
    assert "Purged 1 message" in act("console", "purge", "-f", "-Q", "idle").stdout
    with client(guarded) as admin:
        admin.lpush("celery", "no message at all")
        eventually(lambda: admin.llen("tq:dead") == 1, within=20)
    assert act("console", "dead", "drop", "--all", "-y").returncode == 0


FORBIDDEN = {
    "viewer": ["LPUSH celery x", "RPOP celery", "DEL unacked", "SET x y", "FLUSHALL", "KEYS *",
               "CONFIG GET *", "ACL LIST", "EVAL 'return 1' 0", "PUBLISH other x"],
    "console": ["FLUSHALL", "FLUSHDB", "KEYS *", "CONFIG SET maxmemory 1", "SHUTDOWN",
                "EVAL 'return 1' 0", "ACL LIST", "RPOP celery"],
    "worker": ["FLUSHALL", "KEYS *", "CONFIG GET *", "GET strange", "SCAN 0", "SET strange x"],
    "producer": ["FLUSHALL", "RPOP strange", "GET strange", "LRANGE tq:dead 0 1", "HGETALL x"],
}  # fmt: skip


@pytest.mark.parametrize("role", ROLES)
def test_what_a_role_is_not_for_is_refused(guarded, role):
    with client(guarded, role) as user:
        for line in FORBIDDEN[role]:
            with pytest.raises((redis.exceptions.NoPermissionError, redis.ResponseError)) as caught:
                user.execute_command(*shlex.split(line))
            assert "perm" in str(caught.value).lower(), line
    with client(guarded) as admin:
        admin.acl_log_reset()


def test_prefix_queues_and_user_are_the_clusters_own(tmp_path):
    (tmp_path / "mine.py").write_text(
        "from tq import TQ\n"
        "app = TQ('mine', broker='redis://h/3')\n"
        "app.conf.broker_transport_options = {'global_keyprefix': 'p:'}\n"
        "app.conf.task_default_queue = 'jobs'\n"
    )
    done = run_tq("--workdir", str(tmp_path), "-A", "mine", "acl", "--worker", "--user", "u")
    words = done.stdout.split()
    assert words[:6] == ["ACL", "SETUSER", "u", "reset", "on", ">PASSWORD"]
    assert {"~p:jobs*", "~p:tq:*", "&p:/3.celery.pidbox"} <= set(words)
    assert not [word for word in words if word.startswith("~celery*")]


@pytest.mark.parametrize(
    ("argv", "says"),
    [((), "--console"), (("--worker", "--user", "a b"), "--user"), (("--wroker",), "--worker")],
)
def test_a_wrong_line_is_a_usage_error(argv, says):
    done = run_tq("-b", "redis://h/0", "acl", *argv)
    assert done.returncode == 2
    assert says in done.stderr.splitlines()[0]


def test_other_brokers_have_no_such_users():
    done = run_tq("-b", "memory://", "acl", "--console")
    assert done.returncode == 2
    assert "needs Redis or Valkey" in done.stderr
