"""One look at tq's own schedule: read the entries, send what is due, remember it.

Source: celery/beat.py, `Scheduler.tick`; DESIGN 3 (periodic tasks).
"""

import logging
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from tq.app.sending import zone_of
from tq.beat.entry import call_options, read_entries, slot_id
from tq.beat.lease import Leader, Planned
from tq.beat.slots import Due, SlotHeap
from tq.beat.store import Store
from tq.clock import Clock
from tq.errors import ConfigError
from tq.wire.envelope import Message

if TYPE_CHECKING:
    from tq import TQ

__all__ = ["BATCH", "Rounds", "SlotRounds"]

_log = logging.getLogger(__name__)

BATCH = 100
"""Calls after which the lease is looked at again."""

_SYNC_SECONDS = 1.0
_SYNC_SHARE = 50  # a store that takes long to write is written less often: 2 % of the time


class Rounds(Protocol):
    """What a beat does at each look. Owned by the beat's thread.

    Attributes:
        scheduler: The entries: tq's own `SlotHeap`, or the user's `Scheduler`.
    """

    scheduler: Any

    @property
    def sent(self) -> int:
        """Tasks sent since the start."""
        ...

    def open(self) -> None:
        """Read what was kept.

        Raises:
            ConfigError: Entries, store or scheduler cannot be used.
        """
        ...

    def lead(self, leader: Leader) -> None:
        """Take over from the leader before us."""
        ...

    def watch(self) -> None:
        """See to changes, whether we lead or not; called before each look."""
        ...

    def look(self, leader: Leader, lead: Callable[[], bool]) -> float:
        """Send what is due, and return the seconds until the next look.

        Args:
            leader: Publishes.
            lead: Extends the lease; False when another beat leads now.

        Raises:
            BrokerConnectionError: Nothing can be sent; what was due stays due.
        """
        ...

    def close(self, leading: bool) -> None:
        """Write what is to be kept, if we lead, and release it."""
        ...


class SlotRounds:
    """Sends the slots of `beat_schedule`."""

    def __init__(
        self, app: "TQ", *, scope: str, store: Store, max_interval: float, clock: Clock
    ) -> None:
        """Check the entries; the store is not read yet.

        Args:
            app: The application.
            scope: Of the slots' ids.
            store: Where progress rests.
            max_interval: Longest sleep in seconds.
            clock: Tells what is due.

        Raises:
            ConfigError: An entry makes no sense.
        """
        settings = app.conf.settings
        self._sent = 0
        self.scheduler = SlotHeap(
            zone_of(settings),
            catchup=settings.beat_catchup,
            starting_deadline=settings.beat_cron_starting_deadline,
        )
        self._app = app
        self._scope = scope
        self._clock = clock
        self._store = store
        self._max_interval = max_interval
        self._sync_every = settings.beat_sync_every
        self._unsynced = 0
        self._sync_at = 0.0
        self._sync_failed = False
        self._table: dict[str, Any] = {}
        self.watch()

    @property
    def sent(self) -> int:
        """Tasks sent since the start."""
        return self._sent

    def open(self) -> None:
        """Read the store."""
        self.scheduler.restore(self._store.load(), self._clock.time())

    def lead(self, leader: Leader) -> None:
        """Take over the progress that leaders share."""
        self.scheduler.restore(leader.recall(), self._clock.time())
        leader.note(self.scheduler.progress)

    def watch(self) -> None:
        """Take over `beat_schedule` if it was changed, in whatever way."""
        settings = self._app.conf.settings
        table, zone = settings.beat_schedule, zone_of(settings)
        if self._table == table and self.scheduler.entries and self.scheduler.zone == zone:
            return
        self.scheduler.zone = zone
        try:
            entries = read_entries(table, self._app)
        except ConfigError as exc:
            if not self.scheduler.entries:
                raise
            if self._table != table:
                _log.error("the changed schedule is wrong, the old one stays: %s", exc)
        else:
            if self.scheduler.entries:
                _log.info("the schedule was changed: %d entries", len(entries))
            self.scheduler.update(entries, self._clock.time())
        self._table = dict(table)

    def look(self, leader: Leader, lead: Callable[[], bool]) -> float:
        """Send the slots that have come; see `Rounds.look`."""
        due = self.scheduler.due(self._clock.time())
        try:
            while due and lead():
                batch = due[:BATCH]
                self._send(leader, batch)
                del due[: len(batch)]
        finally:
            for item in due:
                self.scheduler.put_back(item)
        self._sync()
        following = self.scheduler.next_due()
        return self._max_interval if following is None else following - self._clock.time()

    def close(self, leading: bool) -> None:
        """Write the store."""
        if leading:
            self._sync(now=True)
        self._store.close()

    # Sending.

    def _send(self, leader: Leader, batch: Sequence[Due]) -> None:
        now = self._clock.time()
        answers = leader.send([self._planned(due, now) for due in batch])
        for due, answer in zip(batch, answers, strict=False):
            if answer is True:
                self._sent += 1
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
        task_id = slot_id(self._scope, due.entry.name, due.slot)

        def send() -> None:
            self._apply(due, task_id)

        def prepare() -> list[Message]:
            with self._app.capture() as messages:
                self._apply(due, task_id)
            return messages

        progress = self.scheduler.after(due, now)
        return Planned(due.entry.name, task_id, progress, send, prepare)

    def _apply(self, due: Due, task_id: str) -> None:
        """Call the task, as registered here or else by its name."""
        entry = due.entry
        args, kwargs = entry.arguments()
        options = call_options(entry.options, task_id)
        task = self._app.tasks.get(entry.task)
        if task is not None:
            task.apply_async(args, kwargs, **options)
        else:
            self._app.send_task(entry.task, args, kwargs, **options)

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


def _names(due: Due) -> tuple[str, str]:
    return due.entry.name, due.entry.task
