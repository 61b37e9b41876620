"""The audit file: who changed what in which cluster, and what the workers answered."""

import getpass
import hashlib
import json
import os
import socket
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tqconsole.tui.model.masking import MASK, masked
from tqconsole.tui.model.sent import SentCommand

__all__ = ["Audit", "audit_path"]

_MOST_IDS = 50


def audit_path(context: str) -> Path:
    """Return the file of a cluster's commands: `$XDG_STATE_HOME/tq/audit/<context>.jsonl`."""
    base = os.environ.get("XDG_STATE_HOME") or "~/.local/state"
    name = "".join(c if c.isalnum() or c in "-_." else "_" for c in context).lstrip(".")
    return Path(base).expanduser() / "tq" / "audit" / f"{name or 'cluster'}.jsonl"


class Audit:
    """Appends a line when a command is sent, and one when its answers are in.

    Owned by the event loop; a line is some hundred bytes, written at once.

    Attributes:
        error: Why the last line could not be written, or None.
    """

    def __init__(self) -> None:
        """Start with nothing sent."""
        self.error: str | None = None
        self._open: list[tuple[str, SentCommand]] = []

    def sent(self, context: str, sent: SentCommand) -> None:
        """Write that a command was sent, and to whom."""
        arguments, ids = _without_many_ids(_without_secrets(sent.arguments))
        self._write(
            context,
            {
                "event": "sent",
                "number": sent.number,
                "at": _iso(sent.sent_at),
                "user": _user(),
                "context": context,
                "method": sent.method,
                "arguments": arguments,
                **ids,
                "destination": None if sent.destination is None else list(sent.destination),
                "expected": None if sent.expected is None else list(sent.expected),
                "command": masked(sent.equivalent),
            },
        )
        self._open.append((context, sent))

    def refused(self, context: str, equivalent: str, reason: str, now: float) -> None:
        """Write that a command was not sent."""
        line = {
            "event": "refused",
            "at": _iso(now),
            "user": _user(),
            "context": context,
            "command": masked(equivalent),
            "reason": reason,
        }
        self._write(context, line)

    def unlocked(self, context: str, seconds: float, reason: str, now: float) -> None:
        """Write that acts were allowed in a protected context, and why."""
        line = {
            "event": "unlocked",
            "at": _iso(now),
            "user": _user(),
            "context": context,
            "seconds": seconds,
            "reason": reason,
        }
        self._write(context, line)

    def update(self, now: float, *, last: bool = False) -> None:
        """Write the answers of commands that nobody is waited for any more; all if `last`."""
        still: list[tuple[str, SentCommand]] = []
        for context, sent in self._open:
            if sent.listening and not sent.complete and not last:
                still.append((context, sent))
                continue
            answers = [
                {"worker": a.node, "ok": a.ok, "text": a.text, "after": round(a.after, 4)}
                for a in sent.answers
            ]
            line = {
                "event": "answered",
                "number": sent.number,
                "at": _iso(now),
                "method": sent.method,
                "replies": answers,
                "missing": list(sent.missing),
                "error": sent.error,
            }
            self._write(context, line)
        self._open = still

    def _write(self, context: str, line: Mapping[str, Any]) -> None:
        path = audit_path(context)
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            # others may not read it, and lines of two consoles never mix: one write, appended
            descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            try:
                os.write(descriptor, json.dumps(line, default=str).encode() + b"\n")
            finally:
                os.close(descriptor)
        except OSError as error:
            self.error = f"audit file {path}: {error}"
        else:
            self.error = None


def _without_secrets(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Mask the values of secret names, which a project's own command may have."""
    names = {name: f"{name}=x" for name in arguments}
    return {
        name: value if masked(names[name]) == names[name] else MASK
        for name, value in arguments.items()
    }


def _without_many_ids(arguments: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Replace a long list of ids by its first ones, its length and its hash."""
    ids = arguments.get("task_id")
    if not isinstance(ids, Sequence) or isinstance(ids, str) or len(ids) <= _MOST_IDS:
        return dict(arguments), {}
    digest = hashlib.sha256("\n".join(map(str, ids)).encode()).hexdigest()
    rest = {**arguments, "task_id": list(ids[:_MOST_IDS])}
    return rest, {"ids": len(ids), "ids_sha256": digest}


def _iso(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds")


def _user() -> str:
    try:
        name = getpass.getuser()
    except (OSError, KeyError):  # no such user in this container
        name = f"uid {os.getuid()}"
    return f"{name}@{socket.gethostname()}"
