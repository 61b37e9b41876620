"""Sends worker events: online, heartbeats (every two seconds), offline; and flushes the emitter.

Source: PROTOCOL 7.3; celery/worker/heartbeat.py, `Heart`.
"""

import os
import sys
from collections.abc import Callable
from typing import Any

from tq import signals
from tq.errors import BrokerError
from tq.events import Emitter
from tq.worker.loop import Loop, Timer

__all__ = ["FREQUENCY", "Heartbeat"]

FREQUENCY = 2.0
_ANSWER_FREQUENCY = 5  # the fixed value in the heartbeat that answers a command
_FLUSH_SECONDS = 0.01  # how long an event may wait for others


class Heartbeat:
    """The worker's sign of life to monitors, and the switch of task events.

    Owned by the loop thread.

    Attributes:
        always: The worker was started with task events, so they cannot be switched off.
    """

    name = "heartbeat"

    def __init__(
        self,
        loop: Loop,
        emitter: Emitter,
        counts: Callable[[], tuple[int, int]],
        *,
        version: str,
        enabled: bool = True,
        always: bool = False,
        frequency: float = FREQUENCY,
        on_switch: Callable[[], Any] = lambda: None,
        sender: Any = None,
    ) -> None:
        """Prepare to beat.

        Args:
            loop: Runs the timers.
            emitter: Sends the events.
            counts: Returns how many tasks run and how many have ended.
            version: The library's version, for `sw_ver`.
            enabled: False sends no heartbeats (`--without-heartbeat`).
            always: Task events were asked for at the start.
            frequency: Seconds between heartbeats.
            on_switch: Called after task events were switched.
            sender: Sender of the `heartbeat_sent` signal.
        """
        self.always = always
        self._loop = loop
        self._emitter = emitter
        self._counts = counts
        self._enabled = enabled
        self._frequency = frequency
        self._on_switch = on_switch
        self._sender = sender
        self._software = {"sw_ident": "tq", "sw_ver": version, "sw_sys": _system()}
        self._beat_timer: Timer | None = None
        self._flush_timer: Timer | None = None
        self._started = False

    def start(self) -> None:
        """Send `worker-online` and begin to beat."""
        self._started = True
        if self._enabled:
            self._send("worker-online")
            self._beat_timer = self._loop.call_later(self._frequency, self._beat)
        self._flush()

    def stop(self, deadline: float) -> None:
        """Send `worker-offline` and all that waits; the emitter sends nothing after this."""
        if not self._started:
            return
        self._started = False
        for timer in (self._beat_timer, self._flush_timer):
            if timer is not None:
                timer.cancel()
        if self._enabled:
            self._send("worker-offline")
        self._emitter.close()

    @property
    def task_events(self) -> bool:
        """Tell whether task events are sent."""
        return self._emitter.wants("task")

    def switch(self, on: bool) -> None:
        """Switch task events on or off."""
        if on:
            self._emitter.enable_group("task")
        else:
            self._emitter.disable_group("task")
        self._on_switch()

    def beat_once(self) -> None:
        """Send the short heartbeat that answers a monitor which has just started."""
        self._emitter.send("worker-heartbeat", freq=_ANSWER_FREQUENCY, **self._software)
        self.schedule_flush()

    def schedule_flush(self) -> None:
        """Publish waiting events soon, so that those of one moment travel together."""
        if self._flush_timer is None:
            self._flush_timer = self._loop.call_later(_FLUSH_SECONDS, self._flush)

    def _flush(self) -> None:
        self._flush_timer = None
        try:
            self._emitter.flush()
        except BrokerError:  # the emitter keeps the events and says so in the log
            return

    def _beat(self) -> None:
        self._beat_timer = self._loop.call_later(self._frequency, self._beat)
        self._send("worker-heartbeat")
        self._flush()
        signals.heartbeat_sent.send(sender=self._sender)

    def _send(self, kind: str) -> None:
        active, processed = self._counts()
        self._emitter.send(
            kind,
            freq=self._frequency,
            active=active,
            processed=processed,
            loadavg=[round(value, 2) for value in os.getloadavg()],
            **self._software,
        )


def _system() -> str:
    return {"linux": "Linux", "darwin": "Darwin"}.get(sys.platform, sys.platform)
