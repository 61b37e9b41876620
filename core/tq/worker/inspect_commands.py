"""Commands that look: their replies have Celery's shapes.

Source: PROTOCOL 8.4; celery/worker/control.py.
"""

import importlib
import os
import platform
import resource
import sys
import tempfile
from datetime import UTC, datetime
from typing import Any

from tq.brokers.base import Exchange, Queue
from tq.saferepr import saferepr
from tq.worker.registry import COMMANDS, CommandSpec, inspect_command
from tq.worker.request import Request
from tq.worker.state import WorkerState

__all__ = ["bytes_in_use", "queue_info"]

_DEFAULT_TASK_ITEMS = ("exchange", "routing_key", "rate_limit")
_TIMER_PRIORITY = 6  # what Celery's timer gives every ETA task
_LISTED_LIMIT = 10_000  # requests in one reply


@inspect_command(default_timeout=0.2)
def ping(state: WorkerState, **_: Any) -> dict[str, str]:
    """Answer, to show that the worker is alive."""
    return {"ok": "pong"}


@inspect_command()
def clock(state: WorkerState, **_: Any) -> dict[str, int]:
    """Return the worker's logical clock."""
    return {"clock": state.lamport.value}


@inspect_command(alias="dump_active")
def active(state: WorkerState, safe: bool = False, **_: Any) -> list[dict[str, Any]]:
    """List the tasks that run."""
    state.refresh()
    return [_info(state, request, safe) for request in state.dispatcher.active()[:_LISTED_LIMIT]]


@inspect_command(alias="dump_reserved")
def reserved(state: WorkerState, **_: Any) -> list[dict[str, Any]]:
    """List the tasks that were taken and have not started."""
    state.refresh()
    return [_info(state, request) for request in state.dispatcher.reserved()[:_LISTED_LIMIT]]


@inspect_command(alias="dump_schedule")
def scheduled(state: WorkerState, **_: Any) -> list[dict[str, Any]]:
    """List the tasks that this worker parked until their time."""
    return [
        {
            "eta": datetime.fromtimestamp(until, UTC).isoformat(),
            "priority": _TIMER_PRIORITY,
            "request": _info(state, request),
        }
        for until, request in state.dispatcher.scheduled(state.clock.time())
    ]


@inspect_command(alias="dump_revoked")
def revoked(state: WorkerState, **_: Any) -> list[str]:
    """List the ids that must not run, oldest first."""
    return list(state.dispatcher.revoked)


@inspect_command(
    alias="dump_tasks",
    args=[("taskinfoitems", str)],
    variadic="taskinfoitems",
    signature="[attr1 [attr2 ... [attrN]]]",
)
def registered(
    state: WorkerState,
    taskinfoitems: list[str] | str | None = None,
    builtins: bool = False,
    **_: Any,
) -> list[str]:
    """List the tasks that can run here, with some of their attributes."""
    items = [taskinfoitems] if isinstance(taskinfoitems, str) else taskinfoitems
    wanted = [str(item) for item in items or _DEFAULT_TASK_ITEMS]
    tasks = state.app.tasks
    return [
        _task_line(name, tasks[name], wanted)
        for name in sorted(tasks)
        if builtins or not name.startswith("celery.")
    ]


@inspect_command(
    args=[("ids", str)], variadic="ids", signature="[id1 [id2 [... [idN]]]]", default_timeout=1.0
)
def query_task(
    state: WorkerState, ids: list[str] | str, **_: Any
) -> dict[str, tuple[str, dict[str, Any]]]:
    """Tell the state of tasks that this worker holds."""
    state.refresh()
    wanted = {ids} if isinstance(ids, str) else {str(task_id) for task_id in ids}
    found = {
        request.id: ("reserved" if request.time_start is None else "active", _info(state, request))
        for request in list(state.dispatcher.requests.values())
        if request.id in wanted
    }
    for _until, request in state.dispatcher.scheduled(state.clock.time()):
        if request.id in wanted and request.id not in found:
            found[request.id] = ("scheduled", _info(state, request))
    return found


