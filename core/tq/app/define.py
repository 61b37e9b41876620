"""Making a task of a function.

Source: celery/app/base.py, `_task_from_fun`, `gen_task_name`; SETTINGS.md, `task_annotations`.
"""

import inspect
import sys
from collections.abc import Callable, Mapping
from typing import Any

from tq.app.task import Task
from tq.config.checks import nearest
from tq.errors import ConfigError
from tq.wire.exceptions import register_task_exceptions

__all__ = ["allow_exceptions", "annotate", "make_task", "task_name"]

_OPTION_NAMES = frozenset(
    name
    for name in dir(Task)
    if not name.startswith("_") and not callable(inspect.getattr_static(Task, name))
) | {"Request", "Strategy", "resultrepr_maxsize"}


def task_name(main: str | None, name: str, module: str) -> str:
    """Return a task's default name: `module.function`, with `main` for `__main__`.

    Args:
        main: The application's name.
        name: The function's.
        module: The function's module.
    """
    if module == "__main__" and main:
        module = main
    elif module == "__main__":
        # `python -m proj.tasks` and `python proj/tasks.py` should name tasks as a worker does.
        spec = getattr(sys.modules.get("__main__"), "__spec__", None)
        module = spec.name if spec is not None else module
    return f"{module}.{name}" if module else name


def make_task(
    app: Any, function: Callable[..., Any], base: type[Task[..., Any]] | None, options: Any
) -> Task[..., Any]:
    """Build a task: an instance of a class of its own, with the function as `run`.

    Args:
        app: The application.
        function: The function.
        base: The class to derive from; the application's by default.
        options: As for `TQ.task`.

    Raises:
        TypeError: An option is unknown.
        ConfigError: `pydantic=True` and pydantic is not installed.
    """
    options = dict(options)
    bound = bool(options.pop("bind", False))
    module = function.__module__ or "__main__"
    title = getattr(function, "__name__", type(function).__name__)
    name = options.pop("name", None) or app.gen_task_name(title, module)
    function = _validated(app, function, name, options)
    kind = base or app.Task
    _check_options(name, kind, options)
    attributes = {
        **options,
        "app": app,
        "name": name,
        "bound": bound,
        "abstract": False,
        "run": function if bound else staticmethod(function),
        "__doc__": function.__doc__,
        "__module__": module,
        "__wrapped__": function if bound else staticmethod(function),
    }
    task: Task[..., Any] = type(title, (kind,), attributes)()
    task.__dict__.setdefault("__name__", title)
    allow_exceptions(task, module)
    annotate(task, app.conf.settings.task_annotations if app.conf.loaded else None)
    return task


def allow_exceptions(task: Any, module: str) -> None:
    """Let results bring back what a task raises.

    Args:
        task: The task.
        module: Where its function or class is defined.
    """
    register_task_exceptions(module, *_classes(task.throws), *_classes(task.autoretry_for))


def _classes(given: Any) -> tuple[Any, ...]:
    return tuple(given) if isinstance(given, list | tuple | set | frozenset) else (given,)


def _check_options(name: str, kind: type, options: Mapping[str, Any]) -> None:
    for option in options:
        if option.startswith("_") or callable(options[option]):
            continue
        if option not in _OPTION_NAMES and not hasattr(kind, option):
            # Celery keeps unknown options as attributes that tasks read back; so do we, but a name
            # that is nearly a known one is a slip.
            near = nearest(option, _OPTION_NAMES)
            if near:
                raise TypeError(
                    f"task {name!r}: there is no option {option!r}; did you mean {near!r}?"
                )


def _validated(
    app: Any, function: Callable[..., Any], name: str, options: dict[str, Any]
) -> Callable[..., Any]:
    """Wrap the function in pydantic's conversion, where that is asked for."""
    wanted = options.pop("pydantic", False)
    rules = {key: options.pop(key) for key in list(options) if key.startswith("pydantic_")}
    if not wanted:
        return function
    from tq.app.pydantic_arguments import wrap  # an optional library

    return wrap(function, name, **rules)


def annotate(task: Any, annotations: Any) -> None:
    """Patch a task's attributes as `task_annotations` says: by name, or `*` for all.

    Raises:
        ConfigError: The setting is no mapping, list of mappings or object with `annotate`.
    """
    if not annotations:
        return
    for part in annotations if isinstance(annotations, list | tuple) else [annotations]:
        if isinstance(part, Mapping):
            for key in ("*", task.name):
                _patch(task, part.get(key))
        elif hasattr(part, "annotate"):
            _patch(task, part.annotate(task))
        else:
            raise ConfigError(f"task_annotations: not a mapping: {part!r}")


def _patch(task: Any, values: Mapping[str, Any] | None) -> None:
    for key, value in (values or {}).items():
        bound = value.__get__(task) if inspect.isfunction(value) else value
        setattr(task, key.lstrip("@"), bound)
