"""The canvas tests' tasks on tq."""

import os

from tests.support.canvas_tasks import register
from tq import TQ, chain, errors, group
from tq.contrib.abortable import AbortableTask

app = TQ("canvas", broker=os.environ["PEER_URL"], backend=os.environ["PEER_BACKEND"])
app.conf.update(
    broker_lease=float(os.environ.get("PEER_LEASE", "10")),
    task_allow_error_cb_on_chord_header=os.environ.get("PEER_HEADER_ERRBACKS") == "1",
    task_delivery_limit=int(os.environ.get("PEER_DELIVERY_LIMIT", "5")),
    task_protocol=int(os.environ.get("PEER_PROTOCOL", "2")),
    result_extended=True,
)
tasks = register(app, chain=chain, group=group, errors=errors, abortable=AbortableTask)
