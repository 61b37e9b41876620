"""What only child processes can do, and what can happen to them."""

import errno
import logging
import os
import random
import signal
import subprocess
import sys
import textwrap
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tq.errors import ConfigError
from tq.pools import Finished, Job, Lost, Outcome, PoolOptions, Returned, make

pytestmark = pytest.mark.timeout(90)
Make = Callable[..., Any]


def test_children_killed_under_load_lose_only_what_they_had_started(
    make_harness: Make, api: Any
) -> None:
    """F1 to F3: every job ends once, ran at most once, and what never started is not lost."""
    harness = make_harness("prefork", size=3).start()
    harness.run(api.jobs("warm", 1_000))
    submitted, killed, choice = 1_000, 0, random.Random(7)
    next_kill = time.monotonic()
    while killed < 25 or len(harness.ends) < submitted:
        if killed < 25:
            credit = harness.pool.credit()
            harness.pool.submit(api.jobs(f"j{submitted}-", credit, note="ran"))
            submitted += credit
        harness.turn()
        processes = harness.pool.info()["processes"]
        if time.monotonic() > next_kill and processes and killed < 25:
            os.kill(choice.choice(processes), signal.SIGKILL)
            killed += 1
            next_kill = time.monotonic() + 0.03
    ran = Counter(harness.noted("ran"))
    assert max(ran.values()) == 1
    lost = {job_id for job_id, end in harness.ends.items() if isinstance(end, Lost)}
    finished = {job_id for job_id, end in harness.ends.items() if isinstance(end, Finished)}
    assert finished | lost == set(harness.ends)
    assert {job_id for job_id in finished if job_id.startswith("j")} <= set(ran)
    assert all(harness.ends[job_id].exitcode == -signal.SIGKILL for job_id in lost)
    assert len(lost) <= killed  # no more than what ran at that moment
    harness.until(lambda: len(harness.pool.info()["processes"]) == 3)


def test_a_job_that_kills_its_process_is_lost_and_no_other(make_harness: Make, api: Any) -> None:
    """F11: the jobs that were handed to the same child run elsewhere."""
    harness = make_harness("prefork", size=1).start()
    harness.run(api.jobs("warm", 1_000))
    jobs = [*api.jobs("before", 20), api.job("poison", kill=9), *api.jobs("after", 100)]
    harness.run(jobs)
    assert harness.ends["poison"] == Lost("poison", -9)
    assert harness.kinds() == {"Finished": 1_120, "Lost": 1}


def test_outcomes_that_outgrow_the_journal_are_reported_early(make_harness: Make, api: Any) -> None:
    harness = make_harness("prefork", size=1).start()
    harness.run(api.jobs("warm", 1_000))
    harness.pool.submit(
        [*(api.job(f"big{index}", large=30_000) for index in range(9)), api.job("poison", kill=9)]
    )
    harness.until(lambda: len(harness.ends) == 1_010)
    assert harness.kinds() == {"Finished": 1_009, "Lost": 1}
    assert all(len(harness.ends[f"big{index}"].outcome.payload) == 30_000 for index in range(9))


def test_a_child_that_dies_idle_is_replaced(make_harness: Make, api: Any) -> None:
    harness = make_harness("prefork", size=1).start()
    harness.run([api.job("a")])
    (pid,) = harness.pool.info()["processes"]
    os.kill(pid, signal.SIGKILL)
    harness.until(lambda: harness.pool.info()["processes"] not in ([], [pid]))
    (end,) = harness.run([api.job("b")])
    assert isinstance(end, Finished)


PARENT = """
    import json, os, sys, time
    from pathlib import Path
    from tq.pools import Job, Outcome, PoolOptions, make

    class Runner:
        def setup(self, slot): pass
        def teardown(self, slot): pass
        def settle(self, outcomes): return list(outcomes)
        def run(self, job):
            (folder / job.id).write_text(str(os.getpid()))
            while True:
                time.sleep(0.01)

    folder = Path(sys.argv[1])
    pool = make("prefork", Runner(), PoolOptions(size=3))
    pool.start()
    pool.submit([Job("one", b""), Job("two", b"")])
    while True:
        pool.tick(time.monotonic())
        pool.collect()
        (folder / "pids.new").write_text(json.dumps(pool.info()["processes"]))
        (folder / "pids.new").rename(folder / "pids")
        time.sleep(0.01)
"""


