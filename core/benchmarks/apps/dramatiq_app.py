"""The benchmark's tasks on dramatiq; `BENCH_URL` names the Redis server."""

import os

import dramatiq
from dramatiq.brokers.redis import RedisBroker
from dramatiq.results import Results
from dramatiq.results.backends import RedisBackend

broker = RedisBroker(url=os.environ["BENCH_URL"])
broker.add_middleware(Results(backend=RedisBackend(url=os.environ["BENCH_URL"])))
dramatiq.set_broker(broker)


@dramatiq.actor(actor_name="noop", queue_name="bench")
def noop() -> None:
    """Do nothing, keep nothing."""


@dramatiq.actor(actor_name="stored", queue_name="bench", store_results=True)
def stored() -> int:
    """Return a small result to be kept."""
    return 1
