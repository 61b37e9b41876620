"""What a worker says of itself when it starts."""

from typing import Any
from urllib.parse import urlsplit

__all__ = ["banner", "broker_info"]


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


def broker_info(url: str, driver: str) -> dict[str, Any]:
    """Describe the broker connection as `inspect stats` shows it; never the password."""
    parts = urlsplit(url)
    try:
        port = parts.port
    except ValueError:
        port = None
    return {
        "hostname": parts.hostname or parts.path or None,
        "userid": parts.username,
        "virtual_host": parts.path.strip("/") or "0",
        "port": port,
        "insist": False,
        "ssl": parts.scheme.endswith("s") and parts.scheme not in ("redis", "sentinel"),
        "transport": driver,
        "connect_timeout": 4,
        "transport_options": {},
        "login_method": None,
        "uri_prefix": None,
        "heartbeat": 120.0,
        "failover_strategy": "round-robin",
        "alternates": [],
        "credential_provider": None,
    }
