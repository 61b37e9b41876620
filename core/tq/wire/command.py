"""Control commands and their replies.

Source: PROTOCOL 8; kombu/pidbox.py, `Mailbox`, `Node`.
"""

from typing import Any

import msgspec

__all__ = ["Command", "Reply"]


class Command(msgspec.Struct, kw_only=True):
    """A control request.

    Attributes:
        method: The command's name.
        destination: Exact node names, or None for all.
        pattern: With `matcher` (`glob` or `pcre`) and no destination: which nodes.
        ticket: Present when a reply is wanted.
        reply_to: `{"exchange": ..., "routing_key": ...}` for the reply.
        clock: The sender's Lamport clock.
        expires: Wall timestamp after which nobody waits for the reply; 0 for never.
    """

    method: str
    arguments: dict[str, Any] = {}
    destination: list[str] | None = None
    pattern: str | None = None
    matcher: str | None = None
    ticket: str | None = None
    reply_to: dict[str, str] | None = None
    clock: int = 0
    expires: float = 0.0


class Reply(msgspec.Struct, kw_only=True):
    """One node's answer.

    Attributes:
        node: Who answers.
        value: The reply itself, usually `{"ok": ...}` or `{"error": ...}`.
        ticket: The request's.
        elapsed: Seconds from the request to this answer, filled in by the caller's mailbox.
    """

    node: str
    value: Any
    ticket: str | None = None
    clock: int = 0
    elapsed: float = 0.0
