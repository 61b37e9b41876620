"""The replies to one command: who was asked, who answered, who did not; and their exit code."""

import difflib
from dataclasses import dataclass, field
from typing import Any

import click

from tq.errors import NoReplyError
from tq.wire.command import Reply
from tqconsole.cli import exits

__all__ = ["Answers", "error_of", "exit_code"]


_NAMED = 3  # silent workers that are named when nobody answered


@dataclass
class Answers:
    """The replies to one command.

    Attributes:
        expected: Who should have answered: the destinations, or whoever has a mailbox.
        named: Whether `expected` was named by the user.
        unknown: Destinations that no known worker matches.
        timeout: Seconds that were waited at most.
        absent: The broker says that nobody else was listening: who is missing is not there.
        known: Who has a mailbox on the broker, as far as it can tell.
        interrupted: The user did not want to wait any longer.
    """

    replies: list[Reply]
    expected: list[str]
    named: bool
    timeout: float
    unknown: list[str] = field(default_factory=list)
    absent: bool = False
    known: list[str] = field(default_factory=list)
    interrupted: bool = False

    def silence(self, name: str) -> str:
        """Return why somebody did not answer, as far as that is known."""
        if self.absent:
            return f"not there: no worker of that name listens{self._hint(name)}"
        if self.known and name not in self.known:
            return f"no worker of that name has a mailbox{self._hint(name)}"
        return f"no reply in {self.timeout:g} s (busy, or another host's name?)"

    def _hint(self, name: str) -> str:
        """Suggest a worker of nearly that name, or on another host."""
        others = [node for node in self.known if node != name]
        near = [node for node in others if "@" not in name and name in node.split("@")]
        near = near or difflib.get_close_matches(name, others, n=1)
        return f" (did you mean {near[0]}?)" if near else ""

    @property
    def missing(self) -> list[str]:
        """Return who did not answer, in order."""
        answered = {reply.node for reply in self.replies}
        return [name for name in self.expected if name not in answered]

    @property
    def errors(self) -> list[Reply]:
        """Return the replies that are errors."""
        return [reply for reply in self.replies if error_of(reply.value) is not None]


def error_of(value: Any) -> str | None:
    """Return the text of an error reply, or None."""
    if isinstance(value, dict) and set(value) == {"error"}:
        return str(value["error"])
    return None


def exit_code(answers: Answers, expect: str | None) -> int:
    """Return the exit code that CONSOLE's table gives these answers.

    Raises:
        NoReplyError: Nobody answered.
        UsageError: `--expect` makes no sense.
    """
    needed = _needed(answers, expect)
    if answers.interrupted:
        return exits.INTERRUPTED
    if not answers.replies and needed:
        raise NoReplyError(_nobody(answers))
    if answers.errors:
        return exits.FAILED
    if len(answers.replies) < needed or (answers.unknown and expect != "any"):
        return exits.PARTIAL
    return exits.OK


def _nobody(answers: Answers) -> str:
    """Say in one line why nobody answered."""
    if not answers.named:
        silent = f"no worker replied within {answers.timeout:g} s"
        return "no worker is listening" if answers.absent else silent
    reasons = [f"{name}: {answers.silence(name)}" for name in answers.expected]
    reasons += [f"{name}: no worker of that name is known" for name in answers.unknown]
    more = [f"{len(reasons) - _NAMED} more alike"] if len(reasons) > _NAMED else []
    return "; ".join(reasons[:_NAMED] + more)


def _needed(answers: Answers, expect: str | None) -> int:
    if expect is None:
        return len(answers.expected) if answers.named else 1
    if expect == "all":
        return max(1, len(answers.expected))
    if expect == "any":
        return 1
    if expect.isdigit():
        return int(expect)
    raise click.UsageError(f"--expect is all, any or a number, not {expect!r}")
