"""Beat: a thread that looks what is due, for as long as it leads.

Source: celery/beat.py, `Service`; DESIGN 3 (periodic tasks).
"""

import logging
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tq import signals
from tq.beat.custom import CustomRounds, find_scheduler
from tq.beat.lease import Leader, choose_leader
from tq.beat.rounds import Rounds, SlotRounds
from tq.beat.store import Store, open_store
from tq.clock import Clock, SystemClock
from tq.errors import BrokerConnectionError, BrokerError

if TYPE_CHECKING:
    from tq import TQ

__all__ = ["Service"]

_log = logging.getLogger(__name__)

_MAX_INTERVAL = 5.0  # a changed entry or clock is seen within this time; waking up costs 50 us
_RETRY_SECONDS = 1.0
_SHORTEST_WAIT = 0.001
_OPEN_SECONDS = 0.1  # between two looks whether a start is to be given up


class Service:
    """Sends the tasks of `beat_schedule`, or of a scheduler of the user's own, when they are due.

    The work is done by a thread that owns scheduler, store and lease.

    Attributes:
        leading: Whether we are the beat that sends.
        ticked: Monotonic time of the last look.
        failure: What ended the thread, if something did.
    """

    name = "beat"

    def __init__(
        self,
        app: "TQ",
        *,
        max_interval: float | None = None,
        schedule_filename: str | None = None,
        scheduler: str | type | None = None,
        store: Store | None = None,
        leader: Leader | None = None,
        clock: Clock | None = None,
        embedded: bool = False,
    ) -> None:
        """Check entries and settings; nothing is opened yet.

        Args:
            app: The application.
            max_interval: Longest sleep in seconds; the setting `beat_max_loop_interval`, else 5.
            schedule_filename: Path of the store; the setting `beat_schedule_filename` by default.
            scheduler: Class of the user's own, or its name; the setting `beat_scheduler` by
                default.
            store: Instead of that file.
            leader: Instead of one that suits the broker.
            clock: Another clock, for tests.
            embedded: We are part of a worker.

        Raises:
            ConfigError: An entry or setting makes no sense.
        """
        settings = app.conf.settings
        self.app = app
        self.clock: Clock = clock or SystemClock()
        given = max_interval or settings.beat_max_loop_interval or None
        self.max_interval = given or _MAX_INTERVAL
        self.scope = app.main or ""
        self.leading = False
        self.ticked = 0.0
        self.failure: BaseException | None = None
        self._refusal: Exception | None = None
        app.finalize(auto=True)
        custom = find_scheduler(scheduler or settings.beat_scheduler)
        self._rounds: Rounds
        if custom is not None:
            self._rounds = CustomRounds(
                app, custom, max_interval=given, schedule_filename=schedule_filename
            )
            self.max_interval = given or custom.max_interval
        else:
            self._rounds = SlotRounds(
                app,
                scope=self.scope,
                store=store or open_store(schedule_filename or settings.beat_schedule_filename),
                max_interval=self.max_interval,
                clock=self.clock,
            )
        self._leader = leader
        self._embedded = embedded
        self._lease = settings.broker_lease
        self._wake = threading.Event()
        self._opened = threading.Event()
        self._stopping = False
        self._thread: threading.Thread | None = None
        self._away = False

    @property
    def scheduler(self) -> Any:
        """The entries: tq's own `SlotHeap`, or the user's `Scheduler`, None before the start."""
        return self._rounds.scheduler

    @property
    def sent(self) -> int:
        """Tasks sent since the start."""
        return self._rounds.sent

    # Starting and stopping.

    def start(self, given_up: Callable[[], bool] = lambda: False) -> None:
        """Begin to send, and return when store and scheduler are read.

        Args:
            given_up: Asked while that takes long; True to return before.

        Raises:
            ConfigError: The store or the scheduler cannot be used.
        """
        if self._thread is not None:
            return
        self._stopping = False
        self._wake.clear()
        self._opened.clear()
        self._refusal = self.failure = None
        if self._leader is None:
            self._leader = choose_leader(self.app.broker, scope=self.scope, lease=self._lease)
        self._thread = threading.Thread(target=self._run, name="beat", daemon=True)
        self._thread.start()
        while not self._opened.wait(_OPEN_SECONDS) and not given_up():
            pass
        if self._refusal is not None:
            self._thread.join()
            self._thread = None
            raise self._refusal

    def stop(self, deadline: float) -> None:
        """End; what is being sent is finished, the store written, the lease given up."""
        self._stopping = True
        self._wake.set()
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(max(0.0, deadline - time.monotonic()))
            self._thread = None

    @property
    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread is not None and self._thread.is_alive()

    # The thread.

    def _run(self) -> None:
        leader = self._leader
        assert leader is not None
        try:
            self._rounds.open()
            self._announce()
        except Exception as exc:  # raised where beat is started
            self._refusal = exc
            return
        finally:
            self._opened.set()
        try:
            while not self._stopping:
                wait = self._turn(leader)
                if self._wake.wait(max(wait, _SHORTEST_WAIT)):
                    break
        except BaseException as exc:  # kept for whoever watches the thread
            self.failure = exc
            _log.critical("beat stops: %r", exc, exc_info=True)
        finally:
            self._close(leader)

    def _announce(self) -> None:
        signals.beat_init.send(sender=self)
        if self._embedded:
            signals.beat_embedded_init.send(sender=self)

    def _turn(self, leader: Leader) -> float:
        """Look once; return the seconds until the next look. No failure ends beat."""
        self.ticked = self.clock.monotonic()
        try:
            return self._tick(leader)
        except BrokerConnectionError as exc:
            self.leading = False
            if not self._away:
                _log.error("the broker is away, trying again: %s", exc)
            self._away = True
        except Exception:  # the boundary: entries of the user's own may raise anything
            _log.exception("beat could not do its round, trying again")
        return _RETRY_SECONDS

    def _tick(self, leader: Leader) -> float:
        self._rounds.watch()
        if not self._lead(leader):
            return min(leader.patience(), self.max_interval)
        wait = self._rounds.look(leader, lambda: self._lead(leader))
        return min(wait, leader.patience(), self.max_interval)

    def _lead(self, leader: Leader) -> bool:
        leads = leader.lead()
        if self._away:
            _log.warning("the broker is back")
            self._away = False
        if leads and not self.leading:
            self._rounds.lead(leader)
        self.leading = leads
        return leads

    def _close(self, leader: Leader) -> None:
        try:
            self._rounds.close(self.leading)
        except Exception:  # the boundary: a database may be away; the lease must be given up
            _log.exception("beat could not store its progress")
        try:
            leader.resign()
        except BrokerError as exc:
            _log.info("the lease could not be given up, it ends by itself: %s", exc)
        self.leading = False
