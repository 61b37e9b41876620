"""Asking before something is changed that cannot be changed back."""

import sys

import click

from tq.errors import CommandRefused
from tqconsole.cli.options import Globals

__all__ = ["confirm", "plural", "refuse_when_read_only", "yes_option"]

yes_option = click.option("-y", "--yes", is_flag=True, help="Do not ask.")


def refuse_when_read_only(given: Globals, what: str) -> None:
    """Refuse where nothing may be changed.

    Raises:
        CommandRefused: `--read-only` or TQ_READ_ONLY was given.
    """
    if given.read_only:
        raise CommandRefused(f"{what}: refused, this is a read-only session")


def confirm(what: str, question: str, yes: bool) -> None:
    """Ask on stderr; where nobody can be asked, `--yes` must have been given.

    Args:
        what: The command, for errors.
        question: What is about to happen, in one line.
        yes: Do not ask.

    Raises:
        CommandRefused: Not confirmed; nothing was changed.
    """
    if yes:
        return
    if sys.stdin is None or sys.stdin.closed or not sys.stdin.isatty():
        raise CommandRefused(f"{what}: not confirmed; give --yes where nobody can be asked")
    if not click.confirm(question, default=False, err=True):
        raise CommandRefused(f"{what}: not confirmed, nothing was changed")


def plural(count: int, noun: str) -> str:
    """Count something in words."""
    return f"{count} {noun}{'' if count == 1 else 's'}"
