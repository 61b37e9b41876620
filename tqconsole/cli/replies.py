"""Printing the replies of workers: as rows, as JSON, in Celery's text; who is missing on stderr."""

from collections.abc import Callable, Sequence
from typing import Any

import click

from tq.wire.command import Reply
from tqconsole.cli import celery_text, exits
from tqconsole.cli.answers import Answers, error_of
from tqconsole.cli.output import Printer, note

__all__ = ["Row", "print_answers", "print_as_celery", "print_timings"]

Row = dict[str, Any]


def print_answers(
    answers: Answers,
    printer: Printer,
    columns: Sequence[str],
    rows: Callable[[Reply], list[Row]],
    *,
    quiet: bool,
    empty: str = "answered with nothing",
    choose: Callable[[list[Row]], list[Row]] | None = None,
) -> None:
    """Print the replies in the chosen form, and on stderr who is missing.

    Args:
        answers: The replies.
        printer: The form.
        columns: Columns of the table.
        rows: Turns one reply that is no error into rows.
        quiet: No notes.
        empty: What to say of a worker whose reply has no rows, so that nobody takes an answer for
            silence.
        choose: Chooses among the rows; then the JSON forms print rows too.
    """
    good = {reply.node: rows(reply) for reply in answers.replies if error_of(reply.value) is None}
    found = [row for some in good.values() for row in some]
    if choose is not None:
        printer.rows(columns, choose(found))
    elif printer.form == "json":
        printer.value({reply.node: reply.value for reply in answers.replies})
    elif printer.form == "jsonl":
        for line in _lines(answers):
            printer.line(line)
    elif found or printer.form == "csv":
        printer.rows(columns, found)
    for node, some in good.items():
        if not some and printer.form in ("table", "plain"):
            note(f"{node}: {empty}", quiet)
    _print_missing(answers, quiet)


def _print_missing(answers: Answers, quiet: bool) -> None:
    """Say on stderr which workers answered with an error, and which did not answer."""
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
