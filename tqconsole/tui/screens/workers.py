"""The Workers screen: who is there, how busy, and since when silent."""

from collections.abc import Sequence

from textual.app import ComposeResult

from tq.monitor import WorkerInfo
from tqconsole.tui.model.acts import Act, counted
from tqconsole.tui.model.advice import no_worker_hints
from tqconsole.tui.model.crews import Crew, CrewRows
from tqconsole.tui.model.equivalents import control_line
from tqconsole.tui.model.format import Cell
from tqconsole.tui.model.lines import Line, Piece, two_sided
from tqconsole.tui.screens.base import Console, ListScreen
from tqconsole.tui.widgets.line_bar import LineBar
from tqconsole.tui.widgets.live_table import LiveTable
from tqconsole.tui.widgets.prompt import Typing

__all__ = ["WorkersScreen"]

_SORT_KEYS = {
    "n": "name",
    "s": "status",
    "b": "busy",
    "l": "load",
    "r": "rate",
    "p": "p95",
    "h": "hb",
}
_EVENTS_EFFECT = (
    "The worker sends task events until it is restarted; they cost it",
    "and the broker some work. `tq control disable_events` undoes it.",
)
_SHUTDOWN_EFFECT = (
    "The worker finishes the tasks it runs and ends. Messages it holds go",
    "back to their queues. Whether it comes back is its supervisor's matter.",
)


