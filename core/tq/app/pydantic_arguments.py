"""Tasks whose arguments and result are pydantic models.

Source: celery/app/base.py, `pydantic_wrapper`.
"""

import functools
import importlib
import inspect
from collections.abc import Callable
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from tq.errors import ConfigError

__all__ = ["wrap"]


def wrap(
    function: Callable[..., Any],
    name: str,
    *,
    pydantic_strict: bool = False,
    pydantic_context: dict[str, Any] | None = None,
    pydantic_dump_kwargs: dict[str, Any] | None = None,
) -> Callable[..., Any]:
    """Return a function that takes plain values for models, and returns a plain value for one.

    Args:
        function: With annotations that name models.
        name: The task's, for errors.
        pydantic_strict: Validate without conversion.
        pydantic_context: Given to validators; `{"celery_task_name": name}` by default.
        pydantic_dump_kwargs: For dumping the result; `{"mode": "json"}` by default.

    Raises:
        ConfigError: pydantic is not installed.
    """
    try:
        base: type = importlib.import_module("pydantic").BaseModel
    except ImportError as exc:
        raise ConfigError(f"task {name!r}: pydantic=True needs the library pydantic") from exc
    signature = inspect.signature(function)
    hints = get_type_hints(function)
    found = {key: _model_of(hint, base) for key, hint in hints.items()}
    models: dict[str, Any] = {key: model for key, model in found.items() if model is not None}
    context = pydantic_context or {"celery_task_name": name}
    dump = {"mode": "json", **(pydantic_dump_kwargs or {})}

    def converted(args: Any, kwargs: Any) -> inspect.BoundArguments:
        bound = signature.bind(*args, **kwargs)
        for key, model in models.items():
            if isinstance(bound.arguments.get(key), dict):
                bound.arguments[key] = model.model_validate(
                    bound.arguments[key], strict=pydantic_strict, context=context
                )
        return bound

    def plain(value: Any) -> Any:
        if not isinstance(value, base):
            return value
        model: Any = value
        return model.model_dump(**dump)

    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def call_async(*args: Any, **kwargs: Any) -> Any:
            bound = converted(args, kwargs)
            return plain(await function(*bound.args, **bound.kwargs))

        return call_async

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        bound = converted(args, kwargs)
        return plain(function(*bound.args, **bound.kwargs))

    return call


def _model_of(hint: Any, root: type) -> Any:
    """Return the model that an annotation names, alone or as `Model | None`; else None."""
    kinds = [kind for kind in get_args(hint) if kind is not type(None)]
    if get_origin(hint) in (Union, UnionType) and len(kinds) == 1:
        hint = kinds[0]
    return hint if isinstance(hint, type) and issubclass(hint, root) else None
