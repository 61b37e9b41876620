"""What every pool keeps; a new pool is a new parameter."""

import logging
import os
import select
import signal
import time
from collections.abc import Callable
from typing import Any

import pytest

from tq.pools import Accepted, Finished, Lost, Returned, TimedOut

pytestmark = pytest.mark.timeout(60)

# A green pool needs a patched process; `test_green.py` runs this suite in one and names it here.
GREEN = tuple(filter(None, [os.environ.get("GREEN_POOL")]))
POOLS = ("prefork", "threads", "asyncio", "solo", *GREEN)
PARALLEL = ("prefork", "threads", "asyncio", *GREEN)
Make = Callable[..., Any]


@pytest.fixture(params=POOLS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_a_job_is_accepted_then_finished_with_the_runners_outcome(
    name: str, make_harness: Make, api: Any
) -> None:
    harness = make_harness(name).start()
    before = time.time()
    harness.run([api.job("a", sleep=0.01)])
    accepted, finished = harness.events
    assert isinstance(accepted, Accepted)
    assert accepted.job_id == "a"
    assert before - 1.0 <= accepted.timestamp <= time.time()
    assert isinstance(finished, Finished)
    assert finished.outcome.payload == b"done"


def test_ten_thousand_short_jobs_end_once_each(name: str, make_harness: Make, api: Any) -> None:
    harness = make_harness(name).start()
    ends = harness.run(api.jobs("j", 10_000))
    assert all(isinstance(end, Finished) for end in ends)
    assert len(harness.events) == 20_000


def test_jobs_submitted_beyond_the_credit_are_kept(name: str, make_harness: Make, api: Any) -> None:
    harness = make_harness(name).start()
    jobs = api.jobs("j", 3_000)
    harness.pool.submit(jobs)
    assert harness.pool.credit() == 0
    harness.until(lambda: len(harness.ends) == 3_000)
    assert harness.kinds() == {"Finished": 3_000}


def test_a_runner_that_raises_loses_that_job_only(
    name: str, make_harness: Make, api: Any, caplog: pytest.LogCaptureFixture
) -> None:
    harness = make_harness(name).start()
    with caplog.at_level(logging.ERROR):
        lost, finished = harness.run([api.job("bad", raise_="ValueError"), api.job("good")])
    assert lost == Lost("bad", 1)
    assert isinstance(finished, Finished)
    if name != "prefork":  # a child logs in its own process
        assert "bad" in caplog.text


@pytest.mark.parametrize("name", ["prefork", "threads", *GREEN])
def test_a_job_that_asks_to_exit_does_not_end_its_slot(
    name: str, make_harness: Make, api: Any
) -> None:
    harness = make_harness(name, size=1).start()
    lost, finished = harness.run([api.job("bad", raise_="SystemExit"), api.job("good")])
    assert isinstance(lost, Lost)
    assert isinstance(finished, Finished)


@pytest.mark.parametrize("name", PARALLEL)
def test_short_jobs_do_not_wait_behind_a_long_one(name: str, make_harness: Make, api: Any) -> None:
    harness = make_harness(name).start()
    harness.run(api.jobs("warm", 2_000))  # short jobs are handed out in large batches from now on
    short = api.jobs("short", 300)
    harness.pool.submit([*short[:100], api.job("long", until="go"), *short[100:]])
    harness.until(lambda: all(job.id in harness.ends for job in short))
    assert "long" not in harness.ends
    harness.release("go")
    harness.until(lambda: "long" in harness.ends)


def test_the_descriptor_is_readable_when_there_is_news_and_only_then(
    name: str, make_harness: Make, api: Any
) -> None:
    harness = make_harness(name).start()
    harness.run(api.jobs("warm", 10))
    harness.turn()
    assert select.select([harness.pool], [], [], 0.05)[0] == []
    harness.pool.submit([api.job("a")])
    assert select.select([harness.pool], [], [], 5.0)[0]
    harness.until(lambda: "a" in harness.ends)
    assert harness.pool.tick(time.monotonic()) >= 1.0


def test_recalled_jobs_come_back_and_running_ones_go_on(
    name: str, make_harness: Make, api: Any
) -> None:
    harness = make_harness(name, size=1).start()
    harness.run(api.jobs("warm", 1_000))
    harness.pool.submit([api.job("long", until="go"), *api.jobs("rest", 50)])
    harness.until(harness.started)
    harness.pool.recall()
    harness.until(lambda: len(harness.ends) == 1_050)
    returned = [end for end in harness.ends.values() if isinstance(end, Returned)]
    assert {end.job_id for end in returned} == {f"rest{index}" for index in range(50)}
    harness.release("go")
    harness.until(lambda: isinstance(harness.ends.get("long"), Finished))


def test_stop_lets_running_jobs_end_and_returns_the_others(
    name: str, make_harness: Make, api: Any
) -> None:
    harness = make_harness(name, size=1).start()
    harness.run(api.jobs("warm", 1_000))
    harness.pool.submit([api.job("long", note="started", sleep=0.3), *api.jobs("rest", 20)])
    harness.until(harness.started)
    harness.stop()
    assert isinstance(harness.ends["long"], Finished)
    assert all(harness.ends[f"rest{index}"] == Returned(f"rest{index}") for index in range(20))
    assert harness.pool.running() == {}


def test_stop_cuts_off_what_runs_past_the_deadline(name: str, make_harness: Make, api: Any) -> None:
    harness = make_harness(name).start()
    harness.pool.submit([api.job("long", until="end")])
    harness.until(lambda: harness.accepted("long"))
    harness.pool.stop(time.monotonic() + 0.1)
    harness.collect()
    assert isinstance(harness.ends["long"], Lost)


def test_stop_before_start_and_twice_does_nothing(name: str, make_harness: Make, api: Any) -> None:
    unstarted = make_harness(name)
    unstarted.pool.stop(time.monotonic() + 1.0)
    harness = make_harness(name).start()
    harness.run([api.job("a")])
    harness.stop()
    harness.stop()
    assert harness.kinds() == {"Finished": 1}


def test_a_stopped_pool_returns_what_it_is_given(name: str, make_harness: Make, api: Any) -> None:
    harness = make_harness(name).start()
    harness.run([api.job("a")])
    harness.stop()
    assert harness.pool.credit() == 0
    harness.pool.submit([api.job("late")])
    harness.collect()
    assert harness.ends["late"] == Returned("late")


def test_a_soft_limit_is_raised_inside_the_job_and_reported(
    name: str, make_harness: Make, api: Any
) -> None:
    harness = make_harness(name).start()
    (end,) = harness.run([api.job("slow", soft=0.1, until="never")])
    assert end == Finished("slow", end.outcome)
    assert end.outcome.payload == b"soft 0.1"
    assert [event for event in harness.events if isinstance(event, TimedOut)] == [
        TimedOut("slow", soft=True, limit=0.1)
    ]


def test_the_pools_own_limits_apply_to_jobs_without_any(
    name: str, make_harness: Make, api: Any
) -> None:
    harness = make_harness(name, soft_limit=0.1).start()
    by_default, own = harness.run(
        [api.job("slow", until="never"), api.job("more", soft=30.0, sleep=0.3)]
    )
    assert by_default.outcome.payload == b"soft 0.1"
    assert own.outcome.payload == b"done"


def test_a_soft_limit_never_hits_another_job(name: str, make_harness: Make, api: Any) -> None:
    """Jobs end at about the time of their limit; those without one must not notice."""
    harness = make_harness(name).start()
    jobs = []
    for index in range(60):
        length = 0.018 + index * 0.0001
        jobs.append(api.job(f"limited{index}", soft=0.02, sleep=length))
        jobs += api.jobs(f"free{index}-", 3, sleep=0.001)
    harness.run(jobs)
    for job_id, end in harness.ends.items():
        if job_id.startswith("free"):
            assert isinstance(end, Finished), end
            assert end.outcome.payload == b"done"


def test_a_job_past_its_hard_limit_is_given_up_once(
    name: str, make_harness: Make, api: Any
) -> None:
    harness = make_harness(name).start()
    (end,) = harness.run([api.job("stuck", hard=0.1, until="go")])
    assert end == TimedOut("stuck", soft=False, limit=0.1)
    harness.release("go")
    (after,) = harness.run([api.job("next")])
    assert isinstance(after, Finished)
    assert harness.kinds() == {"TimedOut": 1, "Finished": 1}


def test_a_soft_limit_comes_before_the_hard_one(name: str, make_harness: Make, api: Any) -> None:
    harness = make_harness(name).start()
    harness.run([api.job("slow", soft=0.05, hard=5.0, until="never")])
    assert harness.kinds() == {"Finished": 1}


@pytest.mark.parametrize("name", ["prefork", "asyncio", *GREEN])
def test_terminate_ends_the_running_job(name: str, make_harness: Make, api: Any) -> None:
    harness = make_harness(name).start()
    harness.pool.submit([api.job("a", until="never"), api.job("b", until="go")])
    harness.until(lambda: len(harness.started()) == 2)
    assert harness.pool.terminate("a", signal.SIGTERM)
    end = harness.until(lambda: harness.ends.get("a"))
    assert isinstance(end, Lost)
    assert end.terminated == signal.SIGTERM
    harness.release("go")
    harness.until(lambda: isinstance(harness.ends.get("b"), Finished))


@pytest.mark.parametrize("name", ["threads", "solo"])
def test_terminate_says_so_when_it_cannot(name: str, make_harness: Make, api: Any) -> None:
    harness = make_harness(name).start()
    harness.pool.submit([api.job("a", until="go")])
    harness.until(harness.started)
    assert harness.pool.terminate("a", signal.SIGTERM) is False
    harness.release("go")
    harness.until(lambda: isinstance(harness.ends.get("a"), Finished))


def test_terminate_of_what_does_not_run_is_refused(name: str, make_harness: Make, api: Any) -> None:
    harness = make_harness(name, size=1).start()
    harness.run([api.job("ended")])
    harness.pool.submit([api.job("a", until="go"), api.job("waiting")])
    harness.until(harness.started)
    for job_id in ("ended", "waiting", "unknown"):
        assert harness.pool.terminate(job_id, signal.SIGTERM) is False
    harness.release("go")
    harness.until(lambda: "waiting" in harness.ends)


@pytest.mark.parametrize("name", PARALLEL)
def test_resize_changes_how_many_run_at_once(name: str, make_harness: Make, api: Any) -> None:
    harness = make_harness(name, size=1).start()
    harness.pool.submit(api.jobs("first", 3, until="one"))
    harness.until(harness.started)
    assert harness.pool.credit() == 0
    harness.pool.resize(3)
    harness.until(lambda: len(harness.started()) == 3)
    harness.pool.resize(1)
    harness.release("one")
    harness.until(lambda: len(harness.ends) == 3)
    assert harness.kinds() == {"Finished": 3}
    if name == "prefork":
        harness.until(lambda: len(harness.pool.info()["processes"]) == 1)
    elif name == "threads":
        harness.until(lambda: harness.pool.info()["threads"] == 1)
    harness.pool.submit(api.jobs("second", 3, until="two"))
    harness.until(lambda: len(harness.started()) == 4)
    for _ in range(5):
        harness.turn()
    assert len(harness.started()) == 4
    harness.release("two")
    harness.until(lambda: len(harness.ends) == 6)


def test_credit_is_the_free_slots_when_jobs_are_long(
    name: str, make_harness: Make, api: Any
) -> None:
    harness = make_harness(name).start()
    size = harness.pool.size
    assert harness.pool.credit() == size
    harness.pool.submit(api.jobs("long", size, until="go"))
    assert harness.pool.credit() == 0
    harness.release("go")
    harness.until(lambda: len(harness.ends) == size)
    assert harness.pool.credit() >= size


def test_credit_grows_when_jobs_are_short(name: str, make_harness: Make, api: Any) -> None:
    harness = make_harness(name).start()
    harness.run(api.jobs("short", 500))
    assert harness.pool.credit() > 20


def test_what_runs_where_is_known(name: str, make_harness: Make, api: Any) -> None:
    harness = make_harness(name).start()
    harness.pool.submit([api.job("a", until="go")])
    harness.until(lambda: harness.accepted("a"))
    assert set(harness.pool.running()) == {"a"}
    assert set(harness.pool.running().values()) == harness.pids
    harness.release("go")
    harness.until(lambda: "a" in harness.ends)
    assert harness.pool.running() == {}


@pytest.mark.parametrize("name", ["threads", "solo", "asyncio", "prefork", *GREEN])
def test_each_slot_is_torn_down(name: str, make_harness: Make, api: Any) -> None:
    harness = make_harness(name).start()
    harness.run(api.jobs("a", 10, sleep=0.01))
    harness.stop()
    slots = {"threads": ["0", "1"], "prefork": ["0", "1"]}.get(name, ["0"])
    assert sorted(harness.noted("teardowns")) == slots


@pytest.mark.parametrize("name", ["threads", "asyncio", *GREEN])
def test_a_setup_that_fails_is_raised_by_start(name: str, make_harness: Make) -> None:
    harness = make_harness(name)
    harness.release("setup-fails")
    with pytest.raises(RuntimeError, match="setup fails"):
        harness.start()
