"""The columns of queues, and what is told of one queue."""

from collections.abc import Callable, Sequence

from tq.monitor import ClusterState, WaitingTask
from tqconsole.tui.model.chart import sparkline
from tqconsole.tui.model.columns import Column
from tqconsole.tui.model.detail import heading, labelled
from tqconsole.tui.model.facts import QueueFacts
from tqconsole.tui.model.format import (
    UNKNOWN,
    Cell,
    Glyphs,
    age,
    clip,
    count,
    fit,
    rate,
    size,
)
from tqconsole.tui.model.insight import Insight
from tqconsole.tui.model.masking import masked
from tqconsole.tui.model.queue_trends import Oldest
from tqconsole.tui.model.rows import Rows

__all__ = [
    "QueueCells",
    "message_lines",
    "queue_columns",
    "queue_lines",
    "queue_rows",
    "sorted_queues",
]

UNTOLD = "-"
_TREND = 8
_STALE = 6.0  # seconds, three times the interval of counting, after which a figure is dimmed
_NEVER = 864000.0  # seconds beyond which a queue that empties that slowly does not
_STEADY = 0.05  # changes per second that are none

Columns = dict[str, Column[QueueFacts]]


class QueueCells:
    """Makes the cells of queues; what cannot be told is `-`, what is not known yet is `?`."""

    def __init__(
        self, symbols: Glyphs, insight: Insight, state: ClusterState, now: Callable[[], float]
    ) -> None:
        """Look at trends and tasks at the time that `now` tells."""
        self._symbols = symbols
        self._insight = insight
        self._state = state
        self._now = now

    def ready(self, queue: QueueFacts) -> Cell:
        """Show what waits; an old figure is dimmed."""
        if queue.ready is None:
            return Cell(UNKNOWN, "muted")
        old = self._now() - queue.as_of > _STALE
        return Cell(count(queue.ready), "muted" if old or not queue.ready else "bold")

    def number(self, name: str, style: str = "") -> Callable[[QueueFacts], Cell]:
        """Make what shows a figure that not every broker tells."""

        def cell(queue: QueueFacts) -> Cell:
            value = getattr(queue, name)
            if value is None:
                return Cell(UNTOLD, "muted")
            return Cell(count(value), style if value else "muted")

        return cell

    def flow(self, way: str) -> Callable[[QueueFacts], Cell]:
        """Make what shows `inflow` or `outflow`."""

        def cell(queue: QueueFacts) -> Cell:
            value = getattr(self._insight.trend(queue.name), way)()
            if value is None:
                return Cell(UNTOLD, "muted")
            return Cell(rate(value), "" if value >= _STEADY else "muted")

        return cell

    def oldest(self, queue: QueueFacts) -> Cell:
        """Show the age of the oldest message, and whether that is certain."""
        found = self._insight.trends.oldest(queue, self._state)
        if found is None:
            return Cell(UNTOLD, "muted")
        return Cell(f"{found.mark}{age(self._now() - found.since)}", "muted" if found.mark else "")

    def growth(self, queue: QueueFacts) -> Cell:
        """Show how fast it grows or shrinks."""
        value = self._insight.trend(queue.name).growth()
        if value is None:
            return Cell(UNKNOWN, "muted")
        if abs(value) < _STEADY:
            return Cell("0", "muted")
        sign, style = ("+", "warning") if value > 0 else ("-", "")
        return Cell(f"{sign}{rate(abs(value))}", style)

    def end(self, queue: QueueFacts) -> Cell:
        """Show when it will be empty, or why it will not be."""
        value = self._insight.trend(queue.name).growth()
        if queue.held and not queue.consumers:
            return Cell("HELD", "warning-bold")
        if queue.consumers == 0 and queue.ready:
            return Cell("NO WORKER", "error")
        if not queue.ready or value is None or abs(value) < _STEADY:
            return Cell(UNTOLD, "muted")
        left = queue.ready / -value if value < 0 else _NEVER
        return Cell("grows", "warning") if left >= _NEVER else Cell(age(left))

    def workers(self, queue: QueueFacts) -> Cell:
        """Show how many workers take from it."""
        if queue.consumers is None:
            return Cell(UNKNOWN, "muted")
        return Cell(str(queue.consumers), "" if queue.consumers else "error")

    def trend(self, queue: QueueFacts) -> Cell:
        """Show the course of what waits."""
        series = self._insight.trend(queue.name).series(_TREND)
        return Cell(sparkline(series, self._symbols), "accent")


def queue_columns(cells: QueueCells) -> Columns:
    """Make the columns that lists of queues choose from, by name."""
    columns: tuple[Column[QueueFacts], ...] = (
        Column("name", "NAME", lambda queue: Cell(queue.name, "name"), 12, 60, rank=0),
        Column("ready", "READY", cells.ready, 8, rank=1, right=True),
        Column("unacked", "UNACK", cells.number("unacked"), 6, rank=5, right=True),
        Column("parked", "PARKED", cells.number("parked"), 6, rank=6, right=True),
        Column("dead", "DEAD", cells.number("dead", "error"), 5, rank=4, right=True),
        Column("oldest", "OLDEST", cells.oldest, 7, rank=3, right=True),
        Column("in", "IN/S", cells.flow("inflow"), 5, rank=3, right=True),
        Column("out", "OUT/S", cells.flow("outflow"), 5, rank=3, right=True),
        Column("growth", "CHANGE/S", cells.growth, 8, rank=2, right=True),
        Column("eta", "EMPTY IN", cells.end, 9, rank=2, right=True),
        Column("workers", "WORKERS", cells.workers, 7, rank=4, right=True),
        Column("trend", "TREND", cells.trend, _TREND, rank=7),
    )
    return {column.name: column for column in columns}


