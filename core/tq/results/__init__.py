"""What callers hold of a task they started: its state, its value, its children."""

from tq.results.eager import EagerResult
from tq.results.graph import ResultGraph
from tq.results.guard import (
    AppLike,
    allow_join_result,
    assert_will_not_block,
    denied_join_result,
    set_default_app,
    task_join_will_block,
)
from tq.results.reading import leaves_of
from tq.results.sets import GroupResult, ResultSet
from tq.results.single import AsyncResult, result_from_tuple

__all__ = [
    "AppLike",
    "AsyncResult",
    "EagerResult",
    "GroupResult",
    "ResultGraph",
    "ResultSet",
    "allow_join_result",
    "assert_will_not_block",
    "denied_join_result",
    "leaves_of",
    "result_from_tuple",
    "set_default_app",
    "task_join_will_block",
]
