"""The benchmark's tasks on tq; `BENCH_URL` names the Redis server."""

import os

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
