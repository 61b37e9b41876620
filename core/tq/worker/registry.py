"""Control commands: how they are declared, found and called without ever harming the worker.

Source: PROTOCOL 8; celery/worker/control.py, `Panel`, `inspect_command`, `control_command`.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

__all__ = [
    "COMMANDS",
    "Argument",
    "CommandSpec",
    "CommandTable",
    "control_command",
    "inspect_command",
]

logger = logging.getLogger(__name__)

Handler = TypeVar("Handler", bound=Callable[..., Any])
Argument = tuple[str, Callable[[str], Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandSpec:
    """A command and how a command line presents it.

    Attributes:
        kind: `inspect` looks, `control` acts.
        args: `(name, type)` of each positional argument on a command line.
        variadic: Name of the last argument, when it takes all the rest.
        signature: How usage shows the arguments.
        default_timeout: Seconds a client waits for replies.
        visible: Shown in lists.
    """

    name: str
    kind: Literal["inspect", "control"]
    function: Callable[..., Any]
    aliases: tuple[str, ...] = ()
    args: tuple[Argument, ...] = ()
    variadic: str | None = None
    signature: str = ""
    default_timeout: float = 1.0
    visible: bool = True

    @property
    def help(self) -> str:
        """Return the first line of the handler's docstring."""
        return (self.function.__doc__ or "").strip().split("\n", 1)[0]


COMMANDS: dict[str, CommandSpec] = {}


def inspect_command(
    *,
    name: str | None = None,
    alias: str | None = None,
    args: Sequence[Argument] = (),
    variadic: str | None = None,
    signature: str = "",
    default_timeout: float = 1.0,
    visible: bool = True,
) -> Callable[[Handler], Handler]:
    """Declare a command that looks and changes nothing.

    The function is called as `function(state, **arguments)` in the worker's loop thread, so it
    must not block; what it returns is the reply, what it raises is reported as an error.

    Args:
        name: The command's name; the function's by default.
        alias: A second name.
        args: `(name, type)` of its positional arguments on a command line.
        variadic: Name of the last of them, when it takes all the rest.
        signature: How usage shows the arguments.
        default_timeout: Seconds a client waits for replies.
        visible: Shown in lists.
    """
    return _declare("inspect", name, alias, args, variadic, signature, default_timeout, visible)


def control_command(
    *,
    name: str | None = None,
    alias: str | None = None,
    args: Sequence[Argument] = (),
    variadic: str | None = None,
    signature: str = "",
    default_timeout: float = 1.0,
    visible: bool = True,
) -> Callable[[Handler], Handler]:
    """Declare a command that acts on the worker; arguments as for `inspect_command`."""
    return _declare("control", name, alias, args, variadic, signature, default_timeout, visible)


def _declare(
    kind: Literal["inspect", "control"],
    name: str | None,
    alias: str | None,
    args: Sequence[Argument],
    variadic: str | None,
    signature: str,
    default_timeout: float,
    visible: bool,
) -> Callable[[Handler], Handler]:
    def register(function: Handler) -> Handler:
        spec = CommandSpec(
            name=name or function.__name__,
            kind=kind,
            function=function,
            aliases=(alias,) if alias else (),
            args=tuple(args),
            variadic=variadic,
            signature=signature,
            default_timeout=default_timeout,
            visible=visible,
        )
        for known_as in (spec.name, *spec.aliases):
            COMMANDS[known_as] = spec
        return function

    return register


class CommandTable:
    """The commands of one worker, bound to its state. Called in the loop thread."""

    def __init__(self, state: Any, commands: Mapping[str, CommandSpec] | None = None) -> None:
        """Bind commands to a worker's state; every declared one by default."""
        self._state = state
        self._commands = COMMANDS if commands is None else commands

    def call(self, method: Any, arguments: Any) -> Any:
        """Run a command and return its reply; a failure becomes an error reply.

        Args:
            method: As it came off the wire, so possibly nonsense.
            arguments: The same.
        """
        try:
            if not isinstance(method, str):
                raise TypeError(f"method must be text, not {type(method).__name__}")
            if not isinstance(arguments, dict | None) or not all(
                isinstance(key, str) for key in arguments or ()
            ):
                raise TypeError(f"arguments must be an object, not {type(arguments).__name__}")
            return self._find(method).function(self._state, **(arguments or {}))
        except Exception as exc:
            # The boundary of 6.2 in RELIABILITY: nothing off the wire may reach the loop.
            logger.warning("control command %.100r failed: %.500r", method, exc)
            return {"error": repr(exc)[:2000]}

    def _find(self, method: str) -> CommandSpec:
        spec = self._commands.get(method)
        if spec is None:
            raise KeyError(method[:200])
        return spec
