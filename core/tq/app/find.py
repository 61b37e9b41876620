"""`-A`: the application that a text names.

Source: celery/app/utils.py, `find_app`; CLI.md.
"""

import importlib
import sys
from types import ModuleType
from typing import Any

from tq.app.application import TQ
from tq.app.current import current_app, get_current_app
from tq.errors import ConfigError

__all__ = ["find_app"]

_ATTRIBUTES = ("app", "tq", "celery")
_SUBMODULES = ("tq", "celery")


def find_app(name: str) -> TQ:
    """Return the application named by `module`, `module:attribute` or `package`.

    A module is searched for the attributes `app`, `tq`, `celery`, then for the only application in
    it; a package also for its submodules `tq` and `celery`.

    Args:
        name: As given to `-A`.

    Raises:
        ConfigError: The module is missing or raises, or holds no application.
    """
    path, _, attribute = name.partition(":")
    if not path or path.startswith(".") or "/" in path or "\\" in path:
        raise ConfigError(f"-A {name}: give a module such as proj.tasks, not a path", app=name)
    module = _import(path, name)
    if attribute:
        return _checked(_attribute(module, attribute, name), name, attribute)
    found = _search(module)
    if found is None and hasattr(module, "__path__"):
        found = _search_package(path, name)
    if found is None:
        raise ConfigError(f"-A {name}: module {path!r} holds no TQ application", app=name)
    return _checked(found, name, path)


def _import(path: str, name: str) -> ModuleType:
    try:
        return importlib.import_module(path)
    except ModuleNotFoundError as exc:
        if exc.name is not None and (path == exc.name or path.startswith(f"{exc.name}.")):
            raise ConfigError(
                f"-A {name}: there is no module {exc.name!r} (looked in {sys.path[0] or '.'} "
                "and the installed packages)",
                app=name,
            ) from exc
        raise ConfigError(f"-A {name}: {path!r} needs a missing module: {exc}", app=name) from exc
    except SystemExit as exc:
        raise ConfigError(f"-A {name}: importing {path!r} ended the program", app=name) from exc
    except Exception as exc:  # a user's module may raise whatever it likes
        raise ConfigError(
            f"-A {name}: importing {path!r} raised {type(exc).__name__}: {exc}", app=name
        ) from exc


def _attribute(module: ModuleType, attribute: str, name: str) -> Any:
    found: Any = module
    for part in attribute.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            raise ConfigError(
                f"-A {name}: {module.__name__!r} has no attribute {attribute!r}", app=name
            ) from None
    if isinstance(found, ModuleType):
        inner = _search(found)
        if inner is None:
            raise ConfigError(
                f"-A {name}: module {found.__name__!r} holds no TQ application", app=name
            )
        return inner
    return found


def _search(module: ModuleType) -> Any:
    """Return what a module most likely means as its application, or None."""
    for attribute in _ATTRIBUTES:
        found = getattr(module, attribute, None)
        if found is not None and not isinstance(found, ModuleType):
            return found
    apps = {id(value): value for value in vars(module).values() if isinstance(value, TQ)}
    if len(apps) == 1:
        return next(iter(apps.values()))
    foreign = [value for value in vars(module).values() if _is_celery(value)]
    return foreign[0] if foreign and not apps else None


def _search_package(path: str, name: str) -> Any:
    for submodule in _SUBMODULES:
        full = f"{path}.{submodule}"
        try:
            found = _search(importlib.import_module(full))
        except ModuleNotFoundError as exc:
            if exc.name == full:
                continue
            raise ConfigError(f"-A {name}: {full!r} needs a missing module: {exc}") from exc
        except Exception as exc:  # a user's module
            raise ConfigError(
                f"-A {name}: importing {full!r} raised {type(exc).__name__}: {exc}", app=name
            ) from exc
        if found is not None:
            return found
    return None


def _is_celery(value: Any) -> bool:
    kind = type(value)
    return any(
        base.__name__ == "Celery" and base.__module__.startswith("celery.") for base in kind.__mro__
    )


def _checked(found: Any, name: str, where: str) -> TQ:
    if found is current_app:
        found = get_current_app()
    if isinstance(found, TQ):
        return found
    if _is_celery(found):
        raise ConfigError(
            f"-A {name}: that is a Celery application; to run it with tq, write "
            "'from tq import TQ' for 'from celery import Celery' and 'TQ(...)' for 'Celery(...)'",
            app=name,
        )
    kind = type(found).__name__
    raise ConfigError(f"-A {name}: {where!r} is no TQ application but a {kind}", app=name)
