"""Asking workers from the command line: who is asked, who answered, who did not."""

import difflib
import fnmatch
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import click

from tq.errors import NoReplyError
from tq.wire.command import Reply
from tqconsole.cli import celery_text, exits
from tqconsole.cli.options import split_names
from tqconsole.cli.output import Printer, note

if TYPE_CHECKING:
    from tq import TQ

__all__ = [
    "Answers",
    "Row",
    "ask",
    "ask_unless_unknown",
    "destinations",
    "error_of",
    "exit_code",
    "keywords",
    "print_answers",
    "print_as_celery",
    "print_timings",
    "remote_options",
]

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
        return f"no reply in {self.timeout:g} s (busy, or another host's name?)"

    def _hint(self, name: str) -> str:
        """Suggest a worker of nearly that name, or of that name on another host."""
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


class _Seconds(click.FloatRange):
    """Seconds from 0 to a day; `nan` is neither."""

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        """Return a float, or fail with one line."""
        number = super().convert(value, param, ctx)
        if number != number:
            self.fail(f"{value!r} is not a number of seconds", param, ctx)
        return number


_seconds = _Seconds(min=0, max=86400)


def remote_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add `-d`, `-t` and `--expect`."""
    function = click.option(
        "--expect",
        metavar="all|any|N",
        help="Which replies count as success; all named destinations by default, else any.",
    )(function)
    function = click.option(
        "-t", "--timeout", type=_seconds, default=1.0, show_default=True,
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
    known = sorted(app.control.bound())
    names, unknown = resolve(split_names(tuple(destination)), known)
    if destination and not names:
        # Sent to nobody by name it would reach everybody.
        return Answers([], [], named=True, timeout=timeout, unknown=unknown, known=known)
    call = app.control.mailbox.start(
        method,
        arguments,
        destination=names if destination else None,
        timeout=timeout,
        limit=len(names) if destination else None,
        expect=set(names or known) or None,
    )
    interrupted = False
    try:
        call.wait()
    except KeyboardInterrupt:
        interrupted = True
    replies = sorted(call.replies, key=lambda reply: reply.node)
    absent = call.delivered is not None and call.delivered <= len(replies)
    return Answers(
        replies,
        names or known,
        bool(destination),
        timeout,
        unknown,
        absent,
        known,
        interrupted,
    )


def ask_unless_unknown(
    app: "TQ",
    method: str,
    arguments: dict[str, Any],
    destination: Sequence[str],
    timeout: float,
    unknown: click.UsageError,
) -> Answers:
    """Send a command that perhaps only the workers know; see `ask`.

    Raises:
        UsageError: `unknown`, when everybody who answered says that there is no such command.
    """
    answers = ask(app, method, arguments, destination, timeout)
    refusal = repr(KeyError(method))
    errors = [error_of(reply.value) for reply in answers.replies]
    if errors and all(error == refusal for error in errors):
        raise unknown
    return answers


def keywords(name: str, words: Sequence[str], unknown: click.UsageError) -> dict[str, Any]:
    """Read `key=value` arguments of a command of the workers' own; values are JSON, else text.

    Raises:
        UsageError: `unknown`, when a word is no pair: then the name was a slip of the finger.
    """
    arguments: dict[str, Any] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not (equals and key.isidentifier()):
            raise unknown
        try:
            arguments[key] = json.loads(value)
        except ValueError:
            arguments[key] = value
    return arguments


def destinations(app: "TQ", destination: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the workers that `-d` names, and the patterns in it that nothing matched."""
    if not destination:
        return [], []
    return resolve(split_names(tuple(destination)), sorted(app.control.bound()))


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
    if answers.interrupted:
        return exits.INTERRUPTED
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
    choose: Callable[[list[Row]], list[Row]] | None = None,
) -> None:
    """Print the replies in the chosen form, and on stderr who is missing.

    Args:
        answers: The replies.
        printer: The form.
        columns: Columns of the table.
        rows: Turns one reply that is no error into rows.
        quiet: No notes.
        choose: Chooses among the rows; then the JSON forms print rows too.
    """
    good = [reply for reply in answers.replies if error_of(reply.value) is None]
    found = [row for reply in good for row in rows(reply)]
    if choose is not None:
        printer.rows(columns, choose(found))
    elif printer.form == "json":
        printer.value({reply.node: reply.value for reply in answers.replies})
    elif printer.form == "jsonl":
        for line in _lines(answers):
            printer.line(line)
    elif good:
        printer.rows(columns, found)
    for reply in answers.errors:
        note(f"{reply.node}: error: {error_of(reply.value)}")
    for name in answers.unknown:
        note(f"{name}: no worker of that name is known")
    for name in answers.missing:
        if answers.named:
            note(f"{name}: {answers.silence(name)}")
    if answers.missing and answers.named:
        note(f"{len(answers.replies)} of {len(answers.expected)} replied", quiet)


def print_as_celery(answers: Answers, *, quiet: bool, body: bool = True, count: bool = True) -> int:
    """Print the replies as Celery does, and return its exit code: 0 as soon as anybody answered."""
    for reply in answers.replies:
        click.echo(celery_text.block(reply, quiet=quiet, body=body))
    if answers.interrupted:
        return exits.INTERRUPTED
    if not answers.replies:
        note(celery_text.SILENCE)
        return exits.UNAVAILABLE
    if count:
        click.echo(celery_text.count_line(len(answers.replies)))
    return exits.OK


def print_timings(answers: Answers) -> None:
    """Say on stderr how long each answer took (`-v`)."""
    for reply in sorted(answers.replies, key=lambda reply: reply.elapsed):
        note(f"{reply.node}: {reply.elapsed * 1000:.1f} ms")
    if answers.missing:
        note(f"waited {answers.timeout:g} s for {', '.join(answers.missing)}")


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
