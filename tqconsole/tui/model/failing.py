"""The rows of the Failures screen, and what is told of one group."""

from collections.abc import Callable

from tq.monitor import ClusterState, FailureGroup, FailureGroups
from tqconsole.tui.model.chart import sparkline
from tqconsole.tui.model.columns import Column
from tqconsole.tui.model.detail import heading
from tqconsole.tui.model.format import Cell, Glyphs, age, clip, clock, count, short_count
from tqconsole.tui.model.masking import masked
from tqconsole.tui.model.rows import Rows

__all__ = ["failure_rows", "group_filter", "group_lines"]

_TREND_MINUTES = 60
_TREND = 12
_SHOWN_IDS = 6


def failure_rows(
    symbols: Glyphs, groups: FailureGroups, now: Callable[[], float]
) -> Rows[FailureGroup]:
    """Make the list of failure groups."""

    def mark(group: FailureGroup) -> Cell:
        if group.failed:
            return Cell(symbols.failure, "failure")
        return Cell(symbols.retry, "retry")

    def new(group: FailureGroup) -> Cell:
        since = groups.since or now()
        return Cell("NEW", "warning-bold") if group.is_new(now(), since) else Cell("")

    def trend(group: FailureGroup) -> Cell:
        minutes = group.rates.series(now(), 60, _TREND_MINUTES)
        step = _TREND_MINUTES // _TREND
        sums = [sum(minutes[at : at + step]) for at in range(0, _TREND_MINUTES, step)]
        return Cell(sparkline(sums, symbols), "accent")

    def error(group: FailureGroup) -> Cell:
        place = f" @ {group.frame.short}" if group.frame else ""
        return Cell(f"{group.exception}{place}", "error" if group.failed else "retry")

    def name(group: FailureGroup) -> Cell:
        return Cell(group.name, "name")

    def recent(group: FailureGroup) -> Cell:
        number = group.recent(now())
        return Cell(short_count(number), "" if number else "muted")

    def retried(group: FailureGroup) -> Cell:
        return Cell(short_count(group.retried), "retry" if group.retried else "muted")

    return Rows(
        [
            Column("mark", "", mark, 1, rank=1),
            Column(
                "failed", "FAILED", lambda g: Cell(short_count(g.failed)), 6, rank=1, right=True
            ),
            Column("retried", "RETRIED", retried, 7, rank=6, right=True),
            Column("recent", "5 MIN", recent, 5, rank=5, right=True),
            Column("trend", "TREND 1h", trend, _TREND, rank=4),
            Column("new", "", new, 3, rank=3),
            Column("name", "TASK", name, 16, 40, rank=0),
            Column("error", "EXCEPTION @ OWN FRAME", error, 24, 60, rank=2),
            Column(
                "last",
                "LAST",
                lambda g: Cell(age(now() - g.last_seen), "muted"),
                6,
                rank=3,
                right=True,
            ),
        ],
        lambda group: group.key,
        symbols,
    )


def group_filter(group: FailureGroup) -> str:
    """Write the filter that shows a group's tasks."""
    if group.exception == "?":
        return f'state:failure,retry name="{group.name}"'
    return f'state:failure,retry name="{group.name}" exc:{group.exception}'


def group_lines(
    group: FailureGroup,
    groups: FailureGroups,
    state: ClusterState,
    now: float,
    width: int,
    symbols: Glyphs,
) -> list[list[Cell]]:
    """Tell what is known of a group."""
    place = (
        f" @ {group.frame.path}:{group.frame.line} in {group.frame.function}" if group.frame else ""
    )
    title = f"{group.name} {symbols.dot} {group.exception}{place}"
    usual = group.baseline(now, groups.since or now)
    was = "not known yet" if usual is None else f"{usual:.0f}"
    known = [task for task in map(state.tasks.get, group.samples) if task is not None]
    recovered = sum(task.state == "SUCCESS" for task in known)
    samples = "  ".join(uuid[:8] for uuid in list(group.samples)[::-1][:_SHOWN_IDS])
    workers = " ".join(sorted(group.workers))
    pairs = (
        ("last", masked(group.message)),
        ("first", f"{clock(group.first_seen)}Z ({age(now - group.first_seen)} ago)   "
                  f"5 min {count(group.recent(now))}, before that {was}"),
        ("workers", workers or "?"),
        ("newest", samples + (f"   {recovered} of {len(known)} succeeded later" if known else "")),
    )  # fmt: skip
    lines = [heading(title, width, symbols)]
    for label, text in pairs:
        lines.append(
            [
                Cell(f" {label:<9} ", "muted"),
                Cell(clip(text.replace("\n", " "), width - 11, symbols.ellipsis),
                     "error" if label == "last" else ""),
            ]
        )  # fmt: skip
    return lines
