"""Commands that act, with Celery's reply texts.

Source: PROTOCOL 8.5; celery/worker/control.py.
"""

import importlib
import logging
import operator
import signal as signals
import sys
from collections.abc import Iterable
from typing import Any

from tq.brokers.base import Exchange, Queue
from tq.worker.limits import parse_rate, stamp_values
from tq.worker.registry import control_command
from tq.worker.request import Request
from tq.worker.state import WorkerState

__all__ = ["signal_number"]

logger = logging.getLogger(__name__)

_POOL_LIMIT = 10_000  # slots; far beyond any machine, and near enough to refuse a typing error
_TEXT_LIMIT = 2_000


def _ok(text: str) -> dict[str, str]:
    return {"ok": text}


def _error(text: str) -> dict[str, str]:
    return {"error": text}


def signal_number(signal: Any) -> int:
    """Turn `SIGTERM`, `term`, 15 or None (TERM) into a number.

    Raises:
        AttributeError: There is no such signal; with Celery's text, which travels in the reply.
        ValueError: A number that is no signal.
    """
    if signal is None:
        return int(signals.SIGTERM)
    if isinstance(signal, int) and not isinstance(signal, bool):
        return int(signals.Signals(signal))
    name = str(signal)[:50].upper()
    name = name if name.startswith("SIG") else f"SIG{name}"
    try:
        return int(signals.Signals[name])
    except KeyError:
        raise AttributeError(f"module 'signal' has no attribute {name!r}") from None


def _ids(task_id: Any) -> list[str]:
    """Return the ids of an argument that holds one or a list, without duplicates."""
    if isinstance(task_id, str):
        return [task_id]
    if not isinstance(task_id, Iterable) or isinstance(task_id, dict | bytes):
        raise TypeError(f"task_id must be text or a list, not {type(task_id).__name__}")
    return list(dict.fromkeys(str(item) for item in task_id))


@control_command(args=[("task_id", str)], variadic="task_id", signature="[id1 [id2 [... [idN]]]]")
def revoke(
    state: WorkerState, task_id: Any, terminate: bool = False, signal: Any = None, **_: Any
) -> dict[str, str]:
    """Keep tasks from running, by id."""
    ids = _ids(task_id)
    number = signal_number(signal) if terminate else None
    held = _revoke_ids(state, ids)
    if number is None:
        return _ok(f"tasks {_set_text(ids)} flagged as revoked")
    return _terminate(state, held, ids, number)


@control_command(
    args=[("signal", str), ("task_id", str)],
    variadic="task_id",
    signature="<signal> [id1 [id2 [... [idN]]]]",
)
def terminate(state: WorkerState, signal: Any, task_id: Any, **_: Any) -> dict[str, str]:
    """End tasks with a signal, by id."""
    ids = _ids(task_id)
    number = signal_number(signal)
    return _terminate(state, _revoke_ids(state, ids), ids, number)


@control_command(
    args=[("headers", str)],
    variadic="headers",
    signature="[key1=value1 [key2=value2 [... [keyN=valueN]]]]",
)
def revoke_by_stamped_headers(
    state: WorkerState, headers: Any, terminate: bool = False, signal: Any = None, **_: Any
) -> dict[str, str]:
    """Keep tasks from running, by the stamps they carry."""
    if isinstance(headers, list | tuple):
        headers = dict(str(pair).split("=", 1) for pair in headers)
    if not isinstance(headers, dict):
        raise TypeError(f"headers must be an object, not {type(headers).__name__}")
    number = signal_number(signal) if terminate else None
    state.dispatcher.revoked_stamps.add(headers, state.clock.time())
    shown = str(headers)[:_TEXT_LIMIT]
    if number is None:
        return _ok(f"headers {shown} flagged as revoked, but not terminated")
    state.refresh()
    wanted = {name: set(stamp_values(value)) for name, value in headers.items()}
    hit = [
        request for request in list(state.dispatcher.requests.values()) if _stamped(request, wanted)
    ]
    state.dispatcher.revoked.add([request.id for request in hit], state.clock.time())
    _recall_reserved(state, hit)
    ended = [request.id for request in hit if _end(state, request, number)]
    if not ended:
        return _ok(f"headers {shown} were not terminated")
    return _ok(f"headers {shown} revoked")


def _stamped(request: Request, wanted: dict[str, set[str]]) -> bool:
    stamps = request.headers.stamps
    return any(
        not wanted[name].isdisjoint(stamp_values(stamps.get(name)))
        for name in request.headers.stamped_headers or ()
        if name in wanted
    )


