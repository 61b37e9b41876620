"""The `tq beat` process: signals, logging, and the wait for its end.

Source: CLI 2 (beat), 3.
"""

import os
import select
import signal
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tq import logs, nodename
from tq.beat.remote import PingResponder
from tq.beat.service import Service

if TYPE_CHECKING:
    from tq import TQ

__all__ = ["Beat"]

_STOP_SECONDS = 10.0
_LOOK_SECONDS = 1.0  # whether the thread still runs


class Beat:
    """Beat as a process of its own."""

    def __init__(
        self,
        app: "TQ",
        *,
        loglevel: str = "WARNING",
        logfile: str | None = None,
        schedule: str | None = None,
        scheduler: str | type | None = None,
        max_interval: float | None = None,
        hostname: str | None = None,
        remote_control: bool | None = None,
    ) -> None:
        """Prepare; `run` begins.

        Args:
            app: The application.
            loglevel: Of the log.
            logfile: Path with the codes of CLI 5; stderr by default.
            schedule: Path of the store.
            scheduler: Class of the user's own, or its name; the setting `beat_scheduler` by
                default.
            max_interval: Longest sleep in seconds.
            hostname: Node name for remote control.
            remote_control: Answer `ping`; the setting `beat_enable_remote_control` by default.
        """
        self.app = app
        self.loglevel = loglevel
        self.logfile = logfile
        self.schedule = schedule
        self.scheduler = scheduler
        self.max_interval = max_interval
        self.hostname = hostname
        self.remote_control = remote_control

    def run(self, on_ready: Callable[[], Any] | None = None) -> int:
        """Send tasks until TERM, INT or QUIT; call this in the main thread.

        Args:
            on_ready: Called when it runs.

        Returns:
            The exit code: 0 after a signal, 1 when beat failed.

        Raises:
            ConfigError: An entry, setting or file makes no sense.
        """
        app, settings = self.app, self.app.conf.settings
        logs.setup(
            logs.LogOptions(
                self.loglevel,
                self.logfile,
                node=nodename.make(self.hostname, default="celerybeat"),
                colour=settings.worker_log_color,
                fmt=settings.worker_log_format,
                as_json=settings.worker_log_json,
            )
        )
        app.set_current()
        app.import_default_modules()
        service = Service(
            app,
            max_interval=self.max_interval,
            schedule_filename=self.schedule,
            scheduler=self.scheduler,
        )
        answers = self.remote_control
        if answers is None:
            answers = settings.beat_enable_remote_control
        return _serve(service, PingResponder(app, self.hostname) if answers else None, on_ready)


def _serve(
    service: Service, responder: PingResponder | None, on_ready: Callable[[], Any] | None
) -> int:
    ended, restore = _end_on_signals()

    def is_over(wait: float = 0.0) -> bool:
        return bool(select.select([ended], [], [], wait)[0])

    try:
        service.start(given_up=is_over)
        if responder is not None:
            responder.start()
        if on_ready is not None:
            on_ready()
        while service.alive and not is_over(_LOOK_SECONDS):
            pass
    finally:
        deadline = time.monotonic() + _STOP_SECONDS
        if responder is not None:
            responder.stop(deadline)
        service.stop(deadline)
        restore()
    return 1 if service.failure is not None else 0


def _end_on_signals() -> tuple[int, Callable[[], None]]:
    """Return a descriptor that turns readable at the first signal, and a function to undo it."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)
    wakeup = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    before = {number: signal.signal(number, lambda *_: None) for number in numbers}

    def restore() -> None:
        signal.set_wakeup_fd(wakeup)
        for number, handler in before.items():
            signal.signal(number, handler)
        os.close(reader)
        os.close(writer)

    return reader, restore
