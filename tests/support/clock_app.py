"""An application for processes whose clock is set: a schedule from the environment, and a task.

`CLOCK_ENTRIES` is a JSON object, name to crontab or seconds; `CLOCK_ZONE` and `CLOCK_CATCHUP` are
the settings.
"""

import json
import os
import threading

import redis

from tq import TQ
from tq.schedules import crontab

app = TQ("clock", broker=os.environ["PEER_URL"])
app.conf.update(
    broker_lease=4.0,
    timezone=os.environ.get("CLOCK_ZONE", "UTC"),
    beat_catchup=os.environ.get("CLOCK_CATCHUP", "1") == "1",
    beat_schedule={
        name: {
            "task": "clock.none",
            "schedule": crontab.from_string(when) if isinstance(when, str) else when,
            "options": {"queue": f"q-{name}"},
        }
        for name, when in json.loads(os.environ.get("CLOCK_ENTRIES", "{}")).items()
    },
)


@app.task(name="clock.work", bind=True)
def work(self, key, seconds=0.0):
    """Write down the end; wait without `time.sleep`, which libfaketime breaks."""
    threading.Event().wait(seconds)
    with redis.Redis.from_url(os.environ["CLOCK_NOTES"]) as notes:
        notes.rpush("ended", key)


@app.task(name="clock.when")
def when():
    """Write down the server's time."""
    with redis.Redis.from_url(os.environ["CLOCK_NOTES"]) as notes:
        seconds, micros = notes.time()
        notes.rpush("when", seconds + micros / 1e6)
