"""The Events screen: the stream as it arrives."""

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult

from tqconsole.tui.model.advice import no_event_hints, no_match_hints, searching_hints
from tqconsole.tui.model.event_fields import safe_event
from tqconsole.tui.model.event_log import Entry, TypeCounts
from tqconsole.tui.model.events import EventRows
from tqconsole.tui.model.filters import Filter
from tqconsole.tui.model.format import Cell, clip, count, rate, short_count, width_of
from tqconsole.tui.model.lines import Line, Piece, joined, two_sided
from tqconsole.tui.screens.base import LOW, Console
from tqconsole.tui.screens.event_detail import EventLooks, EventScreen
from tqconsole.tui.screens.filtered import FilteredList
from tqconsole.tui.widgets.line_bar import LineBar
from tqconsole.tui.widgets.live_table import LiveTable

__all__ = ["EventsScreen"]


class EventsScreen(EventLooks, FilteredList):
    """Events, newest first, with how many of each type there were."""

    key: ClassVar[str] = "events"

    def __init__(self, console: Console) -> None:
        """Belong to `console`."""
        super().__init__(console)
        source = console.source
        self.rows = EventRows(source.events, source.state, console.symbols)
        self.counts = TypeCounts()
        self.table = LiveTable(self.rows, console.palette, console.symbols, id="events")
        self.filter_bar = LineBar(console.palette, id="filter")
        self.types_bar = LineBar(console.palette, id="types")

    def body(self) -> ComposeResult:
        """Give the filter, the counts by type and the stream."""
        yield self.filter_bar
        yield self.types_bar
        yield self.table

    def missed(self) -> int:
        """Return the events that arrived since the pause."""
        return self.rows.missed

    def draw_body(self) -> None:
        """Take in what arrived and draw it."""
        console, rows = self.console, self.rows
        if rows.times != console.times:
            rows.show_times(console.times)
        if rows.frozen != console.paused:
            (rows.freeze if console.paused else rows.thaw)()
        rows.update(console.now, self.table.follow)
        if not console.paused:
            self.counts.update(console.source.state.totals, console.now)
        if not len(rows):
            self._explain_emptiness()
        self.filter_bar.show(self._filter_line())
        self.types_bar.display = self.size.height >= LOW
        self.types_bar.show(self._types_line())
        self.table.tick()

    def _filter_line(self) -> Line:
        rows, width = self.rows, self.size.width
        text = rows.filter.source
        kept = count(rows.kept)
        right = f"{count(len(rows))} of {kept} kept" if text or rows.hide_beats else f"{kept} kept"
        how = "follow" if self.table.follow else "hold"
        left: list[Piece] = [(Cell(" /", "key"), "filter")]
        tail: list[Piece] = [(Cell(right, "muted"), None), (Cell(f"  {how} ", "muted"), "follow")]
        if rows.sample > 1:
            sampled = f"1 in {count(rows.sample)} shown, {rate(rows.speed)}/s; f shows all "
            if width < 80:
                sampled = f"1:{count(rows.sample)} "
            tail = [(Cell(sampled, "warning"), "follow")]
        room = max(2, width - sum(width_of(cell.text) for cell, _ in tail) - 5)
        shown = clip(text, room, self.console.symbols.ellipsis) if text else "all events"
        left.append((Cell(f" {shown}", "bold" if text else "muted"), "filter"))
        if rows.searched < 1.0:
            left.append((Cell(f"  searching {rows.searched * 100:.0f}%", "warning"), None))
        if rows.hide_beats:
            left.append((Cell("  heartbeats hidden", "warning"), "hide_beats"))
        return two_sided(left, tail, width)

    def _types_line(self) -> Line:
        """Count the events by type, in as many words as fit."""
        pieces: list[Piece] = [(Cell(" "), None)]
        used = 1
        chosen = self._chosen_type()
        for kind, number, speed in self.counts.most():
            text = f"{kind} {short_count(number)}"
            fast = f" {rate(speed)}/s" if speed else ""
            if used + width_of(text + fast) + 3 > self.size.width:
                break
            style = "bold" if kind == chosen else "muted"
            pieces.append((Cell(text, style), f"type.{kind}"))
            pieces.append((Cell(f"{fast}   ", "accent"), f"type.{kind}"))
            used += width_of(text + fast) + 3
        return joined(pieces)

    def _explain_emptiness(self) -> None:
        rows, source = self.rows, self.console.source
        if rows.searched < 1.0:
            rows.hints = searching_hints(rows.searched)
        elif rows.kept:
            rows.hints = no_match_hints(rows.explain(), False)
        else:
            rows.hints = no_event_hints(source.state, source.link, self.console.now, source.url)

    # Filter

    def on_line_bar_clicked(self, event: LineBar.Clicked) -> None:
        """Filter by a clicked type; all else is an action."""
        if event.action.startswith("type."):
            event.stop()
            self._only(event.action.removeprefix("type."))
        else:
            super().on_line_bar_clicked(event)

    def _chosen_type(self) -> str:
        source = self.rows.filter.source
        return source.removeprefix("type=").strip('"') if source.startswith("type=") else ""

    def _only(self, kind: str) -> None:
        self.try_filter("" if kind == self._chosen_type() else f'type="{kind}"')

    def do_only_type(self) -> None:
        """Show only events of the type under the cursor; the same again shows all."""
        entry = self.current()
        if self._chosen_type():
            self.try_filter("")
        elif entry is not None and entry.type:
            self._only(entry.type)

    def filter_now(self) -> Filter:
        """Return the filter of the rows."""
        return self.rows.filter

    def use_filter(self, chosen: Filter) -> None:
        """Choose the rows anew."""
        self.rows.filter = chosen
        self.rows.rebuild()

    # Looks

    def current(self) -> Entry | None:
        """Return the entry under the cursor."""
        return self.rows.get(self.chosen())

    def do_pause(self) -> None:
        """Freeze the rows, or let them go on."""
        self.console.paused = not self.console.paused
        self.unsay()
        self.tick()

    def do_follow(self) -> None:
        """Stay with the newest events, or with what is shown."""
        table = self.table
        if table.follow and table.cursor_row is None and len(self.rows):
            table.choose(
                self.rows.key(table.top)
            )  # what holds the view is the row under the cursor
        table.set_follow(not table.follow)
        self.tick()

    def do_first(self) -> None:
        """Go to the newest event and stay with the newest."""
        self.table.select(0)
        self.table.follow = True
        self.tick()

    def do_hide_beats(self) -> None:
        """Leave out heartbeats, or show them again."""
        self.rows.hide_beats = not self.rows.hide_beats
        self.rows.rebuild()
        self.tick()

    def do_open(self) -> None:
        """Open the event under the cursor."""
        if self.table.cursor is None:
            self.table.move(1)
        entry = self.current()
        if entry is not None and entry.event:
            self.app.push_screen(EventScreen(self.console, entry))

    def do_back(self) -> None:
        """Clear the filter, then the cursor."""
        if self.rows.filter.source or self.rows.hide_beats:
            self.rows.hide_beats = False
            self.try_filter("")
        else:
            self.table.choose(None)
            self.table.set_follow(True)
        self.tick()

    def rows_to_export(self) -> Sequence[object]:
        """Return the events that match, oldest first."""
        self.rows.finish_search()
        entries = [self.rows.item(at) for at in reversed(range(len(self.rows)))]
        return [safe_event(entry.event) for entry in entries if entry.event]
