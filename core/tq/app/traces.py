"""The context of a call that runs in the caller.

Source: celery/app/task.py, `Task.apply`.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from tq.execution.context import Context, current_context
from tq.nodename import host_name

__all__ = ["eager_context"]


def eager_context(
    task: Any,
    task_id: str,
    args: Iterable[Any] | None,
    kwargs: Mapping[str, Any] | None,
    options: Mapping[str, Any],
) -> Context:
    """Build the request that `task` sees when it runs eagerly.

    Args:
        task: The task.
        task_id: Its id.
        args: Positional arguments.
        kwargs: Keyword arguments.
        options: As for `apply_async`.
    """
    outer = current_context()
    parent = outer if outer is not None and outer.id else None
    headers = dict(options.get("headers") or {})
    stamped = options.get("stamped_headers")
    return Context(
        headers,
        args=tuple(args or ()),
        kwargs=dict(kwargs or {}),
        id=task_id,
        task=task.name,
        is_eager=True,
        called_directly=False,
        root_id=options.get("root_id") or (parent.root_id or parent.id if parent else task_id),
        parent_id=options.get("parent_id") or (parent.id if parent else None),
        callbacks=_as_list(options.get("link")),
        errbacks=_as_list(options.get("link_error")),
        chain=_as_list(options.get("chain")),
        chord=options.get("chord"),
        group=options.get("group_id"),
        group_index=options.get("group_index"),
        retries=options.get("retries") or 0,
        hostname=host_name(),
        headers=headers,
        ignore_result=options.get("ignore_result"),
        shadow=options.get("shadow"),
        replaced_task_nesting=options.get("replaced_task_nesting") or 0,
        stamped_headers=list(stamped) if stamped else None,
        stamps={name: options.get(name) for name in stamped or ()},
        delivery_info={
            "is_eager": True,
            "exchange": options.get("exchange"),
            "routing_key": options.get("routing_key"),
            "priority": options.get("priority"),
        },
    )


def _as_list(given: Any) -> list[Any] | None:
    if not given:
        return None
    return list(given) if isinstance(given, list | tuple) else [given]
