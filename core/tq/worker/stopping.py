"""How a worker ends: warm, cold, and the grace between.

Source: CLI 3 and 4; RELIABILITY 4.2.
"""

import logging
import signal
import time
from collections.abc import Callable

from tq.worker.dispatcher import Dispatcher
from tq.worker.fetcher import Fetcher
from tq.worker.hands import Hands
from tq.worker.loop import Loop
from tq.worker.settler import Settler

__all__ = ["EXIT_FAILURE", "EXIT_OK", "EXIT_UNAVAILABLE", "Shutdown", "cancel_running"]

logger = logging.getLogger(__name__)

EXIT_OK = 0
EXIT_FAILURE = 1
EXIT_UNAVAILABLE = 69

_SETTLE_SECONDS = 10.0  # how long a stop waits for settlements that the broker does not take


class Shutdown:
    """Decides when the loop may end. Owned by the loop thread.

    Attributes:
        begun: A stop was asked for.
        interrupts: How often SIGINT came.
        exitcode: What the process will end with.
    """

    def __init__(
        self,
        loop: Loop,
        dispatcher: Dispatcher,
        *,
        fetcher: Fetcher,
        hands: Hands,
        settler: Settler,
        soft_seconds: float = 0.0,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Keep what must end.

        Args:
            loop: Stopped last.
            dispatcher: Says whether tasks run.
            fetcher: Stopped first.
            hands: The pool.
            settler: Must be empty at the end.
            soft_seconds: Grace that a cold stop gives to running tasks.
            monotonic: A clock.
        """
        self.begun = False
        self.interrupts = 0
        self.exitcode = EXIT_OK
        self._loop = loop
        self._dispatcher = dispatcher
        self._fetcher = fetcher
        self._hands = hands
        self._settler = settler
        self._soft_seconds = soft_seconds
        self._monotonic = monotonic
        self._cold = False
        self._cut = False
        self._settle_by: float | None = None

    def interrupted(self) -> None:
        """Take note of a SIGINT: whatever follows, the exit code is 1."""
        self.interrupts += 1
        self.exitcode = EXIT_FAILURE
        if self.interrupts == 1:
            logger.warning("interrupt once more to end running tasks at once")

    def warm(self) -> None:
        """Take no more tasks, give back what has not started, let the rest end."""
        if self.begun:
            return
        logger.warning("warm shutdown: waiting for %d task(s)", len(self._dispatcher.active()))
        self._begin()
        self.look()

    def cold(self) -> None:
        """End running tasks, after the grace of `worker_soft_shutdown_timeout` if there is one."""
        if not self.begun:
            self._begin()
        if self._cold:  # asked again during the grace: enough waited
            self._cut_off()
            return
        self._cold = True
        running = len(self._dispatcher.active())
        if self._soft_seconds > 0 and running:
            logger.warning(
                "soft shutdown: %d task(s) have %.1f s to end", running, self._soft_seconds
            )
            self._loop.call_later(self._soft_seconds, self._cut_off)
            self.look()
        else:
            self._cut_off()

    def look(self) -> None:
        """End the loop when nothing runs and all is settled."""
        if self._dispatcher.requests:
            return
        self._settler.flush()
        now = self._monotonic()
        if self._settle_by is None:
            self._settle_by = now + _SETTLE_SECONDS
        if self._settler.pending and now < self._settle_by:
            self._loop.call_later(0.1, self.look)
            return
        self._loop.stop()

    def _begin(self) -> None:
        self.begun = True
        self._dispatcher.stopping = True
        self._fetcher.pause()
        self._hands.tick()  # so that what has started counts as running
        self._hands.pool.recall()
        self._hands.collect()

    def _cut_off(self) -> None:
        if self._cut:
            return
        self._cut = True
        running = len(self._dispatcher.active())
        if running:
            logger.warning("cold shutdown: ending %d running task(s)", running)
        self._dispatcher.cancelling = True
        self._hands.stop(self._monotonic())
        self.look()


def cancel_running(dispatcher: Dispatcher, hands: Hands) -> None:
    """End the late-acknowledged tasks that run; their messages go back to their queues.

    Source: SETTINGS (worker_cancel_long_running_tasks_on_connection_loss).
    """
    hands.tick()  # so that what has started counts as running
    for request in dispatcher.active():
        if request.acknowledged or request.cancelled:
            continue
        request.cancelled = True
        if hands.pool.terminate(request.delivery.tag, signal.SIGTERM):
            logger.warning("%s[%s] is ended: its connection is lost", request.name, request.id)
        else:
            request.cancelled = False
