"""Calls sent in bulk: what they share is written once and filled in for each.

A form takes the plain calls, which are nearly all of a batch and every member of a group; any
other (an eta, headers of its own, ...) is left to `calls.prepare`.

Source: PROTOCOL 1.3, 3.
"""

from collections.abc import Mapping
from typing import Any

from tq import signals
from tq.app.calls import REPR_CHARS, SendPlan, prepare, set_links
from tq.brokers.base import Queue
from tq.execution.context import current_context
from tq.saferepr import saferepr
from tq.wire.message import TaskBody, new_id
from tq.wire.task_writer import encode_json_body
from tq.wire.template import CallTemplate

__all__ = ["Form", "form_for"]

_IN_BODY = frozenset({"chord", "link", "link_error", "chain"})
# Options that fill a gap of the form, or say nothing about the message.
_TAKEN = _IN_BODY | {
    "task_id",
    "root_id",
    "parent_id",
    "group_id",
    "group_index",
    "reply_to",
    "add_to_parent",
}


class Form:
    """The calls of one task, as they are sent in bulk from one place.

    Attributes:
        queue: Where they go.
        address: The queue's name, and their priority.
        ignore_result: Whether nothing is stored.
    """

    def __init__(self, name: str, plan: SendPlan) -> None:
        """Write down what calls of `name` share, now and in the running task if there is one.

        Raises:
            QueueNotFound: The queue is not declared and must not be created.
        """
        sample = prepare(name, (), {}, {}, plan)
        message, queue = sample.message, sample.destination.queue
        assert queue is not None, "`form_for` looked"
        self.queue: Queue = queue
        self.address = (queue.name, message.priority)
        self.ignore_result = bool(sample.headers.ignore_result)
        self._reply_to = plan.reply_to
        self._levels = plan.settings.task_repr_maxlevels
        context = current_context()
        inside = context is not None and context.id
        self._parent_id = sample.headers.parent_id
        self._root_id = sample.headers.root_id if inside else None
        self._template = CallTemplate(
            sample.headers,
            routing_key=message.routing_key,
            priority=message.priority,
            reply_to=message.reply_to,
            delivery_mode=message.delivery_mode,
        )

    def fill(self, args: Any, kwargs: Any, options: Mapping[str, Any]) -> tuple[str, bytes] | None:
        """Write one call.

        Returns:
            Its id, and its envelope as `BulkBroker.publish_openings` takes it; or None when this
            call has more to say than the form has room for.

        Raises:
            EncodeError: The arguments have no form in JSON.
        """
        if not (isinstance(args, tuple | list) and isinstance(kwargs, dict)):
            return None
        task_id, group, index = None, None, None
        root_id, parent_id = self._root_id, self._parent_id
        links = False
        if options:
            if not _TAKEN.issuperset(options):
                return None
            get = options.get
            if get("reply_to") not in (None, "", self._reply_to):
                return None
            task_id, group, index = get("task_id"), get("group_id"), get("group_index")
            root_id, parent_id = get("root_id") or root_id, get("parent_id") or parent_id
            links = not _IN_BODY.isdisjoint(options)
        if task_id is None:
            task_id = new_id()
        body = None
        if args or kwargs or links:
            content = TaskBody(args=args, kwargs=kwargs)
            if links:
                set_links(content, options)
            body = encode_json_body(content)
        try:
            opening = self._template.opening(
                body,
                task_id,
                root_id or task_id,
                parent_id,
                group,
                index,
                saferepr(args, REPR_CHARS, self._levels) if args else repr(args),
                saferepr(kwargs, REPR_CHARS, self._levels) if kwargs else "{}",
            )
        except (TypeError, ValueError):  # a text that is no UTF-8, an id of the caller's own kind
            return None
        return task_id, opening


def form_for(name: str, plan: SendPlan) -> Form | None:
    """Return the form of a task's calls, or None when they must be written one by one.

    They must when somebody is told of each (signals, `task-sent`), and when arguments decide on
    the address.

    Raises:
        QueueNotFound: The queue is not declared and must not be created.
    """
    settings = plan.settings
    told = (
        signals.before_task_publish
        or signals.after_task_publish
        or signals.task_sent
        or settings.task_send_sent_event
    )
    plain = (
        plan.serializer == "json"
        and not plan.compression
        and settings.task_protocol == 2
        and not settings.task_inherit_parent_priority
        and plan.shadow is None
        and plan.options.keys() <= {"queue"}
    )
    if told or not plain or not plan.router.by_name_only:
        return None
    destination = plan.router.route(plan.options, name)
    if destination.exchange or destination.queue is None:
        return None
    return Form(name, plan)
