"""The control node as a service of the worker's loop.

Source: PROTOCOL 8.
"""

import logging
from collections.abc import Callable

from tq.control.node import Node
from tq.errors import BrokerConnectionError, BrokerError
from tq.wire.command import Command
from tq.worker.loop import Loop, Timer
from tq.worker.registry import CommandTable

__all__ = ["RemoteControl"]

logger = logging.getLogger(__name__)

_POLL_SECONDS = 1.0  # a subscription whose descriptor stayed quiet, and commands over the rate
_RETRY_SECONDS = 1.0


class RemoteControl:
    """Answers control commands between the loop's other work. Owned by the loop thread."""

    name = "control"

    def __init__(self, loop: Loop, node: Node, commands: Callable[[], CommandTable]) -> None:
        """Prepare; `start` subscribes."""
        self._loop = loop
        self._node = node
        self._commands = commands
        self._fd: int | None = None
        self._timer: Timer | None = None
        self._complained = False
        self._stopped = True

    def start(self) -> None:
        """Subscribe; while the broker is away it is tried again."""
        self._stopped = False
        self._subscribe()

    def stop(self, deadline: float) -> None:
        """Unsubscribe and remove the queue."""
        if self._stopped:
            return
        self._stopped = True
        if self._timer is not None:
            self._timer.cancel()
        self._unwatch()
        self._node.close()

    def _subscribe(self) -> None:
        try:
            self._node.start()
        except BrokerError as exc:
            self._lost(exc)
            return
        if self._complained:
            logger.warning("control commands are heard again")
        self._complained = False
        self._fd = self._node.fileno()
        self._loop.add_reader(self._fd, self._receive)
        self._poll()

    def _poll(self) -> None:
        self._timer = self._loop.call_later(_POLL_SECONDS, self._poll)
        self._receive()

    def _receive(self) -> None:
        try:
            commands = self._node.receive(0.0)
        except BrokerConnectionError as exc:
            self._lost(exc)
            return
        if commands:
            self._answer(commands)

    def _answer(self, commands: list[Command]) -> None:
        table = self._commands()
        answers = []
        for command in commands:
            value = table.call(command.method, command.arguments)
            # Celery's shutdown never replies, PROTOCOL 8.5; clients must not wait for it.
            if command.method != "shutdown" or isinstance(value, dict):
                answers.append((command, value))
        self._node.reply_many(answers)

    def _lost(self, error: BrokerError) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._unwatch()
        if not self._complained:
            logger.warning("control commands cannot be heard, trying again: %s", error)
        self._complained = True
        if not self._stopped:
            self._timer = self._loop.call_later(_RETRY_SECONDS, self._subscribe)

    def _unwatch(self) -> None:
        if self._fd is not None:
            self._loop.remove_reader(self._fd)
            self._fd = None
