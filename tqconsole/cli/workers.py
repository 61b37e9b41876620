"""`tq workers`."""

from typing import Any

import click

from tq.monitor import WorkerDetail
from tqconsole.cli import exits
from tqconsole.cli.listening import Seen, for_option, listen
from tqconsole.cli.options import Globals, app_options, load_app
from tqconsole.cli.output import Printer, note, output_options
from tqconsole.cli.select import Choice, select_options, task_of

__all__ = ["command"]

_COLUMNS = (
    "worker", "status", "pool", "slots", "active", "processed", "heartbeat", "uptime", "queues",
)  # fmt: skip


@click.command("workers", context_settings={"help_option_names": ["-h", "--help"]})
@for_option
@select_options
@output_options
@app_options
def command(
    given: Globals, seconds: float, output: str | None, as_json: bool, choice: Choice
) -> int:
    """List workers: those that answer, and those that events told of."""
    test = choice.filter.test
    seen = listen(load_app(given), seconds)
    rows = [_row(name, seen) for name in sorted(seen.state.workers)]
    kept = [row for row in rows if test(task_of(row), seen.context)]
    code = choice.show(Printer(output, as_json, color=given.wants_color), _COLUMNS, kept)
    if not rows:
        note(f"no worker was heard of in {seconds:g} s", given.quiet)
    return exits.INTERRUPTED if seen.interrupted else code


def _row(name: str, seen: Seen) -> dict[str, Any]:
    worker = seen.state.workers[name]
    detail = seen.workers.get(name) or WorkerDetail()
    stats = detail.stats.value if detail.stats else None
    stats = stats if isinstance(stats, dict) else {}
    pool = stats.get("pool") if isinstance(stats.get("pool"), dict) else {}
    total = stats.get("total")
    counted = [c for c in total.values() if isinstance(c, int)] if isinstance(total, dict) else []
    silence = worker.silence(seen.now)
    # It answered just now: that its heartbeats were not heard in so short a time means nothing.
    answered = worker.answered_at is not None and worker.offline_at is None
    status = str(seen.state.worker_status(worker, seen.now))
    return {
        "worker": name,
        "status": "up" if answered and not worker.heartbeats else status,
        "pool": worker.pool,
        "slots": (pool or {}).get("max-concurrency"),
        "active": worker.active,
        "processed": sum(counted) if stats else worker.processed,
        "heartbeat": None if silence is None else round(silence, 3),
        "uptime": stats.get("uptime"),
        "queues": sorted(q.name for q in seen.queues.values() if name in q.workers),
        "pid": worker.pid or stats.get("pid"),
        "prefetch": stats.get("prefetch_count"),
        "software": " ".join(t for t in (worker.sw_ident, worker.sw_ver) if t) or None,
        "load": list(worker.loadavg) or None,
        "answered": None if detail.elapsed is None else round(detail.elapsed, 4),
    }
