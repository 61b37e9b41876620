"""An application that tells, in a Redis list, which signals arrive with what and in which process."""

import json
import os
from typing import Any

import redis

from tq import TQ, signals

app = TQ("signals", broker=os.environ["PEER_URL"], backend=os.environ["PEER_URL"])
ledger = redis.Redis.from_url(os.environ["PEER_LEDGER"], decode_responses=True)


def heard(signal: Any, sender: Any, **named: Any) -> None:
    """Note one signal."""
    shown = {name: type(value).__name__ for name, value in named.items()}
    who = getattr(sender, "name", None) or (
        sender if isinstance(sender, str) else str(type(sender))
    )
    ledger.rpush("signals", json.dumps([signal.name, str(who), shown, os.getpid()]))


# `setup_logging` would take the set-up of logs away from the worker.
for one in signals.ALL_SIGNALS:
    if one.name != "setup_logging" or os.environ.get("PEER_LOGGING"):
        one.connect(heard, weak=False)
app.on_after_fork.connect(heard, weak=False)


@app.task(name="s.add")
def add(x, y):
    return x + y


@app.task(name="s.fail")
def fail():
    raise ValueError("wrong")


@app.task(name="s.retry", bind=True, max_retries=1)
def retry(self):
    if self.request.retries == 0:
        raise self.retry(countdown=0)
