"""The command line that does what an action does."""

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["control_line", "purge_line"]

_SHOWN_IDS = 3


def control_line(
    method: str,
    arguments: Mapping[str, Any],
    destination: Sequence[str] | None,
    timeout: float | None = None,
) -> str:
    """Return `tq control METHOD ...` (or `tq inspect`) with the words a shell needs."""
    words = ["tq", "inspect" if method in _LOOKS else "control", *_words(method, arguments)]
    if destination:
        words += ["-d", ",".join(destination)]
    if timeout is not None and timeout != 1.0:
        words += ["-t", f"{timeout:g}"]
    return " ".join(shlex.quote(word) for word in words)


def purge_line(queue: str) -> str:
    """Return the command line that deletes what waits in a queue."""
    return f"tq purge -Q {shlex.quote(queue)}"


_LOOKS = frozenset(
    {
        "ping",
        "active",
        "reserved",
        "scheduled",
        "revoked",
        "registered",
        "stats",
        "conf",
        "active_queues",
        "report",
        "query_task",
    }
)


def _words(method: str, arguments: Mapping[str, Any]) -> list[str]:
    if method == "revoke":
        given = arguments.get("task_id", ())
        ids = [given] if isinstance(given, str) else list(given)
        more = [f"...{len(ids) - _SHOWN_IDS}-more"] if len(ids) > _SHOWN_IDS + 1 else []
        shown = ids[:_SHOWN_IDS] + more if more else ids
        if arguments.get("terminate"):
            return ["terminate", str(arguments.get("signal", "SIGTERM")), *shown]
        return ["revoke", *shown]
    return [method, *(str(value) for value in arguments.values() if value is not None)]
