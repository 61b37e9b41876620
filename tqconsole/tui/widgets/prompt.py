"""The row in which the user types a filter or a command, or answers a question."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from textual import events
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.widgets import Input

from tqconsole.tui.model.format import Cell, width_of
from tqconsole.tui.model.lines import Line
from tqconsole.tui.widgets.line_bar import LineBar
from tqconsole.tui.widgets.paint import Palette

__all__ = ["Prompt", "Question", "Typing"]


@dataclass(frozen=True, slots=True)
class Typing:
    """A line to be typed.

    Attributes:
        mark: What stands before it, such as `/`.
        changed: Called with the text at every change.
        done: Called with the text on Enter.
        cancelled: Called on Esc.
        text: What it begins with.
        history: Earlier lines, oldest first, for the up and down keys.
    """

    mark: str
    done: Callable[[str], None]
    changed: Callable[[str], None] = lambda text: None
    cancelled: Callable[[], None] = lambda: None
    text: str = ""
    history: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Question:
    """A question answered with one key.

    Attributes:
        cells: The question.
        answers: What each key does; every other key cancels.
        cancelled: Called when another key is pressed.
    """

    cells: tuple[Cell, ...]
    answers: Mapping[str, Callable[[], None]]
    cancelled: Callable[[], None] = lambda: None


class _Asker(LineBar, can_focus=True):
    """Shows a question and takes the key that answers it."""

    question: Question | None = None
    close: Callable[[], None]

    async def on_key(self, event: events.Key) -> None:
        """Answer; whatever is no answer cancels, so that nothing happens by accident."""
        question = self.question
        if question is None:
            return
        event.stop()
        event.prevent_default()
        self.close()
        answer = question.answers.get(event.key) or question.answers.get(event.character or "")
        if answer is None:
            question.cancelled()
        else:
            answer()


class Prompt(Horizontal):
    """One row, hidden until it is used. It has the focus while it is open."""

    DEFAULT_CSS = """
    Prompt { height: 1; display: none; }
    Prompt.open { display: block; }
    Prompt > #prompt-mark { width: auto; }
    Prompt > Input { height: 1; border: none; padding: 0; width: 1fr; background: transparent; }
    Prompt > Input:focus { border: none; }
    Prompt > #prompt-question { width: 1fr; display: none; }
    Prompt.asking > Input { display: none; }
    Prompt.asking > #prompt-mark { display: none; }
    Prompt.asking > #prompt-question { display: block; }
    """

    def __init__(self, palette: Palette, **kwargs: str | None) -> None:
        """Draw with `palette`; other keywords are the widget's."""
        super().__init__(**kwargs)  # type: ignore[arg-type]  # id and classes only
        self._mark = LineBar(palette, id="prompt-mark")
        self._input = Input(id="prompt-input", select_on_focus=False)
        self._input.cursor_blink = False  # an idle screen sends nothing
        self._asker = _Asker(palette, id="prompt-question")
        self._asker.close = self.close
        self._typing: Typing | None = None
        self._place = 0

    def compose(self) -> ComposeResult:
        """Put mark, input and question side by side; one of them is shown."""
        yield self._mark
        yield self._input
        yield self._asker

    @property
    def is_open(self) -> bool:
        """Whether the user is typing or asked something."""
        return self.has_class("open")

    @property
    def typing(self) -> Typing | None:
        """What is being typed."""
        return self._typing

    @property
    def question(self) -> Question | None:
        """What is being asked."""
        return self._asker.question

    @property
    def text(self) -> str:
        """What is typed so far."""
        return self._input.value

    @property
    def mark_width(self) -> int:
        """Cells left of what is typed."""
        return 0 if self._typing is None else width_of(self._typing.mark) + 2

    def type_line(self, typing: Typing) -> None:
        """Let the user type a line."""
        self.close()
        self._typing = typing
        self._place = len(typing.history)
        mark = f" {typing.mark} "
        self._mark.styles.width = width_of(mark)
        self._mark.show(Line((Cell(mark, "key"),)))
        with self._input.prevent(Input.Changed):
            self._input.value = typing.text
        self._input.cursor_position = len(typing.text)
        self.add_class("open")
        self._input.focus()

    def ask(self, question: Question) -> None:
        """Ask a question."""
        self.close()
        self._asker.question = question
        self._asker.show(Line(question.cells))
        self.add_class("open", "asking")
        self._asker.focus()

    def close(self) -> None:
        """Hide the row."""
        self._typing = None
        self._asker.question = None
        self.remove_class("open", "asking")

    def on_input_changed(self, event: Input.Changed) -> None:
        """Pass on what is typed."""
        event.stop()
        if self._typing is not None:
            self._typing.changed(event.value)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Pass on the finished line."""
        event.stop()
        typing = self._typing
        self.close()
        if typing is not None:
            typing.done(event.value)

    def on_key(self, event: events.Key) -> None:
        """Cancel on Esc; walk through the history with up and down."""
        typing = self._typing
        if typing is None:
            return
        if event.key == "escape":
            event.stop()
            self.close()
            typing.cancelled()
        elif event.key in ("up", "down") and typing.history:
            event.stop()
            self._place += -1 if event.key == "up" else 1
            self._place = max(0, min(self._place, len(typing.history)))
            lines = (*typing.history, "")
            self._input.value = lines[self._place]
            self._input.cursor_position = len(self._input.value)
