"""What all screens share: the frame, the keys, the prompt, and the tick."""

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.await_complete import AwaitComplete
from textual.screen import Screen
from textual.widget import Widget

from tqconsole.tui.actions import Action, available, for_key
from tqconsole.tui.console import Console
from tqconsole.tui.export import write_rows
from tqconsole.tui.model.acts import Act
from tqconsole.tui.model.chrome import Frame, header_line, key_line, tab_line
from tqconsole.tui.model.format import Cell, clip, count
from tqconsole.tui.model.lines import Line
from tqconsole.tui.screens.confirm import ConfirmScreen
from tqconsole.tui.widgets.line_bar import LineBar
from tqconsole.tui.widgets.live_table import LiveTable
from tqconsole.tui.widgets.prompt import Prompt, Question

__all__ = ["LOW", "Console", "ConsoleScreen", "ListScreen"]

LOW = 15  # rows below which the footer shrinks to one row and previews disappear
_NOTE_SECONDS = 6.0


class ConsoleScreen(Screen[None], inherit_bindings=False):
    """A screen of the console.

    Attributes:
        key: The screen's name in the action table.
        console: The application.
        note: What the status row says, and its style.
    """

    key: ClassVar[str] = ""
    BINDINGS: ClassVar = []
    AUTO_FOCUS = "LiveTable, TextPager"

    def __init__(self, console: Console) -> None:
        """Belong to `console`."""
        super().__init__()
        self.console = console
        palette = console.palette
        self.header = LineBar(palette, "frame", id="header")
        self.tabs = LineBar(palette, id="tabs")
        self.keys_bar = LineBar(palette, id="keys")
        self.status = LineBar(palette, id="status")
        self.prompt = Prompt(palette, id="prompt")
        self.note: Cell | None = None
        self._note_until = 0.0
        self._composed = False

    def on_mount(self) -> None:
        """Note that the widgets are there; a tick may come before."""
        self._composed = True

    def compose(self) -> ComposeResult:
        """Frame the screen's own widgets."""
        yield self.header
        yield self.tabs
        yield from self.body()
        yield self.keys_bar
        yield self.prompt
        yield self.status

    def body(self) -> ComposeResult:
        """Give the screen's own widgets."""
        raise NotImplementedError

    def dismiss(self, result: None = None) -> AwaitComplete:
        """Go, but once: of two keys that leave the second must not take away what is below."""
        return super().dismiss(result) if self.app.screen is self else AwaitComplete()

    def crumbs(self) -> tuple[str, ...]:
        """Name the place below the tabs."""
        return ()

    def main(self) -> Widget | None:
        """Return the widget that moving keys move."""
        return None

    # Frame

    def tick(self) -> None:
        """Bring everything up to date; draws only what differs."""
        # once the console ends its widgets go one by one
        if not self._composed or not self.size.width or self.app.return_code is not None:
            return
        self.draw_body()
        self.draw_frame()

    def draw_body(self) -> None:
        """Bring the screen's own widgets up to date."""

    def draw_frame(self) -> None:
        """Bring header, tabs and footer up to date."""
        console, width = self.console, self.size.width
        source = console.source
        frame = Frame(
            context=source.context,
            url=source.url,
            now=console.now,
            link=source.link,
            paused=console.paused,
            missed=self.missed(),
            read_only=source.read_only,
            crumbs=self.crumbs(),
        )
        self.header.show(header_line(source.state, frame, width, console.symbols))
        here = self.tab_of()
        self.tabs.show(tab_line(here, console.now, width, self._guard(), self.badges()))
        low = self.size.height < LOW
        self.status.display = not (low and self.prompt.is_open)
        rows = self.key_rows(width)
        self.keys_bar.styles.height = 1 if low else len(rows)
        self.keys_bar.show(*rows)
        self.status.show(self.status_line(width))

    def _guard(self) -> tuple[str, str]:
        """Return what keeps the cluster from being changed by accident, and its style."""
        console = self.console
        if console.source.read_only:
            return "read-only", "success"
        if not console.protected:
            return "", ""
        return ("protected", "success") if console.locked else ("UNLOCKED", "warning-bold")

    def tab_of(self) -> str:
        """Return the numbered screen this one belongs to."""
        return self.key

    def missed(self) -> int:
        """Return the events that arrived since the pause."""
        return 0

    def badges(self) -> dict[str, str]:
        """Return what follows a screen's name on its tab."""
        failures = len(self.console.insight.failures)
        return {"failures": f"({failures})"} if failures else {}

    def actions(self) -> list[Action]:
        """Return the actions offered here."""
        return available(self.key, self.console.source.read_only)

    def key_rows(self, width: int) -> list[Line]:
        """Return the rows of keys: those that look, then those that act."""
        shown = sorted((a for a in self.actions() if a.footer), key=lambda action: action.footer)
        looks = [action for action in shown if action.footer < 50 or action.footer >= 90]
        acts = [action for action in shown if 50 <= action.footer < 90]
        rows = [key_line(looks, width)]
        if acts:
            rows.append(key_line(acts, width, self.selection_note()))
        return rows

    def selection_note(self) -> Cell | None:
        """Say how many rows are marked."""
        return None

    def status_line(self, width: int) -> Line:
        """Return the last row: news, or the state of things."""
        note = self.note
        if note is not None and (self.prompt.is_open or self.console.now < self._note_until):
            return Line((Cell(" "), Cell(clip(note.text, width - 2), note.style)))
        return Line((Cell(" "), Cell(clip(self.idle_status(), width - 2), "muted")))

    def idle_status(self) -> str:
        """Say in a line what is kept and how old it is."""
        state = self.console.source.state
        kept = len(state.tasks)
        parts = [f"{count(kept)} {'task' if kept == 1 else 'tasks'} kept"]
        if state.evicted:
            parts.append(f"{count(state.evicted)} older ones dropped")
        dropped = self.console.source.link.dropped
        if dropped:
            parts.append(f"overload: {count(dropped)} events counted, not kept")
        if self.console.paused:
            return (
                f"PAUSED: view frozen, capture goes on (+{count(self.missed())} events). p resumes"
            )
        commands = self.console.source.commands
        if commands:
            last = commands[-1]
            parts.append(f"last command #{last.number}: {len(last.answers)} replies")
        error = self.console.source.link.error
        if error and not self.console.source.link.connected:
            parts = [error]
        return f" {self.console.symbols.dot} ".join(parts)

    def say(self, text: str, style: str = "warning") -> None:
        """Show news in the status row for some seconds."""
        self.note = Cell(text, style)
        self._note_until = self.console.now + _NOTE_SECONDS
        self.draw_frame()

    def unsay(self) -> None:
        """Take back the news."""
        self.note = None
        self.draw_frame()

    def refocus(self) -> None:
        """Give the focus back to the screen's main widget."""
        widget = self.main()
        if widget is not None:
            widget.focus()

    # Asking

    def ask_first(self, act: Act, perform: Callable[[], None]) -> None:
        """Perform an act once the user has confirmed it as its tier demands."""
        console = self.console
        context = console.source.context
        if console.protected:
            if console.locked and act.tier >= 2:
                console.refuse(act.equivalent, f"{context} is protected: :unlock 5m REASON first")
                return
            act = act.in_protected(context)
        if act.tier < 2:
            self._ask_on_a_line(act, perform)
            return

        def decided(yes: bool | None) -> None:
            if yes:
                self.refocus()
                perform()
            else:
                self.not_sent()

        self.app.push_screen(ConfirmScreen(act, context, console.palette, console.symbols), decided)

    def _ask_on_a_line(self, act: Act, perform: Callable[[], None]) -> None:
        """Ask on one line, with the equivalent command line below."""
        cells = (
            Cell(f" {act.question} ", "warning-bold"),
            Cell("y", "key"),
            Cell("/", "muted"),
            Cell("N", "bold"),
        )

        def agreed() -> None:
            self.unsay()
            self.refocus()
            perform()

        self.note = Cell(f"$ {act.equivalent}", "muted")
        self.prompt.ask(Question(cells, {"y": agreed}, self.not_sent))
        self.draw_frame()

    def ask_what_to_copy(self, choices: Mapping[str, tuple[str, str]], usual: str) -> None:
        """Ask which text to copy, and copy it.

        Args:
            choices: Key -> what it is, and the text; empty texts are not offered.
            usual: The key that `y` means.
        """
        cells = [Cell(" copy ", "bold")]
        answers: dict[str, Callable[[], None]] = {}
        for letter, (what, text) in choices.items():
            if text:
                cells += [Cell(f" {letter}", "key"), Cell(f" {what}", "muted")]
                answers[letter] = self._copier(text, what)
        answers["y"] = answers[usual]
        self.prompt.ask(Question(tuple(cells), answers, self.refocus))

    def _copier(self, text: str, what: str) -> Callable[[], None]:
        def copy() -> None:
            self.refocus()
            self.console.copy_text(text, what)

        return copy

    def not_sent(self) -> None:
        """Say that nothing was sent."""
        self.refocus()
        self.say("cancelled, nothing was sent", "muted")

    def redraw(self) -> None:
        """Draw everything again, after a change of theme."""
        for widget in self.query(LineBar):
            widget.palette = self.console.palette
            widget.redraw()
        for table in self.query(LiveTable):
            table.palette = self.console.palette
            table.redraw()

    # Keys

    async def on_key(self, event: events.Key) -> None:
        """Look the key up in the action table."""
        if self.prompt.is_open:
            return
        if event.key.isdigit() and self.open_number(event.key):
            event.stop()
            return
        names = (event.key, event.character or "")
        for name in names:
            action = for_key(self.key, name, self.console.source.read_only) if name else None
            if action is not None:
                event.stop()
                event.prevent_default()
                self.console.perform(action.name)
                return

    def open_number(self, number: str) -> bool:
        """Go to the screen with this number; returns whether there is one."""
        return self.console.open_number(number)

    def on_line_bar_clicked(self, event: LineBar.Clicked) -> None:
        """Do what the clicked place says."""
        event.stop()
        if event.action.startswith("screen."):
            self.console.show_screen(event.action.removeprefix("screen."))
        else:
            self.console.perform(event.action)

    def on_screen_resume(self) -> None:
        """Catch up after having been covered."""
        self.tick()

    def on_resize(self) -> None:
        """Fit everything to the new size."""
        self.call_after_refresh(self.tick)


