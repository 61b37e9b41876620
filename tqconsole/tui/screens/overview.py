"""The Overview: throughput, what needs a look, queues, workers, and what runs, on one screen."""

from collections.abc import Mapping, Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.containers import Container
from textual.widget import Widget

from tqconsole.tui.model.chart import bars, regroup
from tqconsole.tui.model.detail import heading
from tqconsole.tui.model.format import Cell, duration, rate, width_of
from tqconsole.tui.model.insight import Attention
from tqconsole.tui.model.lines import Line
from tqconsole.tui.model.overview import (
    WorkerBrief,
    attention_rows,
    name_rows,
    running_rows,
    share,
)
from tqconsole.tui.model.queues import QueueCells, queue_columns, queue_rows
from tqconsole.tui.screens.base import Console
from tqconsole.tui.screens.panes import Panes
from tqconsole.tui.widgets.line_bar import LineBar
from tqconsole.tui.widgets.live_table import LiveTable, RowModel

__all__ = ["OverviewScreen"]

_TWO_COLUMNS = 150  # cells from which lists stand side by side
_MINUTES = 5
_ATTENTION = 6  # lines that what needs a look gets before anything else
_LOW_ROOM = 16  # lines below which a list shows one row or two
_ROOMY = 28  # lines below which one column has no room for the task names
_LEGEND = 18
_QUEUE_COLUMNS = (
    "name", "ready", "unacked", "oldest", "in", "out", "growth", "eta", "workers", "trend",
)  # fmt: skip
_MOST_RUNNING = 100
_NAMES_EVERY = 1.0
_RUNNING_EVERY = 0.5


