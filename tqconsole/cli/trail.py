"""What the command line changes, written to the audit file that the console writes too."""

import shlex
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from tq.errors import TQError
from tqconsole.cli.output import note

if TYPE_CHECKING:
    from tq import TQ
    from tqconsole.tui.audit import Audit

__all__ = ["Act", "audited"]


class Act:
    """An act under way: gets the answers that the audit file is to have."""

    def __init__(self, sent: Any) -> None:
        """Build an act for a `SentCommand`; see `audited`."""
        self._sent = sent

    def expect(self, nodes: Sequence[str]) -> None:
        """Say who should answer."""
        self._sent.expected = tuple(nodes)

    def answered(self, node: str, value: Any, after: float | None = None) -> None:
        """Add an answer.

        Args:
            node: The worker's name, or `broker` for what needs no worker.
            value: What it answered, as control replies are: text, or `{"ok": ...}`.
            after: Seconds since the act began; until now by default.
        """
        from tqconsole.tui.model.sent import Answer, reply_text  # loaded already by `audited`

        good, text = reply_text(value)
        passed = time.time() - self._sent.sent_at if after is None else after
        self._sent.answers.append(Answer(node, good, text, passed))


@contextmanager
def audited(
    app: "TQ",
    words: Sequence[str],
    method: str,
    arguments: Mapping[str, Any],
    *,
    destination: Sequence[str] | None = None,
    timeout: float = 0.0,
) -> Iterator[Act]:
    """Write one line to the audit file before the block, and one with the answers after it.

    That a file cannot be written is a note, and no reason to stop an operator.

    Args:
        app: Names the cluster, by its broker.
        words: The command line without `tq`.
        method: The control command, or the command's own name.
        arguments: Its arguments.
        destination: The workers it is for; None for all.
        timeout: Seconds in which answers are in time.
    """
    # Deferred: only what changes something is worth 30 ms.
    from tqconsole.tui.audit import Audit
    from tqconsole.tui.model.facts import context_of
    from tqconsole.tui.model.sent import SentCommand

    audit, line = Audit(), shlex.join(["tq", *words])
    sent = SentCommand(1, method, arguments, destination, line, time.time(), timeout)
    audit.sent(context_of(app.broker.url), sent)
    _complain(audit)
    try:
        yield Act(sent)
    except (TQError, KeyboardInterrupt) as error:
        sent.error = str(error) or "interrupted"
        raise
    finally:
        audit.update(time.time(), last=True)
        _complain(audit)


def _complain(audit: "Audit") -> None:
    if audit.error is not None:
        note(f"tq: {audit.error}")
