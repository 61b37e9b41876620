"""An application with settings that decide what becomes of a message."""

import os

from tq import TQ

app = TQ("strict", broker=os.environ["PEER_URL"], backend=os.environ["PEER_BACKEND"])
app.conf.update(
    message_max_inflated_bytes=100_000,
    worker_deduplicate_successful_tasks=True,
    accept_content=["json"],
)


@app.task(name="strict.add")
def add(x, y):
    return x + y
