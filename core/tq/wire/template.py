"""Envelopes of calls that differ only in identity, arguments and place in a workflow.

Writing every envelope from nothing costs three times as much as filling the gaps of one that is
written already.

Source: PROTOCOL 1.3, 3; `tq.wire.envelope`, `tq.wire.task_writer`, whose bytes these are.
"""

import binascii
import secrets
from typing import Any

import msgspec

from tq.wire.envelope import encode_envelope
from tq.wire.message import TaskBody, TaskHeaders, encode_task
from tq.wire.task_writer import encode_json_body

__all__ = ["ENDING", "CallTemplate"]

ENDING = b'"}}'
"""What follows the delivery tag, the last thing in an envelope."""

_write = msgspec.json.Encoder().encode
_EMPTY_BODY = binascii.b2a_base64(encode_json_body(TaskBody(args=(), kwargs={})), newline=False)


class CallTemplate:
    """An envelope with gaps, for the calls of one task to one queue, written as JSON."""

    __slots__ = ("_pattern",)

    def __init__(self, headers: TaskHeaders, **address: Any) -> None:
        """Write the envelope once, with marks where the gaps are.

        Args:
            headers: Of any call; what `opening` takes is replaced.
            address: As for `encode_task`, without serializer, compression and protocol.
        """
        salt = secrets.token_hex(8)
        marks = {
            name: f"{salt}.{name}."
            for name in ("id", "group", "group_index", "root_id", "parent_id", "args", "kwargs")
        }
        message = encode_task(
            msgspec.structs.replace(
                headers,
                id=marks["id"],
                group=marks["group"],
                root_id=marks["root_id"],
                parent_id=marks["parent_id"],
                argsrepr=marks["args"],
                kwargsrepr=marks["kwargs"],
            ),
            TaskBody(args=(), kwargs={}),
            **address,
        )
        message.headers["group_index"] = marks["group_index"]
        message.body = salt.encode()
        text = encode_envelope(message, salt).removesuffix(salt.encode() + ENDING)
        text = text.replace(b"%", b"%%")
        places = [binascii.b2a_base64(salt.encode(), newline=False)]
        text = text.replace(places[0], b"%b", 1)
        for mark in marks.values():
            text = text.replace(b'"%b"' % mark.encode(), b"%b")
        self._pattern = text

    def opening(
        self,
        body: bytes | None,
        task_id: str,
        root_id: str,
        parent_id: str | None,
        group: str | None,
        group_index: int | None,
        argsrepr: str,
        kwargsrepr: str,
    ) -> bytes:
        """Return the envelope of a call up to its delivery tag; `ENDING` comes after the tag.

        Args:
            body: As `encode_json_body` writes it; None stands for a call without arguments.
            task_id: The call's id, and so on as in `TaskHeaders`.
            root_id: The id of the first call of the workflow.
            parent_id: The id of the task that makes this call.
            group: The group's id.
            group_index: The place in the group.
            argsrepr: The arguments as text.
            kwargsrepr: The keyword arguments as text.

        Raises:
            ValueError: A text has no form in UTF-8.
        """
        own = _write(task_id)
        return self._pattern % (
            _EMPTY_BODY if body is None else binascii.b2a_base64(body, newline=False),
            own,
            b"null" if group is None else _write(group),
            b"null" if group_index is None else _write(group_index),
            own if root_id is task_id else _write(root_id),
            b"null" if parent_id is None else _write(parent_id),
            _write(argsrepr),
            _write(kwargsrepr),
            own,
        )
