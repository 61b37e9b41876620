"""Whether a call's arguments fit a task, found out where the call is made.

Source: celery/utils/functional.py, `head_from_fun`.
"""

import inspect
from collections.abc import Callable
from typing import Any

__all__ = ["accepts_anything", "make_checker"]

_Kind = inspect.Parameter


def accepts_anything(*args: Any, **kwargs: Any) -> None:
    """Check nothing: for functions whose signature cannot be read."""


def make_checker(function: Callable[..., Any], bound: bool, title: str) -> Callable[..., None]:
    """Return a function with the same parameters that does nothing.

    Calling it raises the `TypeError` that the task itself would raise in the worker. Generated
    code, because `inspect.Signature.bind` costs 5 us a call and this 0.1 us.

    Args:
        function: The task's function.
        bound: Its first parameter is the task and is not part of a call.
        title: The name that errors show.
    """
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        return accepts_anything
    if bound and parameters and parameters[0].kind is not _Kind.VAR_POSITIONAL:
        parameters = parameters[1:]
    name = title if title.isidentifier() else "task"
    source = f"def {name}({_head(parameters)}): pass"
    scope: dict[str, Any] = {"_given": None}
    exec(source, scope)  # parameter names only: they come from a compiled function
    checker: Callable[..., None] = scope[name]
    return checker


def _head(parameters: list[inspect.Parameter]) -> str:
    parts: list[str] = []
    starred = False
    for position, item in enumerate(parameters):
        if item.kind is _Kind.VAR_POSITIONAL:
            starred = True
            parts.append(f"*{item.name}")
        elif item.kind is _Kind.VAR_KEYWORD:
            parts.append(f"**{item.name}")
        else:
            if item.kind is _Kind.KEYWORD_ONLY and not starred:
                starred = True
                parts.append("*")
            parts.append(item.name if item.default is _Kind.empty else f"{item.name}=_given")
        if _ends_positional_only(parameters, position):
            parts.append("/")
    return ", ".join(parts)


def _ends_positional_only(parameters: list[inspect.Parameter], position: int) -> bool:
    if parameters[position].kind is not _Kind.POSITIONAL_ONLY:
        return False
    following = parameters[position + 1 :]
    return not following or following[0].kind is not _Kind.POSITIONAL_ONLY
