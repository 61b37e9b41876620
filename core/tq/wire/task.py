"""A task message's content: headers and body.

Source: PROTOCOL 3.1, 3.2.
"""

from typing import Any

import msgspec

__all__ = ["TaskBody", "TaskHeaders"]


class TaskHeaders(msgspec.Struct, kw_only=True):
    """A task message's headers: all that is known without reading the body.

    Attributes:
        task: Registered name.
        eta: ISO 8601 text, or None.
        expires: ISO 8601 text, or None.
        timelimit: (hard, soft) in seconds.
        ignore_result: None means the worker's task decides.
        custom: Headers that are not Celery's, and stamps' values.
        defaulted: Names of optional fields that were unreadable and got their default.
    """

    task: str
    id: str
    lang: str = "py"
    shadow: str | None = None
    eta: str | None = None
    expires: str | None = None
    group: str | None = None
    group_index: int | None = None
    retries: int = 0
    timelimit: tuple[int | float | None, int | float | None] = (None, None)
    root_id: str | None = None
    parent_id: str | None = None
    argsrepr: str | None = None
    kwargsrepr: str | None = None
    origin: str | None = None
    ignore_result: bool | None = False
    replaced_task_nesting: int = 0
    stamped_headers: list[str] | None = None
    stamps: dict[str, Any] = {}
    compression: str | None = None
    redelivered: bool = False
    custom: dict[str, Any] = {}
    defaulted: tuple[str, ...] = ()

    def membership(self) -> dict[str, Any]:
        """Return what events tell of the task's group: nothing for a task that has none.

        Celery's events do not tell it; its monitors keep fields they do not know.
        """
        if self.group is None:
            return {}
        return {"group_id": self.group, "group_index": self.group_index}


class TaskBody(msgspec.Struct, kw_only=True):
    """A task message's body: arguments, and what the task's end sets off.

    Attributes:
        callbacks: Signatures as dictionaries, run on success.
        errbacks: Signatures run on failure.
        chain: Remaining steps in reverse order: the last one runs next.
        chord: The body of the chord whose header this task is a part of.
    """

    args: list[Any] | tuple[Any, ...] = ()
    kwargs: dict[str, Any] = {}
    callbacks: list[dict[str, Any]] | None = None
    errbacks: list[dict[str, Any]] | None = None
    chain: list[dict[str, Any]] | None = None
    chord: dict[str, Any] | None = None
