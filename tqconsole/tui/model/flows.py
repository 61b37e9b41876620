"""The rows of the Flows screen and of one flow's tree."""

from collections.abc import Callable, Sequence

from tq.monitor import ClusterState, TaskInfo
from tqconsole.tui.model.columns import Column
from tqconsole.tui.model.detail import heading, wrapped
from tqconsole.tui.model.facts import LinkState
from tqconsole.tui.model.flow_index import KINDS, Flow, group_of, kind_of
from tqconsole.tui.model.flow_tree import FlowTree, TreeRow
from tqconsole.tui.model.format import (
    UNKNOWN,
    Cell,
    Glyphs,
    age,
    count,
    duration,
    short_count,
    state_style,
)
from tqconsole.tui.model.lineage import LineageBook
from tqconsole.tui.model.rows import Rows
from tqconsole.tui.model.task_columns import short_id
from tqconsole.tui.model.task_fields import runtime_of
from tqconsole.tui.model.verdicts import Verdict

__all__ = [
    "FLOW_SORTS",
    "flow_record",
    "flow_rows",
    "name_of_flow",
    "no_flow_hints",
    "no_relation_hints",
    "order_flows",
    "state_of_flow",
    "tree_rows",
    "verdict_lines",
    "verdict_style",
]

FLOW_SORTS = ("age", "name", "failed", "open", "size")
_BAR = 10

Now = Callable[[], float]


def state_of_flow(flow: Flow, book: LineageBook) -> str:
    """Return the task state that stands for a flow: the worst of what is not over, then the end."""
    waiting, running, _, failed, called_off = flow.counts
    if failed:
        return "FAILURE"
    if running:
        return "STARTED"
    if waiting or flow.missing(book):
        return "RECEIVED"
    return "REVOKED" if called_off else "SUCCESS"


def name_of_flow(flow: Flow, state: ClusterState, book: LineageBook) -> str:
    """Name a flow after its root, or after the parts of a group that was sent from outside."""
    root = flow.root()
    task = state.tasks.get(root or "")
    if task is not None and (task.parent_id or not group_of(task, book)):
        return task.name or UNKNOWN
    if task is None and root is not None:
        return f"(root {short_id(root)} not seen)"
    some = task or next((state.tasks[i] for i in flow.tasks() if i in state.tasks), None)
    name = (some.name if some is not None else None) or UNKNOWN
    return f"group of {name}" if flow.groups else name


def order_flows(
    flows: list[Flow], by: str, reverse: bool, state: ClusterState, book: LineageBook
) -> list[Flow]:
    """Return flows in the order of a column of `FLOW_SORTS`."""
    keys: dict[str, Callable[[Flow], tuple[object, ...]]] = {
        "age": lambda flow: (-flow.first, flow.key),
        "name": lambda flow: (name_of_flow(flow, state, book), -flow.first, flow.key),
        "failed": lambda flow: (-flow.counts[3], -flow.first, flow.key),
        "open": lambda flow: (flow.ended - flow.total, -flow.first, flow.key),
        "size": lambda flow: (-flow.total, -flow.first, flow.key),
    }
    return sorted(flows, key=keys[by], reverse=reverse)


def flow_rows(
    symbols: Glyphs, state: ClusterState, book: Callable[[], LineageBook], now: Now
) -> Rows[Flow]:
    """Make the list of flows."""

    def name(flow: Flow) -> Cell:
        return Cell(name_of_flow(flow, state, book()), "name")

    def mark(flow: Flow) -> Cell:
        status = state_of_flow(flow, book())
        return Cell(symbols.state(status), state_style(status))

    def root_id(flow: Flow) -> Cell:
        root = flow.root() or next(iter(flow.groups), None) or flow.key
        return Cell(short_id(root), "muted")

    def bar(flow: Flow) -> Cell:
        total = flow.total + flow.missing(book())
        filled = _BAR * flow.ended // max(1, total)
        style = "failure" if flow.counts[3] else "success" if flow.ended == total else "started"
        return Cell(symbols.bar * filled + symbols.track * (_BAR - filled), style)

    def over(flow: Flow) -> Cell:
        total = flow.total + flow.missing(book())
        return Cell(f"{short_count(flow.ended)}/{short_count(total)}")

    def number(at: int, style: str) -> Callable[[Flow], Cell]:
        def cell(flow: Flow) -> Cell:
            value = flow.counts[at]
            return Cell(short_count(value) if value else "-", style if value else "muted")

        return cell

    def idle(flow: Flow) -> Cell:
        return Cell(age(now() - flow.last) if flow.last else UNKNOWN, "muted")

    def first(flow: Flow) -> Cell:
        return Cell(age(now() - flow.first) if flow.first else UNKNOWN, "muted")

    return Rows(
        [
            Column("mark", "", mark, 1, rank=1),
            Column("name", "ROOT", name, 20, 60, rank=0),
            Column("id", "ID", root_id, 8, rank=8),
            Column("bar", "PROGRESS", bar, _BAR, rank=4),
            Column("over", "OVER", over, 9, rank=1, right=True),
            Column("failed", "FAIL", number(3, "failure"), 5, rank=2, right=True),
            Column("running", "RUN", number(1, "started"), 5, rank=3, right=True),
            Column("open", "WAIT", number(0, "accent"), 5, rank=3, right=True),
            Column("idle", "LAST", idle, 6, rank=6, right=True),
            Column("age", "AGE", first, 6, rank=5, right=True),
        ],
        lambda flow: flow.key,
        symbols,
    )


