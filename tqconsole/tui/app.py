"""The application: screens, the tick, and the performing of actions."""

import asyncio
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, ClassVar

from textual.app import SystemCommand
from textual.screen import Screen

from tqconsole.tui.acting import Acting
from tqconsole.tui.actions import SCREENS, available
from tqconsole.tui.commands import CommandError, parse_command
from tqconsole.tui.config import ConsoleConfig
from tqconsole.tui.model.format import glyphs
from tqconsole.tui.model.insight import Insight
from tqconsole.tui.model.sent import SentCommand
from tqconsole.tui.screens.base import ConsoleScreen, ListScreen
from tqconsole.tui.screens.control_log import ControlLogScreen
from tqconsole.tui.screens.events import EventsScreen
from tqconsole.tui.screens.failures import FailuresScreen
from tqconsole.tui.screens.flow_detail import FlowScreen
from tqconsole.tui.screens.flows import FlowsScreen
from tqconsole.tui.screens.help import HelpScreen
from tqconsole.tui.screens.overview import OverviewScreen
from tqconsole.tui.screens.palette import ActionPalette
from tqconsole.tui.screens.queue_detail import QueueScreen
from tqconsole.tui.screens.queues import QueuesScreen
from tqconsole.tui.screens.replies import RepliesScreen
from tqconsole.tui.screens.schedules import SchedulesScreen
from tqconsole.tui.screens.task_acts import TaskActs
from tqconsole.tui.screens.task_detail import TaskScreen
from tqconsole.tui.screens.tasks import TasksScreen
from tqconsole.tui.screens.worker_detail import WorkerScreen
from tqconsole.tui.screens.workers import WorkersScreen
from tqconsole.tui.source import Source
from tqconsole.tui.themes import DARK, LIGHT, THEMES, context_colour, make_palette
from tqconsole.tui.widgets.paint import Palette
from tqconsole.tui.widgets.prompt import Typing

__all__ = ["ConsoleApp"]

_SLOW_FRAME = 0.040  # seconds of drawing beyond which the frame rate is halved
_HISTORY = 50