def queue_rows(
    symbols: Glyphs, columns: Columns, names: Sequence[str], title: str = ""
) -> Rows[QueueFacts]:
    """Make a list of queues with the columns of these names."""
    return Rows([columns[name] for name in names], lambda q: q.name, symbols, title=title)


def sorted_queues(
    queues: Sequence[QueueFacts],
    name: str,
    reverse: bool,
    insight: Insight,
    state: ClusterState,
    now: float,
) -> list[QueueFacts]:
    """Sort queues by name, or by a figure, the most first."""

    def waited(queue: QueueFacts) -> float:
        found = insight.trends.oldest(queue, state)
        return 0.0 if found is None else now - found.since

    keys: dict[str, Callable[[QueueFacts], float]] = {
        "ready": lambda queue: queue.ready or 0,
        "oldest": waited,
        "growth": lambda queue: insight.trend(queue.name).growth() or 0.0,
        "unacked": lambda queue: queue.unacked or 0,
        "dead": lambda queue: queue.dead or 0,
        "workers": lambda queue: -(queue.consumers or 0),
    }
    key = keys.get(name)
    found = sorted(queues, key=lambda q: (-key(q), q.name) if key else (0.0, q.name))
    return found[::-1] if reverse else found


def queue_lines(
    queue: QueueFacts,
    insight: Insight,
    state: ClusterState,
    now: float,
    width: int,
    symbols: Glyphs,
) -> list[list[Cell]]:
    """Tell what is known of a queue, and from where."""
    trend = insight.trend(queue.name)
    steps = "   ".join(f"priority {step}: {count(number)}" for step, number in queue.priorities)
    waiting = count(queue.ready)
    if len(queue.priorities) > 1:
        waiting += f"   {steps}"
    out = (
        ("unacked", queue.unacked, "handed to workers and not acknowledged"),
        ("parked", queue.parked, "wait for their time (countdown, eta, retry)"),
        ("dead", queue.dead, "dead letters: tq dead list"),
    )
    pairs: list[tuple[str, str]] = [("ready", f"{waiting}   counted {age(now - queue.as_of)} ago")]
    for label, number, what in out:
        told = number is not None
        pairs.append((label, f"{count(number)}   {what}" if told else _WHY_UNTOLD[label]))
    pairs.append(("oldest", _oldest_text(insight.trends.oldest(queue, state), queue, now)))
    came, went, grew = trend.inflow(), trend.outflow(), trend.growth()
    if went is None:
        pairs.append(("flow", _WHY_NO_FLOW))
    else:
        pairs.append(("flow", f"{rate(came)}/s in, {rate(went)}/s out, over the last minute"))
    if grew is not None and abs(grew) >= _STEADY:
        left = f"; empty in {age(queue.ready / -grew)}" if grew < 0 and queue.ready else ""
        verb = "grows" if grew > 0 else "shrinks"
        pairs.append(("course", f"{verb} {rate(abs(grew))}/s{left}"))
    pairs.append(("workers", "  ".join(queue.workers) or "NO WORKER takes from it"))
    if queue.held:
        pairs.append(("held", f"{'  '.join(queue.held)}   told to take no more; H resumes"))
    lines = [heading(queue.name, width, symbols)]
    for label, text in pairs:
        warn = label == "held" or (label == "workers" and not queue.workers)
        lines.extend(labelled(label, text, width, "warning" if warn else ""))
    return lines


_WHY_UNTOLD = {
    "unacked": "- : this broker does not tell, or too many to look at",
    "parked": "- : this broker does not tell, or too many to look at",
    "dead": "- : this broker does not tell, or too many to look at",
}
_WHY_NO_FLOW = (
    "- : no event told a queue. Senders tell with task_send_sent_event; "
    "else workers must take from one queue only"
)


def _oldest_text(oldest: Oldest | None, queue: QueueFacts, now: float) -> str:
    if oldest is None:
        return "nothing waits" if not queue.ready else "- : neither broker nor events tell"
    spent = age(now - oldest.since)
    how = {
        "": "by its task-sent event",
        ">": "at least: it waited when this console first saw it",
        "~": "estimated from what came and what was taken",
    }
    return f"{oldest.mark}{spent}   {how[oldest.mark]}"


def message_lines(
    found: Sequence[WaitingTask] | str | None, width: int, symbols: Glyphs
) -> list[list[Cell]]:
    """Show the messages that come next, one a line; a text says why there are none."""
    if found is None:
        return [[Cell(" looking", "muted")]]
    if isinstance(found, str):
        return [[Cell(clip(f" {found}", width, symbols.ellipsis), "warning")]]
    if not found:
        return [[Cell(" none", "muted")]]
    longest = min(40, max(len(task.name or "?") for task in found))
    lines = []
    for task in found:
        name = fit(task.name or "?", longest, ellipsis=symbols.ellipsis)
        extra = f" {masked(task.kwargs)}" if task.kwargs not in ("", "{}") else ""
        notes = [f"try {task.retries + 1}"] if task.retries else []
        notes += [f"eta {task.eta}"] if task.eta else []
        notes += ["redelivered"] if task.redelivered else []
        notes += [f"not readable: {task.reason}"] if task.reason else []
        note = f"  {'  '.join(notes)}" if notes else ""
        room = max(4, width - longest - 21 - len(note))
        text = clip(f"{masked(task.args)}{extra}", room, symbols.ellipsis)
        lines.append(
            [
                Cell(f" {fit(task.id[:8] or '?', 8)} ", "muted"),
                Cell(f"{name} ", "name" if task.name else "muted"),
                Cell(f"{size(task.size):>5}  ", "muted"),
                Cell(text),
                Cell(note, "warning" if task.reason else "muted"),
            ]
        )
    return lines
