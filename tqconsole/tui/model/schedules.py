"""The rows of the Schedules screen: periodic tasks, and single ones that wait for their time."""

from collections.abc import Callable, Iterable, Sequence
from time import localtime

from tq.monitor import ClusterState, TaskInfo
from tqconsole.tui.model.columns import Column
from tqconsole.tui.model.facts import LinkState
from tqconsole.tui.model.format import UNKNOWN, Cell, Glyphs, age, clock, count, state_style
from tqconsole.tui.model.masking import masked
from tqconsole.tui.model.rows import Rows
from tqconsole.tui.model.schedule_book import BeatEntry, Planned, ScheduleBook, moment_of
from tqconsole.tui.model.task_columns import short_id

__all__ = [
    "TimedTasks",
    "beat_text",
    "entry_rows",
    "no_entry_hints",
    "no_planned_hints",
    "planned_rows",
    "planned_tasks",
]

LATE = 10.0  # seconds after which something due is said to be late
_WAITING = frozenset({"PENDING", "RECEIVED", "RETRY"})

Now = Callable[[], float]
Times = Callable[[], str]


class TimedTasks:
    """The tasks of the events that wait for their time, and the newest task of each name.

    Owned by the event loop; kept up to date by what changes.
    """

    def __init__(self) -> None:
        """Start empty."""
        self.waiting: dict[str, TaskInfo] = {}
        self.newest: dict[str, TaskInfo] = {}
        self._version = -1

    def update(self, state: ClusterState, names: frozenset[str]) -> None:
        """Take in what changed; `names` are those whose newest task is wanted."""
        changed: Iterable[TaskInfo] | None = None
        if self._version >= 0:
            changed = state.changes(self._version)
        self._version = state.version
        if changed is None:
            self.waiting.clear()
            changed = state.tasks.values()
        for task in changed:
            if task.state in _WAITING and (task.eta or task.state == "RETRY"):
                self.waiting[task.uuid] = task
            else:
                self.waiting.pop(task.uuid, None)
            if task.name in names:
                before = self.newest.get(task.name or "")
                if before is None or _begun(task) >= _begun(before):
                    self.newest[task.name or ""] = task
        if len(self.waiting) > len(state.tasks):
            self.waiting = {k: v for k, v in self.waiting.items() if k in state.tasks}


def _begun(task: TaskInfo) -> float:
    return task.sent or task.received or task.started or 0.0


def planned_tasks(book: ScheduleBook, timed: TimedTasks, state: ClusterState) -> list[Planned]:
    """Join what events, workers and broker told, the next due first.

    What began or ended since the last look is left out, whoever said that it waits.
    """
    found: dict[str, Planned] = {}
    for task in timed.waiting.values():
        found[task.uuid] = Planned(
            id=task.uuid,
            name=task.name or "",
            due=moment_of(task.eta),
            holder=task.worker or UNKNOWN,
            queue=task.queue or "",
            args=task.args or "",
            kwargs=task.kwargs or "",
            why="retry" if task.state == "RETRY" or task.retries else "eta",
        )
    for item in book.planned:
        known = state.tasks.get(item.id)
        if known is None or known.state in _WAITING:
            found[item.id] = item
    return sorted(
        found.values(), key=lambda item: (item.due is None, item.due or 0.0, item.name, item.id)
    )


def _when(moment: float | None, now: float, times: str, symbols: Glyphs) -> Cell:
    """Show when something is due: how long until then, or the time of day."""
    if moment is None:
        return Cell(UNKNOWN, "muted")
    if now - moment > LATE:
        return Cell(f"LATE {age(now - moment)}", "error")
    if times != "age":
        shift = localtime(moment).tm_gmtoff if times == "local" else 0
        return Cell(clock(moment, shift), "accent")
    left = moment - now
    return Cell(f"in {age(left)}" if left > 0.5 else "now", "started" if left < 60 else "accent")


def entry_rows(
    symbols: Glyphs,
    now: Now,
    times: Times,
    newest: Callable[[str], TaskInfo | None],
    led: Callable[[], bool],
) -> Rows[BeatEntry]:
    """Make the list of periodic tasks.

    Args:
        symbols: The glyphs in use.
        now: Tells the wall time.
        times: How moments are shown: `age`, `local` or `utc`.
        newest: Returns the newest task of a name.
        led: Whether a beat is known to send them; without one their times are estimates.
    """

    def due(entry: BeatEntry) -> Cell:
        if entry.next_due is None:
            return Cell("never", "muted")
        cell = _when(entry.next_due, now(), times(), symbols)
        return cell if led() else Cell(f"~{cell.text}", "muted")

    def last(entry: BeatEntry) -> Cell:
        if entry.last_run_at is not None:
            return Cell(f"{age(now() - entry.last_run_at)} ago", "muted")
        task = newest(entry.task)
        if task is None:
            return Cell("never", "muted")
        # a Celery beat tells nothing, but what it sends can be seen
        return Cell(f"seen {age(now() - _begun(task))}", "muted")

    def outcome(entry: BeatEntry) -> Cell:
        task = newest(entry.task)
        # one seen before the last run tells nothing about it; clocks may differ a little
        if task is None or _begun(task) < (entry.last_run_at or 0.0) - 2.0:
            return Cell("-", "muted")
        state = "SENT" if task.state == "PENDING" else task.state
        return Cell(f"{symbols.state(state)} {state}", state_style(state))

    return Rows(
        [
            Column("name", "ENTRY", lambda entry: Cell(entry.name, "name"), 14, 40, rank=0),
            Column("schedule", "SCHEDULE", lambda entry: Cell(entry.schedule), 16, 40, rank=2),
            Column("due", "NEXT", due, 11, rank=1, right=True),
            Column("last", "LAST", last, 11, rank=3, right=True),
            Column("outcome", "OUTCOME", outcome, 10, rank=4),
            Column("runs", "RUNS", lambda entry: Cell(count(entry.runs)), 7, rank=6, right=True),
            Column("task", "TASK", lambda entry: Cell(entry.task, "muted"), 12, 50, rank=5),
        ],
        lambda entry: entry.name,
        symbols,
        title="periodic",
    )