class ConsoleApp(Acting):
    """Shows a `Source`. Owned by the event loop.

    Attributes:
        insight: What is worth knowing beyond single tasks.
        paused: Whether the views stand still.
        times: How moments are shown: `age`, `local` or `utc`.
        frame_cost: Seconds that the last frame's model work took.
    """

    CSS_PATH = "styles/console.tcss"
    BINDINGS: ClassVar = []
    ENABLE_COMMAND_PALETTE = True
    TITLE = "tq"

    def __init__(
        self,
        source: Source,
        config: ConsoleConfig | None = None,
        clock: Any = time.time,
        ticking: bool = True,
    ) -> None:
        """Show `source`; `clock` tells the wall time and `ticking` is switched off by tests."""
        super().__init__(source, config or ConsoleConfig(), clock)
        self.symbols = glyphs(self.config.ascii_only)
        self.insight = Insight()
        self.animation_level = "none"
        self._clock = clock
        self._ticking = ticking
        self.paused = False
        self.times = "age"
        self.frame_cost = 0.0
        self._loop_of: asyncio.AbstractEventLoop | None = None
        self._interval = 1.0 / max(1, self.config.frames)
        self._visited: list[str] = []
        self._place = -1
        self._commands: list[str] = []
        for theme in THEMES:
            self.register_theme(theme)
        self.theme = self._first_theme()
        self.palette: Palette = self._make_palette()

    def _first_theme(self) -> str:
        wanted = self.config.theme or DARK.name
        for name in (wanted, f"tq-{wanted}", f"{wanted}-dark"):
            if name in self.available_themes:
                return name
        return DARK.name

    def _make_palette(self) -> Palette:
        theme = self.current_theme
        colour = context_colour(self.source.context, theme, self.config.context_colours)
        return make_palette(theme, colour)

    # Life

    def on_mount(self) -> None:
        """Make the screens and start the tick."""
        self._loop_of = asyncio.get_running_loop()
        self._screens: dict[str, ConsoleScreen] = {
            "overview": OverviewScreen(self),
            "tasks": TasksScreen(self),
            "workers": WorkersScreen(self),
            "queues": QueuesScreen(self),
            "failures": FailuresScreen(self),
            "schedules": SchedulesScreen(self),
            "flows": FlowsScreen(self),
            "events": EventsScreen(self),
            "log": ControlLogScreen(self),
        }
        for name, screen in self._screens.items():
            self.install_screen(screen, name)
        first = self.config.screen if self.config.screen in self._screens else "overview"
        self.push_screen(first)
        self._remember(first)
        self.theme_changed_signal.subscribe(self, self._theme_changed)
        self.source.start()
        if self._ticking:
            self.set_timer(self._interval, self._tick)

    def _tick(self) -> None:
        """Draw a frame, and arrange for the next one: later if this one was slow."""
        self.frame()
        base = 1.0 / max(1, self.config.frames)
        if self.frame_cost > _SLOW_FRAME:
            self._interval = min(1.0, self._interval * 2)
        else:
            self._interval = max(base, self._interval / 2)
        self.set_timer(self._interval, self._tick)

    def frame(self) -> None:
        """Take in what arrived and draw what differs."""
        started = time.perf_counter()
        self.now = self._clock()
        source = self.source
        source.drain(self.now)
        self.insight.update(source.state, source.queues, source.link, self.now, source.facts)
        self.audit.update(self.now)
        # a window in front leaves the screen below in sight, so that goes on too
        for screen in reversed(self.screen_stack):
            if isinstance(screen, ConsoleScreen):
                screen.tick()
                break
        self.frame_cost = time.perf_counter() - started

    def _theme_changed(self, theme: object) -> None:
        self.palette = self._make_palette()
        for screen in {*self._screens.values(), *self.screen_stack}:
            if isinstance(screen, ConsoleScreen):
                screen.redraw()

    def call_from_signal(self, code: int) -> None:
        """Leave, from a signal handler."""
        loop = self._loop_of
        if loop is not None:
            loop.call_soon_threadsafe(self.exit, code)

    @property
    def crash(self) -> Exception | None:
        """The exception that ended the console, if one did."""
        return self._exception

    def _fatal_error(self) -> None:
        # textual would print a page of frames with local values, which may hold secrets
        self.bell()
        self._close_messages_no_wait()

    # Actions

    def perform(self, name: str) -> bool:
        """Perform an action by name on the screen of the moment, else on the application."""
        for target in (self.screen, self):
            method = getattr(target, f"do_{name}", None)
            if method is not None:
                method()
                return True
        return False

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:
        """Offer the action table in the palette."""
        key = screen.key if isinstance(screen, ConsoleScreen) else ""
        for number, name, _, title in SCREENS:
            yield SystemCommand(
                title, f"{number}  Go to {title}", lambda name=name: self.show_screen(name)
            )
        for action in available(key, self.source.read_only):
            if action.name in ("palette",):
                continue
            title = f"{action.text[:1].upper()}{action.text[1:]}"
            yield SystemCommand(
                title,
                f"{action.key_text}  {action.help}",
                lambda name=action.name: self._perform_later(name),
            )

    def _perform_later(self, name: str) -> None:
        # the palette is still on top when it calls
        self.call_later(self.perform, name)

    def do_quit(self) -> None:
        """Leave at once."""
        self.exit(0)

    def do_leave(self) -> None:
        """Go back to the screen before; at the top, leave."""
        self.exit(0)

    def do_back(self) -> None:
        """Do nothing: a screen without anything to go back from."""

    def do_palette(self) -> None:
        """Open the palette."""
        self.action_command_palette()

    def action_command_palette(self) -> None:
        """Open the palette, which textual's own key for it calls too."""
        if not isinstance(self.screen, ActionPalette):
            self.push_screen(ActionPalette())

    def do_help(self) -> None:
        """Show the keys of the screen of the moment."""
        screen = self.screen
        if isinstance(screen, ConsoleScreen) and screen.key != "help":
            self.push_screen(HelpScreen(self, screen.key))

    def do_flow(self) -> None:
        """Show the flow of the task that the screen of the moment is about."""
        screen = self.screen
        task = screen.current() if isinstance(screen, TaskActs) else None
        if task is not None:
            self.push_screen(FlowScreen(self, task.uuid, task.uuid))
        else:
            self.report("no task chosen: j or a click chooses one")

    def do_theme(self) -> None:
        """Switch between the dark and the light theme."""
        self.theme = LIGHT.name if self.theme == DARK.name else DARK.name

    def do_pause(self) -> None:
        """Pause or go on, from a screen that has no rows of its own."""
        tasks = self._screens["tasks"]
        assert isinstance(tasks, TasksScreen)
        tasks.do_pause()

    def do_refresh(self) -> None:
        """Ask workers and broker again now."""
        self.source.refresh()
        self.report("asked workers and broker again", "muted")

    def do_screenshot(self) -> None:
        """Write the screen to a file in the working directory."""
        path = Path.cwd() / time.strftime("tq-%Y%m%d-%H%M%S.svg", time.gmtime(self.now))
        try:
            path.write_text(self.export_screenshot(title="tq"), encoding="utf-8")
        except OSError as error:
            self.report(f"not written: {error}", "error")
        else:
            self.report(f"written to {path}", "success")

    def do_times(self) -> None:
        """Show ages, then times of the day here, then in UTC."""
        order = ("age", "local", "utc")
        self.times = order[(order.index(self.times) + 1) % len(order)]
        words = {"age": "ages", "local": "local time", "utc": "UTC"}
        screen = self.screen
        if isinstance(screen, ConsoleScreen):
            screen.tick()
        self.report(f"times are shown as {words[self.times]}", "muted")

    def do_prompt(self) -> None:
        """Let the user type a command."""
        screen = self.screen
        if isinstance(screen, ConsoleScreen):
            screen.prompt.type_line(
                Typing(
                    ":", done=self._command, cancelled=self._refocus, history=tuple(self._commands)
                )
            )

    def _command(self, text: str) -> None:
        self._refocus()
        if not text.strip():
            return
        self._commands.append(text)
        try:
            command = parse_command(text, self.source.read_only)
        except CommandError as error:
            self.report(str(error), "error")
            return
        if command.screen is not None:
            self.show_screen(command.screen)
            if command.rest:
                self._filter(command.screen, command.rest)
        elif command.control is not None:
            self.command(*command.control)
        elif command.unlock is not None:
            self.unlock(*command.unlock)
        elif command.action is not None and not self.perform(command.action.name):
            self.report(f"{command.action.name} is not for this screen")

    def _filter(self, screen: str, text: str) -> None:
        shown = self._screens[screen]
        if screen == "tasks":
            self.show_tasks(text)
        elif isinstance(shown, FlowsScreen | EventsScreen):
            shown.try_filter(text)

    def _refocus(self) -> None:
        screen = self.screen
        if isinstance(screen, ConsoleScreen):
            widget = screen.main()
            if widget is not None:
                widget.focus()

    # Going

    def show_screen(self, name: str) -> None:
        """Go to one of the numbered screens."""
        if name not in self._screens:
            return
        self._go(name)
        self._remember(name)

    def _go(self, name: str) -> None:
        while len(self.screen_stack) > 2:
            self.pop_screen()
        if self.screen is not self._screens[name]:
            self.switch_screen(name)

    def _remember(self, name: str) -> None:
        if self._visited and self._visited[self._place] == name:
            return
        self._visited = [*self._visited[: self._place + 1], name][-_HISTORY:]
        self._place = len(self._visited) - 1

    def do_history_back(self) -> None:
        """Walk back through the screens."""
        if self._place > 0:
            self._place -= 1
            self._go(self._visited[self._place])

    def do_history_on(self) -> None:
        """Walk forward again."""
        if self._place < len(self._visited) - 1:
            self._place += 1
            self._go(self._visited[self._place])

    def do_previous(self) -> None:
        """Go to the screen shown before."""
        if self._place > 0:
            self.show_screen(self._visited[self._place - 1])

    def open_task(self, task_id: str, section: str = "summary") -> None:
        """Open a task."""
        self.push_screen(TaskScreen(self, task_id, section))

    def open_worker(self, hostname: str) -> None:
        """Open a worker."""
        self.push_screen(WorkerScreen(self, hostname))

    def open_queue(self, name: str) -> None:
        """Open a queue."""
        self.push_screen(QueueScreen(self, name))

    def show_row(self, screen: str, key: str) -> None:
        """Go to a numbered screen with the cursor on a row."""
        self.show_screen(screen)
        shown = self._screens[screen]
        if isinstance(shown, ListScreen):
            shown.choose(key)

    def open_replies(self, sent: SentCommand) -> None:
        """Open the reply panel of a command."""
        self.push_screen(RepliesScreen(self, sent))

    def show_tasks(self, filter_text: str) -> None:
        """Go to the tasks that match a filter."""
        self.show_screen("tasks")
        tasks = self._screens["tasks"]
        assert isinstance(tasks, TasksScreen)
        if not tasks.try_filter(filter_text):
            tasks.say(
                tasks.note.text.strip() if tasks.note else "that filter cannot be read", "error"
            )

    def do_slowest(self) -> None:
        """List the tasks that ran longest, or run longest now."""
        self._list_tasks("", "run", False)

    def do_stuck(self) -> None:
        """List the tasks that wait for minutes, the oldest first."""
        self._list_tasks("is:stuck", "age", True)

    def do_unreceived(self) -> None:
        """List the tasks that were sent and that nobody received, the oldest first."""
        self._list_tasks("state:sent,stale", "age", True)

    def _list_tasks(self, filter_text: str, sort: str, reverse: bool) -> None:
        tasks = self._screens["tasks"]
        assert isinstance(tasks, TasksScreen)
        tasks.rows.sort, tasks.rows.reverse = sort, reverse
        self.show_tasks(filter_text)

    def copy_text(self, text: str, what: str) -> None:
        """Give a text to the terminal's clipboard."""
        if self.config.clipboard:
            self.copy_to_clipboard(text)
        self.report(f"{what} copied: {text}", "success")

    def open_number(self, number: str) -> bool:
        """Go to the screen with this number."""
        for digit, name, _, _ in SCREENS:
            if digit == number:
                self.show_screen(name)
                return True
        return False
