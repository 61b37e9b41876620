"""Solo in its place: jobs in the main thread, the loop in another."""

import threading
from collections.abc import Callable
from typing import Any

import pytest

from tq.pools import Finished

pytestmark = pytest.mark.timeout(60)


def drive(harness: Any, jobs: list[Any]) -> list[Any]:
    """Serve in the calling thread while another submits jobs and waits for their ends."""
    failures: list[BaseException] = []
    over = threading.Event()

    def loop() -> None:
        try:
            harness.run(jobs, within=20.0)
        except BaseException as error:
            failures.append(error)
        finally:
            over.set()
            harness.stop(5.0)

    thread = threading.Thread(target=loop)
    thread.start()
    harness.pool.serve(over.is_set)
    thread.join(10.0)
    assert not failures, failures
    return [harness.ends[job.id] for job in jobs]


def test_jobs_run_in_the_thread_that_serves(make_harness: Callable[..., Any], api: Any) -> None:
    harness = make_harness("solo")
    found: list[threading.Thread] = []
    harness.runner.setup = lambda slot: found.append(threading.current_thread())
    ends = drive(harness, api.jobs("j", 500))
    assert all(isinstance(end, Finished) for end in ends)
    assert found == [threading.main_thread()]


def test_a_soft_limit_interrupts_a_blocking_call_of_the_main_thread(
    make_harness: Callable[..., Any], api: Any
) -> None:
    harness = make_harness("solo")
    slow, after = drive(harness, [api.job("slow", soft=0.1, sleep=15.0), api.job("after")])
    assert slow.outcome.payload == b"soft 0.1"
    assert after.outcome.payload == b"done"


def test_what_a_job_raises_to_end_the_process_comes_out_of_serve(
    make_harness: Callable[..., Any], api: Any
) -> None:
    harness = make_harness("solo")
    harness.pool.submit([api.job("a", raise_="SystemExit")])
    with pytest.raises(SystemExit):
        harness.pool.serve(lambda: False)
    harness.collect()
    assert harness.kinds() == {"Lost": 1}
