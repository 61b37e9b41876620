"""A module that only `--include` or `pool_restart` imports."""

from tq import shared_task


@shared_task(name="included.hello")
def hello():
    return "hello"