class WorkersScreen(ListScreen):
    """All workers of the cluster; also those that are lost or said good-bye."""

    key = "workers"

    def __init__(self, console: Console) -> None:
        """Belong to `console`."""
        super().__init__(console)
        self.rows = CrewRows(console.source.state, console.symbols, console.source.facts)
        self.table = LiveTable(self.rows, console.palette, console.symbols, id="workers")
        self.table.follow = False
        self.bar = LineBar(console.palette, id="filter")
        self.frozen = False

    def body(self) -> ComposeResult:
        """Give a summary and the list."""
        yield self.bar
        yield self.table

    def draw_body(self) -> None:
        """Take in what changed and draw it."""
        if self.console.paused:
            self.table.tick()
            return
        source = self.console.source
        self.rows.update(self.console.now)
        if not len(self.rows):
            self.rows.hints = no_worker_hints(
                source.state, source.link, self.console.now, source.url
            )
        elif self.table.cursor_row is None:
            self.table.choose(self.rows.key(0))
        self.bar.show(self._summary())
        self.table.tick()

    def _summary(self) -> Line:
        """Count the workers by state."""
        state, now = self.console.source.state, self.console.now
        found: dict[str, int] = {}
        for worker in state.workers.values():
            status = str(state.worker_status(worker, now).value)
            found[status] = found.get(status, 0) + 1
        styles = {
            "up": "success",
            "lost": "failure",
            "busy-silent": "warning",
            "no-events": "warning",
        }
        left: list[Piece] = [(Cell(" /", "key"), "filter")]
        if self.rows.needle:
            left.append((Cell(f" {self.rows.needle}  ", "bold"), "filter"))
        else:
            left.append((Cell(" all workers  ", "muted"), "filter"))
        for status in ("up", "busy-silent", "no-events", "lost", "gone"):
            if status in found:
                left.append(
                    (Cell(f"{found[status]} {status}  ", styles.get(status, "muted")), None)
                )
        arrow = (
            self.console.symbols.descending if self.rows.reverse else self.console.symbols.ascending
        )
        right: list[Piece] = [(Cell(f"sort {self.rows.sort.upper()} {arrow} ", "muted"), "sort")]
        if self.rows.folded:
            right.insert(0, (Cell("folded  ", "warning"), "fold_workers"))
        if self.rows.hide_gone:
            right.insert(0, (Cell("gone hidden  ", "warning"), "hide_gone"))
        return two_sided(left, right, self.size.width)

    def missed(self) -> int:
        """Return the events since the pause; the list itself shows the present when it goes on."""
        return 0

    def current(self) -> WorkerInfo | None:
        """Return the worker under the cursor."""
        return self.rows.get(self.chosen())

    def _chosen(self) -> WorkerInfo | None:
        worker = self.current()
        if worker is None and self.chosen() is not None:
            self.say("these are several workers: enter shows them one by one")
        elif worker is None:
            self.nothing_chosen("worker")
        return worker

    def rows_to_export(self) -> Sequence[object]:
        """Return the workers, those of folded rows too."""
        found: list[object] = []
        for at in range(len(self.rows)):
            row = self.rows.item(at)
            if not isinstance(row, Crew):
                found.append(row)
            elif row.name not in self.rows.opened:
                found.extend(row.workers)
        return found

    # Looks

    def do_open(self) -> None:
        """Open the worker under the cursor."""
        key = self.chosen()
        if key is not None and self.rows.toggle(key):
            self.tick()
            return
        worker = self._chosen()
        if worker is not None:
            self.console.open_worker(worker.hostname)

    def do_fold_workers(self) -> None:
        """Fold workers of one host or deployment into one row, or show them all."""
        self.rows.folded = not self.rows.folded
        self.rows.opened.clear()
        self.tick()

    def do_worker_tasks(self) -> None:
        """Show the tasks of the worker under the cursor."""
        worker = self._chosen()
        if worker is not None:
            self.console.show_tasks(f'worker="{worker.hostname}"')

    def do_pause(self) -> None:
        """Freeze the view, or let it go on."""
        self.console.paused = not self.console.paused
        self.tick()

    def do_hide_gone(self) -> None:
        """Leave out workers that said good-bye, or show them again."""
        self.rows.hide_gone = not self.rows.hide_gone
        self.tick()

    def do_sort(self) -> None:
        """Ask which column to sort by."""
        self.ask_sort(_SORT_KEYS, self.rows.sort, self.rows.sort_by)

    def do_filter(self) -> None:
        """Let the user type a part of a node name."""
        before = self.rows.needle

        def cancelled() -> None:
            self._search(before)
            self.refocus()

        def done(text: str) -> None:
            self._search(text)
            self.refocus()

        self.prompt.type_line(
            Typing("/", done=done, changed=self._search, cancelled=cancelled, text=before)
        )

    def _search(self, text: str) -> None:
        self.rows.needle = text.strip().lower()
        self.tick()

    def do_back(self) -> None:
        """Show all workers again."""
        if self.rows.needle or self.rows.hide_gone:
            self.rows.hide_gone = False
            self._search("")

    def do_copy(self) -> None:
        """Copy the node name."""
        worker = self._chosen()
        if worker is not None:
            self.console.copy_text(worker.hostname, "node name")

    # Acts

    def do_ping(self) -> None:
        """Ask the worker whether it lives."""
        worker = self._chosen()
        if worker is not None:
            self.console.act("ping", {}, [worker.hostname])

    def do_grow(self) -> None:
        """Ask, then add a slot."""
        self._change("add a slot to", "pool_grow", {"n": 1}, 1)

    def do_shrink(self) -> None:
        """Ask, then remove a slot."""
        self._change("remove a slot from", "pool_shrink", {"n": 1}, 1)

    def do_enable_events(self) -> None:
        """Ask in a window, then switch task events on."""
        self._change("switch on events of", "enable_events", {}, 2, _EVENTS_EFFECT)

    def do_shutdown(self) -> None:
        """Ask in a window, then stop the worker."""
        self._change("shut down", "shutdown", {}, 2, _SHUTDOWN_EFFECT)

    def _change(
        self,
        verb: str,
        method: str,
        arguments: dict[str, object],
        tier: int,
        effect: tuple[str, ...] = (),
    ) -> None:
        worker = self._chosen()
        if worker is None:
            return
        name, destination = worker.hostname, [worker.hostname]
        others = [node for node in self.console.source.expected(None) if node != name]
        word = name
        if method == "shutdown" and not others:
            # the last one: afterwards nobody works at all
            tier, word = 3, self.console.source.context
        act = Act(
            tier=tier,
            question=f"{verb} {name}?",
            title=f"{verb.upper()} {name}",
            lines=(
                ("worker", name),
                ("state", str(self.rows.status(worker).value)),
                ("runs", f"{counted(worker.active or 0)} now"),
                ("others", f"{counted(len(others), 'worker')} not touched"),
            ),
            effect=effect,
            equivalent=control_line(method, arguments, destination),
            word=word,
        )
        self.ask_first(act, lambda: self.console.act(method, arguments, destination))
