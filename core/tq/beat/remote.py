"""Answers `ping` as `celerybeat@host`; every other command is left alone.

Source: PROTOCOL 8.5; SETTINGS `beat_enable_remote_control`.
"""

import logging
import threading
import time
from typing import TYPE_CHECKING

from tq import nodename
from tq.config import queue_options
from tq.control.node import Node
from tq.errors import BrokerError

if TYPE_CHECKING:
    from tq import TQ

__all__ = ["PingResponder"]

_log = logging.getLogger(__name__)

_LISTEN_SECONDS = 0.5  # how long a stop may take
_RETRY_SECONDS = 1.0


class PingResponder:
    """A control node with one command. Owned by its thread."""

    name = "beat control"

    def __init__(self, app: "TQ", hostname: str | None = None) -> None:
        """Prepare; `start` subscribes.

        Args:
            app: The application.
            hostname: Node name; `celerybeat@` and this machine by default.
        """
        settings = app.conf.settings
        self.hostname = nodename.make(hostname, default="celerybeat")
        self._node = Node(
            app.broker,
            self.hostname,
            app.clock,
            namespace=settings.control_exchange,
            **queue_options(settings, "control"),
        )
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to answer."""
        if self._thread is None:
            self._stop.clear()
            self._thread = threading.Thread(target=self._run, name="beat-control", daemon=True)
            self._thread.start()

    def stop(self, deadline: float) -> None:
        """End, and remove the queue."""
        self._stop.set()
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.join(max(0.0, deadline - time.monotonic()))

    def _run(self) -> None:
        complained = subscribed = False
        while not self._stop.is_set():
            try:
                if not subscribed:
                    self._node.start()
                    subscribed = True
                    complained = False
                self._answer()
            except BrokerError as exc:
                subscribed = False
                if not complained:
                    _log.warning("control commands cannot be heard, trying again: %s", exc)
                complained = True
                self._stop.wait(_RETRY_SECONDS)
        self._node.close()

    def _answer(self) -> None:
        commands = self._node.receive(_LISTEN_SECONDS)
        self._node.reply_many(
            [(command, {"ok": "pong"}) for command in commands if command.method == "ping"]
        )
