"""The help: the keys of the screen it was opened from, and the filter language."""

from typing import ClassVar

from textual.app import ComposeResult

from tqconsole.tui.actions import ACTIONS, SCREENS, available
from tqconsole.tui.model.detail import heading
from tqconsole.tui.model.filters import FIELDS
from tqconsole.tui.model.format import Cell, state_style
from tqconsole.tui.screens.base import Console
from tqconsole.tui.screens.pager import PagerScreen

__all__ = ["HelpScreen"]

_FILTERS = (
    ("state:failure,retry", "any of these states"),
    ("name:billing.*", "glob; without * it is contained"),
    ("worker=w1@node1", "exactly"),
    ("args~/cust(omer)?/", "regular expression"),
    ("runtime>5s  age<15m", "with units ms s m h d"),
    ("kwargs.amount>10", "a value inside the arguments"),
    (
        "is:orphan  has:traceback",
        "also failed running waiting slow stuck truncated marked",
    ),
    ('timeout "card declined"', "words and phrases, anywhere in the task"),
    ("-worker:w8@*  NOT (a OR b)", "negation, OR, parentheses"),
    ("type:task-failed,worker", "in Events: the event's own type"),
    ("since:14:05  until:-5m", "time of the last change"),
)


class HelpScreen(PagerScreen):
    """What every key does on the screen below."""

    key: ClassVar[str] = "help"

    def __init__(self, console: Console, of: str) -> None:
        """Explain the screen named `of`."""
        super().__init__(console)
        self.of = of

    def body(self) -> ComposeResult:
        """Give the page."""
        yield self.pager

    def tab_of(self) -> str:
        """Belong to the screen explained."""
        return self.of

    def crumbs(self) -> tuple[str, ...]:
        """Say what this is."""
        return ("help", self.of)

    def draw_body(self) -> None:
        """Write the page for the width of the moment."""
        self.pager.show(self._page(max(20, self.pager.size.width - 1)))

    def _page(self, width: int) -> list[list[Cell]]:
        symbols = self.console.symbols
        read_only = self.console.source.read_only
        offered = available(self.of, read_only)
        lines = [heading("keys: lower case looks, UPPER CASE acts", width, symbols)]
        for number, name, _, title in SCREENS:
            lines.append(self._key(number, f"Go to {title}.", name))
        lines.append([])
        here = [action for action in offered if action.screens and not action.acts]
        for group in (
            here,
            [a for a in offered if a.acts],
            [a for a in offered if not a.screens and not a.acts],
        ):
            for action in group:
                keys = " ".join(
                    action.key_text if key == action.keys[0] else key for key in action.keys
                )
                lines.append(self._key(keys, action.help, action.name, acts=action.acts))
            if group:
                lines.append([])
        if read_only:
            hidden = sum(action.acts for action in ACTIONS)
            lines.append(
                [Cell(f" read-only: {hidden} actions that change the cluster are off", "success")]
            )
            lines.append([])
        lines.append(heading("filters", width, symbols))
        lines.extend([Cell(f" {example:<28}", "key"), Cell(text, "")] for example, text in _FILTERS)
        lines.append([Cell(" fields  ", "muted"), Cell(" ".join(FIELDS), "muted")])
        lines.append([])
        lines.append(heading("states", width, symbols))
        states = (
            "SENT",
            "RECEIVED",
            "STARTED",
            "SUCCESS",
            "FAILURE",
            "RETRY",
            "REVOKED",
            "ORPHAN",
            "STALE",
        )
        lines.extend(
            [
                Cell(f" {symbols.state(name)} {name:<10}", state_style(name)),
                Cell(_STATES[name], "muted"),
            ]
            for name in states
        )
        return lines

    def _key(self, keys: str, text: str, name: str, acts: bool = False) -> list[Cell]:
        return [
            Cell(f" {keys:<16}", "warning-bold" if acts else "key"),
            Cell(f"{text} ", ""),
            Cell(f":{name}", "dim"),
        ]


_STATES = {
    "SENT": "published; no worker has it yet",
    "RECEIVED": "a worker has it and waits for a free slot or its time",
    "STARTED": "running",
    "SUCCESS": "ended well",
    "FAILURE": "ended with an exception",
    "RETRY": "failed, and will be tried again",
    "REVOKED": "called off",
    "ORPHAN": "was running on a worker that is lost",
    "STALE": "sent long ago and never received",
}
