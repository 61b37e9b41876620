"""A table over any number of rows that draws only the visible lines that changed."""

from collections.abc import Hashable, Sequence
from typing import ClassVar, Protocol

from rich.segment import Segment
from textual import events
from textual.message import Message
from textual.strip import Strip

from tqconsole.tui.model.format import Cell, Glyphs, glyphs
from tqconsole.tui.widgets.paint import Backed, Palette, paint, regions

__all__ = ["LiveTable", "RowModel"]

GUTTER = 1  # cells left of the rows, for the cursor and the marks
SCROLLBAR = 1
DOUBLE_CLICK = 2


class RowModel(Protocol):
    """Rows by index, newest state of the moment; the table asks only for what it draws."""

    @property
    def marked(self) -> set[str]:
        """Keys of the rows that the user marked."""
        ...

    def __len__(self) -> int:
        """Return how many rows there are."""
        ...

    def key(self, index: int) -> str:
        """Return what stays the same while a row moves."""
        ...

    def index_of(self, key: str) -> int | None:
        """Return where a row is now, or None when it is gone."""
        ...

    def stamp(self, index: int) -> Hashable:
        """Return a value that differs whenever the row looks different."""
        ...

    def cells(self, index: int, width: int) -> Sequence[Cell]:
        """Return the row drawn for a width."""
        ...

    def layout(self, width: int) -> Hashable:
        """Return how a width is shared between the columns."""
        ...

    def header(self, width: int) -> Sequence[Cell]:
        """Return the headings for a width."""
        ...

    def empty(self, width: int) -> Sequence[Sequence[Cell]]:
        """Return the lines that explain why there are no rows."""
        ...


