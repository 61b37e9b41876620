"""Replies as Celery's command line prints them, for scripts that read its text.

Source: celery/bin/control.py and celery/bin/base.py, what `celery inspect|control|status` print.
"""

import json
import pprint
from typing import Any

from tq.saferepr import safe_text
from tq.wire.command import Reply

__all__ = ["SILENCE", "block", "count_line"]

SILENCE = "Error: No nodes replied within time constraint"
_INDENT = "    "


def block(reply: Reply, *, quiet: bool = False, body: bool = True) -> str:
    """Return the lines of one reply.

    Args:
        reply: Of one worker.
        quiet: Without the arrow (`celery -q`).
        body: With what it answered, and not only with its name.
    """
    state, text = _pretty(reply.value)
    text = safe_text(text, single_line=False)
    head = f"{'' if quiet else '-> '} {reply.node}: {state}"
    return f"{head}\n{_indented(text)}" if body and text else head


def count_line(count: int) -> str:
    """Return the last lines of `inspect` and `status`."""
    return f"\n{count} {'node' if count == 1 else 'nodes'} online."


def _pretty(value: Any) -> tuple[str, str]:
    match value:
        case list():
            return "OK", "\n".join(f"* {item}" for item in value) or "- empty -"
        case {"ok": inner}:
            return "OK", _indented(_pretty(inner)[1])
        case {"error": inner}:
            return "ERROR", _indented(_pretty(inner)[1])
        case dict():
            return "OK", json.dumps(value, sort_keys=True, indent=4, default=str) + "\n"
        case str():
            return "OK", value
        case _:
            return "OK", pprint.pformat(value)


def _indented(text: str) -> str:
    return "\n".join(_INDENT + line for line in text.split("\n"))
