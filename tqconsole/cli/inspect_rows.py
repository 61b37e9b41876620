"""The inspect commands: their columns, and their replies as rows."""

import time
from collections.abc import Callable
from typing import Any

from tq.wire.command import Reply
from tqconsole.cli.moments import until
from tqconsole.cli.replies import Row

__all__ = ["COMMANDS", "EMPTY"]


def _task_rows(reply: Reply) -> list[Row]:
    return [_task_row(reply.node, task) for task in _list(reply.value)]


def _task_row(node: str, task: Row) -> Row:
    began = task.get("time_start")
    return {
        **task,
        "worker": node,
        "elapsed": f"{time.time() - began:.1f}s" if isinstance(began, int | float) else None,
        "pid": task.get("worker_pid"),
    }


def _scheduled_rows(reply: Reply) -> list[Row]:
    return [
        {
            **_task_row(reply.node, entry.get("request") or {}),
            "eta": entry.get("eta"),
            "due": until(entry.get("eta"), time.time()),
        }
        for entry in _list(reply.value)
    ]


def _queue_rows(reply: Reply) -> list[Row]:
    return [
        {
            **queue,
            "worker": reply.node,
            "queue": queue.get("name"),
            "exchange": (queue.get("exchange") or {}).get("name"),
            "type": (queue.get("exchange") or {}).get("type"),
        }
        for queue in _list(reply.value)
    ]


def _stats_rows(reply: Reply) -> list[Row]:
    stats = reply.value if isinstance(reply.value, dict) else {}
    pool = stats.get("pool") or {}
    return [
        {
            **stats,
            "worker": reply.node,
            "pool": str(pool.get("implementation", "")).rpartition(".")[2].rpartition(":")[2],
            "slots": pool.get("max-concurrency"),
            "prefetch": stats.get("prefetch_count"),
            "tasks": sum(count for count in (stats.get("total") or {}).values()),
        }
    ]


def _query_rows(reply: Reply) -> list[Row]:
    found = reply.value if isinstance(reply.value, dict) else {}
    return [
        {**_task_row(reply.node, task), "id": task_id, "state": state}
        for task_id, (state, task) in found.items()
    ]


def _ok_rows(reply: Reply) -> list[Row]:
    value = reply.value
    text = value.get("ok", value) if isinstance(value, dict) else value
    return [{"worker": reply.node, "reply": text, "ms": f"{reply.elapsed * 1000:.0f}"}]


def _text_rows(reply: Reply) -> list[Row]:
    value = reply.value
    text = value.get("ok", value) if isinstance(value, dict) else value
    return [{"worker": reply.node, "reply": line} for line in str(text).splitlines()]


def _named(column: str) -> Callable[[Reply], list[Row]]:
    def rows(reply: Reply) -> list[Row]:
        return [{"worker": reply.node, column: value} for value in _list(reply.value)]

    return rows


def _value_rows(reply: Reply) -> list[Row]:
    if isinstance(reply.value, dict):
        return [{"worker": reply.node, "key": k, "value": v} for k, v in reply.value.items()]
    return [{"worker": reply.node, "key": "", "value": reply.value}]


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


_TASK = ("worker", "id", "name", "elapsed", "pid", "args", "kwargs")

# name -> (columns, rows of one reply, arguments on the command line, what it tells)
COMMANDS: dict[str, tuple[tuple[str, ...], Callable[[Reply], list[Row]], str, str]] = {
    "active": (_TASK, _task_rows, "", "tasks that run"),
    "reserved": (_TASK, _task_rows, "", "tasks taken, not started"),
    "scheduled": (
        ("worker", "eta", "due", "id", "name", "args", "kwargs"),
        _scheduled_rows,
        "",
        "tasks that wait for their time",
    ),
    "revoked": (("worker", "id"), _named("id"), "", "ids of revoked tasks"),
    "registered": (("worker", "task"), _named("task"), "[ATTR]...", "tasks a worker knows"),
    "active_queues": (
        ("worker", "queue", "exchange", "type", "routing_key"),
        _queue_rows,
        "",
        "queues a worker takes from",
    ),
    "stats": (
        ("worker", "pool", "slots", "tasks", "prefetch", "uptime", "pid"),
        _stats_rows,
        "",
        "pool, counters, resources",
    ),
    "query_task": (("state", *_TASK), _query_rows, "ID...", "where these tasks are"),
    "ping": (("worker", "reply", "ms"), _ok_rows, "", "who is there"),
    "report": (("worker", "reply"), _text_rows, "", "versions and settings, for a bug report"),
    "clock": (("worker", "key", "value"), _value_rows, "", "the logical clock"),
    "conf": (("worker", "key", "value"), _value_rows, "[DEFAULTS]", "settings; with defaults: yes"),
    "memsample": (("worker", "key", "value"), _value_rows, "", "memory in use"),
    "memdump": (("worker", "reply"), _text_rows, "[N]", "memory samples taken so far"),
    "objgraph": (("worker", "key", "value"), _value_rows, "[TYPE [N [DEPTH]]]", "object graph"),
}

# What it means that a worker's answer is empty; others cannot be.
EMPTY = {
    "active": "runs no task",
    "reserved": "holds no task that waits to start",
    "scheduled": "has no task that waits for its time",
    "revoked": "knows of no revoked task",
    "registered": "knows no task",
    "active_queues": "takes from no queue",
    "query_task": "has none of these tasks",
}
