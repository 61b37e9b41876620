"""Asking workers from the command line: who is asked, who answered, who did not."""

import fnmatch
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import click

from tq.errors import NoReplyError
from tq.wire.command import Reply
from tqconsole.cli import exits
from tqconsole.cli.options import split_names
from tqconsole.cli.output import Printer, note

if TYPE_CHECKING:
    from tq import TQ

__all__ = ["Answers", "Row", "ask", "exit_code", "print_answers", "remote_options"]

Row = dict[str, Any]


@dataclass
class Answers:
    """The replies to one command.

    Attributes:
        expected: Who should have answered: the destinations, or whoever has a mailbox.
        named: Whether `expected` was named by the user.
        unknown: Destinations that no known worker matches.
        timeout: Seconds that were waited at most.
        absent: The broker says that nobody else was listening: who is missing is not there.
    """

    replies: list[Reply]
    expected: list[str]
    named: bool
    timeout: float
    unknown: list[str] = field(default_factory=list)
    absent: bool = False

    @property
    def silence(self) -> str:
        """Return why somebody did not answer, as far as that is known."""
        if self.absent:
            return "not there: no worker of that name listens"
        return f"no reply in {self.timeout:g} s (busy, or another host's name?)"

    @property
    def missing(self) -> list[str]:
        """Return who did not answer, in order."""
        answered = {reply.node for reply in self.replies}
        return [name for name in self.expected if name not in answered]

    @property
    def errors(self) -> list[Reply]:
        """Return the replies that are errors."""
        return [reply for reply in self.replies if error_of(reply.value) is not None]


def remote_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add `-d`, `-t` and `--expect`."""
    function = click.option(
        "--expect",
        metavar="all|any|N",
        help="Which replies count as success; all named destinations by default, else any.",
    )(function)
    function = click.option(
        "-t", "--timeout", type=click.FloatRange(min=0, max=86400), default=1.0, show_default=True,
        help="Seconds to wait at most; ends early when all expected have answered.",
    )(function)  # fmt: skip
    return click.option(
        "-d",
        "--destination",
        multiple=True,
        metavar="A,B",
        help="Only these workers; * globs.",
    )(function)


def ask(
    app: "TQ",
    method: str,
    arguments: dict[str, Any],
    destination: Sequence[str],
    timeout: float,
) -> Answers:
    """Send a command that wants replies and wait for them.

    Raises:
        BrokerConnectionError: The broker does not answer.
    """
    namespace = app.conf.control_exchange
    bound = app.broker.bindings(f"{namespace}.pidbox")
    suffix = f".{namespace}.pidbox"
    known = sorted(queue.removesuffix(suffix) for _, queue in bound if queue.endswith(suffix))
    names, unknown = resolve(split_names(tuple(destination)), known)
    call = app.control.mailbox.start(
        method,
        arguments,
        destination=names if destination else None,
        timeout=timeout,
        limit=len(names) if destination else None,
        expect=set(names or known) or None,
    )
    replies = sorted(call.wait(), key=lambda reply: reply.node)
    absent = call.delivered is not None and call.delivered <= len(replies)
    return Answers(replies, names or known, bool(destination), timeout, unknown, absent)


def resolve(wanted: Sequence[str], known: Sequence[str]) -> tuple[list[str], list[str]]:
    """Expand globs among the known workers; returns the names, and the patterns nothing matched.

    A plain name is kept even when it is not known: not every transport can list its workers.
    """
    names: list[str] = []
    unknown: list[str] = []
    for name in wanted:
        if any(char in name for char in "*?["):
            matching = fnmatch.filter(known, name)
            names += matching
            if not matching:
                unknown.append(name)
        else:
            names.append(name)
    return list(dict.fromkeys(names)), unknown


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
    if not answers.replies and needed:
        if answers.absent and not answers.named:
            raise NoReplyError("no worker is listening")
        raise NoReplyError(f"no worker replied within {answers.timeout:g} s")
    if answers.errors:
        return exits.FAILED
    if len(answers.replies) < needed or (answers.unknown and expect != "any"):
        return exits.PARTIAL
    return exits.OK


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


def print_answers(
    answers: Answers,
    printer: Printer,
    columns: Sequence[str],
    rows: Callable[[Reply], list[Row]],
    *,
    quiet: bool,
) -> None:
    """Print the replies in the chosen form, and on stderr who is missing.

    Args:
        answers: The replies.
        printer: The form.
        columns: Columns of the table.
        rows: Turns one reply that is no error into rows.
        quiet: No notes.
    """
    good = [reply for reply in answers.replies if error_of(reply.value) is None]
    if printer.form == "json":
        printer.value({reply.node: reply.value for reply in answers.replies})
    elif printer.form == "jsonl":
        for line in _lines(answers):
            printer.line(line)
    elif good:
        printer.rows(columns, [row for reply in good for row in rows(reply)])
    for reply in answers.errors:
        note(f"{reply.node}: error: {error_of(reply.value)}")
    for name in answers.unknown:
        note(f"{name}: no worker of that name is known")
    for name in answers.missing:
        if answers.named:
            note(f"{name}: {answers.silence}")
    if answers.missing and answers.named:
        note(f"{len(answers.replies)} of {len(answers.expected)} replied", quiet)


def _lines(answers: Answers) -> list[Row]:
    lines: list[Row] = [
        {
            "worker": reply.node,
            "ok": error_of(reply.value) is None,
            "ms": round(reply.elapsed * 1000, 1),
            "reply": reply.value,
        }
        for reply in answers.replies
    ]
    reason = "absent" if answers.absent else "no reply"
    lines += [{"worker": name, "ok": False, "reason": reason} for name in answers.missing]
    return lines