def test_children_do_not_outlive_a_killed_parent(tmp_path: Path, api: Any) -> None:
    """F9: busy or idle, they are gone at once."""
    environment = {**os.environ, "PYTHONPATH": ":".join(path for path in sys.path if path)}
    parent = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(PARENT), str(tmp_path)], env=environment
    )
    try:
        api.eventually(lambda: (tmp_path / "one").exists() and (tmp_path / "two").exists(), 10.0)
        pids = [int(pid) for pid in (tmp_path / "pids").read_text().strip("[]").split(",")]
        assert len(pids) == 3
    finally:
        parent.kill()
        parent.wait()
    for pid in pids:
        api.eventually(lambda pid=pid: _ended(pid), 2.0)


def _ended(pid: int) -> bool:
    """Tell whether a process has ended; as an orphan it may wait for init to reap it."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return True
    return state == "Z"


def test_a_child_is_replaced_after_its_number_of_jobs(make_harness: Make, api: Any) -> None:
    harness = make_harness("prefork", size=2, max_jobs_per_child=10).start()
    harness.run(api.jobs("j", 200))
    assert harness.kinds() == {"Finished": 200}
    assert len(harness.pids) >= 20
    served = Counter(event.pid for event in harness.events if hasattr(event, "pid"))
    assert max(served.values()) <= 10


def test_a_child_that_has_grown_too_big_is_replaced(make_harness: Make, api: Any) -> None:
    harness = make_harness("prefork", size=1, max_memory_kib=_resident_kib() + 60_000).start()
    for index in range(6):
        harness.run([api.job(f"j{index}", hoard=30_000_000)])
    assert 2 <= len(harness.pids) < 6
    assert harness.kinds() == {"Finished": 6}


def test_a_memory_limit_below_the_start_size_does_not_replace_every_child(
    make_harness: Make, api: Any
) -> None:
    harness = make_harness("prefork", size=1, max_memory_kib=1).start()
    harness.run([api.job(f"j{index}", sleep=0.12) for index in range(5)])
    assert len(harness.pids) == 1


def _resident_kib() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") // 1024


def test_outcomes_that_precede_a_long_job_are_not_kept_back(make_harness: Make, api: Any) -> None:
    harness = make_harness("prefork", size=1).start()
    harness.run(api.jobs("warm", 1_000))
    harness.pool.submit([*api.jobs("before", 5), api.job("long", until="go")])
    harness.until(lambda: all(f"before{index}" in harness.ends for index in range(5)))
    assert "long" not in harness.ends
    harness.release("go")
    harness.until(lambda: "long" in harness.ends)


def test_children_settle_and_say_so(make_harness: Make, api: Any) -> None:
    harness = make_harness("prefork").start()
    ends = harness.run(api.jobs("j", 300))
    assert all(end.outcome.settled for end in ends)


def test_what_a_child_cannot_settle_is_left_to_the_worker(make_harness: Make, api: Any) -> None:
    harness = make_harness("prefork").start()
    harness.release("settle-fails")
    ends = harness.run(api.jobs("j", 50))
    assert all(isinstance(end, Finished) and not end.outcome.settled for end in ends)


def test_children_that_cannot_start_are_tried_again(make_harness: Make, api: Any) -> None:
    started: list[int] = []
    harness = make_harness("prefork", size=1, on_child=started.append)
    harness.release("setup-fails")
    harness.start()
    harness.pool.submit([api.job("a")])
    harness.until(lambda: len(started) >= 3)
    (harness.folder / "setup-fails").unlink()
    harness.until(lambda: isinstance(harness.ends.get("a"), Finished))


def test_a_child_that_is_not_ready_in_time_is_replaced(make_harness: Make, api: Any) -> None:
    harness = make_harness("prefork", size=1, start_timeout=0.3)
    harness.release("setup-hangs")
    harness.start()
    (first,) = harness.pool.info()["processes"]
    harness.until(lambda: harness.pool.info()["processes"] not in ([], [first]))
    (harness.folder / "setup-hangs").unlink()
    (end,) = harness.run([api.job("a")])
    assert isinstance(end, Finished)


def test_a_system_that_refuses_processes_leaves_fewer_children_for_a_while(
    make_harness: Make, api: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """F47."""
    harness = make_harness("prefork", size=3)
    fork, calls = os.fork, []

    def reluctant() -> int:
        calls.append(None)
        if 2 <= len(calls) <= 4:
            raise OSError(errno.EAGAIN, "Resource temporarily unavailable")
        return fork()

    monkeypatch.setattr(os, "fork", reluctant)
    with caplog.at_level(logging.ERROR):
        harness.start()
    assert len(harness.pool.info()["processes"]) == 1
    assert "refuses another child" in caplog.text
    (end,) = harness.run([api.job("a")])
    assert isinstance(end, Finished)
    harness.until(lambda: len(harness.pool.info()["processes"]) == 3)


def test_a_failed_start_leaks_no_descriptor(
    make_harness: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    harness = make_harness("prefork", size=1)

    def refuse() -> int:
        raise OSError(errno.EAGAIN, "Resource temporarily unavailable")

    monkeypatch.setattr(os, "fork", refuse)
    before = len(os.listdir("/proc/self/fd"))
    harness.start()
    assert len(os.listdir("/proc/self/fd")) == before


def test_replaced_children_leak_no_descriptor(make_harness: Make, api: Any) -> None:
    harness = make_harness("prefork", size=1, max_jobs_per_child=1).start()
    harness.run(api.jobs("first", 3))
    harness.until(lambda: len(harness.pool.info()["processes"]) == 1)
    before = len(os.listdir("/proc/self/fd"))
    harness.run(api.jobs("second", 20))
    harness.until(lambda: len(harness.pool.info()["processes"]) == 1)
    assert len(os.listdir("/proc/self/fd")) <= before


def test_a_death_is_noticed_although_a_grandchild_keeps_the_pipe_open(
    make_harness: Make, api: Any
) -> None:
    harness = make_harness("prefork", size=1).start()
    harness.pool.submit([api.job("a", fork=1, kill=9)])
    try:
        end = harness.until(lambda: harness.ends.get("a"))
        assert end == Lost("a", -9)
    finally:
        os.kill(int((harness.folder / "grandchild").read_text()), signal.SIGKILL)


def test_signals_of_the_terminal_do_not_end_a_job(make_harness: Make, api: Any) -> None:
    harness = make_harness("prefork", size=1).start()
    harness.pool.submit([api.job("a", until="go")])
    harness.until(harness.started)
    (pid,) = harness.pool.info()["processes"]
    os.kill(pid, signal.SIGINT)
    os.kill(pid, signal.SIGUSR1)  # the soft limit's signal, for no job
    harness.release("go")
    end = harness.until(lambda: harness.ends.get("a"))
    assert isinstance(end, Finished)
    assert end.outcome.payload == b"done"


def test_the_parents_signal_handlers_do_not_run_in_children(make_harness: Make, api: Any) -> None:
    before = signal.signal(signal.SIGTERM, lambda number, frame: None)
    try:
        harness = make_harness("prefork", size=1).start()
        harness.run([api.job("a", handler=1)])
    finally:
        signal.signal(signal.SIGTERM, before)
    assert (harness.folder / "handler").read_text() == repr(signal.SIG_DFL)


def test_payloads_larger_than_a_pipe_pass(make_harness: Make) -> None:
    harness = make_harness("prefork").start()
    filler = b'{"sleep": 0, "pad": "' + b"x" * 3_000_000 + b'"}'
    harness.run([Job(f"big{index}", filler) for index in range(12)])
    assert harness.kinds() == {"Finished": 12}


def test_jobs_that_wait_in_a_full_pipe_are_recalled_too(make_harness: Make, api: Any) -> None:
    harness = make_harness("prefork", size=1).start()
    harness.run(api.jobs("warm", 1_000))
    filler = b'{"sleep": 0, "pad": "' + b"x" * 100_000 + b'"}'
    rest = [Job(f"rest{index}", filler) for index in range(50)]
    harness.pool.submit([api.job("long", until="go"), *rest])
    harness.until(harness.started)
    harness.pool.recall()
    harness.until(lambda: len(harness.ends) == 1_050)
    assert harness.kinds() == {"Finished": 1_000, "Returned": 50}
    harness.release("go")
    harness.until(lambda: isinstance(harness.ends.get("long"), Finished))


def test_a_recall_answered_by_death_returns_the_jobs(make_harness: Make, api: Any) -> None:
    harness = make_harness("prefork", size=1).start()
    harness.run(api.jobs("warm", 1_000))
    harness.pool.submit([api.job("long", until="never"), *api.jobs("rest", 20)])
    harness.until(harness.started)
    (pid,) = harness.pool.info()["processes"]
    os.kill(pid, signal.SIGSTOP)
    harness.pool.recall()
    os.kill(pid, signal.SIGKILL)
    harness.until(lambda: len(harness.ends) == 1_021)
    assert isinstance(harness.ends["long"], Lost)
    assert all(isinstance(harness.ends[f"rest{index}"], Returned) for index in range(20))


def test_the_work_of_a_frozen_child_is_done_by_others(make_harness: Make, api: Any) -> None:
    """A child that neither runs nor answers holds up what it has, and nothing else."""
    harness = make_harness("prefork", size=2).start()
    harness.run(api.jobs("warm", 1_000))
    frozen = harness.pool.info()["processes"][0]
    os.kill(frozen, signal.SIGSTOP)
    try:
        harness.pool.submit(api.jobs("j", 2_000))
        harness.until(lambda: len(harness.ends) >= 2_800)
    finally:
        os.kill(frozen, signal.SIGCONT)
    harness.until(lambda: len(harness.ends) == 3_000)
    assert harness.kinds() == {"Finished": 3_000}


class Spawnable:
    """Importable where the child can find it, which a class of a test module is not."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (eval, (SOURCE,))


