"""Chords on backends that cannot count parts: ask until every part is done.

Source: celery/app/builtins.py, `add_unlock_chord_task`.
"""

from collections.abc import Sequence
from typing import Any

from tq.canvas import fail_body, maybe_signature
from tq.errors import ChordError
from tq.results import GroupResult, allow_join_result, result_from_tuple

__all__ = ["unlock_chord"]


def unlock_chord(
    task: Any,
    group_id: str,
    callback: Any,
    interval: float | None,
    max_retries: int | None,
    result: Sequence[Any],
) -> None:
    """Start the body if every part is done, else ask again later.

    Args:
        task: The running `celery.chord_unlock`.
        group_id: The header's group.
        callback: The body.
        interval: Seconds between questions.
        max_retries: Questions allowed; None for any number.
        result: The parts' results in tuple form.

    Raises:
        Retry: A part is not done.
    """
    settings = task.app.conf.settings
    parts = [result_from_tuple(part, app=task.app) for part in result]
    header = GroupResult(group_id, parts, app=task.app)
    body = maybe_signature(callback, app=task.app)
    if not header.ready():
        pause = interval if interval is not None else settings.result_chord_retry_interval
        raise task.retry(countdown=pause, max_retries=max_retries)
    try:
        with allow_join_result():
            values = header.join(timeout=settings.result_chord_join_timeout, propagate=True)
    except Exception as exc:  # whatever a part raised fails the chord
        _fail(task.app, body, ChordError(f"Dependency raised {exc!r}"))
        return
    body.apply_async((values,))


def _fail(app: Any, body: Any, error: ChordError) -> None:
    fail_body(app, app.backend, body, error)
