"""Result records.

Source: PROTOCOL 9.1; celery/backends/base.py (`_get_result_meta`, `prepare_exception`,
`exception_to_python`).
"""

from typing import Any

import msgspec

__all__ = ["ResultMeta"]


class ResultMeta(msgspec.Struct, kw_only=True):
    """A task's stored record.

    Attributes:
        result: The return value; for FAILURE, RETRY and REVOKED the encoded exception
            (`exc_type`, `exc_message`, `exc_module`); for others whatever `update_state` was given.
        children: Tuple forms of what the task started, or None when written outside a run.
        date_done: ISO 8601 text for final states.
        extended: `name, args, kwargs, worker, retries, queue` with `result_extended`.
        stamps: Stamp values by name, with `stamped_headers`.
    """

    task_id: str
    status: str
    result: Any = None
    traceback: str | None = None
    children: list[Any] | None = None
    date_done: str | None = None
    group_id: str | None = None
    parent_id: str | None = None
    extended: dict[str, Any] | None = None
    stamped_headers: list[str] | None = None
    stamps: dict[str, Any] | None = None
