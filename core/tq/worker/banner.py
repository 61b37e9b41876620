"""What a worker says of itself when it starts."""

from typing import Any

__all__ = ["banner"]


def banner(worker: Any) -> str:
    """Describe the worker: application, addresses (passwords masked), pool, queues, tasks."""
    app, options = worker.app, worker.options
    size = options.pool_options.size
    concurrency = f"{size} ({options.pool})"
    if options.autoscale:
        concurrency = "{{min={1}, max={0}}} ({2})".format(*options.autoscale, options.pool)
    lines = [
        f"tq worker {worker.hostname}",
        f"  app:         {app.main or 'default'}",
        f"  transport:   {app.broker.url}",
        f"  results:     {app.backend.url}",
        f"  concurrency: {concurrency}",
        f"  task events: {'ON' if options.task_events else 'OFF (enable with -E)'}",
        "  queues:      " + ", ".join(sorted(app.queues.consume_from)),
        "  tasks:",
        *(f"    . {name}" for name in sorted(app.tasks) if not name.startswith("celery.")),
    ]
    return "\n".join(lines)