class _TreeCells:
    """What the columns of a tree show of a row."""

    def __init__(
        self, symbols: Glyphs, state: ClusterState, tree: Callable[[], FlowTree], now: Now
    ) -> None:
        self._symbols, self._state, self._tree, self._now = symbols, state, tree, now

    def _task(self, row: TreeRow) -> TaskInfo | None:
        return self._state.tasks.get(row.subject) if row.kind == "task" else None

    def name(self, row: TreeRow) -> Cell:
        symbols = self._symbols
        lead = _lead(row, symbols)
        if row.kind == "fold":
            return Cell(lead + _fold_text(row, self._state, symbols), "dim")
        if row.kind == "group":
            return Cell(lead + _group_text(row, self._tree()), "title")
        task = self._task(row)
        if task is None:
            return Cell(f"{lead}{symbols.unknown} not seen here", "muted")
        status = self._state.status(task, self._now())
        role = f"{row.role}: " if row.role else ""
        text = f"{lead}{symbols.state(status)} {role}{task.name or UNKNOWN}"
        return Cell(text, state_style(status))

    def status(self, row: TreeRow) -> Cell:
        task = self._task(row)
        if task is None:
            return Cell("")
        text = self._state.status(task, self._now())
        return Cell(text, state_style(text))

    def run(self, row: TreeRow) -> Cell:
        task = self._task(row)
        seconds = runtime_of(task, self._now()) if task is not None else None
        return Cell("" if seconds is None else duration(seconds))

    def worker(self, row: TreeRow) -> Cell:
        task = self._task(row)
        return Cell((task.worker if task is not None else None) or "", "muted")

    def note(self, row: TreeRow) -> Cell:
        task = self._task(row)
        if task is None or kind_of(task) == 2:
            return Cell("")
        if task.exception:
            return Cell(f"  {task.exception}", "error" if task.state == "FAILURE" else "retry")
        return Cell(f"  eta {task.eta}" if task.eta else "", "muted")


def tree_rows(
    symbols: Glyphs, state: ClusterState, tree: Callable[[], FlowTree], now: Now
) -> Rows[TreeRow]:
    """Make the list of a flow's tasks in the shape of its tree."""
    cells = _TreeCells(symbols, state, tree, now)
    return Rows(
        [
            Column("name", "TASK", cells.name, 16, 100, rank=0),
            Column("id", "ID", lambda row: Cell(short_id(row.subject), "muted"), 8, rank=3),
            Column("state", "STATE", cells.status, 8, rank=2),
            Column("run", "RUN", cells.run, 7, rank=1, right=True),
            Column("worker", "WORKER", cells.worker, 8, 30, rank=4),
            Column("note", "", cells.note, 20, 200, rank=9, extra=True),
        ],
        lambda row: row.key,
        symbols,
    )


def _lead(row: TreeRow, symbols: Glyphs) -> str:
    """Draw the lines that lead to a row; beyond some depth it is told in figures."""
    if row.depth == 0:
        return ""
    corner, tee, rule = ("`", "|", "-") if symbols.rule == "-" else ("└", "├", symbols.rule)
    hidden = row.depth + 1 - len(row.lead)
    start = f"{symbols.ellipsis}{hidden} " if hidden else ""
    above = "".join(
        f"{symbols.pipe} " if more else "  " for more in row.lead[1 - bool(hidden) : -1]
    )
    return f"{start}{above}{tee if row.lead[-1] else corner}{rule}"


