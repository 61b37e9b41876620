"""What workers answered, read with care."""

from collections.abc import Mapping
from typing import Any

from tq.monitor import WorkerDetail
from tqconsole.tui.model.facts import WorkerFacts

__all__ = ["read_facts"]


def read_facts(detail: WorkerDetail) -> WorkerFacts:
    """Read what a worker answered; nothing of it is trusted to have the right shape."""
    stats = _mapping(detail.stats.value if detail.stats else None)
    pool = _mapping(stats.get("pool"))
    implementation = pool.get("implementation")
    kind = None
    if isinstance(implementation, str):
        kind = _pool_kind(implementation)
    queues = detail.active_queues.value if detail.active_queues else None
    names = None
    if isinstance(queues, list):
        names = tuple(
            str(queue["name"]) for queue in queues if isinstance(queue, dict) and "name" in queue
        )
    registered = detail.registered.value if detail.registered else None
    rss = _mapping(stats.get("rusage")).get("maxrss")
    return WorkerFacts(
        pool=kind,
        size=_whole(pool.get("max-concurrency")),
        prefetch=_whole(stats.get("prefetch_count")),
        queues=names,
        rss=rss * 1024 if isinstance(rss, int) else None,
        uptime=stats.get("uptime") if isinstance(stats.get("uptime"), int | float) else None,
        registered=tuple(map(str, registered)) if isinstance(registered, list) else None,
        as_of=max(aged.at if aged else 0.0 for aged in (detail.stats, detail.active_queues)),
        stats=stats,
    )


def _pool_kind(implementation: str) -> str:
    """Read the kind of pool from its class: Celery's `celery.concurrency.prefork:TaskPool`."""
    module = implementation.partition(":")[0]
    word = module.rpartition(".")[2] or module
    return {
        "thread": "threads",
        "aio": "asyncio",
        "pool": module.split(".")[-2] if "." in module else "pool",
    }.get(word, word)[:12]


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
