"""Asking workers from the command line: which ones, for how long, with which arguments."""

import fnmatch
import json
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import click

from tqconsole.cli.answers import Answers, error_of
from tqconsole.cli.options import some_names, split_names
from tqconsole.cli.trail import audited

if TYPE_CHECKING:
    from tq import TQ

__all__ = ["ask", "check_known", "destinations", "keywords", "remote_options", "tell"]


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
        callback=some_names,
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


def tell(
    app: "TQ",
    words: Sequence[str],
    method: str,
    arguments: dict[str, Any],
    destination: Sequence[str],
    timeout: float,
) -> Answers:
    """Send a command that changes something: as `ask` does, and written to the audit file.

    Args:
        app: Gives the broker.
        words: The command line without `tq`.
        method: The command.
        arguments: Its arguments.
        destination: As given with `-d`.
        timeout: Seconds to wait; 0 waits for no reply.

    Raises:
        BrokerConnectionError: The broker does not answer.
    """
    names, unknown = destinations(app, destination)
    if destination and not names:
        return Answers([], [], named=True, timeout=timeout, unknown=unknown)
    with audited(app, words, method, arguments, destination=names or None, timeout=timeout) as act:
        if timeout == 0:
            app.control.mailbox.cast(method, arguments, destination=names or None)
            return Answers([], names, bool(destination), timeout, unknown)
        answers = ask(app, method, arguments, destination, timeout)
        act.expect(answers.expected)
        for reply in answers.replies:
            act.answered(reply.node, reply.value, reply.elapsed)
    return answers


def check_known(answers: Answers, method: str, unknown: click.UsageError) -> None:
    """Raise `unknown` when everybody who answered says that there is no such command."""
    refusal = repr(KeyError(method))
    errors = [error_of(reply.value) for reply in answers.replies]
    if errors and all(error == refusal for error in errors):
        raise unknown


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