def _revoke_ids(state: WorkerState, ids: list[str]) -> list[Request]:
    """Flag ids; returns the requests among them that this worker holds."""
    state.dispatcher.revoked.add(ids, state.clock.time())
    state.share_revoked(ids)
    state.refresh()
    wanted = set(ids)
    held = [request for request in state.dispatcher.requests.values() if request.id in wanted]
    running = {request.id for request in held if request.time_start is not None}
    state.recorder.record_revoked([task_id for task_id in ids if task_id not in running])
    _recall_reserved(state, held)
    logger.info("revoked %d task(s): %s", len(ids), ", ".join(ids[:10])[:_TEXT_LIMIT])
    return held


def _recall_reserved(state: WorkerState, requests: list[Request]) -> None:
    """Take back what has not started: the dispatcher then drops what is revoked."""
    if any(request.time_start is None for request in requests):
        state.pool.recall()


def _terminate(
    state: WorkerState, held: list[Request], ids: list[str], number: int
) -> dict[str, str]:
    ended = [request.id for request in held if _end(state, request, number)]
    if not ended:
        return _ok("terminate: tasks unknown")
    return _ok(f"terminate: {', '.join(ended)[:_TEXT_LIMIT]}")


def _end(state: WorkerState, request: Request, number: int) -> bool:
    if request.time_start is None:
        return False
    request.terminated = number
    if state.pool.terminate(request.delivery.tag, number):
        logger.warning("terminating %s[%s] with signal %d", request.name, request.id, number)
        return True
    request.terminated = None
    return False


def _set_text(ids: list[str]) -> str:
    """Show ids as a Python set, as Celery's reply does; a very long one is cut."""
    return str(set(ids[:100]))[:-1] + (f", ... {len(ids)} in all}}" if len(ids) > 100 else "}")


@control_command(
    args=[("task_name", str), ("rate_limit", str)],
    signature="<task_name> <rate_limit (e.g., 5/s | 5/m | 5/h)>",
)
def rate_limit(state: WorkerState, task_name: str, rate_limit: Any, **_: Any) -> dict[str, str]:
    """Change a task's rate limit, until the worker restarts."""
    try:
        rate = parse_rate(rate_limit)
    except ValueError as exc:
        return _error(f"Invalid rate limit string: {exc!r}")
    task = state.app.tasks.get(task_name)
    if task is None:
        return _error("unknown task")
    task.rate_limit = rate_limit
    state.dispatcher.set_rate(task_name, rate)
    if not rate_limit:
        logger.info("rate limits disabled for tasks of type %s", task_name)
        return _ok("rate limit disabled successfully")
    logger.info("new rate limit for tasks of type %s: %s", task_name, rate_limit)
    return _ok("new rate limit set successfully")


@control_command(
    args=[("task_name", str), ("soft", float), ("hard", float)],
    signature="<task_name> <soft_secs> [hard_secs]",
)
def time_limit(
    state: WorkerState, task_name: str, hard: Any = None, soft: Any = None, **_: Any
) -> dict[str, str]:
    """Change a task's time limits, until the worker restarts."""
    task = state.app.tasks.get(task_name)
    if task is None:
        logger.error("change of time limits of the unknown task %.200r", task_name)
        return _error("unknown task")
    soft, hard = _limit("soft", soft), _limit("hard", hard)
    task.soft_time_limit, task.time_limit = soft, hard
    state.extra.get("forget_policy", lambda _name: None)(task_name)
    logger.info("new time limits for tasks of type %s: soft=%s hard=%s", task_name, soft, hard)
    return _ok("time limits set successfully")


def _limit(name: str, value: Any) -> float | None:
    if value is None:
        return None
    seconds = float(value)
    if not 0 < seconds < float("inf"):
        raise ValueError(f"{name} must be a positive number of seconds, not {value!r:.50}")
    return seconds


@control_command()
def enable_events(state: WorkerState) -> dict[str, str]:
    """Send task events."""
    if state.events.task_events:
        return _ok("task events already enabled")
    state.events.switch(True)
    logger.info("events of group {task} enabled by remote")
    return _ok("task events enabled")


@control_command()
def disable_events(state: WorkerState) -> dict[str, str]:
    """Stop sending task events; a worker started with -E keeps on, as Celery's does."""
    if state.events.always or not state.events.task_events:
        return _ok("task events already disabled")
    state.events.switch(False)
    logger.info("events of group {task} disabled by remote")
    return _ok("task events disabled")


@control_command(visible=False)
def heartbeat(state: WorkerState) -> None:
    """Send one heartbeat at once, for a monitor that starts."""
    state.events.beat_once()


