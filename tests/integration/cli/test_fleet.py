"""`tq status` and friends on three workers: early ends, partial answers, every form of output."""

import contextlib
import csv
import io
import json
import signal
from collections.abc import Iterator

import pytest

from tests.integration.cli.conftest import run_fork
from tests.support.processes import Process, tq_worker
from tests.support.services import RedisServer, redis_server

pytestmark = [pytest.mark.timeout(120), pytest.mark.xdist_group("cli-fleet")]

NODES = ["a@here", "b@here", "c@there"]
WAIT = "4"  # seconds for a frozen worker, in which a busy machine lets the others answer


@pytest.fixture(scope="module")
def broker() -> Iterator[RedisServer]:
    with redis_server(tcp=True) as running:
        yield running


@pytest.fixture(scope="module")
def fleet(broker) -> Iterator[dict[str, Process]]:
    with contextlib.ExitStack() as stack:
        yield {
            name: stack.enter_context(tq_worker(broker.url, "-P", "solo", "-c", "1", name=name))
            for name in NODES
        }


@pytest.fixture
def ask(broker, fleet, forks):
    return lambda *argv, **env: run_fork(forks, "-b", broker.url, *argv, **env)


@pytest.fixture
def frozen(fleet) -> Iterator[str]:
    """The third worker neither runs nor ends meanwhile."""
    fleet["c@there"].signal(signal.SIGSTOP)
    yield "c@there"
    fleet["c@there"].signal(signal.SIGCONT)


@pytest.mark.parametrize("argv", [("status",), ("inspect", "ping"), ("status", "--expect", "all")])
def test_it_ends_as_soon_as_all_have_answered(ask, argv):
    # An hour: whoever waited for the time to pass would not see the end of this test.
    done = ask(*argv, "-t", "3600")
    assert done.returncode == 0, done.stderr
    assert sorted(line.split("\t")[0] for line in done.stdout.splitlines()) == NODES


def test_it_ends_as_soon_as_the_named_ones_have_answered(ask, frozen):
    done = ask("status", "-d", "a@here,b@*", "-t", "3600")
    assert done.returncode == 0, done.stderr
    assert [line.split("\t")[0] for line in done.stdout.splitlines()] == NODES[:2]


def test_one_that_is_frozen_is_named_and_the_answer_partial(ask, frozen):
    done = ask("status", "--expect", "all", "-t", WAIT)
    assert done.returncode == 3
    assert [line.split("\t")[0] for line in done.stdout.splitlines()] == NODES[:2]
    assert "c@there: no reply in 4 s" in done.stderr
    named = ask("inspect", "active", "-d", ",".join(NODES), "-t", WAIT)
    assert named.returncode == 3
    assert "c@there: no reply in 4 s" in named.stderr
    assert "2 of 3 replied" in named.stderr


@pytest.mark.parametrize(("expect", "code"), [("2", 0), ("3", 3)])
def test_expectations_decide_what_is_enough(ask, frozen, expect, code):
    assert ask("inspect", "ping", "--expect", expect, "-t", WAIT).returncode == code


def test_the_forms_of_output_agree(ask):
    table = ask("status", "-o", "table").stdout.splitlines()
    assert table[0].split() == ["WORKER", "STATUS", "MS"]
    assert [line.split()[:2] for line in table[1:]] == [[name, "up"] for name in NODES]
    plain = ask("status", "-o", "plain").stdout.splitlines()
    assert [line.split("\t")[:2] for line in plain] == [[name, "up"] for name in NODES]
    assert json.loads(ask("status", "-j").stdout) == {name: {"ok": "pong"} for name in NODES}
    rows = [json.loads(line) for line in ask("status", "-o", "jsonl").stdout.splitlines()]
    assert [(row["worker"], row["ok"]) for row in rows] == [(name, True) for name in NODES]
    read = list(csv.DictReader(io.StringIO(ask("status", "-o", "csv").stdout)))
    assert [(row["worker"], row["status"]) for row in read] == [(name, "up") for name in NODES]


def test_missing_workers_are_lines_of_their_own_for_programs(ask, frozen):
    done = ask("inspect", "ping", "-d", ",".join(NODES), "-t", WAIT, "-o", "jsonl")
    last = json.loads(done.stdout.splitlines()[-1])
    assert (last["worker"], last["ok"]) == ("c@there", False)
    assert set(json.loads(ask("inspect", "ping", "-t", WAIT, "-j").stdout)) == set(NODES[:2])


def test_fields_and_order_are_the_users(ask):
    done = ask("inspect", "stats", "--fields", "pid,worker", "--sort", "-worker", "--limit", "2")
    lines = [line.split("\t") for line in done.stdout.splitlines()]
    assert [worker for _, worker in lines] == ["c@there", "b@here"]
    assert all(pid.isdigit() for pid, _ in lines)


def test_each_silence_counts_in_one_command_of_a_hundred_ids(ask, frozen):
    done = ask("revoke", *(f"id-{n}" for n in range(100)), "-d", ",".join(NODES), "-t", WAIT)
    assert done.returncode == 3
    assert "a@here,b@here" in done.stdout
