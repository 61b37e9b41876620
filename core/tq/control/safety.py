"""Which commands only look, and which change something.

Source: PROTOCOL 8.4, 8.5; RELIABILITY 7, item 11.
"""

from collections.abc import Mapping
from typing import Any

from tq.errors import CommandRefused

__all__ = ["READ_COMMANDS", "check_allowed", "is_read"]

# `objgraph` writes a file on the worker and `memdump` changes what `memsample` saw, so neither is
# here; `heartbeat` makes workers say at once what they say every two seconds anyway.
READ_COMMANDS = frozenset(
    {
        "active",
        "active_queues",
        "clock",
        "conf",
        "dump_active",
        "dump_conf",
        "dump_reserved",
        "dump_revoked",
        "dump_schedule",
        "dump_tasks",
        "heartbeat",
        "memsample",
        "ping",
        "query_task",
        "registered",
        "report",
        "reserved",
        "revoked",
        "scheduled",
        "stats",
    }
)


def is_read(method: str, arguments: Mapping[str, Any]) -> bool:
    """Tell whether a command leaves workers as they are."""
    if method == "hello":
        # Workers take over the ids that come with it.
        return not arguments.get("revoked")
    return method in READ_COMMANDS


def check_allowed(method: str, arguments: Mapping[str, Any]) -> None:
    """Refuse what changes something.

    Raises:
        CommandRefused: The command is not one of those that only look.
    """
    if not is_read(method, arguments):
        raise CommandRefused(
            f"{method} is refused: this connection is read-only", command=method, reason="read_only"
        )