@inspect_command()
def active_queues(state: WorkerState) -> list[dict[str, Any]]:
    """List the queues that this worker takes from."""
    return [queue_info(queue) for queue in state.intake.queues.values()]


@inspect_command()
def stats(state: WorkerState, **_: Any) -> dict[str, Any]:
    """Return counts, and how the worker is set up."""
    answer: dict[str, Any] = {
        "total": dict(state.dispatcher.total),
        "pid": os.getpid(),
        "clock": str(state.lamport.value),
        "uptime": int(state.clock.monotonic() - state.started),
        "pool": state.pool.info(),
        "broker": dict(state.extra.get("broker", {})),
        "prefetch_count": state.intake.prefetch_count,
        "rusage": _rusage(),
        "task_events": state.events.task_events,  # ours; Celery's workers do not tell
    }
    if state.autoscaler is not None:
        answer["autoscaler"] = state.autoscaler.info()
    trouble = {
        "lost_leases": state.dispatcher.lost_leases,
        "buried": dict(state.dispatcher.buried),
        "defaulted": dict(state.dispatcher.defaulted),
    }
    if any(trouble.values()):
        answer["trouble"] = trouble
    return answer


@inspect_command(
    alias="dump_conf",
    signature="[include_defaults=False]",
    args=[("with_defaults", lambda text: text.lower() in ("1", "true", "yes", "on"))],
)
def conf(state: WorkerState, with_defaults: bool = False, **_: Any) -> dict[str, Any]:
    """Return the settings, secrets masked."""
    table = state.app.conf.table(with_defaults=bool(with_defaults), censored=True)
    return {name: _jsonable(value) for name, value in table.items()}


@inspect_command()
def report(state: WorkerState) -> dict[str, str]:
    """Return versions, platform and settings as text for a bug report."""
    lines = [
        f"software -> tq py:{platform.python_version()}",
        f"platform -> system:{platform.system()} arch:{platform.machine()} "
        f"release:{platform.release()} imp:{platform.python_implementation()}",
        f"broker -> {state.extra.get('broker_url', '')}",
        f"results -> {state.extra.get('backend_url', '')}",
        "",
        state.app.conf.humanize(with_defaults=False, censored=True),
    ]
    return {"ok": "\n".join(lines)}


@inspect_command(visible=False)
def commands(state: WorkerState, **_: Any) -> list[dict[str, str]]:
    """List the remote commands that this worker knows, the project's own among them."""
    return [
        {"name": name, "kind": spec.kind, "usage": _usage(spec), "help": spec.help}
        for name, spec in COMMANDS.items()
        if spec.visible and name not in spec.aliases
    ]


def _usage(spec: CommandSpec) -> str:
    return spec.signature or " ".join(f"{name}=..." for name, _ in spec.args)


@inspect_command()
def memsample(state: WorkerState, **_: Any) -> str | None:
    """Return the worker's resident memory."""
    used = bytes_in_use()
    return None if used is None else f"{used / 1048576:.3f}MB"


@inspect_command(args=[("samples", int)], signature="[n_samples=10]")
def memdump(state: WorkerState, samples: int = 10, **_: Any) -> str:
    """Return the resident memory samples taken so far, and the one of now."""
    history: list[float] = state.extra.setdefault("memory_samples", [])
    used = bytes_in_use()
    if used is not None:
        history.append(used / 1048576)
        del history[:-100]
    kept = history[-max(1, int(samples)) :]
    shown = "".join(f"-     > {sample:.3f}MB,\n" for sample in kept)
    return f"- rss (sample):\n{shown}- rss (end): {history[-1] if history else 0:.3f}MB.\n"


