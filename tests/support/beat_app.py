"""An application with a schedule, for the beat tests. `BEAT_EVERY` is the interval in seconds."""

import os

from tq import TQ
from tq.schedules import crontab

app = TQ("beaten", broker=os.environ["PEER_URL"])
app.conf.update(
    broker_lease=float(os.environ.get("PEER_LEASE", "2")),
    beat_enable_remote_control=os.environ.get("BEAT_CONTROL") == "1",
    beat_schedule={
        "tick": {
            "task": "beat.tick",
            "schedule": float(os.environ.get("BEAT_EVERY", "0.25")),
            "args": [1],
            "options": {"queue": os.environ.get("BEAT_QUEUE", "beatq")},
        },
        "nightly": {"task": "beat.tick", "schedule": crontab("0", "3")},
    },
)


@app.task(name="beat.tick")
def tick(x=0):
    return x


@app.task(name="beat.tock")
def tock():
    return "tock"


@app.on_after_configure.connect
def add_more(sender, **_):
    sender.add_periodic_task(3600.0, tock.s(), name="hourly tock")
