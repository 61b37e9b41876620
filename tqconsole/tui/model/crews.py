"""Workers folded by where they run: one row for each host or deployment with several of them."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from tq.monitor import ClusterState, WorkerInfo, WorkerStatus
from tqconsole.tui.model.columns import fitted
from tqconsole.tui.model.format import UNKNOWN, Cell, Glyphs, heartbeat_age, rate, short_count
from tqconsole.tui.model.workers import RATE_WINDOW, SEVERITY, Facts, WorkerRows, status_cell

__all__ = ["Crew", "CrewRows", "crew_of"]

_FEWEST = 2  # workers that are worth a row of their own
# The parts that Kubernetes puts behind a deployment's name: of its replica set and of the pod.
_POD = re.compile(r"-[a-z0-9]{5,10}-[a-z0-9]{5}\Z|-\d+\Z")
_KEY = "crew "


@dataclass(frozen=True, slots=True)
class Crew:
    """Workers of one host or deployment."""

    name: str
    workers: tuple[WorkerInfo, ...]


def crew_of(hostname: str) -> str:
    """Return where a worker runs: its host, or the deployment that its pod belongs to."""
    host = hostname.rpartition("@")[2]
    return _POD.sub("", host) or host


class CrewRows(WorkerRows):
    """Workers that can be folded. Owned by the event loop.

    Attributes:
        folded: Whether crews stand for their workers.
        opened: Names of the crews whose workers are shown nevertheless.
    """

    def __init__(self, state: ClusterState, symbols: Glyphs, facts: Facts) -> None:
        """Show the workers of `state`, each by itself."""
        super().__init__(state, symbols, facts)
        self.folded = False
        self.opened: set[str] = set()
        self._shown: list[WorkerInfo | Crew] = []

    def update(self, now: float) -> None:
        """Take in the cluster of the moment; a crew stands where its first worker would."""
        super().update(now)
        workers = [super(CrewRows, self).item(at) for at in range(super().__len__())]
        self._shown = list(workers) if not self.folded else self._fold(workers)
        self._places = {self.key(place): place for place in range(len(self._shown))}

    def _fold(self, workers: Sequence[WorkerInfo]) -> list[WorkerInfo | Crew]:
        crews: dict[str, list[WorkerInfo]] = {}
        for worker in workers:
            crews.setdefault(crew_of(worker.hostname), []).append(worker)
        shown: list[WorkerInfo | Crew] = []
        for name, members in crews.items():
            if len(members) < _FEWEST:
                shown.extend(members)
                continue
            shown.append(Crew(name, tuple(members)))
            if name in self.opened:
                shown.extend(members)
        return shown

    def toggle(self, key: str) -> bool:
        """Show or hide the workers of a crew; returns whether the key is a crew's."""
        if not key.startswith(_KEY):
            return False
        self.opened ^= {key.removeprefix(_KEY)}
        self.update(self.now)
        return True

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self._shown)

    def item(self, index: int) -> WorkerInfo | Crew:  # type: ignore[override]  # a row more
        """Return the worker or the crew of a row."""
        return self._shown[index]

    def get(self, key: str | None) -> WorkerInfo | None:
        """Return a worker by its node name; a crew is none."""
        return None if key is None or key.startswith(_KEY) else super().get(key)

    def key(self, index: int) -> str:
        """Return the node name of a row, or what names a crew."""
        row = self._shown[index]
        return f"{_KEY}{row.name}" if isinstance(row, Crew) else row.hostname

    def cells(self, index: int, width: int) -> Sequence[Cell]:
        """Return a row."""
        row = self._shown[index]
        if not isinstance(row, Crew):
            return self.worker_cells(row, width)
        made = self._crew_cells(row)
        blank = Cell("")
        return fitted(
            ((made.get(item.column.name, blank), item) for item in self.placed(width)),
            self.symbols.ellipsis,
        )

    def longest_name(self) -> int:
        """Return the cells that the longest name takes."""
        crews = (len(_title(row)) + 2 for row in self._shown if isinstance(row, Crew))
        return max((super().longest_name(), *crews))

    def _crew_cells(self, crew: Crew) -> dict[str, Cell]:
        """Add up the figures of a crew; its state is that of the worst of them."""
        workers, now = crew.workers, self.now
        found = Counter(self.status(worker) for worker in workers)
        worst = min(found, key=SEVERITY.__getitem__)
        mark = self.symbols.descending if crew.name in self.opened else self.symbols.fold
        here = [worker for worker in workers if self.status(worker) is not WorkerStatus.GONE]
        active = [self.active(worker) for worker in here]
        slots = [facts.size if (facts := self.facts(w.hostname)) else None for w in here]
        told = [number for number in slots if number is not None]
        busy = f"{sum(number or 0 for number in active)}/"
        busy += str(sum(told)) if len(told) == len(slots) else UNKNOWN
        failed, done = sum(w.failed for w in workers), sum(w.processed or 0 for w in workers)
        beats = [silence for worker in here if (silence := worker.silence(now)) is not None]
        beat = heartbeat_age(max(beats)) if beats else "-"
        return {
            "status": status_cell(worst, self.symbols),
            "name": Cell(f"{mark} {_title(crew)}", "name"),
            "busy": Cell(busy),
            "rate": Cell(rate(sum(w.rates.rate(now, RATE_WINDOW) for w in here))),
            "failed": Cell(short_count(failed), "error" if failed else "muted"),
            "done": Cell(short_count(done)),
            "hb": Cell(
                beat if worst is WorkerStatus.UP else f"{found[worst]} {worst.value}",
                "muted" if worst is WorkerStatus.UP else "warning",
            ),
            "queues": Cell(" ".join(f"{number} {s.value}" for s, number in found.items()), "muted"),
        }


def _title(crew: Crew) -> str:
    return f"{crew.name} ({len(crew.workers)})"
