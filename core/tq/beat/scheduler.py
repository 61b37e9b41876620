"""Schedulers of the user's own: entries from a database, or anything else that changes.

Subclass `Scheduler`, say where entries come from, and name the class in `beat_scheduler` or with
`tq beat -S module:Class`. Class and hooks are Celery's; what beat promises is added around them:
of several beats one sends, and a slot that was published is not published again.

Source: celery/beat.py, `Scheduler`, `PersistentScheduler`; API.md (schedules and beat).
"""

import copy
import heapq
import itertools
import logging
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from tq.beat.entry import Progress, call_arguments, call_options, schedule_text, slot_id
from tq.beat.lease import Leader, Planned, SingleLeader
from tq.beat.schedule_entry import ScheduleEntry, timestamp_of
from tq.beat.store import Store, open_store
from tq.clock import Clock, SystemClock
from tq.errors import BrokerConnectionError, ConfigError
from tq.wire.envelope import Message

if TYPE_CHECKING:
    from tq import TQ

__all__ = ["PersistentScheduler", "Scheduler"]

_log = logging.getLogger(__name__)

_JUMP = 1.0  # seconds between the clocks that are no jump, but two readings one after the other
_RETRY_SECONDS = 1.0


_Position = tuple[float, int]


class _Sent(NamedTuple):
    """An entry was published at a position; None while it is not reserved."""

    position: _Position
    following: _Position | None