def _fold_text(row: TreeRow, state: ClusterState, symbols: Glyphs) -> str:
    some = state.tasks.get(row.folded[0])
    number = count(len(row.folded))
    if some is None:
        return f"{symbols.ellipsis} {number} more"
    status = "SENT" if some.state == "PENDING" else some.state
    return f"{symbols.state(status)} {number} more {some.name or UNKNOWN}, {status.lower()}"


def _group_text(row: TreeRow, tree: FlowTree) -> str:
    group = tree.groups.get(row.subject)
    if group is None:
        return "group"
    size = UNKNOWN if group.size is None else count(group.size)
    least = "" if group.exact or group.size is None else "at least "
    return f"{'chord' if group.is_chord else 'group'} of {least}{size}"


_ANSWERS = {
    "done": ("success", "success"),
    "no": ("failure", "failure"),
    "runs": ("started", "started"),
    "waits": ("received", "accent"),
    "unsure": ("alert", "warning"),
}


def verdict_style(verdict: Verdict) -> str:
    """Return the style of a verdict."""
    return _ANSWERS[verdict.answer][1]


def verdict_lines(
    title: str,
    found: Sequence[Verdict],
    flow: Flow,
    book: LineageBook,
    width: int,
    symbols: Glyphs,
) -> list[list[Cell]]:
    """Return what there is to say of a flow, and from where it is known."""
    counts = "  ".join(
        f"{count(number)} {kind}" for number, kind in zip(flow.counts, KINDS, strict=True) if number
    )
    lines = [heading(title, width, symbols, counts)]
    for verdict in found:
        glyph = getattr(symbols, _ANSWERS[verdict.answer][0])
        style = verdict_style(verdict)
        mark = Cell(f" {glyph} ", style)
        for line in wrapped(verdict.text, width - 3, 0, style if verdict.answer == "no" else ""):
            lines.append([mark, *line])
            mark = Cell("   ")
    if flow.groups and not book.available:
        lines.extend([Cell("   "), *line] for line in wrapped(book.where, width - 3, 0, "muted"))
    elif book.error is not None:
        text = f"results cannot be read: {book.error}"
        lines.extend([Cell("   "), *line] for line in wrapped(text, width - 3, 0, "warning"))
    return lines


def no_flow_hints(state: ClusterState, link: LinkState, book: LineageBook) -> list[list[Cell]]:
    """Return what to say while no flow is known."""
    if not link.connected and not state.tasks:
        return [[], [Cell(" Connecting", "warning-bold")], [Cell(f" {link.error or ''}", "error")]]
    told = f"{count(len(state.tasks))} tasks seen, and none that belongs to another"
    lines = [
        [],
        [Cell(" No flows yet", "bold")],
        [Cell(f" {told}", "muted")],
        [],
        [
            Cell(
                " A flow is a task with those it sent: a chain, a chord, a task that calls", "muted"
            )
        ],
        [Cell(" tasks. Events tell of parents and roots; groups sent from outside are", "muted")],
        [Cell(" told by tq's events, and for Celery by the results of their parts:", "muted")],
    ]
    source = f" reading {book.where}" if book.available else f" {book.where}"
    lines.append([Cell(source, "muted" if book.available else "warning")])
    if book.error is not None:
        lines.append([Cell(f" {book.error}", "error")])
    return lines


def no_relation_hints(
    task: TaskInfo | None, book: LineageBook, symbols: Glyphs
) -> list[list[Cell]]:
    """Return what to say of a task that belongs to no flow."""
    if task is None:
        return [[], [Cell(" this flow is not known any more", "warning")]]
    lines = [
        [],
        [Cell(f" {symbols.dot} ", "muted"), Cell(f"{task.name or UNKNOWN} stands alone", "bold")],
        [Cell("   no event tells of a parent, a child, or a group", "muted")],
    ]
    if task.uuid in book.tasks:
        said = "and neither does its result" if book.tasks[task.uuid] else "and it left no result"
        lines.append([Cell(f"   {said} ({book.where})", "muted")])
    elif not task.ready:
        lines.append([Cell("   its result may tell, once it has ended", "muted")])
    else:
        lines.append([Cell(f"   {book.error or book.where}", "muted")])
    return lines


def flow_record(flow: Flow, state: ClusterState, book: LineageBook) -> dict[str, object]:
    """Return a flow as plain data."""
    return {
        "root": flow.root(),
        "name": name_of_flow(flow, state, book),
        "groups": sorted(flow.groups),
        "tasks": flow.total,
        "missing": flow.missing(book),
        **dict(zip((kind.replace(" ", "_") for kind in KINDS), flow.counts, strict=True)),
        "first": flow.first or None,
        "last": flow.last or None,
    }
