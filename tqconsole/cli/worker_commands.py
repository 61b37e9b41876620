"""The commands that workers have of their own, as they list them."""

import difflib
from typing import TYPE_CHECKING

from tq.errors import ConfigError, TQError
from tq.saferepr import safe_text
from tqconsole.cli.options import Globals, load_app
from tqconsole.cli.output import note
from tqconsole.cli.remote import ask

if TYPE_CHECKING:
    from tq import TQ

__all__ = ["own_commands", "similar_task"]


def own_commands(
    given: Globals, kind: str, known: set[str], timeout: float
) -> list[tuple[str, str]]:
    """Return `(usage, text)` of the commands of a kind that workers listed beside the known ones.

    A list is worth printing without them: what keeps them away is a note.

    Args:
        given: The command line.
        kind: `inspect` or `control`.
        known: Names to leave out.
        timeout: Seconds to wait.
    """
    try:
        answers = ask(load_app(given), "commands", {}, (), timeout)
    except ConfigError:
        raise
    except TQError as error:
        note(f"the workers' own commands are not listed: {error}", given.quiet)
        return []
    found: dict[str, tuple[str, str]] = {}
    for reply in answers.replies:
        for entry in reply.value if isinstance(reply.value, list) else ():
            if isinstance(entry, dict) and entry.get("kind") == kind:
                name = safe_text(entry.get("name"))
                if name not in known:
                    usage = f"{name} {safe_text(entry.get('usage') or '')}".strip()
                    found[name] = (usage, safe_text(entry.get("help") or ""))
    return [found[name] for name in sorted(found)]


def similar_task(app: "TQ", name: str, timeout: float) -> str | None:
    """Return the name of a task that workers know and that looks like another name, or None."""
    answers = ask(app, "registered", {}, (), timeout)
    lists = [reply.value for reply in answers.replies if isinstance(reply.value, list)]
    # A worker may add attributes: `name [rate_limit=10/m]`.
    known = {str(line).partition(" ")[0] for lines in lists for line in lines}
    near = difflib.get_close_matches(name, known, n=1)
    return near[0] if near and name not in known else None