class Scheduler:
    """Knows entries, and sends those that are due. Owned by the beat's thread.

    Subclasses usually override `schedule` (all entries by name, read at each look), `reserve`
    (an entry was sent), `sync` (write what `reserve` noted) and the class of the entries, `Entry`.

    Attributes:
        Entry: The class of the entries.
        max_interval: Longest sleep in seconds: a changed entry or clock is seen within this time.
        sync_every: Seconds between two calls of `sync`.
        sync_every_tasks: Sends after which `sync` is called at once, or 0 for never.
        clock: Tells how long to wait.
        logger: Where sends and failures go.
        app: The application.
        data: The entries of a scheduler that keeps them in memory.
        leader: Publishes; set by beat.
    """

    Entry: type[ScheduleEntry] = ScheduleEntry
    max_interval: float = 5.0
    sync_every: float = 1.0
    sync_every_tasks: int = 0
    clock: Clock = SystemClock()
    logger = _log

    def __init__(
        self,
        app: "TQ",
        schedule: Any = None,
        max_interval: float | None = None,
        Producer: Any = None,
        lazy: bool = False,
        sync_every_tasks: int | None = None,
        **kwargs: Any,
    ) -> None:
        """Set up the entries.

        Args:
            app: The application.
            schedule: Entries by name, or a function that returns them.
            max_interval: Longest sleep; `beat_max_loop_interval` or the class's by default.
            Producer: Taken for subclasses written for Celery; the application publishes.
            lazy: Only to be looked at: `setup_schedule` is not called.
            sync_every_tasks: See the attribute; `beat_sync_every` by default.
            **kwargs: What beat tells its schedulers: `schedule_filename`.
        """
        self.app = app
        self.data: dict[str, Any] = (schedule() if callable(schedule) else schedule) or {}
        settings = app.conf.settings
        self.max_interval = max_interval or settings.beat_max_loop_interval or self.max_interval
        if sync_every_tasks is None:
            sync_every_tasks = settings.beat_sync_every
        self.sync_every_tasks = sync_every_tasks
        self.leader: Leader = SingleLeader()
        self.sent = 0
        self._heap: list[tuple[float, int, Any]] = []
        self._numbers = itertools.count()  # entries have no order
        self._planned: Mapping[str, Any] | None = None
        self._offset = 0.0
        self._history: dict[str, _Sent] = {}
        self._task_id: str | None = None
        self._synced_at = self.clock.monotonic()
        self._tasks_since_sync = 0
        if not lazy:
            self.setup_schedule()

    # Entries.

    def setup_schedule(self) -> None:
        """Fill `schedule` at the start: with `beat_schedule`."""
        self.install_default_entries(self.data)
        self.merge_inplace(self.app.conf.settings.beat_schedule)

    def install_default_entries(self, data: Mapping[str, Any]) -> None:
        """Add the entries that beat itself needs.

        None: results end by themselves on all backends of tq. For subclasses that add some.
        """

    def get_schedule(self) -> Any:
        """Return the entries by name."""
        return self.data

    def set_schedule(self, schedule: Any) -> None:
        """Replace the entries."""
        self.data = schedule

    @property
    def schedule(self) -> Any:
        """The entries by name; asked for at each look."""
        return self.get_schedule()

    @schedule.setter
    def schedule(self, schedule: Any) -> None:
        self.set_schedule(schedule)

    def add(self, **kwargs: Any) -> ScheduleEntry:
        """Add an entry made of its fields, and return it."""
        entry = self.Entry(app=self.app, **kwargs)
        self.schedule[entry.name] = entry
        return entry

    def update_from_dict(self, dict_: Mapping[str, Any]) -> None:
        """Add or replace entries, given as in `beat_schedule`."""
        self.schedule.update({name: self._entry_of(name, given) for name, given in dict_.items()})

    def merge_inplace(self, b: Mapping[str, Any]) -> None:
        """Make the entries those of `b`; entries that are there keep how far they have come."""
        schedule = self.schedule
        for name in set(schedule) - set(b):
            del schedule[name]
        for name, given in b.items():
            entry = self._entry_of(name, given)
            if name in schedule:
                schedule[name].update(entry)
            else:
                schedule[name] = entry

    def _entry_of(self, name: str, given: Any) -> Any:
        if isinstance(given, ScheduleEntry):
            given.app = self.app
            return given
        if not isinstance(given, Mapping) or not given.get("task"):
            raise ConfigError(f"beat_schedule[{name!r}] must be a dictionary with a task")
        fields = {**given, "task": getattr(given["task"], "name", given["task"])}
        try:
            return self.Entry(**{**fields, "name": name, "app": self.app})
        except (ConfigError, TypeError) as exc:
            raise ConfigError(f"beat_schedule[{name!r}]: {exc}") from exc

    def restore(self, progress: Mapping[str, Progress]) -> None:
        """Take over how far entries in memory have come, where that is further.

        Args:
            progress: By entry; what lies in the future is left out: the clock was set back.
        """
        now = self.clock.time()
        for name, known in progress.items():
            entry = self.data.get(name)
            at = known.slot if known.last_run_at is None else known.last_run_at
            if entry is None or at > now:
                continue
            if entry.total_run_count == 0 or timestamp_of(entry.last_run_at) < at:
                entry.last_run_at = datetime.fromtimestamp(at, UTC)
                entry.total_run_count = known.total_run_count
        self._planned = None

    # Looking.

    def tick(self) -> float:
        """Send the entry that is due first; return the seconds until the next look, 0 for at once.

        Raises:
            BrokerConnectionError: It could not be sent, and stays due.
        """
        if self._is_outdated():
            self.populate_heap()
        now = self.clock.monotonic()
        if not self._heap or self._heap[0][0] > now:
            return self._until_first(now)
        entry = heapq.heappop(self._heap)[2]
        is_due, wait = self._ask(entry)
        if not is_due:
            self._push(entry, wait)
            return self._until_first(now)
        try:
            self._push(self._run(entry), wait)
        except BrokerConnectionError:
            self._push(entry, 0.0)
            raise
        except Exception:  # the boundary: a subclass's database may be away, for this entry only
            self.logger.exception("entry %s is tried again", entry.name)
            self._push(entry, _RETRY_SECONDS)
        return 0.0

    def _until_first(self, now: float) -> float:
        if not self._heap:
            return self.max_interval
        return min(max(0.0, self._heap[0][0] - now), self.max_interval)

    def _is_outdated(self) -> bool:
        """Tell whether entries have changed, or the clock was set: all must be asked again."""
        offset = self.clock.time() - self.clock.monotonic()
        was_set = abs(offset - self._offset) > _JUMP
        return was_set or not self.schedules_equal(self._planned, self.schedule)

    def populate_heap(self) -> None:
        """Ask all entries when they are due."""
        schedule = self.schedule
        self._planned = copy.copy(schedule)
        self._offset = self.clock.time() - self.clock.monotonic()
        self._heap = []
        self._history = {name: sent for name, sent in self._history.items() if name in schedule}
        for entry in schedule.values():
            is_due, wait = self._ask(entry, of_heap=True)
            self._push(entry, 0.0 if is_due else wait)

    def _push(self, entry: Any, wait: float) -> None:
        at = self.clock.monotonic() + max(0.0, wait)
        heapq.heappush(self._heap, (at, next(self._numbers), entry))

    def _ask(self, entry: Any, *, of_heap: bool = False) -> tuple[bool, float]:
        try:
            is_due, wait = entry.is_due() if of_heap else self.is_due(entry)
        except Exception:  # one entry that raises must not keep the others from their turn
            self.logger.exception("entry %s cannot tell when it is due", entry.name)
            return False, self.max_interval
        return is_due, self.max_interval if wait is None else float(wait)

    def is_due(self, entry: Any) -> tuple[bool, float]:
        """Ask an entry; see `ScheduleEntry.is_due`."""
        answer: tuple[bool, float] = entry.is_due()
        return answer

    def schedules_equal(self, old_schedules: Any, new_schedules: Any) -> bool:
        """Tell whether two sets of entries stand for the same calls at the same times."""
        if old_schedules is None or new_schedules is None:
            return old_schedules is new_schedules
        return dict(old_schedules) == dict(new_schedules)

    # Sending.

    def _run(self, entry: Any) -> Any:
        """Publish a due entry once, and return what follows it.

        Celery reserves first, and so loses what cannot be published. Here reserving follows, and
        when it fails it alone is tried again.
        """
        position = _position(entry)
        before = self._history.get(entry.name)
        if before is None or before.position != position:
            self._task_id = slot_id(self.app.main or "", entry.name, position[0])
        elif before.following == position:
            # It does not move on when it is reserved: it has no slots, and is sent each time.
            self._task_id = str(uuid.uuid4())
        # Else it was published: it was not reserved, or was read again from before that.
        if self._task_id is not None:
            try:
                self.apply_entry(entry, producer=self.producer)
            finally:
                self._task_id = None
            self._history[entry.name] = _Sent(position, None)
        following = self.reserve(entry)
        self._history[entry.name] = _Sent(position, _position(following))
        return following

    def reserve(self, entry: Any) -> Any:
        """Note that an entry was sent, and return it as it is from now on."""
        following = self.schedule[entry.name] = next(entry)
        return following

    def apply_entry(self, entry: Any, producer: Any = None) -> None:
        """Send an entry, through the leader: not if another beat leads, nor a slot twice.

        Raises:
            BrokerConnectionError: It was not sent; all other failures are logged.
        """
        task_id = self._task_id or str(uuid.uuid4())
        self._task_id = task_id

        def send() -> Any:
            return self.apply_async(entry, producer=producer, advance=False)

        def prepare() -> list[Message]:
            with self.app.capture() as messages:
                send()
            return messages

        progress = Progress(
            slot=timestamp_of(entry.last_run_at),
            last_run_at=self.clock.time(),
            total_run_count=entry.total_run_count + 1,
            schedule=schedule_text(entry.schedule),
        )
        (answer,) = self.leader.send([Planned(entry.name, task_id, progress, send, prepare)])
        if answer is True:
            self.sent += 1
            self.logger.info("sent due task %s (%s)", entry.name, entry.task)
        elif answer is False:
            self.logger.info("entry %s (%s): its slot was sent before", entry.name, entry.task)
        else:
            self.logger.error("entry %s (%s) cannot be sent: %s", entry.name, entry.task, answer)

    def apply_async(
        self, entry: Any, producer: Any = None, advance: bool = True, **kwargs: Any
    ) -> Any:
        """Call an entry's task, as registered here or else by its name.

        Args:
            entry: What to call.
            producer: Taken for subclasses written for Celery.
            advance: Reserve the entry first.
            **kwargs: More options of the call.

        Returns:
            The `AsyncResult`.
        """
        current = self.reserve(entry) if advance else entry
        given_args, given_kwargs = call_arguments(current.args or (), current.kwargs or {})
        options = call_options(
            {**(current.options or {}), **kwargs}, self._task_id or str(uuid.uuid4())
        )
        self._tasks_since_sync += 1
        task = self.app.tasks.get(current.task)
        if task is not None:
            return task.apply_async(given_args, given_kwargs, **options)
        return self.send_task(current.task, given_args, given_kwargs, **options)

    def send_task(self, *args: Any, **kwargs: Any) -> Any:
        """Send a task that is not registered here; see `TQ.send_task`."""
        return self.app.send_task(*args, **kwargs)

    @property
    def producer(self) -> None:
        """What Celery's schedulers hand on to `apply_entry`: here the application publishes."""
        return

    # Remembering.

    def should_sync(self) -> bool:
        """Tell whether `sync` is to be called now."""
        if self.sync_every_tasks and self._tasks_since_sync >= self.sync_every_tasks:
            return True
        return self.clock.monotonic() - self._synced_at > self.sync_every

    def sync(self) -> None:
        """Write what is to be kept: nothing, for entries in memory."""

    def synchronize(self) -> None:
        """Call `sync`, and begin to count anew, even if it fails."""
        try:
            self.sync()
        finally:
            self._synced_at = self.clock.monotonic()
            self._tasks_since_sync = 0

    def close(self) -> None:
        """Write what is to be kept; subclasses release their storage."""
        self.sync()

    @property
    def info(self) -> str:
        """A line for the log at the start."""
        return ""


