"""Calls everything in `project`, as a client would, and prints what came of it as one JSON object."""

import json
import sys

from project import (
    add,
    app,
    broken,
    caught,
    chain,
    chord,
    expected,
    flaky,
    group,
    ignoring,
    ledger,
    limited,
    logs,
    parent,
    progress,
    quiet,
    rejecting,
    replaced,
    routed,
    slow,
    stubborn,
    total,
    tracked,
    unserialisable,
    watched,
    whoami,
)

WAIT = 40


def end(result):
    """How a call ended, for its caller."""
    value = result.get(timeout=WAIT, propagate=False)
    if isinstance(value, BaseException):
        value = [type(value).__name__, str(value)]
    told = result.traceback is not None and "Traceback" in result.traceback
    return [result.id, result.state, value, result.successful(), result.failed(), told]


def plain():
    yield end(add.apply_async((2, 3), task_id="plain"))
    yield end(add.apply_async(kwargs={"x": 1, "y": 2}, task_id="keywords"))
    yield end(add.apply_async((1, 2), task_id="later", countdown=0.2))
    yield end(app.send_task("example.add", (4, 4), task_id="by-name"))
    yield end(watched.apply_async((4,), task_id="watched"))
    yield end(routed.apply_async(task_id="routed"))
    yield end(limited.apply_async((1,), task_id="limited"))
    yield end(tracked.apply_async(task_id="tracked"))
    yield end(progress.apply_async(task_id="progress"))
    yield end(slow.apply_async(task_id="slow"))
    yield end(parent.apply_async(task_id="parent"))
    yield end(replaced.apply_async((1,), task_id="replaced"))
    yield end(logs.apply_async(task_id="logs"))


def contexts():
    options = {"priority": 3, "headers": {"color": "red"}, "shadow": "alias"}
    yield end(whoami.apply_async((1, "a"), {"k": [1]}, task_id="context", **options))
    yield end(whoami.apply_async(task_id="limits", time_limit=60, soft_time_limit=50))
    eager = whoami.apply((1,), {"k": 2}, task_id="eager")
    yield [eager.state, {key: eager.get()[key] for key in ("id", "args", "kwargs", "is_eager")}]
    yield [add(1, 2), whoami(1)["called_directly"]]


def failures():
    yield end(flaky.apply_async((2,), task_id="flaky"))
    yield end(stubborn.apply_async(task_id="stubborn"))
    yield end(expected.apply_async(task_id="expected"))
    yield end(broken.apply_async(("empty",), task_id="broken"))
    yield end(unserialisable.apply_async(task_id="unserialisable"))
    yield end(app.send_task("example.unknown", task_id="unknown"))
    try:
        add.apply_async((1,), task_id="never-sent")
    except TypeError as exc:
        yield ["TypeError", "argument" in str(exc)]


def unstored():
    """Calls that end without a result of their own, or without any."""
    silent = quiet.apply_async(("hush",), task_id="quiet")
    ignored = ignoring.apply_async(task_id="ignoring")
    yield end(rejecting.apply_async(task_id="rejecting"))
    # The worker has one slot: what was sent before this is over when this is.
    yield end(add.apply_async((0, 0), task_id="fence"))
    yield [ignored.state, ignored.info, silent.state, silent.get(timeout=WAIT)]


def revoked():
    yield end(add.apply_async((1, 1), task_id="expired", expires=-1))
    waiting = add.apply_async((1, 1), task_id="revoked", countdown=3600)
    # The worker has seen what waits when it has done what came after it.
    yield end(add.apply_async((0, 0), task_id="before-revoke"))
    waiting.revoke()
    yield end(waiting)


def canvas():
    add_named = [add.s(x, x).set(task_id=f"g{x}") for x in range(3)]
    yield end(chain(add.s(1, 1).set(task_id="c1"), add.s(10).set(task_id="c2"))())
    members = group(add_named).apply_async()
    yield [members.get(timeout=WAIT), members.successful(), members.completed_count()]
    parts = [add.s(x, x).set(task_id=f"h{x}") for x in range(3)]
    yield end(chord(parts)(total.s().set(task_id="body")))
    bad = [add.s(1, 1).set(task_id="b1"), broken.s("part").set(task_id="b2")]
    yield end(chord(bad)(total.s().set(task_id="bad-body")))
    stopped = chain(broken.s("first").set(task_id="s1"), add.s(1).set(task_id="s2"))()
    yield end(stopped.parent)
    link = add.s(10).set(task_id="linked")
    yield end(add.apply_async((1, 1), task_id="links", link=link))
    yield end(app.AsyncResult("linked"))
    error = caught.s().set(task_id="errback")
    yield end(broken.apply_async(("linked",), task_id="link-error", link_error=error))
    yield end(add.starmap([(1, 2), (3, 4)]).apply_async(task_id="starmap"))
    yield end(total.map([[1, 2], [3]]).apply_async(task_id="map"))


def main():
    ledger.ping()
    parts = (plain, contexts, failures, unstored, revoked, canvas)
    found = {part.__name__: list(part()) for part in parts}
    found["last"] = end(add.apply_async((0, 0), task_id="last"))
    json.dump(found, sys.stdout)


main()