@control_command(visible=False)
def election(state: WorkerState, id: str, topic: str, action: Any = None, **_: Any) -> None:  # noqa: A002
    """Stand for election among the workers that gossip."""
    if state.stand is None:
        logger.debug("election %.100s on %.100s ignored: there is no gossip", id, topic)
        return
    state.stand(str(id)[:_TEXT_LIMIT], str(topic)[:_TEXT_LIMIT], action)


@control_command()
def shutdown(state: WorkerState, msg: str = "Got shutdown from remote", **_: Any) -> None:
    """Stop the worker: warm, without a reply."""
    logger.warning("%.200s", msg)
    state.request_stop("remote")


@control_command(args=[("n", int)], signature="[N=1]")
def pool_grow(state: WorkerState, n: Any = 1, **_: Any) -> dict[str, str]:
    """Add slots to the pool."""
    return _resize(state, operator.index(n), "pool_grow", "pool will grow")


@control_command(args=[("n", int)], signature="[N=1]")
def pool_shrink(state: WorkerState, n: Any = 1, **_: Any) -> dict[str, str]:
    """Take slots from the pool."""
    return _resize(state, -operator.index(n), "pool_shrink", "pool will shrink")


def _resize(state: WorkerState, change: int, name: str, text: str) -> dict[str, str]:
    if state.autoscaler is not None:
        return _error(f"{name} is not supported with autoscale. Adjust autoscale range instead.")
    size = state.pool.size + change
    if not 1 <= size <= _POOL_LIMIT:
        raise ValueError(f"the pool has {state.pool.size} slots and cannot have {size}")
    state.pool.resize(size)
    return _ok(text)


@control_command(signature="")
def pool_restart(
    state: WorkerState,
    modules: Any = None,
    reload: bool = False,
    **_: Any,
) -> dict[str, str]:
    """Replace the pool's processes; needs `worker_pool_restarts`."""
    if state.restart_pool is None:
        raise ValueError("Pool restarts not enabled")
    for name in [modules] if isinstance(modules, str) else modules or ():
        # New children are forks of this process, so what is imported here is there too.
        known = sys.modules.get(name)
        if known is None:
            importlib.import_module(name)
        elif reload:
            importlib.reload(known)
    state.restart_pool()
    return _ok("reload started")


@control_command(args=[("max", int), ("min", int)], signature="[max [min]]")
def autoscale(state: WorkerState, max: Any = None, min: Any = None) -> dict[str, str]:  # noqa: A002
    """Change the bounds of autoscaling."""
    if state.autoscaler is None:
        raise ValueError("Autoscale not enabled")
    most, least = (None if bound is None else operator.index(bound) for bound in (max, min))
    if any(bound is not None and not 0 <= bound <= _POOL_LIMIT for bound in (most, least)):
        raise ValueError(f"autoscale bounds must lie between 0 and {_POOL_LIMIT}")
    maximum, minimum = state.autoscaler.update(most, least)
    return _ok(f"autoscale now max={maximum} min={minimum}")


@control_command(
    args=[("queue", str), ("exchange", str), ("exchange_type", str), ("routing_key", str)],
    signature="<queue> [exchange [type [routing_key]]]",
)
def add_consumer(
    state: WorkerState,
    queue: Any,
    exchange: Any = None,
    exchange_type: Any = None,
    routing_key: Any = None,
    **options: Any,
) -> dict[str, str]:
    """Begin to take tasks from a queue."""
    given = {
        "queue": queue,
        "exchange": exchange,
        "exchange_type": exchange_type,
        "routing_key": routing_key,
    }
    for name, value in given.items():
        if value is not None and not isinstance(value, str):
            raise TypeError(f"{name} must be text, not {type(value).__name__}")
    if not queue or len(queue) > 255 or not queue.isprintable():
        raise ValueError(f"no queue can be called {queue!r:.300}")
    known = state.app.queues.get(queue) if hasattr(state.app, "queues") else None
    state.intake.add(known or _queue(queue, exchange, exchange_type, routing_key))
    return _ok(f"add consumer {queue}")


def _queue(name: str, exchange: str | None, kind: str | None, key: str | None) -> Queue:
    """Build a queue that nobody declared; without an exchange, messages arrive by its name."""
    if not exchange and (kind or "direct") == "direct" and not key:
        return Queue(name=name)
    return Queue(
        name=name,
        exchange=Exchange(name=exchange or name, type=kind or "direct"),
        routing_key=key or name,
    )


@control_command(args=[("queue", str)], signature="<queue>")
def cancel_consumer(state: WorkerState, queue: Any, **_: Any) -> dict[str, str]:
    """Stop taking tasks from a queue."""
    if not isinstance(queue, str):
        raise TypeError(f"queue must be text, not {type(queue).__name__}")
    state.intake.cancel(queue)
    return _ok(f"no longer consuming from {queue[:255]}")