def planned_rows(symbols: Glyphs, now: Now, times: Times) -> Rows[Planned]:
    """Make the list of tasks that wait for their time."""

    def name(item: Planned) -> Cell:
        return Cell(item.name, "name") if item.name else Cell(UNKNOWN, "muted")

    def why(item: Planned) -> Cell:
        if item.why == "retry":
            return Cell(f"{symbols.retry} retry", "retry")
        return Cell(f"{symbols.waiting} eta", "muted")

    def arguments(item: Planned) -> Cell:
        kwargs = "" if item.kwargs in ("", "{}") else f" {masked(item.kwargs)}"
        return Cell(f"  {masked(item.args)}{kwargs}", "muted")

    return Rows(
        [
            Column("name", "NAME", name, 14, 50, rank=0),
            Column("due", "DUE", lambda i: _when(i.due, now(), times(), symbols), 11, rank=1,
                   right=True),
            Column("why", "WHY", why, 7, rank=3),
            Column("id", "ID", lambda item: Cell(short_id(item.id), "muted"), 8, rank=4),
            Column("holder", "HELD BY", lambda item: Cell(item.holder), 10, 30, rank=2),
            Column("queue", "QUEUE", lambda item: Cell(item.queue, "muted"), 7, 20, rank=5),
            Column("args", "  ARGS", arguments, 12, 60, rank=9, extra=True),
        ],
        lambda item: item.id,
        symbols,
        title="waiting",
    )  # fmt: skip


def beat_text(book: ScheduleBook, now: float, is_celerys: bool = False) -> Cell:
    """Say who sends the periodic tasks; `is_celerys` when all workers are Celery's."""
    if not book.as_of:
        return Cell("asking", "muted")
    if book.entries_error is not None:
        return Cell(f"beat_schedule cannot be read: {book.entries_error}", "error")
    if not book.entries:
        return Cell("no periodic tasks known", "muted")
    late = sum(entry.next_due is not None and now - entry.next_due > LATE for entry in book.entries)
    if book.leader is None and is_celerys:
        return Cell("no tq beat runs; a Celery beat tells nobody of itself", "warning")
    if book.leader is None:
        return Cell("NO tq BEAT RUNS: nothing is sent, unless by a Celery beat", "error")
    if late:
        who = f"beat {book.leader}" if book.leader else "beat"
        return Cell(f"{who} is LATE with {late} of {len(book.entries)}", "error")
    if book.leader == "":
        return Cell("from beat's file; whether a beat runs is not known", "warning")
    return Cell(f"sent by {book.leader}", "success")


def no_entry_hints(book: ScheduleBook, link: LinkState) -> Sequence[Sequence[Cell]]:
    """Return what to say while no periodic task is known."""
    if not book.as_of:
        return [[Cell(" asking" if link.connected else " not connected", "muted")]]
    if book.entries_error is not None:
        return [[Cell(f" {book.entries_error}", "error")]]
    return [
        [Cell(" none: the application this console knows has no beat_schedule", "muted")],
        [Cell(" entries live in the application: start with ", "muted"),
         Cell("-A yourapp", "key"), Cell(" or ", "muted"), Cell("--config MODULE", "key")],
        [Cell(" a running beat tells nobody its entries; Celery's neither", "muted")],
    ]  # fmt: skip


def no_planned_hints(
    book: ScheduleBook, state: ClusterState, link: LinkState
) -> Sequence[Sequence[Cell]]:
    """Return what to say while no task waits for its time."""
    if not book.as_of:
        return [[Cell(" asking" if link.connected else " not connected", "muted")]]
    asked = f"{count(len(book.answered))} workers answered"
    broker = "the broker cannot tell" if book.parked is None else "the broker holds none"
    lines = [
        [Cell(" nothing waits for its time", "muted")],
        [Cell(f" {asked}, {broker}", "muted")],
    ]
    if book.planned_error is not None:
        lines.append([Cell(f" {book.planned_error}", "error")])
    elif not book.answered:
        lines.append([Cell(" no worker answered: Celery's workers hold such tasks", "warning")])
    return lines
