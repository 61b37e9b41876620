"""The benchmark's tasks on tq; `BENCH_URL` names the Redis server."""

import os
import time

from tq import TQ

app = TQ("bench", broker=os.environ["BENCH_URL"])
app.conf.update(task_default_queue="bench", result_expires=600)


@app.task(name="bench.noop", ignore_result=True)
def noop() -> None:
    """Do nothing, keep nothing."""


@app.task(name="bench.stored")
def stored() -> int:
    """Return a small result to be kept."""
    return 1


@app.task(name="bench.anoop", ignore_result=True)
async def anoop() -> None:
    """Do nothing in a coroutine."""


@app.task(name="bench.astored")
async def astored() -> int:
    """Return a small result from a coroutine."""
    return 1


@app.task(name="bench.count")
def count(values: list[int]) -> int:
    """Count the parts of a chord."""
    return len(values)


@app.task(name="bench.stamped")
def stamped() -> float:
    """Return when it ran."""
    return time.time()


@app.task(name="bench.latest")
def latest(values: list[float]) -> list[float]:
    """Return when the last part ran, and when this body did."""
    return [max(values), time.time()]
