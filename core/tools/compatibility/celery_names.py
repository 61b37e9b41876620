"""The names a Celery user may write, taken from the installed Celery itself.

Source: celery/app/task.py, celery/app/autoretry.py, celery/app/base.py, celery/app/amqp.py,
celery/app/defaults.py, celery/bin/worker.py, celery/bin/celery.py, celery/signals.py; kombu's
`Producer.publish`, which gets every option of a call that Celery does not know.
"""

import ast
import inspect
import textwrap
from collections.abc import Callable, Iterable
from typing import Any

import celery
from celery import Celery, signals
from celery.app import autoretry, defaults
from celery.app import task as task_module
from celery.app.amqp import AMQP
from celery.bin.celery import celery as program
from celery.bin.worker import worker
from celery.utils.dispatch.signal import Signal
from kombu.messaging import Producer

__all__ = ["VERSION", "call_options", "settings", "signal_names", "task_options", "worker_options"]

VERSION = ".".join(celery.__version__.split(".")[:2])

# Attributes of a task that nobody gives it as an option.
_NOT_OPTIONS = frozenset(
    {
        "abstract",
        "app",
        "cls",
        "from_config",
        "fun",
        "override_max_retries",
        "request_stack",
        "self",
    }
)
# What Celery passes along with a call's options: the call itself and names for its own use.
_NOT_CALL_OPTIONS = frozenset(
    {
        "args",
        "body",
        "callbacks",
        "create_sent_event",
        "errbacks",
        "event_dispatcher",
        "kwargs",
        "message",
        "name",
        "now",
        "self",
        "task_type",
        "timezone",
    }
)


# Settings that Celery reads when they are set, though its list of settings does not have them.
_UNDECLARED = (
    "gcs_threadpool_maxsize",
    "redis_backend_credential_provider",
    "redis_backend_health_check_interval",
    "redis_client_name",
    "result_backend_thread_safe",
)


def task_options() -> list[str]:
    """List what `@app.task(...)` and a task class understand."""
    task = task_module.Task
    attributes = {
        name
        for name in dir(task)
        if not name.startswith("_") and not _is_code(inspect.getattr_static(task, name))
    }
    from_settings = {name for name, _setting in task.from_config}
    # What each call inherits from its task: kombu keeps the list in the getter's closure.
    sent = {
        name
        for cell in task_module.extract_exec_options.__closure__ or ()
        for name in _texts(cell.cell_contents)
    }
    # What the decorator itself takes is listed nowhere but where it is taken.
    decorator = _parameters(Celery._task_from_fun) | _inner_parameters(Celery.task)  # noqa: SLF001 - see above
    found = attributes | from_settings | sent | decorator | _looked_up(autoretry)
    return sorted((found | {"backend"}) - _NOT_OPTIONS)  # a property there, and yet an option


def call_options() -> list[str]:
    """List what `apply_async` understands."""
    functions = (
        task_module.Task.apply_async,
        Celery.send_task,
        AMQP.as_task_v2,
        Producer.publish,
    )
    found = {name for function in functions for name in _parameters(function)}
    found |= _inner_parameters(AMQP._create_task_sender)  # noqa: SLF001 - it has the only list
    return sorted(found - _NOT_CALL_OPTIONS)


def settings() -> dict[str, Any]:
    """Return Celery's settings with their defaults."""
    declared = {name: option.default for name, option in defaults.flatten(defaults.NAMESPACES)}
    return {**dict.fromkeys(_UNDECLARED), **declared}


def worker_options() -> dict[str, tuple[str, ...]]:
    """Return the options of `celery worker`, and those before it, with their spellings."""
    return {
        str(option.name): (*option.opts, *option.secondary_opts)
        for command in (worker, program)
        for option in command.params
    }


def signal_names() -> dict[str, frozenset[str]]:
    """Return Celery's signals with the arguments it declares for each."""
    return {
        name: frozenset(value.providing_args)
        for name, value in vars(signals).items()
        if isinstance(value, Signal)
    }


def _is_code(value: Any) -> bool:
    return callable(value) or isinstance(value, property | classmethod | staticmethod)


def _texts(value: Any) -> list[str]:
    if isinstance(value, tuple | list):
        return [item for item in value if isinstance(item, str)]
    return []


def _parameters(function: Callable[..., Any]) -> set[str]:
    parameters = inspect.signature(function).parameters.values()
    return {one.name for one in parameters if one.kind not in (one.VAR_KEYWORD, one.VAR_POSITIONAL)}


def _walk(thing: Any) -> Iterable[ast.AST]:
    return ast.walk(ast.parse(textwrap.dedent(inspect.getsource(thing))))


def _inner_parameters(function: Callable[..., Any]) -> set[str]:
    """Return the parameters with defaults of the functions defined within `function`."""
    inner = [node.args for node in _walk(function) if isinstance(node, ast.FunctionDef)][1:]
    return {
        argument.arg
        for arguments in inner
        for argument in arguments.args[len(arguments.args) - len(arguments.defaults) :]
    }


def _looked_up(module: Any) -> set[str]:
    """Return the names that a module looks up on a task by `getattr`."""
    return {
        node.args[1].value
        for node in _walk(module)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "getattr"
        and isinstance(node.args[0], ast.Name)
        and node.args[0].id == "task"
        and isinstance(node.args[1], ast.Constant)
        and isinstance(node.args[1].value, str)
    }
