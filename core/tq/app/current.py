"""Which application and which task are current.

The current application is that of the running task, else the one made current last, else the
default one, else a new one named `default`. It belongs to the process, not to a thread: a web
server's threads see the application that its start-up module made.

Source: celery/_state.py.
"""

import importlib
import threading
from collections.abc import Callable
from typing import Any

from tq.app.host import App
from tq.execution.context import current_task as running_task

__all__ = [
    "add_shared_task",
    "chosen_app",
    "current_app",
    "current_task",
    "find_task",
    "forget_app",
    "get_current_app",
    "known_apps",
    "remember_app",
    "set_current_app",
    "set_default_app",
    "shared_tasks",
]

_lock = threading.Lock()
_current: App | None = None
_default: App | None = None
_shared: list[Callable[[App], Any]] = []
_apps: list[App] = []


def set_current_app(app: App | None) -> None:
    """Make `app` the process's current application."""
    global _current  # the one process-wide choice, as in Celery
    _current = app


def set_default_app(app: App | None) -> None:
    """Make `app` the one that is current when none was chosen."""
    global _default  # the one process-wide choice, as in Celery
    _default = app


def chosen_app() -> App | None:
    """Return the application that `set_current_app` chose, or None."""
    return _current


def get_current_app() -> App:
    """Return the current application, making one when there is none."""
    task = running_task()
    if task is not None and task.app is not None:
        found: App = task.app
        return found
    return _current or _default or _make_default()


def _make_default() -> App:
    global _default  # made at most once
    with _lock:
        if _default is None:
            # A module above this one, looked up by name: few programs have no application.
            make = importlib.import_module("tq.app.application").TQ
            _default = make("default", set_as_current=False)
        made: App = _default
        return made


def known_apps() -> list[App]:
    """Return the applications of this process, in the order of their making."""
    return list(_apps)


def remember_app(app: App) -> None:
    """Add an application, so that shared tasks reach it."""
    _apps.append(app)


def forget_app(app: App) -> None:
    """Drop a closed application from every choice made here."""
    global _current, _default  # the app is gone for the whole process
    if app in _apps:
        _apps.remove(app)
    if _current is app:
        _current = None
    if _default is app:
        _default = None


def add_shared_task(register: Callable[[App], Any]) -> None:
    """Keep what puts a shared task into an application; those finalized already get it now."""
    _shared.append(register)
    for app in _apps:
        if app.finalized:
            register(app)


def shared_tasks() -> list[Callable[[App], Any]]:
    """Return what to call for each new application."""
    return list(_shared)


class _Forward:
    """Stands for whatever is current, in module globals that users import once."""

    __slots__ = ("_find", "_title")

    def __init__(self, title: str, find: Callable[[], Any]) -> None:
        """Forward to `find()`; `title` is shown when that is None."""
        object.__setattr__(self, "_title", title)
        object.__setattr__(self, "_find", find)

    def __getattr__(self, name: str) -> Any:
        """Read from what is current."""
        return getattr(self._find(), name)

    def __setattr__(self, name: str, value: Any) -> None:
        """Write to what is current."""
        setattr(self._find(), name, value)

    def __call__(self) -> Any:
        """Return what is current itself."""
        return self._find()

    def __bool__(self) -> bool:
        """Tell whether anything is current."""
        return self._find() is not None

    def __eq__(self, other: object) -> bool:
        """Compare what is current."""
        return bool(self._find() == other)

    def __hash__(self) -> int:
        """Hash what is current."""
        return hash(self._find())

    def __repr__(self) -> str:
        """Show what is current."""
        return repr(self._find()) if self else f"<no {self._title}>"


current_app: Any = _Forward("current application", get_current_app)
"""The current application: `current_app.conf`, or `current_app()` for the object itself."""

current_task: Any = _Forward("running task", running_task)
"""The running task, false outside tasks: `current_task.request.id`."""


def find_task(name: str) -> Any:
    """Return the current application's task of that name; how a pickled task comes back.

    Raises:
        NotRegistered: There is none.
    """
    return get_current_app().tasks[name]
