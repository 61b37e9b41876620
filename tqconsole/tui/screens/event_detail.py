"""One event in full, beside the one before on the same subject."""

import json
from typing import ClassVar

from textual.app import ComposeResult

from tqconsole.tui.model.event_fields import event_lines, name_of, previous_of, safe_event
from tqconsole.tui.model.event_log import Entry
from tqconsole.tui.screens.base import Console, ConsoleScreen
from tqconsole.tui.screens.pager import PagerScreen

__all__ = ["EventLooks", "EventScreen"]


class EventLooks(ConsoleScreen):
    """What the stream and the page of one event share."""

    def current(self) -> Entry | None:
        """Return the entry that is meant."""
        raise NotImplementedError

    def do_subject(self) -> None:
        """Open the task or the worker that the event is about."""
        entry = self.current()
        if entry is None or not entry.event:
            self.say("no event chosen: j or a click chooses one")
            return
        event, source = entry.event, self.console.source
        uuid, hostname = event.get("uuid"), str(event.get("hostname", ""))
        if uuid is not None:
            if str(uuid) in source.state.tasks:
                self.console.open_task(str(uuid))
            else:
                self.say(f"task {uuid} is not kept any more")
        elif hostname in source.state.workers:
            self.console.open_worker(hostname)
        else:
            self.say(f"worker {hostname} is not known any more")

    def do_copy(self) -> None:
        """Ask what to copy of the event."""
        entry = self.current()
        if entry is None or not entry.event:
            self.say("no event chosen: j or a click chooses one")
            return
        event = entry.event
        choices = {
            "i": ("id", str(event.get("uuid") or "")),
            "w": ("worker", str(event.get("hostname") or "")),
            "n": ("name", name_of(event, self.console.source.state)),
            "j": ("json", json.dumps(safe_event(event), default=str)),
            "c": ("command", f"tq events --dump --types {event.get('type')}"),
        }
        self.ask_what_to_copy(choices, "j")


class EventScreen(PagerScreen, EventLooks):
    """An event as JSON; it stays as it is, whatever arrives."""

    key: ClassVar[str] = "event"

    def __init__(self, console: Console, entry: Entry) -> None:
        """Show `entry`."""
        super().__init__(console)
        self.entry = entry
        self._before = previous_of(console.source.events, entry)
        self._drawn: object = None

    def body(self) -> ComposeResult:
        """Give the page."""
        yield self.pager

    def tab_of(self) -> str:
        """Belong to Events."""
        return "events"

    def crumbs(self) -> tuple[str, ...]:
        """Name the event."""
        return ("events", self.entry.type)

    def current(self) -> Entry | None:
        """Return the event."""
        return self.entry

    def draw_body(self) -> None:
        """Write the page for the width of the moment."""
        width = max(20, self.pager.size.width - 1)
        state = self.console.source.state
        drawn = (width, name_of(self.entry.event, state))
        if drawn != self._drawn:
            self._drawn = drawn
            lines = event_lines(self.entry, self._before, state, width, self.console.symbols)
            self.pager.show(lines)
