"""Task messages, protocols 2 and 1: the names that other rooms use.

Source: PROTOCOL 3; celery/app/amqp.py (`as_task_v2`, `as_task_v1`), celery/worker/strategy.py.
"""

from tq.wire.ids import new_id
from tq.wire.task import TaskBody, TaskHeaders
from tq.wire.task_reader import read_body, read_headers
from tq.wire.task_writer import encode_task
from tq.wire.times import format_time, parse_time

__all__ = [
    "TaskBody",
    "TaskHeaders",
    "encode_task",
    "format_time",
    "new_id",
    "parse_time",
    "read_body",
    "read_headers",
]
