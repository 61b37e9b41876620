"""The parts of the Overview: queues, workers, running tasks, what needs a look; and their room."""

from collections.abc import Callable, Mapping, Sequence

from tq.monitor import ClusterState, NameStats, TaskInfo
from tqconsole.tui.model.columns import Column
from tqconsole.tui.model.facts import TimeLimit
from tqconsole.tui.model.format import (
    UNKNOWN,
    Cell,
    Glyphs,
    age,
    clock,
    duration,
    rate,
    short_count,
)
from tqconsole.tui.model.insight import Attention
from tqconsole.tui.model.rows import Rows, titled
from tqconsole.tui.model.task_fields import NEAR_LIMIT, limit_share
from tqconsole.tui.model.workers import Facts, WorkerRows

__all__ = [
    "WorkerBrief",
    "attention_rows",
    "name_rows",
    "running_rows",
    "share",
]

_RATE_WINDOW = 30


def share(room: int, wants: Sequence[tuple[int, int]]) -> list[int]:
    """Share lines between parts: each gets what it needs least, then all grow in turn.

    Args:
        room: Lines there are.
        wants: Lines wanted and lines needed by each part, the most important first; a part for
            which there is not even the least gets none.
    """
    given: list[int] = []
    for wanted, least in wants:
        need = min(wanted, least)
        given.append(need if room >= need else 0)
        room -= given[-1]
    while room > 0:
        growing = [at for at, (wanted, _) in enumerate(wants) if 0 < given[at] < wanted]
        if not growing:
            break
        for at in growing:
            if room > 0:
                given[at] += 1
                room -= 1
    return given


class WorkerBrief(WorkerRows):
    """The workers under a title."""

    def __init__(self, state: ClusterState, symbols: Glyphs, facts: Facts) -> None:
        """Show the workers of `state`, those in trouble first."""
        super().__init__(state, symbols, facts)
        self.sort = "status"
        self.title = "workers"

    def header(self, width: int) -> Sequence[Cell]:
        """Return the title with the headings."""
        return titled(self.title, super().header(width), width, self.symbols)


def attention_rows(symbols: Glyphs, now: Callable[[], float]) -> Rows[Attention]:
    """Make the list of what needs a look."""
    mark = {"failure": symbols.failure, "warning": symbols.alert}

    def text(item: Attention) -> Cell:
        return Cell(item.text, "" if item.level == "failure" else "warning")

    return Rows(
        [
            Column("mark", "", lambda item: Cell(mark[item.level], item.level), 1, rank=1),
            Column("text", "", text, 20, 400, rank=0),
            Column(
                "since", "SINCE", lambda item: Cell(_since(item), "muted"), 9, rank=2, right=True
            ),
        ],
        lambda item: item.key,
        symbols,
        title="attention",
    )


def _since(item: Attention) -> str:
    return f"{clock(item.since)}Z" if item.since else ""


def running_rows(
    symbols: Glyphs,
    now: Callable[[], float],
    state: ClusterState,
    limits: Callable[[], Mapping[str, TimeLimit]],
) -> Rows[TaskInfo]:
    """Make the list of running tasks; `limits` knows time limits by task name."""

    def limit(task: TaskInfo) -> Cell:
        share = limit_share(task, limits(), now())
        if share is None:
            return Cell("-", "muted")
        nearest = limits()[task.name or ""]
        text = f"{share * 100:.0f}% of {nearest.kind} {age(nearest.nearest)}"
        return Cell(text, "warning" if share >= NEAR_LIMIT else "muted")

    def elapsed(task: TaskInfo) -> Cell:
        if task.started is None:
            return Cell(UNKNOWN, "muted")
        seconds = max(0.0, now() - task.started)
        if state.status(task, now()) == "ORPHAN":
            return Cell(f">{duration(seconds)}", "error")
        return Cell(duration(seconds), "started" if seconds >= 1 else "")

    def usual(task: TaskInfo) -> Cell:
        stats = state.names.get(task.name or "")
        value = stats.runtimes.percentile(0.95) if stats is not None else None
        return Cell("-" if value is None else duration(value), "muted")

    def name(task: TaskInfo) -> Cell:
        return Cell(task.name or UNKNOWN, "name")

    return Rows(
        [
            Column("name", "NAME", name, 12, 40, rank=0),
            Column("id", "ID", lambda task: Cell(task.uuid[:8], "muted"), 8, rank=4),
            Column("worker", "WORKER", lambda task: Cell(task.worker or UNKNOWN), 10, 30, rank=3),
            Column("elapsed", "ELAPSED", elapsed, 7, rank=1, right=True),
            Column("usual", "P95", usual, 7, rank=2, right=True),
            Column("limit", "LIMIT", limit, 18, rank=5, right=True),
        ],
        lambda task: task.uuid,
        symbols,
        title="running now, longest first",
    )


def name_rows(symbols: Glyphs, now: Callable[[], float]) -> Rows[NameStats]:
    """Make the list of task names, busiest first."""

    def failed(stats: NameStats) -> Cell:
        share_of = stats.failure_rate
        if share_of is None:
            return Cell("-", "muted")
        return Cell(f"{share_of * 100:.1f}%", "error" if share_of else "muted")

    def percentile(part: float) -> Callable[[NameStats], Cell]:
        def cell(stats: NameStats) -> Cell:
            value = stats.runtimes.percentile(part)
            return Cell("-" if value is None else duration(value), "" if value else "muted")

        return cell

    def per_second(stats: NameStats) -> Cell:
        value = stats.rates.rate(now(), _RATE_WINDOW)
        return Cell(rate(value), "" if value else "muted")

    return Rows(
        [
            Column("name", "NAME", lambda stats: Cell(stats.name, "name"), 14, 40, rank=0),
            Column("rate", "TASK/S", per_second, 6, rank=1, right=True),
            Column("failed", "FAIL", failed, 6, rank=1, right=True),
            Column("done", "DONE", lambda s: Cell(short_count(s.finished)), 6, rank=4, right=True),
            Column("p50", "P50", percentile(0.5), 6, rank=3, right=True),
            Column("p95", "P95", percentile(0.95), 6, rank=2, right=True),
            Column("p99", "P99", percentile(0.99), 6, rank=5, right=True),
        ],
        lambda stats: stats.name,
        symbols,
        title="task names",
    )