@inspect_command(
    args=[("type", str), ("num", int), ("max_depth", int)],
    signature="[type=Request] [num=200] [max_depth=10]",
)
def objgraph(
    state: WorkerState,
    num: int = 200,
    max_depth: int = 10,
    type: str = "Request",  # noqa: A002 - as on the wire
    **_: Any,
) -> dict[str, str]:
    """Draw what refers to the objects of a type, into a file on the worker's machine."""
    try:
        # Deferred: a library for this command alone, which hardly any worker has.
        library = importlib.import_module("objgraph")
    except ImportError:
        return {"error": "objgraph: the library of that name is not installed on this worker"}
    objects = library.by_type(type)[: max(0, int(num))]
    with tempfile.NamedTemporaryFile(prefix="tq-objgraph-", suffix=".png", delete=False) as file:
        library.show_backrefs(objects, max_depth=int(max_depth), filename=file.name)
    return {"filename": file.name}


@inspect_command(visible=False)
def hello(
    state: WorkerState, from_node: str, revoked: Any = None, **_: Any
) -> dict[str, Any] | None:
    """Greet a worker that starts, and exchange revoked ids with it."""
    if from_node == state.hostname:
        return None
    if isinstance(revoked, dict | list | tuple):  # a mapping up to Celery 5.6, a list since 5.7
        known = [task_id for task_id in revoked if isinstance(task_id, str)]
        state.dispatcher.revoked.add(known, state.clock.time())
    return {"revoked": list(state.dispatcher.revoked), "clock": state.lamport.forward()}


def _info(state: WorkerState, request: Request, safe: bool = False) -> dict[str, Any]:
    """Describe a request; its body is read only now, as the worker itself never needs it."""
    headers = request.headers
    if safe and headers.argsrepr is not None:
        return request.info(state.hostname, headers.argsrepr, headers.kwargsrepr or "{}")
    args, kwargs = state.read_arguments(request)
    if safe:
        return request.info(state.hostname, saferepr(args), saferepr(kwargs))
    return request.info(state.hostname, args, kwargs)


def _task_line(name: str, task: Any, items: list[str]) -> str:
    found = [(item, getattr(task, item, None)) for item in items if not item.startswith("_")]
    shown = " ".join(f"{item}={value}" for item, value in found if value is not None)
    return f"{name} [{shown}]" if shown else name


def queue_info(queue: Queue) -> dict[str, Any]:
    """Describe a queue as kombu's `Queue.as_dict` does."""
    exchange = queue.exchange or Exchange(name=queue.name)
    return {
        "name": queue.name,
        "exchange": {
            "name": exchange.name,
            "type": exchange.type,
            "arguments": exchange.arguments,
            "durable": exchange.durable,
            "passive": False,
            "auto_delete": exchange.auto_delete,
            "delivery_mode": exchange.delivery_mode,
            "no_declare": False,
        },
        "routing_key": queue.routing_key or queue.name,
        "queue_arguments": queue.arguments,
        "binding_arguments": None,
        "consumer_arguments": None,
        "durable": queue.durable,
        "exclusive": queue.exclusive,
        "auto_delete": queue.auto_delete,
        "no_ack": queue.no_ack,
        "alias": None,
        "bindings": [],
        "no_declare": None,
        "expires": queue.expires,
        "message_ttl": queue.message_ttl,
        "max_length": None,
        "max_length_bytes": None,
        "max_priority": queue.max_priority,
    }


def _rusage() -> dict[str, float]:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    names = (
        "utime stime maxrss ixrss idrss isrss minflt majflt nswap inblock oublock msgsnd msgrcv "
        "nsignals nvcsw nivcsw"
    )
    return {name: getattr(usage, f"ru_{name}") for name in names.split()}


def bytes_in_use() -> int | None:
    """Return this process's resident memory in bytes, or None where it cannot be read."""
    try:
        with open("/proc/self/statm", encoding="ascii") as statm:
            return int(statm.read().split()[1]) * resource.getpagesize()
    except (OSError, ValueError, IndexError):
        usage = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return usage * (1 if sys.platform == "darwin" else 1024)


def _jsonable(value: Any) -> Any:
    """Return a setting's value as JSON can hold it, the rest as text."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if value == value and abs(value) != float("inf") else str(value)
    if isinstance(value, dict):
        return {str(key): _jsonable(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_jsonable(item) for item in value]
    return saferepr(value)