class ListScreen(ConsoleScreen):
    """A screen that is mainly one table."""

    table: LiveTable

    def main(self) -> Widget | None:
        """Return the table."""
        return self.table

    def chosen(self) -> str | None:
        """Return the key under the cursor, if its row is in the list."""
        return self.table.cursor if self.table.cursor_row is not None else None

    def nothing_chosen(self, noun: str) -> None:
        """Say that there is no row to act on."""
        if len(self.table.model):
            self.say(f"no {noun} chosen: j or a click chooses one")
        else:
            self.say(f"nothing to act on: no {noun} is in the list")

    def do_move_down(self) -> None:
        """Go to the next row."""
        self.table.move(1)

    def do_move_up(self) -> None:
        """Go to the row before."""
        self.table.move(-1)

    def do_page_down(self) -> None:
        """Go half a page down."""
        self.table.move_pages(0.5)

    def do_page_up(self) -> None:
        """Go half a page up."""
        self.table.move_pages(-0.5)

    def do_first(self) -> None:
        """Go to the first row."""
        self.table.select(0)

    def do_last(self) -> None:
        """Go to the last row."""
        self.table.select(len(self.table.model) - 1)

    def do_left(self) -> None:
        """Scroll to the left."""
        self.table.scroll_cells(-8)

    def do_right(self) -> None:
        """Scroll to the right."""
        self.table.scroll_cells(8)

    def choose(self, key: str) -> None:
        """Put the cursor on a row that another screen names."""
        self.draw_body()
        at = self.table.model.index_of(key)
        if at is not None:
            self.table.select(at)

    def ask_sort(
        self, letters: Mapping[str, str], sorted_by: str, choose: Callable[[str], None]
    ) -> None:
        """Ask which column to sort by.

        Args:
            letters: The column's name by the key that chooses it.
            sorted_by: The column sorted by now.
            choose: Called with the column's name.
        """
        cells = [Cell(" sort by ", "bold")]
        for letter, name in letters.items():
            style = "heading-sorted" if name == sorted_by else "muted"
            cells += [Cell(f" {letter}", "key"), Cell(f" {name}", style)]
        cells.append(Cell("   same again reverses", "muted"))

        def chosen(name: str) -> None:
            choose(name)
            self.refocus()
            self.tick()

        answers = {letter: (lambda name=name: chosen(name)) for letter, name in letters.items()}
        self.prompt.ask(Question(tuple(cells), answers, self.refocus))

    # Export

    def rows_to_export(self) -> Sequence[object]:
        """Return what `e` writes to a file."""
        model = self.table.model
        item = getattr(model, "item", None)
        return [item(at) for at in range(len(model))] if item is not None else []

    def do_export(self) -> None:
        """Write the rows to a file in the working directory, one JSON object a line."""
        rows = self.rows_to_export()
        stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime(self.console.now))
        path = Path.cwd() / f"tq-{self.key}-{stamp}.jsonl"

        def write() -> None:
            try:
                written = write_rows(path, rows)
            except OSError as error:
                self.app.call_from_thread(self.say, f"not written: {error}", "error")
            else:
                text = f"{count(written)} rows written to {path}"
                self.app.call_from_thread(self.say, text, "success")

        # 100 000 rows take seconds
        self.run_worker(write, thread=True, name="export", exit_on_error=True)
        self.say(f"writing {count(len(rows))} rows", "muted")

    def on_live_table_opened(self, event: LiveTable.Opened) -> None:
        """Open the row that was double-clicked."""
        event.stop()
        self.console.perform("open")