SOURCE = (
    "type('Runner', (), {"
    "'setup': lambda self, slot: None, 'teardown': lambda self, slot: None,"
    "'settle': lambda self, outcomes: list(outcomes),"
    "'run': lambda self, job: __import__('tq.pools').pools.Outcome("
    "job.id, str(__import__('os').getpid()).encode())})()"
)


def test_spawned_children_run_jobs(api: Any) -> None:
    pool = make("prefork", Spawnable(), PoolOptions(size=2, start_method="spawn"))  # type: ignore[arg-type] # becomes a runner in the child
    pool.start()
    try:
        pool.submit(api.jobs("j", 50))
        events: list[Any] = []

        def all_ended() -> bool:
            pool.tick(time.monotonic())
            events.extend(pool.collect())
            return sum(isinstance(event, Finished) for event in events) == 50

        api.eventually(all_ended, 20.0)
        pids = set(pool.info()["processes"])
    finally:
        pool.stop(time.monotonic() + 10.0)
    ran = {int(e.outcome.payload) for e in events if isinstance(e, Finished)}
    assert ran <= pids
    for pid in pids:
        assert api.gone(pid)


def test_spawn_refuses_a_runner_that_cannot_be_pickled() -> None:
    class Local:
        def run(self, job: Job) -> Outcome:
            return Outcome(job.id, b"")

    pool = make("prefork", Local(), PoolOptions(size=1, start_method="spawn"))  # type: ignore[arg-type] # never called
    with pytest.raises(ConfigError, match="can be pickled"):
        pool.start()
    pool.stop(time.monotonic() + 1.0)


def test_asking_what_runs_reports_its_start_at_once(make_harness: Make, api: Any) -> None:
    harness = make_harness("prefork", size=1, batch_seconds=60.0).start()
    harness.run(api.jobs("warm", 1))
    harness.pool.submit([api.job("long", until="end")])
    api.eventually(harness.started)
    harness.turn()
    assert not harness.accepted("long")
    assert list(harness.pool.running()) == ["long"]
    harness.collect()
    assert harness.accepted("long")
    harness.release("end")
