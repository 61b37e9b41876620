"""What is typed at the `:` prompt."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tqconsole.tui.actions import SCREENS, Action, named
from tqconsole.tui.model.filter_syntax import FilterError, Value
from tqconsole.tui.model.filter_values import duration_value

__all__ = ["Command", "CommandError", "parse_command"]

_LONGEST_UNLOCK = 3600.0
_QUIT = ("q", "q!", "quit", "qa", "exit")


class CommandError(ValueError):
    """A line that means nothing."""


@dataclass(frozen=True, slots=True)
class Command:
    """What a line asks for; exactly one of the four.

    Attributes:
        screen: A screen to go to, with `rest` as its filter.
        action: An action of the table.
        control: Method, arguments and destination of a control command.
        unlock: For how many seconds a protected context is unlocked, and why.
    """

    screen: str | None = None
    rest: str = ""
    action: Action | None = None
    control: tuple[str, Mapping[str, Any], list[str] | None] | None = None
    unlock: tuple[float, str] | None = None


def parse_command(text: str, read_only: bool = False) -> Command:
    """Read a line: `tasks state:failure`, `ctl ping`, `revoke`, `q`.

    Raises:
        CommandError: It means nothing, or is not allowed in read-only mode.
    """
    word, _, rest = text.strip().partition(" ")
    if word in _QUIT:
        return Command(action=named("quit"))
    if word == "ctl":
        return Command(control=_control(rest))
    if word == "unlock":
        return Command(unlock=_unlocking(rest, read_only))
    screens = [name for _, name, _, _ in SCREENS if name.startswith(word)]
    if word in screens or len(screens) == 1:
        return Command(screen=word if word in screens else screens[0], rest=rest.strip())
    action = named(word)
    if action is None:
        raise CommandError(f"no screen or action is called {word!r}; ? lists them")
    if action.acts and read_only:
        raise CommandError(f"{action.name} is off: this console is read-only")
    return Command(action=action)


def _control(rest: str) -> tuple[str, Mapping[str, Any], list[str] | None]:
    """Read `method key=value ... [-d node,node]`."""
    try:
        words = shlex.split(rest)
    except ValueError as error:
        raise CommandError(f"cannot read that: {error}") from error
    if not words:
        raise CommandError(
            "ctl needs a command, such as: ctl rate_limit task_name=proj.add rate_limit=10/s"
        )
    method, arguments, destination = words[0], {}, None
    remaining = iter(words[1:])
    for word in remaining:
        if word == "-d":
            destination = next(remaining, "").split(",")
            continue
        key, equals, value = word.partition("=")
        if not equals:
            raise CommandError(f"{word!r} is not key=value")
        arguments[key] = _value(value)
    return method, arguments, destination


def _unlocking(rest: str, read_only: bool) -> tuple[float, str]:
    """Read `5m reason`."""
    span, _, reason = rest.strip().partition(" ")
    try:
        seconds = duration_value(Value(span, 0))
    except FilterError as error:
        raise CommandError(error.reason) from error
    if not 0 < seconds <= _LONGEST_UNLOCK or not reason.strip():
        raise CommandError("unlock needs a time up to 1h and a reason: unlock 5m stuck deploy")
    if read_only:
        raise CommandError("unlock is off: this console is read-only")
    return seconds, reason.strip()


def _value(text: str) -> Any:
    """Read a number or a truth value, else keep the text."""
    constants = {"true": True, "false": False, "null": None}
    if text.lower() in constants:
        return constants[text.lower()]
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
