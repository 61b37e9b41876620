"""The rows of the Workers screen."""

from collections.abc import Callable, Hashable, Sequence
from typing import Any

from tq.monitor import ClusterState, WorkerInfo, WorkerStatus
from tqconsole.tui.model.columns import Column, Placed, header_cells, layout_of, line_cells, place
from tqconsole.tui.model.facts import WorkerFacts
from tqconsole.tui.model.format import (
    UNKNOWN,
    Cell,
    Glyphs,
    duration,
    heartbeat_age,
    rate,
    short_count,
    size,
)

__all__ = ["RATE_WINDOW", "SEVERITY", "Facts", "WorkerRows", "pool_text", "status_cell"]

SEVERITY = {
    WorkerStatus.LOST: 0,
    WorkerStatus.BUSY_SILENT: 1,
    WorkerStatus.NO_EVENTS: 2,
    WorkerStatus.UP: 3,
    WorkerStatus.GONE: 4,
}
RATE_WINDOW = 10
_STALE_FACTS = 60.0  # seconds after which an inspected value is dimmed

Facts = Callable[[str], WorkerFacts | None]


def status_cell(status: WorkerStatus, symbols: Glyphs) -> Cell:
    """Return the glyph and style of a worker's state."""
    return {
        WorkerStatus.UP: Cell(symbols.up, "success"),
        WorkerStatus.BUSY_SILENT: Cell(symbols.busy, "warning"),
        WorkerStatus.NO_EVENTS: Cell(symbols.alert, "warning"),
        WorkerStatus.LOST: Cell(symbols.failure, "failure"),
        WorkerStatus.GONE: Cell(symbols.gone, "muted"),
    }[status]


def pool_text(facts: WorkerFacts | None) -> str:
    """Return the kind and size of a pool: `prefork 16`, or `?`."""
    if facts is None or facts.pool is None:
        return UNKNOWN
    short = {"prefork": "pre", "threads": "thr", "gevent": "gev", "eventlet": "evl"}
    kind = short.get(facts.pool, facts.pool)
    return kind if facts.size is None or kind == "solo" else f"{kind} {facts.size}"