class OverviewScreen(Panes):
    """What an engineer on call looks at first."""

    key: ClassVar[str] = "overview"

    def __init__(self, console: Console) -> None:
        """Belong to `console`."""
        super().__init__(console)
        source, symbols, insight = console.source, console.symbols, console.insight
        self.attention = attention_rows(symbols, self._now)
        columns = queue_columns(QueueCells(symbols, insight, source.state, self._now))
        self.queues = queue_rows(symbols, columns, _QUEUE_COLUMNS, "queues")
        self.fleet = WorkerBrief(source.state, symbols, source.facts)
        self.running = running_rows(symbols, self._now, source.state, lambda: source.limits)
        self.names = name_rows(symbols, self._now)
        self.attention.hints = (
            [Cell(f" {symbols.success} ", "success"), Cell("all quiet", "muted")],
        )
        self.queues.hints = ([Cell(" learnt from the workers that take from them", "muted")],)
        self.fleet.hints = ([Cell(" none heard of: tq worker -A yourapp -E", "muted")],)
        self.running.hints = ([Cell(" nothing", "muted")],)
        self.names.hints = ([Cell(" none yet", "muted")],)
        self.chart = LineBar(console.palette, id="chart")
        models: dict[str, RowModel] = {
            "attention": self.attention,
            "queues": self.queues,
            "workers": self.fleet,
            "running": self.running,
            "names": self.names,
        }
        self.panes: dict[str, LiveTable] = {}
        for name, model in models.items():
            pane = LiveTable(model, console.palette, symbols, id=f"pane-{name}")
            pane.follow = False
            self.panes[name] = pane
        self.table = self.panes["attention"]
        self._names_at = self._running_at = -1.0
        self._drawn: list[Line] = []
        self._drawn_for = (0, 0, 0)

    def _now(self) -> float:
        return self.console.now

    def body(self) -> ComposeResult:
        """Give the chart and the lists."""
        yield self.chart
        yield self.panes["attention"]
        with Container(id="overview-upper", classes="pair"):
            yield self.panes["queues"]
            yield self.panes["workers"]
        with Container(id="overview-lower", classes="pair"):
            yield self.panes["running"]
            yield self.panes["names"]

    # Drawing

    def draw_body(self) -> None:
        """Take in the moment and draw what changed."""
        if not self.console.paused:
            self._take()
        self._arrange()
        self.chart.show(*self._chart_lines())
        for pane in self.panes.values():
            if pane.display:
                pane.tick()

    def _take(self) -> None:
        console, now = self.console, self.console.now
        insight, source = console.insight, console.source
        self.attention.show(insight.attention)
        waiting = sorted(source.queues, key=lambda queue: (-(queue.ready or 0), queue.name))
        self.queues.show(waiting)
        self.fleet.update(now)
        if (
            not len(self.running) or abs(now - self._running_at) >= _RUNNING_EVERY
        ):  # short tasks would only flicker
            self._running_at = now
            running = insight.running.longest_first()
            self.running.title = f"running now ({len(running)}), longest first"
            self.running.show(running[:_MOST_RUNNING])
        if (
            not len(self.names) or abs(now - self._names_at) >= _NAMES_EVERY
        ):  # an order that changes at every frame
            self._names_at = now
            stats = sorted(
                source.state.names.values(), key=lambda item: (-item.finished, item.name)
            )
            self.names.show(stats[:_MOST_RUNNING])
        self.attention.title = f"attention ({len(insight.attention)})"

    def _arrange(self) -> None:
        """Give each part its lines."""
        width = self.size.width
        two = width >= _TWO_COLUMNS
        bars_room = 0 if self.size.height < 15 else 1
        # header, tabs, keys, status, and the prompt while it is open
        room = max(4, self.size.height - (5 if self.prompt.is_open else 4))
        urgent = _ATTENTION if room >= _LOW_ROOM else 2
        rows = {name: 1 + max(1, len(pane.model)) for name, pane in self.panes.items()}
        chart = (9 if two else 6) * bars_room
        if two:
            upper = max(rows["queues"], rows["workers"])
            lower = max(rows["running"], rows["names"])
            given = share(room, [(rows["attention"], urgent), (upper, 4), (chart, 5), (lower, 4)])
            attention, upper, chart, lower = given
            heights = {"queues": upper, "workers": upper, "running": lower, "names": lower}
        else:
            given = share(
                room,
                [
                    (rows["attention"], urgent),
                    (rows["queues"], 3),
                    (rows["workers"], 3),
                    (chart, 4),
                    (rows["running"], 3),
                    (rows["names"] if room >= _ROOMY else 0, 3),
                ],
            )
            attention, queues, workers, chart, running, names = given
            upper, lower = queues + workers, running + names
            heights = {"queues": queues, "workers": workers, "running": running, "names": names}
        heights["attention"] = attention
        # what nobody wants goes to the last part, so that the footer stays at the bottom
        spare = room - attention - chart - upper - lower
        if lower:
            lower += spare
            for name in ("running", "names") if two else _last(heights, "names", "running"):
                heights[name] += spare
        else:
            upper += spare
            for name in ("queues", "workers") if two else _last(heights, "workers", "queues"):
                heights[name] += spare
        _set_height(self.chart, chart)
        for name, height in heights.items():
            _set_height(self.panes[name], height)
        for part, height in (("#overview-upper", upper), ("#overview-lower", lower)):
            container = self.query_one(part)
            container.set_class(two, "two")
            _set_height(container, height)
        if not self.table.display:
            for name in list(self._visible())[:1]:  # a very low screen has room for none
                self.activate(name)

    def _chart_lines(self) -> list[Line]:
        """Draw the throughput of the last minutes, with the figures of the moment beside it."""
        height = int(self.chart.styles.height.value) if self.chart.styles.height else 0
        width = self.size.width
        if height < 2 or not self.chart.display:
            return []
        console, symbols = self.console, self.console.symbols
        drawn_for = (int(console.now), width, height)
        if self._drawn_for == drawn_for or (
            console.paused and self._drawn_for[1:] == (width, height)
        ):
            return self._drawn
        title = f"tasks per second, {_MINUTES} min"
        lines = [Line(tuple(heading(title, width, symbols)))]
        figures = self._figures(width >= _TWO_COLUMNS)
        plot = width - max(_LEGEND, *(sum(width_of(c.text) for c in line) for line in figures))
        step = max(1, -(-60 * _MINUTES // max(1, plot - 6)))
        good, bad = (self._series(name, step) for name in ("succeeded", "failed"))
        drawn = bars(good, bad, plot, height - 1, symbols)
        for number, cells in enumerate(drawn):
            beside = figures[number] if number < len(figures) else []
            lines.append(Line((*cells, *beside)))
        self._drawn_for, self._drawn = drawn_for, lines
        return lines

    def _figures(self, with_stages: bool) -> list[list[Cell]]:
        """Return the rates of the moment, and where the time of tasks goes."""
        console = self.console
        rates = []
        for name, key, style in (
            ("ok", "succeeded", "success"),
            ("fail", "failed", "error"),
            ("retry", "retried", "retry"),
            ("sent", "sent", "accent"),
        ):
            value = console.source.state.rates[key].rate(console.now, 10)
            text = f"{rate(value):>6}/s"
            rates.append([Cell(f"  {name:<6}", "muted"), Cell(text, style if value else "muted")])
        stages = console.insight.stages.table(console.now) if with_stages else []
        if not stages:
            return rates
        table = [[Cell(f"   {'':<8}{'p50':>7}{'p95':>7}{'p99':>7}{'worst':>7}", "heading")]]
        for stage in stages:
            spent = (stage.p50, stage.p95, stage.p99, stage.worst)
            text = "".join(f"{duration(seconds):>7}" for seconds in spent)
            table.append([Cell(f"   {stage.name:<8}", "muted"), Cell(text)])
        blank = [Cell(" " * _LEGEND)]
        return [
            [*(rates[n] if n < len(rates) else blank), *(table[n] if n < len(table) else [])]
            for n in range(max(len(rates), len(table)))
        ]

    def _series(self, name: str, step: int) -> list[float]:
        """Return means of the last minutes without the second that is not over."""
        now = self.console.now - 1
        seconds = 60 * _MINUTES + step
        counts = self.console.source.state.rates[name].series(now, 1, min(600, seconds))
        return regroup(counts, step, int(now))

    # Moving

    def _visible(self) -> dict[str, LiveTable]:
        return {name: pane for name, pane in self.panes.items() if pane.display}

    def _step(self, by: int) -> bool:
        """Go to a neighbouring list that has rows."""
        names = [name for name, pane in self._visible().items() if len(pane.model)]
        here = next((n for n, pane in self.panes.items() if pane is self.table), "")
        if not names:
            return False
        at = names.index(here) + by if here in names else 0
        if not 0 <= at < len(names):
            return False
        self.activate(names[at])
        return True

    def do_move_down(self) -> None:
        """Go to the next row, and on into the next list."""
        row = self.table.cursor_row
        last = len(self.table.model) - 1
        if last < 0 or (row is not None and row >= last):
            if self._step(1):
                self.table.select(0)
        else:
            self.table.move(1)

    def do_move_up(self) -> None:
        """Go to the row before, and on into the list above."""
        if self.table.cursor_row in (0, None) and self._step(-1):
            self.table.select(len(self.table.model) - 1)
        else:
            self.table.move(-1)

    def do_next_pane(self) -> None:
        """Go to the next list; after the last to the first."""
        if not self._step(1):
            names = [name for name, pane in self._visible().items() if len(pane.model)]
            if names:
                self.activate(names[0])
        if self.table.cursor is None and len(self.table.model):
            self.table.select(0)

    def do_back(self) -> None:
        """Take the cursor away."""
        self.table.choose(None)
        self.table.tick()

    # Opening

    def do_open(self) -> None:
        """Open what is under the cursor."""
        if self.table.cursor is None:
            if not len(self.table.model) and not self._step(1):
                return
            self.table.select(0)
            return
        name = next(name for name, pane in self.panes.items() if pane is self.table)
        key = self.table.cursor
        if name == "attention":
            item = self.attention.get(key)
            if item is not None:
                self._look_into(item)
        elif name == "queues":
            self.console.show_row("queues", key)
        elif name == "workers":
            self.console.open_worker(key)
        elif name == "running":
            self.console.open_task(key)
        else:
            self.console.show_tasks(f'name="{key}"')

    def _look_into(self, item: Attention) -> None:
        if item.screen == "workers":
            self.console.open_worker(item.target)
        else:
            self.console.show_row(item.screen, item.target)

    def do_pause(self) -> None:
        """Freeze the view, or let it go on."""
        self.console.paused = not self.console.paused
        self.tick()

    def do_copy(self) -> None:
        """Copy the name under the cursor."""
        name = self.chosen()
        if name is None:
            self.nothing_chosen("row")
        else:
            self.console.copy_text(name, "name")

    def rows_to_export(self) -> Sequence[object]:
        """Return what needs a look."""
        return self.console.insight.attention


def _last(heights: Mapping[str, int], *names: str) -> Sequence[str]:
    """Return the first of these names that has any lines, as the only one."""
    return [name for name in names if heights[name]][:1]


def _set_height(widget: Widget, height: int) -> None:
    """Give a widget its lines; none hides it."""
    shown = height > 0
    if widget.display != shown:
        widget.display = shown
    now = widget.styles.height
    if shown and (now is None or now.value != height):
        widget.styles.height = height
