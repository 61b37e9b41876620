"""Revocations outlive the workers that heard them, where the broker can keep them.

Source: RELIABILITY 2 (24) and 3.1, `tq:revoked`.
"""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from tq.brokers.base import Broker
from tq.wire.command import Command

__all__ = ["RETENTION", "RevocationKeeper", "remember"]

RETENTION = 10_800.0
"""Seconds a revocation is kept, as long as a worker remembers one (`worker.limits`)."""

_COMMANDS = frozenset({"revoke", "terminate"})


@runtime_checkable
class RevocationKeeper(Protocol):
    """A broker that keeps revoked ids; workers read them before they fetch and now and then."""

    def revoke(self, ids: Sequence[str], expires: float) -> None:
        """Remember revoked task ids until a wall timestamp."""
        ...


def remember(broker: Broker, command: Command, now: float) -> None:
    """Have the broker keep what a command revokes, if it is meant for every worker.

    Workers that are not running now would otherwise run the tasks when they start.

    Args:
        broker: Where the command is sent.
        command: Any command.
        now: Wall timestamp.
    """
    if command.method not in _COMMANDS or command.destination or command.matcher:
        return
    given = command.arguments.get("task_id")
    ids = [given] if isinstance(given, str) else [i for i in given or () if isinstance(i, str)]
    if ids and isinstance(broker, RevocationKeeper):
        broker.revoke(ids, now + RETENTION)
