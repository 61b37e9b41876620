"""Calls what shows the settings of `project`, and prints what came of it as one JSON object."""

import json
import sys
from datetime import datetime

from project import (
    address,
    annotated,
    app,
    chord,
    dies,
    fails,
    late,
    logs,
    parent,
    pid,
    silent,
    slow,
    state,
)

WAIT = 40


def end(result):
    """How a call ended, for its caller."""
    value = result.get(timeout=WAIT, propagate=False)
    if isinstance(value, BaseException):
        value = [type(value).__name__, str(value)]
    return [result.id, result.state, value]


def longest(values):
    """How often the first value is repeated."""
    return next((n for n, value in enumerate(values) if value != values[0]), len(values))


def main():
    found = {}
    pids = [pid.apply_async(task_id=f"pid{n}").get(timeout=WAIT) for n in range(9)]
    # How many the first child had run before these is not told: the second one is fresh.
    fresh = pids[longest(pids) :]
    found["tasks of a child"] = longest(fresh)
    found["address"] = end(address.apply_async(task_id="address"))
    found["own priority"] = end(address.apply_async(task_id="own", priority=9))
    found["parent"] = end(parent.apply_async(task_id="parent", priority=3))
    found["child"] = end(app.AsyncResult("child"))
    quiet = silent.apply_async(task_id="silent")
    broken = fails.apply_async(([[[1]]],), task_id="fails")
    found["slow"] = end(slow.apply_async(task_id="slow"))
    found["state"] = end(state.apply_async(task_id="state"))
    found["dies"] = end(dies.apply_async(task_id="dies"))
    found["annotated"] = end(annotated.apply_async(task_id="annotated"))
    found["logs"] = end(logs.apply_async(task_id="logs"))
    ask = app.control.inspect(timeout=10, destination=["one@example"])
    found["prefetch"] = ask.stats()["one@example"]["prefetch_count"]
    eta = datetime(2200, 1, 1, 12, 0)
    late.apply_async(([[[1]]],), task_id="much-later", eta=eta)
    # The second part waits for a worker of its own, so that the chord's keys can be looked at.
    part = late.s(1).set(task_id="part", ignore_result=False)
    other = late.s(2).set(task_id="waiting", eta=eta, ignore_result=False)
    chord([part, other])(late.s().set(task_id="body"))
    found["part"] = end(app.AsyncResult("part"))
    found["silent"] = [quiet.state, app.AsyncResult(broken.id).state]
    try:
        address.apply_async(queue="nobody-declared-it")
    except Exception as exc:
        found["missing queue"] = type(exc).__name__ != "TypeError"
    found["limits"] = {
        name: sorted(line for line in lines if line.startswith("tuned."))
        for name, lines in ask.registered("rate_limit", "soft_time_limit", "time_limit").items()
    }
    queues = ask.active_queues()["one@example"]
    found["queues"] = sorted(
        [q["name"], q["exchange"]["name"], q["exchange"]["type"], q["routing_key"]] for q in queues
    )
    found["now"] = str(app.now().tzinfo)
    app.conf.task_always_eager = True
    found["eager"] = [address.apply_async(task_id="eager").state, app.AsyncResult("eager").state]
    app.conf.task_eager_propagates = True
    try:
        fails.apply_async((1,), task_id="eager-fails")
    except ValueError as exc:
        found["propagated"] = str(exc)
    json.dump(found, sys.stdout)


main()