class WorkerRows:
    """Workers, by name or sorted; those that said good-bye come last. Owned by the event loop.

    Attributes:
        marked: Node names the user marked.
        hide_gone: Whether workers that said good-bye are left out.
        needle: Text that a node name must contain.
        hints: Lines shown while there are no rows.
    """

    def __init__(self, state: ClusterState, symbols: Glyphs, facts: Facts) -> None:
        """Show the workers of `state`, with what `facts` knows of each."""
        self.state = state
        self.symbols = symbols
        self.facts = facts
        self.now = 0.0
        self.sort = "name"
        self.reverse = False
        self.hide_gone = False
        self.needle = ""
        self.marked: set[str] = set()
        self.hints: Sequence[Sequence[Cell]] = ()
        self._rows: list[WorkerInfo] = []
        self._places: dict[str, int] = {}
        self._columns = self._make_columns()
        self._placed: tuple[tuple[int, int], list[Placed[WorkerInfo]]] | None = None

    def update(self, now: float) -> None:
        """Take in the cluster of the moment; a cluster has few workers, so all are looked at."""
        self.now = now
        status = self.state.worker_status
        chosen = [worker for worker in self.state.workers.values() if self._keeps(worker)]
        key = self._sort_key()
        chosen.sort(key=key, reverse=self.reverse)
        chosen.sort(key=lambda worker: status(worker, now) is WorkerStatus.GONE)
        self._rows = chosen
        self._places = {worker.hostname: place for place, worker in enumerate(chosen)}

    def _keeps(self, worker: WorkerInfo) -> bool:
        if self.needle and self.needle not in worker.hostname.lower():
            return False
        return not (self.hide_gone and self.status(worker) is WorkerStatus.GONE)

    def status(self, worker: WorkerInfo) -> WorkerStatus:
        """Return a worker's state now."""
        return self.state.worker_status(worker, self.now)

    def sort_by(self, column: str) -> None:
        """Sort by a column; the same column again turns the order round."""
        self.reverse = not self.reverse if column == self.sort else False
        self.sort = column
        self.update(self.now)

    def _sort_key(self) -> Callable[[WorkerInfo], Any]:
        now = self.now
        keys: dict[str, Callable[[WorkerInfo], Any]] = {
            "status": lambda worker: (SEVERITY[self.status(worker)], worker.hostname),
            "busy": lambda worker: (-(self.active(worker) or 0), worker.hostname),
            "load": lambda worker: (
                -(worker.loadavg[0] if worker.loadavg else -1),
                worker.hostname,
            ),
            "rate": lambda worker: (-worker.rates.rate(now, RATE_WINDOW), worker.hostname),
            "p95": lambda worker: (-(worker.runtimes.percentile(0.95) or -1), worker.hostname),
            "hb": lambda worker: (-(worker.silence(now) or 0), worker.hostname),
        }
        return keys.get(self.sort, lambda worker: worker.hostname)

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self._rows)

    def item(self, index: int) -> WorkerInfo:
        """Return the worker of a row."""
        return self._rows[index]

    def get(self, key: str | None) -> WorkerInfo | None:
        """Return a worker by its node name."""
        return None if key is None else self.state.workers.get(key)

    def key(self, index: int) -> str:
        """Return the node name of a row."""
        return self._rows[index].hostname

    def index_of(self, key: str) -> int | None:
        """Return the row of a worker."""
        return self._places.get(key)

    def stamp(self, index: int) -> Hashable:
        """Return what a row's look depends on."""
        return tuple(self.cells(index, 200))

    def cells(self, index: int, width: int) -> Sequence[Cell]:
        """Return a row."""
        return self.worker_cells(self._rows[index], width)

    def worker_cells(self, worker: WorkerInfo, width: int) -> Sequence[Cell]:
        """Return a worker's row; what an absent one said last is dimmed."""
        cells = line_cells(worker, self.placed(width), self.symbols.ellipsis)
        status = self.status(worker)
        if status is WorkerStatus.GONE:
            return [Cell(cell.text, "muted") for cell in cells]
        if status is WorkerStatus.LOST:
            return [
                Cell(c.text, c.style if c.style in ("failure", "name") else "muted") for c in cells
            ]
        return cells

    def layout(self, width: int) -> Hashable:
        """Return how a width is shared between the columns."""
        return layout_of(self.placed(width))

    def header(self, width: int) -> Sequence[Cell]:
        """Return the headings."""
        arrow = self.symbols.descending if self.reverse else self.symbols.ascending
        return header_cells(self.placed(width), self.sort, arrow, self.symbols.ellipsis)

    def empty(self, width: int) -> Sequence[Sequence[Cell]]:
        """Return the lines shown while there are no rows."""
        return self.hints

    def placed(self, width: int) -> list[Placed[WorkerInfo]]:
        """Return the columns with their widths."""
        longest = self.longest_name()
        key = (width, longest)
        if self._placed is None or self._placed[0] != key:
            self._placed = (key, place(self._columns, width, {"name": longest}))
        return self._placed[1]

    def longest_name(self) -> int:
        """Return the cells that the longest name takes."""
        return max([12, *(len(worker.hostname) for worker in self._rows)])

    def active(self, worker: WorkerInfo) -> int | None:
        """Return how many tasks run: events tell sooner than the heartbeat, which is certain."""
        if worker.active is None:
            return worker.running or None
        facts = self.facts(worker.hostname)
        slots = facts.size if facts is not None else None
        running = worker.running if slots is None else min(worker.running, slots)
        return max(worker.active, running)

    def _busy(self, worker: WorkerInfo) -> Cell:
        facts = self.facts(worker.hostname)
        slots = facts.size if facts else None
        active = self.active(worker)
        if self.status(worker) is WorkerStatus.GONE:
            return Cell("-", "muted")
        full = slots is not None and active is not None and active >= slots
        text = f"{UNKNOWN if active is None else active}/{UNKNOWN if slots is None else slots}"
        return Cell(text, "warning-bold" if full else "")

    def _gauge(self, worker: WorkerInfo) -> Cell:
        facts = self.facts(worker.hostname)
        slots, active = (facts.size if facts else None), self.active(worker)
        if not slots or active is None:
            return Cell("")
        filled = min(8, round(8 * active / slots))
        return Cell(self.symbols.bar * filled, "warning" if active >= slots else "accent")

    def _beat(self, worker: WorkerInfo) -> Cell:
        status = self.status(worker)
        silence = worker.silence(self.now)
        if worker.offline_at is not None:
            silence = self.now - worker.offline_at
        text = heartbeat_age(silence)
        if status is WorkerStatus.UP:
            return Cell(text, "muted")
        word = {
            WorkerStatus.LOST: "LOST",
            WorkerStatus.BUSY_SILENT: "busy",
            WorkerStatus.GONE: "gone",
            WorkerStatus.NO_EVENTS: "no events",
        }[status]
        style = "failure" if status is WorkerStatus.LOST else "warning"
        return Cell(f"{text} {word}", style)

    def _fact(self, text: str, facts: WorkerFacts | None) -> Cell:
        old = facts is not None and self.now - facts.as_of > _STALE_FACTS
        return Cell(text, "muted" if old or text == UNKNOWN else "")

    def _status_cell(self, worker: WorkerInfo) -> Cell:
        return status_cell(self.status(worker), self.symbols)

    def _pool(self, worker: WorkerInfo) -> Cell:
        facts = self.facts(worker.hostname)
        return self._fact(pool_text(facts), facts)

    def _load(self, worker: WorkerInfo) -> Cell:
        if self.status(worker) is WorkerStatus.GONE:
            return Cell("-", "muted")
        return Cell(f"{worker.loadavg[0]:.1f}") if worker.loadavg else Cell(UNKNOWN, "muted")

    def _throughput(self, worker: WorkerInfo) -> Cell:
        if not worker.events:
            return Cell(UNKNOWN, "muted")
        value = worker.rates.rate(self.now, RATE_WINDOW)
        return Cell(rate(value), "" if value else "muted")

    def _p95(self, worker: WorkerInfo) -> Cell:
        value = worker.runtimes.percentile(0.95)
        return Cell("-", "muted") if value is None else Cell(duration(value))

    def _failed(self, worker: WorkerInfo) -> Cell:
        return Cell(short_count(worker.failed), "error" if worker.failed else "muted")

    def _done(self, worker: WorkerInfo) -> Cell:
        known = worker.processed is not None
        return Cell(short_count(worker.processed), "" if known else "muted")

    def _queues(self, worker: WorkerInfo) -> Cell:
        facts = self.facts(worker.hostname)
        names = facts.queues if facts else None
        return self._fact(UNKNOWN if names is None else ",".join(names), facts)

    def _prefetch(self, worker: WorkerInfo) -> Cell:
        facts = self.facts(worker.hostname)
        value = facts.prefetch if facts else None
        return self._fact(UNKNOWN if value is None else str(value), facts)

    def _memory(self, worker: WorkerInfo) -> Cell:
        facts = self.facts(worker.hostname)
        return self._fact(size(facts.rss if facts else None), facts)

    def _version(self, worker: WorkerInfo) -> Cell:
        name = (worker.sw_ident or UNKNOWN).removeprefix("py-")
        return Cell(f"{name} {worker.sw_ver or ''}".strip(), "muted")

    def _make_columns(self) -> list[Column[WorkerInfo]]:
        def name(worker: WorkerInfo) -> Cell:
            return Cell(worker.hostname, "name")

        return [
            Column("status", "", self._status_cell, 1, rank=1),
            Column("name", "NAME", name, 12, 50, rank=0),
            Column("pool", "POOL", self._pool, 7, 11, rank=5),
            Column("gauge", "", self._gauge, 8, rank=9, extra=True),
            Column("busy", "BUSY", self._busy, 6, 7, rank=2, right=True),
            Column("load", "LOAD", self._load, 5, rank=6, right=True),
            Column("rate", "TASK/S", self._throughput, 6, rank=3, right=True),
            Column("p95", "P95", self._p95, 6, rank=6, right=True),
            Column("failed", "FAIL", self._failed, 5, rank=4, right=True),
            Column("done", "DONE", self._done, 6, rank=7, right=True),
            Column("prefetch", "PREF", self._prefetch, 4, rank=8, right=True),
            Column("rss", "RSS", self._memory, 5, rank=12, right=True, extra=True),
            Column("hb", "HB", self._beat, 10, 14, rank=1, right=True),
            Column("version", "VERSION", self._version, 12, 16, rank=11, extra=True),
            Column("queues", "QUEUES", self._queues, 8, 40, rank=10, extra=True),
        ]
