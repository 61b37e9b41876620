"""Exceptions to data and back, without ever importing or calling what the data names.

Source: PROTOCOL 9.1; celery/backends/base.py (`prepare_exception`, `exception_to_python`);
RELIABILITY 6.4 and 7, item 4 (CVE-2021-23727).
"""

import builtins
import sys
from collections.abc import Callable
from typing import Any

from tq import errors
from tq.errors import EncodeError, RemoteError
from tq.saferepr import saferepr
from tq.wire.serialization import dumps_json

__all__ = [
    "encode_exception",
    "rebuild_exception",
    "register_exceptions",
    "register_task_exceptions",
]

_MAX_MESSAGE_CHARS = 64 * 1024
_MAX_TYPE_CHARS = 512

# Where Celery's readers find the class of a name; they build a stand-in for any other module.
_PEER_MODULES: dict[str, tuple[str, ...]] = {
    "celery.exceptions": (
        "AlreadyRegistered",
        "BackendError",
        "ChordError",
        "Ignore",
        "ImproperlyConfigured",
        "InvalidTaskError",
        "MaxRetriesExceededError",
        "NotRegistered",
        "QueueNotFound",
        "Reject",
        "Retry",
        "TaskError",
        "TaskRevokedError",
        "TimeoutError",
    ),
    "billiard.exceptions": ("SoftTimeLimitExceeded", "TimeLimitExceeded", "WorkerLostError"),
    "kombu.exceptions": ("ContentDisallowed", "DecodeError", "EncodeError", "OperationalError"),
}


def _own_classes() -> dict[tuple[str, str], type[Exception]]:
    """List tq's errors under their own names and under their peers'."""
    found: dict[tuple[str, str], type[Exception]] = {}
    for name in errors.__all__:
        cls = getattr(errors, name)
        found[cls.__module__, cls.__qualname__] = cls
    for module, names in _PEER_MODULES.items():
        for name in names:
            found[module, name] = getattr(errors, name)
            # Celery exports billiard's and kombu's under its own module too.
            found["celery.exceptions", name] = getattr(errors, name)
    # The pool's parent raises this when it stops a child; tq tells that by the state REVOKED.
    found["billiard.exceptions", "Terminated"] = errors.WorkerLostError
    return found


_allowed: dict[tuple[str, str], type[Exception]] = _own_classes()
# A name is looked up when a result needs it: while a task is defined, its module is half done.
_task_modules: set[str] = set()
_peer_names: dict[type[BaseException], tuple[str, str]] = {
    getattr(errors, name): (module, name)
    for module, names in _PEER_MODULES.items()
    for name in names
}


def register_exceptions(*classes: type[Exception]) -> None:
    """Let `rebuild_exception` make these classes again.

    Raises:
        TypeError: One is no subclass of `Exception`.
    """
    for cls in classes:
        if not (isinstance(cls, type) and issubclass(cls, Exception)):
            raise TypeError(f"{cls!r} is no subclass of Exception")
        _allowed[cls.__module__, cls.__qualname__] = cls


def register_task_exceptions(module: str, *classes: object) -> None:
    """Let `rebuild_exception` make what a task raises: called for every task that is defined.

    Args:
        module: The task's module; every subclass of `Exception` that it defines at its top level is
            allowed, those below the task too.
        *classes: What the task's `throws` and `autoretry_for` name; what cannot be made again from
            a result, such as `SystemExit`, is left out.
    """
    _task_modules.add(module)
    for cls in classes:
        if isinstance(cls, type) and issubclass(cls, Exception):
            _allowed.setdefault((cls.__module__, cls.__qualname__), cls)


def encode_exception(
    exc: BaseException, serialize: Callable[[Any], bytes] = dumps_json
) -> dict[str, Any]:
    """Return an exception as results carry it.

    Args:
        exc: Any exception; `RemoteError` goes out as the class it stands for.
        serialize: The result serializer; arguments that it refuses become their repr.
    """
    cls = type(exc)
    if cls is RemoteError and isinstance(exc, RemoteError):
        module, name = exc.exc_module, exc.exc_type
        args = getattr(exc, "exc_args", exc.args)
    else:
        module, name = _peer_names.get(cls) or (cls.__module__, cls.__qualname__)
        args = exc.args
    return {
        "exc_type": name,
        "exc_message": [_writable(arg, serialize) for arg in args],
        "exc_module": module,
    }


def _writable(arg: Any, serialize: Callable[[Any], bytes]) -> Any:
    """Return the argument if it can be stored, else its repr."""
    if type(arg) is str or type(arg) is int or arg is None:
        return arg
    try:
        serialize(arg)
    except EncodeError:
        return saferepr(arg)
    return arg


def rebuild_exception(data: Any) -> Exception:
    """Return the exception that a record describes.

    Its class is a built-in, one of tq's, a registered one, or one that a module with tasks
    defines, and always a subclass of `Exception`; for any other it is a `RemoteError` with
    `exc_type`, `exc_module` and `exc_args`. Never raises.
    """
    if not isinstance(data, dict):
        return RemoteError(_bounded(data), exc_type="Exception", exc_module=None)
    name, module = data.get("exc_type"), data.get("exc_module")
    if type(name) is not str or not 0 < len(name) <= _MAX_TYPE_CHARS:
        name, module = "Exception", None
    if type(module) is not str or len(module) > _MAX_TYPE_CHARS:
        module = None
    message = data.get("exc_message", ())
    args = tuple(message) if isinstance(message, list | tuple) else (message,)
    args = tuple(_bounded(arg) for arg in args[:64])
    cls = _find(module, name)
    if cls is not None:
        try:
            return cls(*args)
        except Exception:  # a class may take other arguments than it shows
            return _stand_in(module, name, args)
    return _stand_in(module, name, args)


def _stand_in(module: str | None, name: str, args: tuple[Any, ...]) -> RemoteError:
    text = ", ".join(arg if type(arg) is str else saferepr(arg) for arg in args)
    message = f"{name}: {text}" if text else name
    return RemoteError(message, exc_type=name, exc_module=module, exc_args=args)


def _find(module: str | None, name: str) -> type[Exception] | None:
    """Look a class up in the allow list."""
    if module is None:
        return None
    if module == "builtins":
        cls = getattr(builtins, name, None)
        if isinstance(cls, type) and issubclass(cls, Exception):
            return cls
        return None
    return _allowed.get((module, name)) or _defined_beside_tasks(module, name)


def _defined_beside_tasks(module: str, name: str) -> type[Exception] | None:
    """Look a class up in a module that defines tasks, if it defines the class too."""
    if module not in _task_modules or module not in sys.modules:
        return None
    # Not `getattr`: a module's `__getattr__` may import.
    cls = vars(sys.modules[module]).get(name)
    if isinstance(cls, type) and issubclass(cls, Exception) and cls.__module__ == module:
        return cls
    return None


def _bounded(arg: Any) -> Any:
    """Cut what is too long to keep or to show."""
    if type(arg) is str:
        return arg if len(arg) <= _MAX_MESSAGE_CHARS else arg[:_MAX_MESSAGE_CHARS] + "…"
    if arg is None or type(arg) in (int, float, bool):
        return arg
    text = saferepr(arg, _MAX_MESSAGE_CHARS)
    return arg if len(text) < _MAX_MESSAGE_CHARS else text