class LiveTable(Backed, can_focus=True, inherit_bindings=False):
    """A view on a `RowModel`. Owned by the event loop; `tick` decides what is drawn anew.

    The cursor belongs to a row's key, not to a line. While `follow` is on the view stays at the
    first rows, until the cursor would be pushed out at the bottom: then the view stays with it.

    Attributes:
        follow: Whether new rows at the top push the others down.
        top: Index of the first visible row.
        cursor: Key of the row under the cursor, or None before one was chosen.
        scrolled: Cells scrolled to the right.
        painted: Lines drawn since the start, for tests and measurements.
    """

    DEFAULT_CSS = "LiveTable { height: 1fr; width: 1fr; }"
    HELP: ClassVar[str | None] = None

    class Opened(Message):
        """A row was double-clicked."""

        def __init__(self, table: "LiveTable", key: str) -> None:
            """Keep the table and the row's key."""
            super().__init__()
            self.table = table
            self.key = key

    class Moved(Message):
        """The cursor is on another row."""

        def __init__(self, table: "LiveTable", key: str | None) -> None:
            """Keep the table and the row's key."""
            super().__init__()
            self.table = table
            self.key = key

        def can_replace(self, message: Message) -> bool:
            """Only the newest position matters."""
            return isinstance(message, LiveTable.Moved)

    def __init__(
        self, model: RowModel, palette: Palette, symbols: Glyphs | None = None, **kwargs: str | None
    ) -> None:
        """Show `model` with the styles of `palette`; other keywords are the widget's."""
        super().__init__(**kwargs)  # type: ignore[arg-type]  # id, name and classes only
        self.model = model
        self.palette = palette
        self.symbols = symbols or glyphs()
        self.follow = True
        self.top = 0
        self.cursor: str | None = None
        self.scrolled = 0
        self.painted = 0
        self._anchor: str | None = None
        self._cursor_row = 0
        self._seen: list[Hashable] = []

    # Geometry

    @property
    def page(self) -> int:
        """How many rows are visible."""
        return max(0, self.size.height - 1)

    @property
    def row_width(self) -> int:
        """Cells that a row may take."""
        return max(1, self.size.width - GUTTER - SCROLLBAR)

    @property
    def cursor_row(self) -> int | None:
        """Index of the row under the cursor, or None."""
        return None if self.cursor is None else self.model.index_of(self.cursor)

    def shown(self) -> range:
        """Return the indexes of the rows in view."""
        return range(self.top, min(len(self.model), self.top + self.page))

    # Moving

    def move(self, rows: int) -> None:
        """Move the cursor by rows; the first move puts it on the first visible row."""
        count = len(self.model)
        if not count:
            return
        here = self.cursor_row
        if here is None or here not in self.shown():
            at = (
                min(self.top, count - 1)
                if rows > 0 or here is None
                else min(self.top + self.page, count) - 1
            )
        else:
            at = here + rows
        self.select(at)

    def move_pages(self, pages: float) -> None:
        """Move the cursor by pages."""
        step = max(1, int(abs(pages) * self.page))
        here = self.cursor_row
        if here is None:
            self.move(1)
            here = self.cursor_row or 0
        self.select(here + (step if pages > 0 else -step))

    def select(self, index: int) -> None:
        """Put the cursor on a row, by index, and bring it into view."""
        count = len(self.model)
        if not count:
            return
        index = max(0, min(index, count - 1))
        self.choose(self.model.key(index))
        if index < self.top:
            self.top = index
        elif index >= self.top + self.page:
            self.top = index - self.page + 1
        if self.top > 0:
            self.follow = False
        self._anchor = None
        self.tick()

    def choose(self, key: str | None) -> None:
        """Put the cursor on a key, or nowhere."""
        if key != self.cursor:
            self.cursor = key
            self.post_message(self.Moved(self, key))

    def scroll_rows(self, rows: int) -> None:
        """Move the view by rows and leave the cursor where it is."""
        self.top = max(0, min(self.top + rows, len(self.model) - self.page))
        self.follow = False
        self._anchor = self.model.key(self.top) if len(self.model) else None
        self.tick(keep_cursor=False)

    def scroll_cells(self, cells: int) -> None:
        """Move the view sideways."""
        self.scrolled = max(0, min(self.scrolled + cells, 400))
        self.tick()

    def set_follow(self, on: bool) -> None:
        """Follow new rows, or keep the view on what it shows."""
        self.follow = on
        if on:
            self.top = 0
            self._anchor = None
            row = self.cursor_row
            if row is not None and row >= self.page:
                self.choose(None)
        self.tick()

    # Drawing

    def tick(self, *, keep_cursor: bool = True) -> int:
        """Draw again the lines that changed; returns how many."""
        if not self.is_mounted or self.size.height == 0:
            return 0
        self._settle(keep_cursor)
        # columns may change their widths while a row stays the same, so both are remembered
        layout = self.model.layout(self.row_width)
        now = [self._line_stamp(y, layout) for y in range(self.size.height)]
        before = self._seen
        self._seen = now
        if len(before) != len(now):
            self.refresh()
            return len(now)
        changed = [y for y, stamp in enumerate(now) if stamp != before[y]]
        if changed:
            self.refresh(*regions(changed, self.size.width))
        return len(changed)

    def redraw(self) -> None:
        """Draw every line again, after a change of theme or columns."""
        self._seen = []
        self._base = None
        self.tick()

    def _settle(self, keep_cursor: bool) -> None:
        """Decide which row is the first visible one, after rows came and went."""
        count, page = len(self.model), self.page
        row = self.cursor_row
        if self.cursor is not None and row is None and count and not self.follow:
            # the row under the cursor was evicted or no longer matches: stay on its line
            row = min(self._cursor_row, count - 1)
            self.choose(self.model.key(row))
        if self.follow:
            self.top = 0
            if row is not None and row >= page:
                self.follow = False
                self.top = row - page + 1
        elif self._anchor is not None:
            at = self.model.index_of(self._anchor)
            self.top = self.top if at is None else at
        if not self.follow and row is not None and keep_cursor and self._anchor is None:
            self.top = max(0, row - min(self._cursor_row - self._cursor_top, page - 1))
        self.top = max(0, min(self.top, count - page))
        if row is not None:
            self._cursor_row, self._cursor_top = row, self.top

    _cursor_top = 0

    def _line_stamp(self, y: int, layout: Hashable) -> Hashable:
        width = self.row_width
        bar = self._bar_cell(y)
        if y == 0:
            return (tuple(self.model.header(width)), width, self.scrolled, bar)
        index = self.top + y - 1
        if index >= len(self.model):
            return (None, bar, self._empty_line(y - 1))
        key = self.model.key(index)
        return (
            key,
            self.model.stamp(index),
            layout,
            key == self.cursor,
            key in self.model.marked,
            self.scrolled,
            bar,
        )

    def _empty_line(self, line: int) -> tuple[Cell, ...] | None:
        if len(self.model):
            return None
        lines = self.model.empty(self.row_width)
        return tuple(lines[line]) if line < len(lines) else None

    def _bar_cell(self, y: int) -> bool:
        """Tell whether the scroll bar's thumb covers a line."""
        count, page = len(self.model), self.page
        if y == 0 or count <= page or page == 0:
            return False
        length = max(1, page * page // count)
        start = round((page - length) * self.top / max(1, count - page))
        return start <= y - 1 < start + length

    def render_line(self, y: int) -> Strip:
        """Draw one line: the headings, a row, or nothing."""
        self.painted += 1
        width, palette, base = self.row_width, self.palette, self.backdrop
        blank = Segment(" ", base)
        if y == 0:
            cells = self.model.header(width)
            return paint(cells, width, palette, base, self.scrolled, ((blank,), (blank,)))
        index = self.top + y - 1
        thumb = self.symbols.thumb if self._bar_cell(y) else " "
        bar = Segment(thumb, base + palette["bar"])
        if index >= len(self.model):
            cells = self._empty_line(y - 1) or ()
            return paint(cells, width, palette, base, 0, ((blank,), (bar,)))
        key = self.model.key(index)
        here, marked = key == self.cursor, key in self.model.marked
        under = base + palette["cursor"] if here else base
        mark = "*" if marked else self.symbols.cursor if here else " "
        gutter = Segment(mark, under + palette["warning-bold" if marked else "key"])
        cells = self.model.cells(index, width)
        return paint(cells, width, palette, under, self.scrolled, ((gutter,), (bar,)))

    # Mouse

    def on_resize(self) -> None:
        """Draw everything for the new size."""
        self.redraw()

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """Scroll three rows down."""
        event.stop()
        self.scroll_rows(3)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """Scroll three rows up."""
        event.stop()
        self.scroll_rows(-3)

    def on_click(self, event: events.Click) -> None:
        """Put the cursor on a row; open it on the second click; jump with the scroll bar."""
        event.stop()
        if event.y == 0 or not len(self.model):
            return
        if event.x >= self.size.width - SCROLLBAR and len(self.model) > self.page:
            share = (event.y - 1) / max(1, self.page - 1)
            self.scroll_rows(round(share * (len(self.model) - self.page)) - self.top)
            return
        index = self.top + event.y - 1
        if index >= len(self.model):
            return
        self.select(index)
        if event.chain >= DOUBLE_CLICK and self.cursor is not None:
            self.post_message(self.Opened(self, self.cursor))
