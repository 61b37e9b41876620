"""Whether a value fits its setting: type, range, and the nearest name for one that is unknown."""

import difflib
import math
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

from tq.errors import ConfigError

__all__ = ["check", "env_text", "nearest", "unknown_name"]

_POSITIVE = frozenset(
    {
        "broker_lease",
        "broker_connection_timeout",
        "message_max_bytes",
        "message_max_inflated_bytes",
        "result_chord_retry_interval",
    }
)
_MAY_BE_NEGATIVE = frozenset({"result_cache_max"})
_CHOICES: dict[str, tuple[Any, ...]] = {
    "event_serializer": ("json", "msgpack", "yaml"),  # monitors unpickle nothing
    "task_protocol": (1, 2),
    "task_default_delivery_mode": (1, 2),
    "task_default_queue_type": ("classic", "quorum"),
    "task_create_missing_queue_type": ("classic", "quorum"),
    "worker_pool_start_method": ("fork", "spawn"),
}
_TRUE, _FALSE = frozenset({"1", "true", "yes", "on"}), frozenset({"0", "false", "no", "off"})


class _Misfit(Exception):
    """A value is not of the kind that one alternative of a setting's type asks for."""


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name most like `name`, or None when none is near."""
    found = difflib.get_close_matches(name.lower(), list(known), n=1, cutoff=0.75)
    return found[0] if found else None


def unknown_name(name: str, known: Iterable[str], source: str) -> ConfigError:
    """Make the error for a setting that does not exist, with the nearest one that does."""
    near = nearest(name, known)
    hint = f"; did you mean {near!r}?" if near else ""
    return ConfigError(f"{source}: there is no setting {name!r}{hint}", setting=name)


def check(name: str, value: Any, types_by_name: Mapping[str, Any], source: str) -> Any:
    """Return `value` in the form the setting keeps, or raise.

    Args:
        name: A setting's lower-case name.
        value: As the user wrote it: lists become tuples, timedeltas seconds, integers floats.
        types_by_name: The annotation of every setting.
        source: Where the value comes from, for the error message.

    Raises:
        ConfigError: The name is unknown, or the value has the wrong type or range.
    """
    if name not in types_by_name:
        raise unknown_name(name, types_by_name, source)
    annotation = types_by_name[name]
    value = _translate(name, value)
    for kind in _alternatives(annotation):
        try:
            kept = _KINDS[kind](value)
        except _Misfit:
            continue
        _check_range(name, kept, source)
        return kept
    wanted = " or ".join(_WORDS[kind] for kind in _alternatives(annotation))
    raise ConfigError(f"{source}: {name} must be {wanted}, not {value!r}", setting=name)


def _translate(name: str, value: Any) -> Any:
    if name == "task_default_delivery_mode" and isinstance(value, str):
        return {"transient": 1, "persistent": 2, "1": 1, "2": 2}.get(value, value)
    return value


def _alternatives(annotation: Any) -> tuple[Any, ...]:
    if typing.get_origin(annotation) in (types.UnionType, typing.Union):
        return tuple(_origin(part) for part in typing.get_args(annotation))
    return (_origin(annotation),)


def _origin(annotation: Any) -> Any:
    return typing.get_origin(annotation) or annotation


def _bool(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, int) and value in (0, 1):
        return bool(value)
    # Only from here on text is accepted: environment variables carry nothing else.
    if isinstance(value, _EnvText):
        if value.lower() in _TRUE | _FALSE:
            return value.lower() in _TRUE
        raise _Misfit
    raise _Misfit


def _int(value: Any) -> int:
    if isinstance(value, _EnvText):
        try:
            return int(value)
        except ValueError:
            raise _Misfit from None
    if isinstance(value, bool) or not isinstance(value, int):
        raise _Misfit
    return value


def _float(value: Any) -> float:
    # A whole number stays as it was written: workers' answers and headers show it.
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, _EnvText):
        try:
            return float(value)
        except ValueError:
            raise _Misfit from None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _Misfit
    return value


def _str(value: Any) -> str:
    if not isinstance(value, str):
        raise _Misfit
    return str(value)


def _none(value: Any) -> None:
    if value is not None:
        raise _Misfit


def _tuple(value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        value = [part.strip() for part in value.split(",")] if value else []
    if not isinstance(value, list | tuple | set | frozenset):
        raise _Misfit
    if not all(isinstance(item, str) for item in value):
        raise _Misfit
    return tuple(value)


def _dict(value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise _Misfit
    return dict(value)


def _any(value: Any) -> Any:
    return value


_KINDS: dict[Any, Callable[[Any], Any]] = {
    bool: _bool,
    int: _int,
    float: _float,
    str: _str,
    types.NoneType: _none,
    tuple: _tuple,
    dict: _dict,
    Any: _any,
}
_WORDS: dict[Any, str] = {
    bool: "True or False",
    int: "a whole number",
    float: "a number",
    str: "text",
    types.NoneType: "None",
    tuple: "a list of texts",
    dict: "a dictionary",
    Any: "anything",
}


class _EnvText(str):
    """Text from the environment, where numbers and booleans are spelt out."""

    __slots__ = ()


def env_text(value: str) -> str:
    """Mark text as coming from the environment, so that `1`, `true` and `2.5` are converted."""
    return _EnvText(value)


def _check_range(name: str, value: Any, source: str) -> None:
    problem = _problem(name, value)
    if problem:
        raise ConfigError(f"{source}: {name} must be {problem}, not {value!r}", setting=name)


def _problem(name: str, value: Any) -> str | None:
    if name in _CHOICES and value not in _CHOICES[name]:
        return "one of " + ", ".join(map(repr, _CHOICES[name]))
    if name == "timezone" and value is not None:
        return _zone_problem(value)
    if name == "worker_concurrency" and isinstance(value, str) and value != "auto":
        return "a whole number or 'auto'"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if math.isnan(value):
        return "a number"
    if name in _POSITIVE and value <= 0:
        return "more than 0"
    if name == "worker_concurrency" and not 1 <= value <= 100_000:
        return "between 1 and 100000"
    if value < 0 and name not in _MAY_BE_NEGATIVE:
        return "0 or more"
    return None


def _zone_problem(zone: str) -> str | None:
    try:
        ZoneInfo(zone)
    except (KeyError, ValueError, OSError):
        return "the name of a time zone such as 'Europe/Berlin'"
    return None