class PersistentScheduler(Scheduler):
    """Keeps in a file how far the entries of `beat_schedule` have come.

    To subclass: the setting's default is tq's own scheduler, which does this and knows slots.
    The file is one that it reads too.
    """

    def __init__(
        self, app: "TQ", *args: Any, schedule_filename: str | None = None, **kwargs: Any
    ) -> None:
        """Name the file; `beat_schedule_filename` by default. See `Scheduler`."""
        self.schedule_filename = schedule_filename or app.conf.settings.beat_schedule_filename
        self._store: Store | None = None
        self._kept: dict[str, Progress] = {}
        super().__init__(app, *args, **kwargs)

    def setup_schedule(self) -> None:
        """Fill `schedule` with `beat_schedule`, and read the file."""
        super().setup_schedule()
        self._store = open_store(self.schedule_filename)
        self._kept = self._store.load()
        self.restore(self._kept)

    def sync(self) -> None:
        """Write the file, if anything changed.

        Raises:
            OSError: It cannot be written; what was kept before is still there.
        """
        if self._store is None:
            return
        progress = {name: _progress_of(entry) for name, entry in self.schedule.items()}
        changed = {
            name
            for name in progress.keys() | self._kept.keys()
            if progress.get(name) != self._kept.get(name)
        }
        if changed:
            self._store.save(progress, changed)
            self._kept = progress

    def close(self) -> None:
        """Write and release the file."""
        super().close()
        if self._store is not None:
            self._store.close()

    @property
    def info(self) -> str:
        """Name the file."""
        return f"    . db -> {self.schedule_filename}"


def _position(entry: Any) -> _Position:
    return timestamp_of(entry.last_run_at), entry.total_run_count


def _progress_of(entry: Any) -> Progress:
    at = timestamp_of(entry.last_run_at)
    return Progress(
        slot=at,
        last_run_at=at if entry.total_run_count else None,
        total_run_count=entry.total_run_count,
        schedule=schedule_text(entry.schedule),
    )
