"""Entries of `beat_schedule` made by code.

Source: celery/app/base.py, `add_periodic_task`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from tq.app.host import App
from tq.canvas import Signature, signature

__all__ = ["make_entry"]


def make_entry(
    app: App,
    schedule: Any,
    sig: Any,
    args: Sequence[Any],
    kwargs: Mapping[str, Any] | None,
    options: Mapping[str, Any],
) -> tuple[str, dict[str, Any]]:
    """Return an entry with its default name: what is called.

    Args:
        app: The application.
        schedule: Seconds, a timedelta, or a schedule object.
        sig: A signature, or a task's name.
        args: Put before those of the signature.
        kwargs: Added to those of the signature.
        options: Of the call.
    """
    made = sig if isinstance(sig, Signature) else signature(sig, args, kwargs, app=app)
    if isinstance(sig, Signature) and (args or kwargs):
        made = sig.clone(tuple(args), dict(kwargs or {}))
    entry = {
        "task": made["task"],
        "schedule": schedule,
        "args": list(made["args"]),
        "kwargs": dict(made["kwargs"]),
        "options": {**made["options"], **options},
    }
    return repr(made), entry
