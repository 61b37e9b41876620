"""Beat: looks what is due, sends it, remembers it.

Source: celery/beat.py, `Service`, `Scheduler.tick`; DESIGN 3 (periodic tasks).
"""

import logging
import threading
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tq import signals
from tq.app.sending import zone_of
from tq.beat.entry import read_entries, slot_id
from tq.beat.lease import Leader, Planned, choose_leader
from tq.beat.scheduler import Due, Scheduler
from tq.beat.store import Store, open_store
from tq.clock import Clock, SystemClock
from tq.errors import BrokerConnectionError, BrokerError, ConfigError
from tq.wire.envelope import Message

if TYPE_CHECKING:
    from tq import TQ

__all__ = ["Service"]

_log = logging.getLogger(__name__)

_MAX_INTERVAL = 5.0  # a changed entry or clock is seen within this time; waking up costs 50 us
_RETRY_SECONDS = 1.0
_BATCH = 100  # calls in one step; the lease is looked at in between
_SHORTEST_WAIT = 0.001
_SYNC_SECONDS = 1.0
_SYNC_SHARE = 50  # a store that takes long to write is written less often: 2 % of the time


class Service:
    """Sends the tasks of `beat_schedule` when they are due.

    `start` returns at once; the work is done by a thread that owns scheduler, store and lease.

    Attributes:
        scheduler: The entries and their progress.
        leading: Whether we are the beat that sends.
        sent: Tasks sent since the start.
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
            store: Instead of that file.
            leader: Instead of one that suits the broker.
            clock: Another clock, for tests.
            embedded: We are part of a worker.

        Raises:
            ConfigError: An entry or setting makes no sense.
        """
        settings = app.conf.settings
        if settings.beat_scheduler:
            raise ConfigError(
                f"beat_scheduler={settings.beat_scheduler!r}: tq has its own scheduler; remove "
                "the setting"
            )
        self.app = app
        self.clock: Clock = clock or SystemClock()
        self.max_interval = max_interval or settings.beat_max_loop_interval or _MAX_INTERVAL
        self.scope = app.main or ""
        self.scheduler = Scheduler(
            zone_of(settings),
            catchup=settings.beat_catchup,
            starting_deadline=settings.beat_cron_starting_deadline,
        )
        self.leading = False
        self.sent = 0
        self.ticked = 0.0
        self.failure: BaseException | None = None
        app.finalize(auto=True)
        self._table: dict[str, Any] = {}
        self._read_table()
        self._store = store or open_store(schedule_filename or settings.beat_schedule_filename)
        self._leader = leader
        self._embedded = embedded
        self._lease = settings.broker_lease
        self._sync_every = settings.beat_sync_every
        self._wake = threading.Event()
        self._stopping = False
        self._thread: threading.Thread | None = None
        self._unsynced = 0
        self._sync_at = 0.0
        self._sync_failed = False
        self._away = False

    # Starting and stopping.

    def start(self) -> None:
        """Begin to send.

        Raises:
            ConfigError: The store cannot be used.
        """
        if self._thread is not None:
            return
        self._stopping = False
        self._wake.clear()
        if self._leader is None:
            self._leader = choose_leader(self.app.broker, scope=self.scope, lease=self._lease)
        self.scheduler.restore(self._store.load(), self.clock.time())
        signals.beat_init.send(sender=self)
        if self._embedded:
            signals.beat_embedded_init.send(sender=self)
        self._thread = threading.Thread(target=self._run, name="beat", daemon=True)
        self._thread.start()

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
            while not self._stopping:
                wait = self._turn(leader)
                if self._wake.wait(max(wait, _SHORTEST_WAIT)):
                    break
        except BaseException as exc:  # kept for whoever watches the thread
            self.failure = exc
            _log.critical("beat stops: %r", exc, exc_info=True)
        finally:
            self._close(leader)

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
        self._read_table()
        if not self._lead(leader):
            return min(leader.patience(), self.max_interval)
        now = self.clock.time()
        due = self.scheduler.due(now)
        try:
            while due:
                batch = due[:_BATCH]
                if not self._lead(leader):
                    break
                self._send(leader, batch)
                del due[: len(batch)]
        finally:
            for item in due:
                self.scheduler.put_back(item)
        self._sync()
        following = self.scheduler.next_due()
        wait = self.max_interval if following is None else following - self.clock.time()
        return min(wait, leader.patience(), self.max_interval)

    def _lead(self, leader: Leader) -> bool:
        leads = leader.lead()
        if self._away:
            _log.warning("the broker is back")
            self._away = False
        if leads and not self.leading:
            self.scheduler.restore(leader.recall(), self.clock.time())
            leader.note(self.scheduler.progress)
        self.leading = leads
        return leads

    def _read_table(self) -> None:
        """Take over `beat_schedule` if it was changed, in whatever way."""
        settings = self.app.conf.settings
        table, zone = settings.beat_schedule, zone_of(settings)
        if self._table == table and self.scheduler.entries and self.scheduler.zone == zone:
            return
        self.scheduler.zone = zone
        try:
            entries = read_entries(table, self.app)
        except ConfigError as exc:
            if not self.scheduler.entries:
                raise
            if self._table != table:
                _log.error("the changed schedule is wrong, the old one stays: %s", exc)
        else:
            if self.scheduler.entries:
                _log.info("the schedule was changed: %d entries", len(entries))
            self.scheduler.update(entries, self.clock.time())
        self._table = dict(table)

    # Sending.

    def _send(self, leader: Leader, batch: Sequence[Due]) -> None:
        now = self.clock.time()
        answers = leader.send([self._planned(due, now) for due in batch])
        for due, answer in zip(batch, answers, strict=False):
            if answer is True:
                self.sent += 1
                self._unsynced += 1
                self.scheduler.ran(due, now)
                _log.info("sent due task %s (%s)", due.entry.name, due.entry.task)
                continue
            self.scheduler.skip(due)
            if isinstance(answer, Exception):
                _log.error("entry %s (%s) cannot be sent: %s", *_names(due), answer)
            else:
                _log.info("entry %s (%s): its slot was sent before", *_names(due))
        # Those behind a lost connection were not tried.
        for due in batch[len(answers) :]:
            self.scheduler.put_back(due)

    def _planned(self, due: Due, now: float) -> Planned:
        task_id = slot_id(self.scope, due.entry.name, due.slot)

        def send() -> None:
            self._apply(due, task_id)

        def prepare() -> list[Message]:
            with self.app.capture() as messages:
                self._apply(due, task_id)
            return messages

        progress = self.scheduler.after(due, now)
        return Planned(due.entry.name, task_id, progress, send, prepare)

    def _apply(self, due: Due, task_id: str) -> None:
        """Call the task, as registered here or else by its name."""
        entry = due.entry
        args, kwargs = entry.arguments()
        options = {"task_id": task_id, **entry.options}
        options["headers"] = {**(entry.options.get("headers") or {}), "celery_beat_task": True}
        task = self.app.tasks.get(entry.task)
        if task is not None:
            task.apply_async(args, kwargs, **options)
        else:
            self.app.send_task(entry.task, args, kwargs, **options)

    # Remembering.

    def _sync(self, *, now: bool = False) -> None:
        """Write what changed, at most once a second, or after `beat_sync_every` sends."""
        changed = self.scheduler.changed
        if not changed:
            return
        enough = bool(self._sync_every) and self._unsynced >= self._sync_every
        started = time.monotonic()
        if not now and not enough and started < self._sync_at:
            return
        try:
            self._store.save(self.scheduler.progress, changed)
        except OSError as exc:
            if not self._sync_failed:
                _log.error("progress cannot be stored, trying again: %s", exc)
            self._sync_failed = True
        else:
            if self._sync_failed:
                _log.warning("progress is stored again")
            self._sync_failed = False
            changed.clear()
            self._unsynced = 0
        ended = time.monotonic()
        self._sync_at = ended + max(_SYNC_SECONDS, (ended - started) * _SYNC_SHARE)

    def _close(self, leader: Leader) -> None:
        if self.leading:
            self._sync(now=True)
        self._store.close()
        try:
            leader.resign()
        except BrokerError as exc:
            _log.info("the lease could not be given up, it ends by itself: %s", exc)
        self.leading = False


def _names(due: Due) -> tuple[str, str]:
    return due.entry.name, due.entry.task
